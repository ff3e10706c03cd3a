package payment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A contract with an agent can be taken out of a tenant's definition at any time. New attempts then go to whoever takes the method,
// and those that were begun go on where they were: an attempt names its agent and its module, the directory keeps the hook and the
// configuration (tenant.FormerAgent), and so its notices are read, its state is asked for, its money given back.

// KeepFormer is how long a former contract is kept at least, although nothing of it is open: money of a number that was canceled may
// come until its bill is due, and be taken back later.
const KeepFormer = 180 * 24 * time.Hour

// Contract tells the contracts of a tenant apart.
type Contract struct{ Agent, Module string }

// awaited reports whether something more of the attempt is expected from its agent.
func (a *Attempt) awaited() bool {
	return a.Lives() || a.Phase == IsProvisional || a.Refunding > 0
}

// OpenAttempts counts a tenant's attempts of which something is expected, by contract. It reads all claims of openSince: a thing for
// commands.
func (p *Payments) OpenAttempts(ctx context.Context, id tenant.ID) (map[Contract]int, error) {
	counts, scope := map[Contract]int{}, tenant.Only(id)
	q := store.Query{Kind: store.Claim, From: p.now().Add(-openSince), Limit: openBatch}
	for {
		refs, err := p.s.Search(ctx, scope, q)
		if err != nil {
			return nil, fmt.Errorf("count open attempts: %w", err)
		}
		streams, err := p.s.LoadMany(ctx, scope, refs)
		if err != nil {
			return nil, fmt.Errorf("count open attempts: %w", err)
		}
		for _, events := range streams {
			if !slices.ContainsFunc(events, func(e store.Event) bool { return Type(e.Type) == Started }) {
				continue
			}
			s, err := Fold(events)
			if err != nil {
				return nil, err
			}
			for _, a := range s.Attempts {
				if a.awaited() {
					counts[Contract{a.Agent, a.Module}]++
				}
			}
		}
		if len(refs) < openBatch {
			return counts, nil
		}
		q.Before = refs[len(refs)-1].ID
	}
}

const (
	openSince = 400 * 24 * time.Hour // claims are due within a year or so
	openBatch = 500                  // claims that are read at once
)
