package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// RefundOptions say what is given back.
type RefundOptions struct {
	Attempt ulid.ULID // zero: the one attempt that has money
	Yen     int64     // 0: all that is left of it
	message.Act
}

// Refund orders the agent to give money of a confirmed payment back. The order is committed before the agent is asked, under
// an id that is the call's idempotency key; an order whose answer was not seen is settled by Run, which asks how the payment
// stands and never orders again. One order at a time is under way for an attempt. Errors: store.ErrNotFound;
// message.Problems, with code "conflict" where there is nothing to give back, an order is under way, or the agent refused.
func (p *Payments) Refund(ctx context.Context, t *tenant.Tenant, number string, o RefundOptions) (State, error) {
	if n := message.Length(o.Reason); n > 200 {
		return State{}, message.Problems{{Field: "reason", Code: "too_long", Limit: 200, Got: int64(n)}}
	}
	scope := tenant.Only(t.ID)
	ref, _, err := p.s.Lookup(ctx, scope, store.ByClaimNumber, number)
	if err != nil {
		return State{}, fmt.Errorf("find claim by its number: %w", err)
	}
	var order Refund
	s, err := p.change(ctx, scope, ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		a, err := p.refundable(s, o)
		if err != nil {
			return nil, err
		}
		order = Refund{ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), Attempt: a.ID, Yen: o.Yen, Act: o.Act}
		if order.Yen == 0 {
			order.Yen = a.Confirmed - a.Refunded
		}
		return []store.NewEvent{newEvent(RefundAsked, now, order)}, nil
	})
	if err != nil {
		return State{}, err
	}
	r := p.refund(ctx, &s, s.Attempt(order.Attempt), order)
	ctx = context.WithoutCancel(ctx)
	switch r.outcome {
	case answered:
		s, err = p.record(ctx, ref, r.fact)
	case declined, absent:
		if _, err = p.change(ctx, scope, ref, func(_ *State, now time.Time) ([]store.NewEvent, error) {
			return []store.NewEvent{newEvent(RefundRefused, now, Doubt{Attempt: order.Attempt, Reason: r.reason, Refund: order.ID})}, nil
		}); err == nil {
			p.log.Warn("refund refused", "tenant", t.ID, "claim", ref.ID, "err", r.reason)
			err = refuse("refund", number, "the payment agent refused: "+r.reason)
		}
	}
	if err != nil {
		return State{}, err
	}
	return s, p.reveal(&s)
}

// refundable finds the attempt that an order is about.
func (p *Payments) refundable(s *State, o RefundOptions) (*Attempt, error) {
	var with []*Attempt
	for _, a := range s.Attempts {
		if a.Confirmed > a.Refunded && (o.Attempt.IsZero() || a.ID == o.Attempt) {
			with = append(with, a)
		}
	}
	switch {
	case len(with) == 0:
		return nil, refuse("refund", s.Number, "no confirmed money is there to be given back")
	case len(with) > 1:
		return nil, refuse("attempt", s.Number, "several attempts have money: name one")
	}
	a := with[0]
	m, ok := p.method(a.Module, a.Method)
	left := a.Confirmed - a.Refunded
	switch {
	case a.Refunding > 0:
		return nil, refuse("refund", s.Number, "an earlier order is not settled yet")
	case !ok || !m.Refunds:
		return nil, refuse("refund", s.Number, "money of this method is not given back through the agent")
	case o.Yen < 0 || o.Yen > left:
		return nil, message.Problems{{Field: "amount", Code: "range", Limit: left, Got: o.Yen, Detail: "yen that is left of the payment"}}
	}
	return a, nil
}
