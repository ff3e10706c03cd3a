package tenant

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Seed is a phone of the tenant's own at one carrier: a campaign can first send to it and go on when it arrived.
type Seed struct {
	Carrier string `json:"carrier"`
	Number  []byte `json:"number"` // sealed by engine/campaign, which also opens it
}

// Seed returns the seed of a carrier.
func (t *Tenant) Seed(carrier string) (Seed, bool) {
	for _, s := range t.Seeds {
		if s.Carrier == carrier {
			return s, true
		}
	}
	return Seed{}, false
}

// SetSeed sets the seed of a carrier; one without a number takes it away. Apply leaves seeds as they are.
func (d *Directory) SetSeed(ctx context.Context, id ID, s Seed) error {
	return d.change(ctx, TenantApplied, func(snap *Snapshot) (any, error) {
		old := snap.Tenants[id]
		if old == nil {
			return nil, fmt.Errorf("tenant: there is no tenant %q", id)
		}
		t := *old
		t.Seeds = slices.DeleteFunc(slices.Clone(old.Seeds), func(o Seed) bool { return o.Carrier == s.Carrier })
		if len(s.Number) > 0 {
			t.Seeds = append(t.Seeds, s)
		}
		return t, nil
	})
}

const (
	defaultCanary = 10
	maxCanary     = 24 * 60
)

// CanaryTime is how long a canary waits for its seeds to be delivered.
func (p *Policy) CanaryTime() time.Duration {
	if p.CanaryMinutes == 0 {
		return defaultCanary * time.Minute
	}
	return time.Duration(p.CanaryMinutes) * time.Minute
}

func (t *Tenant) validateCanary(bad func(field, format string, args ...any)) {
	if n := t.Policy.CanaryMinutes; n < 0 || n > maxCanary {
		bad("policy.canary_minutes", "%d must be 1 to %d; 0 is the default of %d", n, maxCanary, defaultCanary)
	}
}
