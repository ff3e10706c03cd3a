package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// seedClass is the retention class of seeds; its keys are never destroyed.
const seedClass = "account"

// SeedError says that a canary cannot be: the tenant has no seed at these carriers, or at none where the list is empty.
type SeedError struct{ Carriers []string }

func (e *SeedError) Error() string {
	if len(e.Carriers) == 0 {
		return "there is no seed number"
	}
	return "there is no seed number at " + strings.Join(e.Carriers, ", ")
}

// Seed is a seed as it is shown.
type Seed struct {
	Carrier string `json:"carrier"`
	Masked  string `json:"masked"`
}

// Seeds lists the tenant's seeds in the order of the carriers.
func (c *Campaigns) Seeds(t *tenant.Tenant) ([]Seed, error) {
	var all []Seed
	for _, cr := range c.Carriers.Carriers() {
		n, ok, err := c.seed(t, cr.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, Seed{Carrier: cr.Name, Masked: n.Masked()})
		}
	}
	return all, nil
}

// CheckSeed says what is wrong with a number as the seed of a carrier: message.Problems.
func (c *Campaigns) CheckSeed(name, number string) (carrier.Number, error) {
	if _, ok := c.Carriers.Carrier(name); !ok {
		return carrier.Number{}, message.Problems{{Field: "carrier", Code: "unknown", Value: message.Mask(name)}}
	}
	n, err := carrier.ParseNumber(number)
	if err != nil {
		var ne *carrier.NumberError
		errors.As(err, &ne)
		return n, message.Problems{{Field: "number", Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()}}
	}
	if found, ok := c.Carriers.Resolve(n); !ok || found.Carrier.Name != name {
		return n, message.Problems{{Field: "number", Code: "mismatch", Value: n.Masked(), Detail: detailOtherCarrier}}
	}
	return n, nil
}

// HasSeed reports whether the number is the tenant's seed at the carrier.
func (c *Campaigns) HasSeed(t *tenant.Tenant, name string, n carrier.Number) (bool, error) {
	have, ok, err := c.seed(t, name)
	return ok && have == n, err
}

const detailOtherCarrier = "the number is not this carrier's"

// SetSeed sets the tenant's phone at a carrier, sealed; an empty number takes it away. The error is message.Problems for
// what is wrong with them.
func (c *Campaigns) SetSeed(ctx context.Context, id tenant.ID, name, number string) error {
	s := tenant.Seed{Carrier: name}
	if number != "" {
		n, err := c.CheckSeed(name, number)
		if err != nil {
			return err
		}
		if s.Number, err = c.Store.Seal(id, seedClass, c.now(), "seed/"+name, []byte(n.E164())); err != nil {
			return err
		}
	}
	return c.Tenants.SetSeed(ctx, id, s)
}

// seed is the tenant's phone at a carrier.
func (c *Campaigns) seed(t *tenant.Tenant, name string) (carrier.Number, bool, error) {
	s, ok := t.Seed(name)
	if !ok {
		return carrier.Number{}, false, nil
	}
	plain, err := c.Store.Open(t.ID, "seed/"+name, s.Number)
	if errors.Is(err, store.ErrErased) {
		return carrier.Number{}, false, nil
	}
	if err != nil {
		return carrier.Number{}, false, fmt.Errorf("open the seed of tenant %s at %s: %w", t.ID, name, err)
	}
	n, err := carrier.ParseNumber(string(plain))
	return n, err == nil, err
}
