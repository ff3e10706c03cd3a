package apptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
)

// timelines reads the timeline of each message, and of the claim that it was given with, and judges the order of the events
// and the copies at the carrier.
func (v *Verdict) timelines(ctx context.Context, s *Sender, told map[string]*Order, records map[string]api.Message, sent map[string]copies, t Terms) error {
	var mu sync.Mutex // guards v and failed
	var failed error
	ids := make(chan string)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for id := range ids {
				m, err := s.Message(ctx, id)
				var cl api.Claim
				o := told[id]
				claims := o != nil && o.Draft.Claim != nil
				if claims && err == nil {
					cl, err = s.Claim(ctx, o.Draft.Claim.Number)
				}
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("timeline of %s: %w", id, err))
				} else {
					v.timeline(&m, sent[id], t)
				}
				if claims && err == nil {
					v.claim(id, o.Draft.Claim, &cl)
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

// claim judges what became of a claim that nobody paid.
func (v *Verdict) claim(id string, wanted *message.Claim, is *api.Claim) {
	if v.Claims++; is.Amount != wanted.Amount || is.Due != wanted.Due || is.Status != "unpaid" || len(is.Alerts) > 0 {
		v.broken("message %s was acknowledged with claim %s of %d yen due %s, which is %s, %d yen, due %s, %v", id, wanted.Number, wanted.Amount, wanted.Due, is.Status, is.Amount, is.Due, is.Alerts)
	}
}

func (v *Verdict) timeline(m *api.Message, sent copies, t Terms) {
	doubts := map[int]int{} // by segment
	for _, e := range m.Timeline {
		if e.Of == "message" && e.Event == message.InDoubt.String() {
			doubts[partOf(e)]++
			v.Doubts++
		}
	}
	for part, texts := range sent {
		v.Duplicated += len(texts) - 1
		if len(texts)-1 > doubts[part] {
			v.broken("segment %d of message %s has %d copies at the carrier and %d doubts: %v", part, m.ID, len(texts), doubts[part], m.Timeline)
		}
	}
	if err := inOrder(m.Timeline, t.Stepped); err != nil {
		v.Disordered++
		v.broken("timeline of message %s: %v", m.ID, err)
	}
}

// partOf is the segment that an event is about, 1 where it names none.
func partOf(e api.Entry) int {
	n, err := strconv.Atoi(e.Detail["part"])
	if err != nil {
		return 1
	}
	return n
}

// own are the events of the message itself. A claim's are sorted in by their time.
func own(timeline []api.Entry) []api.Entry {
	return slices.DeleteFunc(slices.Clone(timeline), func(e api.Entry) bool { return e.Of != "message" })
}

// lag is how far times may go back within a timeline: events of the carrier and of the engine are noted side by side.
const lag = time.Second

// inOrder checks that the events of a message can have happened in this order, for each of its segments.
func inOrder(timeline []api.Entry, stepped bool) error {
	type segment struct {
		attempts   int
		open, over bool
	}
	segments := map[int]*segment{}
	var last time.Time
	for i, e := range own(timeline) {
		if !stepped && e.At.Before(last.Add(-lag)) {
			return fmt.Errorf("event %d, %s, is older than the one before", i, e.Event)
		}
		last = e.At
		if (i == 0) != (e.Event == "accepted") {
			return fmt.Errorf("event %d is %s", i, e.Event)
		}
		s := segments[partOf(e)]
		if s == nil {
			s = &segment{}
			segments[partOf(e)] = s
		}
		switch e.Event {
		case "submitting":
			if s.open || s.over {
				return fmt.Errorf("event %d: submitted anew (open %t, over %t)", i, s.open, s.over)
			}
			s.attempts, s.open = s.attempts+1, true
		case "submitted", "in_doubt", "retrying":
			if s.attempts == 0 || e.Event != "submitted" && !s.open { // a response may come behind a doubt
				return fmt.Errorf("event %d: %s without a submission", i, e.Event)
			}
			s.open = false
		case "delivered", "undelivered": // may come before the response
			if s.attempts == 0 {
				return fmt.Errorf("event %d: %s without a submission", i, e.Event)
			}
			s.over = true
		}
	}
	return nil
}
