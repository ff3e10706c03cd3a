package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// Verdict is what three ledgers say together: what the clients were told, what the engine says, and what the carriers
// wrote into their file. Its promises are kept when Broken is empty.
type Verdict struct {
	Acknowledged int                   `json:"acknowledged"` // a client was told an id
	Lost         int                   `json:"lost"`         // of these: unknown to the engine, or said to be sent and not at the carrier; must be 0
	Duplicated   int                   `json:"duplicated"`   // copies at the carriers beyond the first
	Doubts       int                   `json:"open"`         // submissions that were written and unanswered at a fault, by the timelines: duplicates may not be more
	Disordered   int                   `json:"disordered"`   // timelines whose events cannot have happened in this order; must be 0
	Foreign      int                   `json:"foreign"`      // messages of the engine or the carriers that nobody asked for; must be 0
	Unanswered   int                   `json:"unanswered"`   // requests whose answer a fault took; each was asked again by its key
	Phases       map[message.Phase]int `json:"phases"`
	Broken       []string              `json:"broken,omitempty"` // promises, the first of each kind with an example
}

// Terms of a judgement.
type Terms struct {
	Lossy     bool          // the carriers forgot delivery receipts: submitted is an end
	Stepped   bool          // the clock was set: times in a timeline may go back, and validity may end in a step
	Patience  time.Duration // until everything is over; default 1 min
	WindowSum int           // of the windows of all binds; 0: not judged
	Faults    int           // how often windows were cut
}

// Judge asks for all orders once more, waits until nothing is under way, and compares the ledgers. The error is that they
// could not be read.
func (c *Country) Judge(ctx context.Context, l *Load, t Terms) (*Verdict, map[string]api.Message, error) {
	v := &Verdict{Phases: map[message.Phase]int{}}
	told := map[string]*Order{}
	for _, o := range l.Orders() {
		if o.ID != "" {
			v.Acknowledged++
		}
		if o.Unanswered {
			v.Unanswered++
		}
	}
	if err := l.Ask(ctx); err != nil {
		return nil, nil, fmt.Errorf("ask for all orders again: %w", err)
	}
	for _, o := range l.Orders() {
		if other := told[o.ID]; other != nil {
			v.broken("two keys, %s and %s, have one message", o.Draft.Key, other.Draft.Key)
		}
		told[o.ID] = o
	}
	records, err := Settled(ctx, l.Sender, t)
	if err != nil {
		return nil, nil, err
	}
	ledger, err := CarriersLedger(c.File("ledger.ndjson"))
	if err != nil {
		return nil, nil, err
	}
	for id := range records {
		if told[id] == nil {
			v.Foreign++
			v.broken("message %s of the engine was told nobody", id)
		}
	}
	copies := map[string]int{}
	for id, o := range told {
		sent := ledger[o.Draft.To]
		delete(ledger, o.Draft.To)
		copies[id] = len(sent)
		for _, s := range sent {
			if !strings.Contains(s.Text, o.URL) {
				v.broken("message %s reached the carrier with another text", id)
			}
		}
		m, known := records[id]
		v.Phases[m.Status]++
		switch {
		case !known:
			v.Lost++
			v.broken("message %s was acknowledged and the engine does not know it", id)
		case len(sent) == 0 && (m.Status == message.Arrived || m.Status == message.Confirming):
			v.Lost++
			v.broken("message %s is said to be %s and never reached the carrier", id, m.Status)
		case m.Status == message.Arrived, m.Status == message.Confirming && t.Lossy, m.Status == message.Expired && t.Stepped:
		default:
			v.broken("message %s ended as %q: %s", id, m.Status, m.Reason)
		}
	}
	for number, sent := range ledger {
		v.Foreign += len(sent)
		v.broken("the carriers got a message for %s that nobody asked for", message.Mask(number))
	}
	if err := v.timelines(ctx, l.Sender, records, copies, t); err != nil {
		return nil, nil, err
	}
	for _, err := range l.Faults() {
		v.broken("%v", err)
	}
	if t.WindowSum > 0 && v.Duplicated > t.Faults*t.WindowSum {
		v.broken("%d duplicates of %d faults with windows of %d", v.Duplicated, t.Faults, t.WindowSum)
	}
	return v, records, nil
}

// maxBroken bounds the examples of a verdict.
const maxBroken = 20

func (v *Verdict) broken(format string, args ...any) {
	if len(v.Broken) < maxBroken {
		v.Broken = append(v.Broken, fmt.Sprintf(format, args...))
	}
}

