package payment

import (
	"context"
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

// Again is what to commit together with a message that asks for a claim once more, against the version of s: whoever pays
// meanwhile wins. Unlike Patch it gives no other due date to a claim with an attempt that can be paid although it was
// canceled, or of which nobody knows yet: the payer would have two numbers. The account of a claim that is partly paid stays the
// one that it is, and past its due date is asked for with another alone. The problem is of the field "due".
func (p *Payments) Again(ctx context.Context, s *State, a Again) ([]store.Change, *message.Problem, error) {
	now, changes := p.now(), []store.Change{{Ref: s.Ref, Expect: s.Version}}
	switch {
	case !a.Due.IsZero() && !a.Due.Equal(s.Due):
		if live := s.Live(); live != nil && live != s.Account() && (!live.Final || live.Settling()) {
			return nil, &message.Problem{Field: "due", Code: message.CodeOpenPayment, Value: s.Number, Detail: "a number is out that may still be paid"}, nil
		}
		terms := s.Terms
		terms.Due, terms.By, terms.Reason = a.Due, a.By, ""
		var err error
		changes, err = p.amended(ctx, s, terms, now)
		if ps := (message.Problems)(nil); errors.As(err, &ps) {
			ps[0].Field = "due"
			return nil, &ps[0], nil
		}
		if err != nil {
			return nil, nil, err
		}
	case s.Phase == PartlyPaid && now.After(s.Due):
		return nil, &message.Problem{Field: "due", Code: "required", Detail: "its account is shown no longer: give another due date"}, nil
	}
	if !a.Message.IsZero() {
		changes[0].Events = append(changes[0].Events, newEvent(Joined, now, Join{a.Message}))
	}
	return changes, nil, nil
}
