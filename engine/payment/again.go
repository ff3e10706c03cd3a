package payment

import (
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Again is what a message that asks for a claim once more does to it.
type Again struct {
	Message ulid.ULID // joins the claim; zero: it has no page of its own
	Due     time.Time // the last moment to pay from now on; zero: as it is
	By      string    // who changes it; as in message.Act
}

// Again is the change to commit together with a message that asks for a claim once more, against the version of s: whoever
// pays meanwhile wins. Unlike Patch it gives no other due date to a claim with an attempt that can be paid although it was
// canceled, or of which nobody knows yet: the payer would have two numbers. The problem is of the field "due".
func (p *Payments) Again(s *State, a Again) (store.Change, *message.Problem, error) {
	now, change := p.now(), store.Change{Ref: s.Ref, Expect: s.Version}
	if !a.Due.IsZero() && !a.Due.Equal(s.Due) {
		if live := s.Live(); live != nil && (!live.Final || live.Settling()) {
			return change, &message.Problem{Field: "due", Code: message.CodeOpenPayment, Value: s.Number, Detail: "a number is out that may still be paid"}, nil
		}
		terms := s.Terms
		terms.Due, terms.By, terms.Reason = a.Due, a.By, ""
		events, err := s.amend(now, terms)
		if ps := (message.Problems)(nil); errors.As(err, &ps) {
			ps[0].Field = "due"
			return change, &ps[0], nil
		}
		if err != nil {
			return change, nil, err
		}
		next, err := s.extend(events)
		if err != nil {
			return change, nil, err
		}
		change.Events, change.Due = events, &store.Due{}
		if at, ok := next.next(now, p.c); ok {
			change.Due = &store.Due{Queue: queueSettle, At: at}
		}
	}
	if !a.Message.IsZero() {
		change.Events = append(change.Events, newEvent(Joined, now, Join{a.Message}))
	}
	return change, nil, nil
}
