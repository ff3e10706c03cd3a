package payment

import (
	"context"
	"fmt"
	"slices"
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
	Key     string    // of the asker's own, at most MaxRefundKey printable ASCII characters: the same key is the same refund; empty: each order is one
	message.Act
}

// MaxRefundKey is the length of the longest key.
const MaxRefundKey = 64

// Refund orders the agent to give money of a confirmed payment back. The order is committed before the agent is asked, under
// an id that is the call's idempotency key; an order whose answer was not seen is settled by Run, which asks how the payment
// stands and orders under the same id until that shows it. One order at a time is under way for an attempt. An order with a key that
// the claim had before is not given again: how the claim stands is returned. Errors: store.ErrNotFound; message.Problems, with code
// "conflict" where there is nothing to give back, an order is under way, the key was one of another order, or the agent refused.
func (p *Payments) Refund(ctx context.Context, t *tenant.Tenant, number string, o RefundOptions) (State, error) {
	if n := message.Length(o.Reason); n > 200 {
		return State{}, message.Problems{{Field: "reason", Code: "too_long", Limit: 200, Got: int64(n)}}
	}
	if len(o.Key) > MaxRefundKey || o.Key != "" && !message.ValidKey(o.Key) {
		return State{}, message.Problems{{Field: "key", Code: "pattern", Limit: MaxRefundKey, Got: int64(len(o.Key)), Detail: "1 to 64 printable ASCII characters without spaces"}}
	}
	scope := tenant.Only(t.ID)
	ref, _, err := p.s.Lookup(ctx, scope, store.ByClaimNumber, number)
	if err != nil {
		return State{}, fmt.Errorf("find claim by its number: %w", err)
	}
	var order Refund
	s, err := p.change(ctx, scope, ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		order = Refund{}
		if known, err := s.ordered(o); known || err != nil {
			return nil, err
		}
		a, err := p.refundable(s, o)
		if err != nil {
			return nil, err
		}
		order = Refund{ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), Attempt: a.ID, Yen: o.Yen, Key: o.Key, Act: o.Act}
		if order.Yen == 0 {
			order.Yen = a.Confirmed - a.Refunded
		}
		return []store.NewEvent{newEvent(RefundAsked, now, order)}, nil
	})
	if err != nil {
		return State{}, err
	}
	if order.ID.IsZero() { // ordered before
		return s, s.Reveal(p.s)
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
	if err := s.Reveal(p.s); err != nil {
		return s, err
	}
	if s.Receipt() != nil { // what the payer holds is no longer right: its correction has its number at once
		corrected, err := p.issueReceipt(ctx, t, s, "")
		if err != nil {
			p.log.Error("correct receipt after a refund", "tenant", t.ID, "claim", ref.ID, "err", err) // whoever asks for it issues it
			return s, nil
		}
		s = corrected
	}
	return s, nil
}

// refundTerm is how long a refund is ordered under its id while the payment does not show it: agents keep keys for a day.
const refundTerm = 20 * time.Hour

// pursue sees to an order whose money has not gone back: it asks how the payment stands, and orders again what that does not show. An
// order that was refused, is not done within refundTerm, or of which the money came back, has come to nothing.
func (p *Payments) pursue(ctx context.Context, ref store.Ref, attempt ulid.ULID) error {
	s, heard, err := p.settle(ctx, ref, attempt)
	if err != nil {
		return err
	}
	a := s.Attempt(attempt)
	switch {
	case a.fellBack():
		return p.giveUp(ctx, ref, attempt, "came_back")
	case a.Refunding == 0 || !heard:
		return nil
	}
	order := a.order()
	switch age := p.now().Sub(order.at); {
	case age <= p.c.CreateTimeout+time.Second: // the first call may still be running
		return nil
	case age > refundTerm:
		return p.giveUp(ctx, ref, attempt, "not_done")
	}
	r := p.refund(ctx, &s, a, order.Refund)
	switch {
	case r.outcome == answered:
		_, err = p.record(ctx, ref, r.fact)
		return err
	case !r.final():
		return nil
	}
	// An earlier call may have done it all the same: then nothing is left to be given back.
	if s, heard, err = p.settle(ctx, ref, attempt); err != nil || !heard || s.Attempt(attempt).Refunding == 0 {
		return err
	}
	return p.giveUp(ctx, ref, attempt, r.reason)
}

// giveUp records that what is still to go back does not. Nobody waits for the answer any more: it is an alert.
func (p *Payments) giveUp(ctx context.Context, ref store.Ref, attempt ulid.ULID, reason string) error {
	_, err := p.change(ctx, tenant.Only(ref.Tenant), ref, func(s *State, now time.Time) (events []store.NewEvent, _ error) {
		for _, r := range s.Attempt(attempt).undone() {
			events = append(events, newEvent(RefundRefused, now, Doubt{Attempt: attempt, Reason: reason, Refund: r.ID, Late: true}))
		}
		return events, nil
	})
	if err != nil {
		return fmt.Errorf("give up a refund of claim %s: %w", ref.ID, err)
	}
	p.log.Warn("refund came to nothing", "tenant", ref.Tenant, "claim", ref.ID, "err", reason)
	return nil
}

// order is the one that is under way.
func (a *Attempt) order() (last refund) {
	for _, r := range a.refunds {
		if !r.refused {
			last = r
		}
	}
	return last
}

// fellBack reports whether all that was ordered had gone back, and not all of it stayed away: the payer's bank did not take it, for one.
func (a *Attempt) fellBack() bool { return a.Refunding > 0 && a.returned >= a.Refunded+a.Refunding }

// undone are the orders that came to nothing, as far as amounts tell: the latest one of just what is missing, else the latest ones.
func (a *Attempt) undone() (last []refund) {
	missing := a.Refunding
	for _, r := range slices.Backward(a.refunds) {
		switch {
		case r.refused:
		case r.Yen == a.Refunding:
			return []refund{r}
		case missing > 0:
			last, missing = append(last, r), missing-r.Yen
		}
	}
	return last
}

// ordered reports whether the claim has an order of the key.
func (s *State) ordered(o RefundOptions) (bool, error) {
	for _, a := range s.Attempts {
		for _, r := range a.refunds {
			switch {
			case o.Key == "" || r.Key != o.Key:
			case !o.Attempt.IsZero() && o.Attempt != a.ID || o.Yen != 0 && o.Yen != r.Yen:
				return false, refuse("key", s.Number, "it was the key of another refund")
			case r.refused:
				return false, refuse("refund", s.Number, "the payment agent refused this refund; order it anew with another key")
			default:
				return true, nil
			}
		}
	}
	return false, nil
}

// Refundable lists the attempts of which money can be given back through their agents now.
func (p *Payments) Refundable(s *State) (all []*Attempt) {
	for _, a := range s.Attempts {
		if _, err := p.refundable(s, RefundOptions{Attempt: a.ID}); err == nil {
			all = append(all, a)
		}
	}
	return all
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
