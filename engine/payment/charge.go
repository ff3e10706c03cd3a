package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// A card that was registered with one claim (CARD_RECURRING) is charged for another claim of the same payer by the sender's order. The
// charge is an attempt like any other: committed before the agent is asked, settled by asking when its answer is lost, never ordered
// again by itself.

// ChargeOptions say which card is charged.
type ChargeOptions struct {
	Card  string // number of the claim that the card was registered with
	Payer string // key of who pays the claim that is charged, which must be that of the card; empty: as Payments.Payer knows it
	Key   string // of the asker's own, at most MaxRefundKey printable ASCII characters: the same key is the same charge; empty: each order is one
	message.Act
}

// Charge orders the agent to charge a claim to a registered card, and returns how the claim stands then: confirmed, or in progress where
// the answer was not seen. An order with a key that the claim had before is not given again. Errors: store.ErrNotFound; message.Problems,
// with code "conflict" where no such card is registered, the claim is not to be paid, an attempt is in its way or the agent refused,
// and "range" where the amount is beyond what the method takes; ErrSettling and ErrUnavailable (ask again).
func (p *Payments) Charge(ctx context.Context, t *tenant.Tenant, number string, o ChargeOptions) (State, error) {
	if n := message.Length(o.Reason); n > 200 {
		return State{}, message.Problems{{Field: "reason", Code: "too_long", Limit: 200, Got: int64(n)}}
	}
	if len(o.Key) > MaxRefundKey || o.Key != "" && !message.ValidKey(o.Key) {
		return State{}, message.Problems{{Field: "key", Code: "pattern", Limit: MaxRefundKey, Got: int64(len(o.Key)), Detail: "1 to 64 printable ASCII characters without spaces"}}
	}
	scope := tenant.Only(t.ID)
	for {
		s, err := p.ByNumber(ctx, scope, number)
		if err != nil {
			return State{}, err
		}
		if known, err := s.charged(o); known || err != nil {
			return s, err
		}
		if o.Payer == "" {
			if o.Payer, err = p.Payer(ctx, &s); err != nil {
				return s, err
			}
		}
		start, agent, card, err := p.chargeable(ctx, t, &s, o)
		if err != nil {
			return s, err
		}
		now := p.now()
		if s.begun(now) >= attemptsDay {
			return s, refuse("charge", number, "it was begun to be paid too often within a day")
		}
		if live := s.Live(); live != nil {
			switch err := p.replace(ctx, &s, live, false); {
			case errors.Is(err, ErrWarn):
				return s, refuse("charge", number, "a number is out that may still be paid")
			case err != nil:
				return s, err
			}
			continue
		}
		names := []store.Name{{Space: store.ByAttempt, Key: start.ID.String(), Exclusive: true}}
		next, err := p.append(ctx, s, now, []store.NewEvent{newEvent(Started, now, start)}, names)
		if conflict(err) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("charge claim %s: %w", s.Ref.ID, err)
		}
		a, err := p.createAndRecord(ctx, &next, next.Attempt(start.ID), order{hook: agent.Hook, card: card})
		switch {
		case errors.Is(err, ErrDeclined):
			return next, refuse("charge", number, "the payment agent refused: "+a.Reason)
		case err != nil:
			return next, err
		}
		return p.Claim(ctx, scope, s.Ref.ID)
	}
}

// MayCharge reports whether an agent of the tenant charges registered cards, and the claim is one to be paid.
func (p *Payments) MayCharge(t *tenant.Tenant, s *State) bool {
	if s.Received > 0 || s.SettledBy != nil || s.WithdrawnBy != nil || s.Phase == IsRegistered || p.now().After(s.Due) || p.c.WebhookBase == "" {
		return false
	}
	return slices.ContainsFunc(t.Methods(), func(code string) bool {
		agent, _ := t.AgentFor(code)
		m, ok := p.method(agent.Module, code)
		return ok && m.Charges && takes(m, s.Amount)
	})
}

// charged reports whether the claim has a charge of the key.
func (s *State) charged(o ChargeOptions) (bool, error) {
	for _, a := range s.Attempts {
		if o.Key == "" || a.Key != o.Key {
			continue
		}
		if a.Phase == HasFailed {
			return false, refuse("charge", s.Number, "the payment agent refused this charge; order it anew with another key")
		}
		return true, nil
	}
	return false, nil
}

// chargeable finds the card, and checks that the claim can be charged to it.
func (p *Payments) chargeable(ctx context.Context, t *tenant.Tenant, s *State, o ChargeOptions) (Start, tenant.Agent, string, error) {
	no := func(field, number, detail string) (Start, tenant.Agent, string, error) {
		return Start{}, tenant.Agent{}, "", refuse(field, number, detail)
	}
	now := p.now()
	switch {
	case s.Received > 0:
		return no("charge", s.Number, "money was received already")
	case s.SettledBy != nil || s.WithdrawnBy != nil:
		return no("charge", s.Number, "the claim was settled or withdrawn")
	case s.Phase == IsRegistered:
		return no("charge", s.Number, "the claim is debited from an account")
	case now.After(s.Due):
		return no("charge", s.Number, "the claim is past its due date")
	}
	with, err := p.ByNumber(ctx, tenant.Only(t.ID), o.Card)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Start{}, tenant.Agent{}, "", err
	}
	i := slices.IndexFunc(with.Attempts, func(a *Attempt) bool { return a.Registration != "" })
	if err != nil || i < 0 {
		return no("card", o.Card, "no card is registered with this claim")
	}
	card := with.Attempts[i]
	if card.Payer == "" || card.Payer != o.Payer {
		return no("card", o.Card, "the card was registered by another customer: the messages of both claims need the same reference")
	}
	agent, ok := t.Agent(card.Agent)
	m, known := p.method(card.Module, card.Method)
	switch {
	case !ok || agent.Module != card.Module:
		return no("card", o.Card, "the agent that has the card is no longer used")
	case !known:
		return Start{}, tenant.Agent{}, "", ErrUnavailable
	case !m.Charges || m.Kind != proto.MethodKind_CARD_RECURRING || p.c.WebhookBase == "":
		return no("card", o.Card, "the agent charges no registered cards")
	case !takes(m, s.Amount):
		return Start{}, tenant.Agent{}, "", message.Problems{{Field: "amount", Code: "range", Limit: m.MostYen(), Got: s.Amount, Detail: "yen that the card takes"}}
	}
	return Start{
		ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), Agent: card.Agent, Module: card.Module, Method: card.Method, Yen: s.Amount,
		Due: s.Due, Final: m.CancelBlocksPayment, By: o.By, Card: card.ID, Key: o.Key, Reason: o.Reason,
	}, agent, card.Registration, nil
}
