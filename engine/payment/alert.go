package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The claims of a tenant that need attention are listed in a stream of their own, appended to in the transaction that
// raises or resolves the alerts. It is a hint: the claims decide.
const (
	attentionRaised   = 1 // attention
	attentionResolved = 2 // attention
)

type attention struct {
	Claim ulid.ULID `json:"claim"`
}

// register is one of a tenant's own streams of kind store.Register. Its id follows from its name.
func register(id tenant.ID, name string) store.Ref {
	return registerOf(id, "payment/"+name+"/"+string(id))
}

func (p *Payments) alertChange(ctx context.Context, claim store.Ref, raised bool, now time.Time) (store.Change, error) {
	ref := register(claim.Tenant, "attention")
	typ := byte(attentionResolved)
	if raised {
		typ = attentionRaised
	}
	event := store.NewEvent{Type: typ, At: now, Data: encode(attention{claim.ID})}
	if _, err := p.s.Load(ctx, tenant.Only(claim.Tenant), ref); errors.Is(err, store.ErrNotFound) {
		return store.Change{Ref: ref, Events: []store.NewEvent{event}}, nil
	} else if err != nil {
		return store.Change{}, fmt.Errorf("load list of alerts: %w", err)
	}
	return store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{event}}, nil
}

// Alerts lists the claims of a tenant with open alerts (要対応), the latest first, at most limit.
func (p *Payments) Alerts(ctx context.Context, scope tenant.Scope, limit int) ([]State, error) {
	id, ok := scope.Tenant()
	if !ok {
		return nil, fmt.Errorf("list alerts: %w", store.ErrNotFound)
	}
	events, err := p.s.Load(ctx, scope, register(id, "attention"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load list of alerts: %w", err)
	}
	var refs []store.Ref
	seen := map[ulid.ULID]bool{}
	for i := len(events) - 1; i >= 0 && len(refs) < limit; i-- {
		var a attention
		if err := json.Unmarshal(events[i].Data, &a); err != nil {
			return nil, fmt.Errorf("list of alerts: event %d: %w", i, err)
		}
		if !seen[a.Claim] && events[i].Type == attentionRaised {
			refs = append(refs, claimRef(id, a.Claim))
		}
		seen[a.Claim] = true
	}
	streams, err := p.s.LoadMany(ctx, scope, refs)
	if err != nil {
		return nil, fmt.Errorf("load claims with alerts: %w", err)
	}
	var states []State
	for _, events := range streams {
		s, err := Fold(events)
		if err != nil {
			return nil, err
		}
		if s.NeedsAttention() {
			states = append(states, s)
		}
	}
	return states, nil
}

// checkReason bounds what somebody wrote beside what he did.
func checkReason(act message.Act) error {
	if n := message.Length(act.Reason); n > 200 {
		return message.Problems{{Field: "reason", Code: "too_long", Limit: 200, Got: int64(n)}}
	}
	return nil
}

// Resolve closes the open alerts of a claim: somebody dealt with them, who saw its version seen. The reason is kept, at most 200
// characters. A deposit that is in doubt then stays without account: it is one that counts already. Errors: store.ErrNotFound;
// message.Problems, with code "conflict" where the claim has changed since: what came meanwhile, nobody looked at.
func (p *Payments) Resolve(ctx context.Context, scope tenant.Scope, claim ulid.ULID, seen int, act message.Act) (State, error) {
	if err := checkReason(act); err != nil {
		return State{}, err
	}
	id, _ := scope.Tenant()
	return p.change(ctx, scope, claimRef(id, claim), func(s *State, now time.Time) ([]store.NewEvent, error) {
		r := Resolution{Act: act}
		for _, a := range s.Alerts {
			if a.Open {
				r.Alerts = append(r.Alerts, a.Key())
			}
		}
		switch {
		case len(r.Alerts) == 0:
			return nil, nil
		case s.Version != seen:
			return nil, refuse("version", s.Number, "the claim has changed since it was shown")
		}
		return []store.NewEvent{newEvent(Resolved, now, r)}, nil
	})
}

// CountDeposit makes a deposit that is in doubt count: somebody found that it is a transfer of its own. One that counts already is left
// alone. The reason is kept, at most 200 characters. Errors: store.ErrNotFound; message.Problems.
func (p *Payments) CountDeposit(ctx context.Context, scope tenant.Scope, claim ulid.ULID, deposit string, act message.Act) (State, error) {
	if err := checkReason(act); err != nil {
		return State{}, err
	}
	id, _ := scope.Tenant()
	return p.change(ctx, scope, claimRef(id, claim), func(s *State, now time.Time) ([]store.NewEvent, error) {
		for _, a := range s.Attempts {
			if _, counts := a.deposits[deposit]; counts {
				return nil, nil
			}
			if d, ok := a.doubts[deposit]; ok {
				d.By, d.Reason = act.By, act.Reason
				return []store.NewEvent{newEvent(Deposited, now, d.Deposit)}, nil
			}
		}
		return nil, fmt.Errorf("count deposit of claim %s: %w", claim, store.ErrNotFound)
	})
}