// timelines reads the timeline of each message, and judges the order of its events and its copies at the carrier.
func (v *Verdict) timelines(ctx context.Context, s *Sender, records map[string]api.Message, copies map[string]int, t Terms) error {
	var mu sync.Mutex // guards v and failed
	var failed error
	ids := make(chan string)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for id := range ids {
				m, err := s.Message(ctx, id)
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("timeline of %s: %w", id, err))
				} else {
					v.timeline(&m, copies[id], t)
				}
				mu.Unlock()
			}
		})
	}
	for id := range records {
		ids <- id
	}
	close(ids)
	wg.Wait()
	return failed
}

func (v *Verdict) timeline(m *api.Message, copies int, t Terms) {
	doubts := 0
	for _, e := range m.Timeline {
		if e.Event == message.InDoubt.String() {
			doubts++
		}
	}
	v.Doubts += doubts
	if copies > 1 {
		v.Duplicated += copies - 1
		if copies-1 > doubts {
			v.broken("message %s has %d copies at the carrier and %d doubts: %v", m.ID, copies, doubts, m.Timeline)
		}
	}
	if err := inOrder(m.Timeline, t.Stepped); err != nil {
		v.Disordered++
		v.broken("timeline of message %s: %v", m.ID, err)
	}
}

// lag is how far times may go back within a timeline: events of the carrier and of the engine are noted side by side.
const lag = time.Second

// inOrder checks that the events of a message of one segment can have happened in this order.
func inOrder(timeline []api.Entry, stepped bool) error {
	var last time.Time
	attempts, open, over := 0, false, false
	own := slices.DeleteFunc(slices.Clone(timeline), func(e api.Entry) bool { return e.Of != "message" }) // a claim's are sorted in by their time
	for i, e := range own {
		if !stepped && e.At.Before(last.Add(-lag)) {
			return fmt.Errorf("event %d, %s, is older than the one before", i, e.Event)
		}
		last = e.At
		switch e.Event {
		case "accepted":
			if i != 0 {
				return errors.New("accepted stands behind another event")
			}
			continue
		case "submitting":
			if open || over {
				return fmt.Errorf("event %d: submitted anew (open %t, over %t)", i, open, over)
			}
			attempts, open = attempts+1, true
		case "submitted", "in_doubt", "retrying":
			if attempts == 0 || e.Event != "submitted" && !open { // a response may come behind a doubt
				return fmt.Errorf("event %d: %s without a submission", i, e.Event)
			}
			open = false
		case "delivered", "undelivered": // may come before the response
			if attempts == 0 {
				return fmt.Errorf("event %d: %s without a submission", i, e.Event)
			}
			over = true
		}
		if i == 0 {
			return fmt.Errorf("begins with %s", e.Event)
		}
	}
	return nil
}

// Settled waits until nothing is under way and returns all messages by id.
func Settled(ctx context.Context, s *Sender, t Terms) (map[string]api.Message, error) {
	if t.Patience == 0 {
		t.Patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, t.Patience)
	defer cancel()
	all, err := s.Messages(ctx)
	if err != nil {
		return nil, err
	}
	records := map[string]api.Message{}
	var open []string
	for _, m := range all {
		records[m.ID] = m
		if underWay(m.Status, t) {
			open = append(open, m.ID)
		}
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for len(open) > 0 {
		m, err := s.Message(ctx, open[0])
		var refused *Refused
		switch {
		case err == nil && !underWay(m.Status, t):
			records[m.ID], open = m, open[1:]
			continue
		case errors.As(err, &refused) && refused.Status != http.StatusServiceUnavailable && refused.Status != http.StatusTooManyRequests:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return records, fmt.Errorf("%d messages are still under way after %v, such as %s: %q", len(open), t.Patience, open[0], records[open[0]].Status)
		case <-ticker.C:
		}
	}
	return records, nil
}

func underWay(p message.Phase, t Terms) bool {
	switch p {
	case message.Waiting, message.Sending, message.Doubtful:
		return true
	case message.Confirming:
		return !t.Lossy
	}
	return false
}

// CarriersLedger reads what the carriers accepted, by number as people write it.
func CarriersLedger(name string) (map[string][]smsc.Message, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	got := map[string][]smsc.Message{}
	for line := range bytes.Lines(data) {
		var m struct {
			Event string
			smsc.Message
		}
		if err := json.Unmarshal(line, &m); err != nil {
			// A carrier that was killed while it wrote leaves half a line, of which nothing was answered; the next one goes on
			// behind it.
			whole := bytes.LastIndex(line, []byte(`{"event":`))
			if whole <= 0 && !bytes.HasSuffix(line, []byte("\n")) {
				continue
			}
			if whole <= 0 || json.Unmarshal(line[whole:], &m) != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		if m.Event == "received" {
			number := "0" + strings.TrimPrefix(m.Dest, "81")
			got[number] = append(got[number], m.Message)
		}
	}
	return got, nil
}
