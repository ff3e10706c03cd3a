package apptest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
)

// Verdict is what three ledgers say together: what the clients were told, what the engine says, and what the carriers
// wrote into their file. Its promises are kept when Broken is empty.
type Verdict struct {
	Acknowledged int                   `json:"acknowledged"` // a client was told an id
	Segmented    int                   `json:"segmented"`    // of these: of several segments
	Claims       int                   `json:"claims"`       // of these: with a claim, which was found as it was given
	Lost         int                   `json:"lost"`         // of these: unknown to the engine, or said to be sent and not at the carrier; must be 0
	Duplicated   int                   `json:"duplicated"`   // copies of segments at the carriers beyond the first; bounded by Doubts, each segment for itself
	Doubts       int                   `json:"open"`         // submissions in doubt, by the timelines: what was written and unanswered at a fault; bounded by faults × windows
	Disordered   int                   `json:"disordered"`   // timelines whose events cannot have happened in this order; must be 0
	Foreign      int                   `json:"foreign"`      // messages of the engine or the carriers that nobody asked for; must be 0
	Unanswered   int                   `json:"unanswered"`   // requests whose answer a fault took; each was asked again by its key
	Phases       map[message.Phase]int `json:"phases"`
	Phones       Phones                `json:"phones"`
	Notices      Notices               `json:"notices"`          // of the callbacks, where Load.Hook takes them
	Broken       []string              `json:"broken,omitempty"` // promises, the first of each kind with an example
}

// Terms of a judgement.
type Terms struct {
	Lossy     bool          // the carriers forgot delivery receipts: submitted is an end
	Stepped   bool          // the clock was set: times in a timeline may go back, and validity may end in a step
	Patience  time.Duration // until everything is over; default 1 min
	WindowSum int           // of the windows that one fault cuts; 0: not judged
	Faults    int           // how often windows were cut
}

func (t Terms) patience() time.Duration {
	if t.Patience == 0 {
		return time.Minute
	}
	return t.Patience
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
	if err := v.phones(ctx, c, l.Sender, t); err != nil {
		return nil, nil, err
	}
	ledger, err := ReadLedger(c.File("ledger.ndjson"))
	if err != nil {
		return nil, nil, err
	}
	for id := range records {
		if told[id] == nil {
			v.Foreign++
			v.broken("message %s of the engine was told nobody", id)
		}
	}
	all := map[string]copies{}
	for id, o := range told {
		sent := copies(ledger.Pieces[o.Draft.To])
		delete(ledger.Pieces, o.Draft.To)
		all[id] = sent
		m, known := records[id]
		v.Phases[m.Status]++
		if m.Parts > 1 {
			v.Segmented++
		}
		wanted := strings.ReplaceAll(o.Draft.Text, "{url}", o.URL)
		for _, texts := range sent {
			for _, text := range texts {
				if text != texts[0] || !strings.Contains(wanted, text) {
					v.broken("message %s reached the carrier with another text", id)
				}
			}
		}
		switch {
		case !known:
			v.Lost++
			v.broken("message %s was acknowledged and the engine does not know it", id)
		case (m.Status == message.Arrived || m.Status == message.Confirming) && (!sent.whole(m.Parts) || sent.text() != wanted):
			v.Lost++
			v.broken("message %s of %d segments is said to be %s and did not reach the carrier whole", id, m.Parts, m.Status)
		case m.Status == message.Arrived, m.Status == message.Confirming && t.Lossy, m.Status == message.Expired && t.Stepped:
		default:
			v.broken("message %s ended as %q: %s", id, m.Status, m.Reason)
		}
	}
	for number, sent := range ledger.Pieces {
		v.Foreign += len(sent)
		v.broken("the carriers got a message for %s that nobody asked for", message.Mask(number))
	}
	if err := v.timelines(ctx, l.Sender, told, records, all, t); err != nil {
		return nil, nil, err
	}
	if l.Hook != nil {
		if err := v.notices(ctx, l.Hook, records, t); err != nil {
			return nil, nil, err
		}
	}
	for _, err := range l.Faults() {
		v.broken("%v", err)
	}
	if most := t.Faults * t.WindowSum; most > 0 {
		if v.Doubts > most {
			v.broken("%d submissions in doubt by %d faults that cut windows of %d each", v.Doubts, t.Faults, t.WindowSum)
		}
		if v.Duplicated > most {
			v.broken("%d duplicates by %d faults that cut windows of %d each", v.Duplicated, t.Faults, t.WindowSum)
		}
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

// Settled waits until nothing is under way and returns all messages by id.
func Settled(ctx context.Context, s *Sender, t Terms) (map[string]api.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, t.patience())
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
			return records, fmt.Errorf("%d messages are still under way after %v, such as %s: %q", len(open), t.patience(), open[0], records[open[0]].Status)
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
