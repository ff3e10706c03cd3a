package payment

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A transfer of a part leaves the account to the claim for the rest. Another due date, the one thing of such a claim that can be amended,
// cancels nothing: the account stays, and one that had expired is shown again, while no other payment has its place.

// Account is the attempt to whose account the rest of a partly paid claim goes, now or once the claim has a later due date; nil: there is
// no way to pay it.
func (s *State) Account() *Attempt {
	if s.Phase != PartlyPaid || s.SettledBy != nil || s.WithdrawnBy != nil {
		return nil
	}
	for _, a := range slices.Backward(s.Attempts) {
		expired := a.Phase == HasExpired && a.end != nil && a.end.From == sourceHost
		if len(a.deposits) > 0 && (a.Phase == PartPaid || expired) && a.Yen == s.Amount && a.Due.Equal(s.Due) {
			return a
		}
	}
	return nil
}

// prolong has the attempt end with another due date, and not before.
func (a *Attempt) prolong(due time.Time) {
	a.Due, a.end = due, nil
	a.derive()
}

// holdPlace names the place of an account that next prolongs, for as long as it is then the claim's. The problem is of the field "due".
func (p *Payments) holdPlace(ctx context.Context, s, next *State, now time.Time) ([]store.Name, error) {
	a := s.Account()
	if a == nil || a.Place == "" {
		return nil, nil
	}
	start := next.Attempt(a.ID).Start
	if start.Due.Equal(a.Due) {
		return nil, nil
	}
	id := s.Ref.Tenant
	// Who has the place now, and where what comes to it goes: the last one who had it (report.go).
	for _, key := range []string{placeKey(id, a.Agent, a.Place), agentKey(id, a.Agent, a.AgentID)} {
		switch holder, _, err := p.s.Lookup(ctx, tenant.Only(id), store.ByAttempt, key); {
		case err == nil && holder != s.Ref:
			return nil, refuse("due", s.Number, "its account is another claim's by now")
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	pl, err := p.pool(ctx, id, &start, now)
	if err != nil { // whoever changes many goes on with the others
		p.log.Error("pool of a method cannot be read", "tenant", id, "agent", a.Agent, "err", err)
		return nil, message.Problems{{Field: "due", Code: "unavailable", Value: s.Number, Detail: "the payment agent has not answered yet; ask again"}}
	}
	return []store.Name{p.taken(id, &start, &pl)}, nil
}

// amended is what gives a claim other terms: its own change comes first.
func (p *Payments) amended(ctx context.Context, s *State, terms Terms, now time.Time) ([]store.Change, error) {
	events, err := s.amend(now, terms)
	if err != nil {
		return nil, err
	}
	next, err := s.extend(events)
	if err != nil {
		return nil, err
	}
	change := store.Change{Ref: s.Ref, Expect: s.Version, Events: events, Due: &store.Due{}}
	if at, ok := next.next(now, p.c); ok {
		change.Due = &store.Due{Queue: queueSettle, At: at}
	}
	if change.Names, err = p.holdPlace(ctx, s, &next, now); err != nil {
		return nil, err
	}
	changes := []store.Change{change}
	if was, is := s.NeedsAttention(), next.NeedsAttention(); was != is {
		alerts, err := p.alertChange(ctx, s.Ref, is, now)
		if err != nil {
			return nil, err
		}
		changes = append(changes, alerts)
	}
	return changes, nil
}
