package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxCallbacks is how many addresses of its own system a tenant may have told.
const MaxCallbacks = 8

// Callback is an address of the sender's own system that is told what happens. It is set through engine/callback, which
// asks the address to prove that it wants this, and seals the secrets; never by Apply.
type Callback struct {
	Name    string   `json:"name" toml:"name"`                           // unique in the tenant
	URL     string   `json:"url" toml:"url"`                             // https, unless the operator excepts the host
	Events  []string `json:"events,omitempty" toml:"events,omitempty"`   // what it is told, "message.delivered", "claim.*"; empty: all
	Numbers bool     `json:"numbers,omitempty" toml:"numbers,omitempty"` // whole phone numbers, else masked
	Answers bool     `json:"answers,omitempty" toml:"answers,omitempty"` // what recipients answered
	Paused  bool     `json:"paused,omitempty" toml:"paused,omitempty"`   // nothing is sent; what happens waits

	ID      string           `json:"id" toml:"-"`      // 64 random bits in hex: another callback of the same name is another one
	Since   time.Time        `json:"since" toml:"-"`   // it is told what happens from then on
	Secrets []CallbackSecret `json:"secrets" toml:"-"` // newest first; every one that has not ended signs
}

// CallbackSecret is one signing secret, sealed.
type CallbackSecret struct {
	Sealed []byte    `json:"sealed"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is replaced
}

// NewCallbackID mints an id.
func NewCallbackID() string { return randomHex(8) }

// Callback returns the callback of the name.
func (t *Tenant) Callback(name string) (Callback, bool) {
	for _, c := range t.Callbacks {
		if c.Name == name {
			return c, true
		}
	}
	return Callback{}, false
}

// ErrNoCallback: the tenant has no callback of the name.
var ErrNoCallback = errors.New("there is no callback of this name")

// ErrTooManyCallbacks: the tenant has MaxCallbacks already.
var ErrTooManyCallbacks = fmt.Errorf("a tenant has at most %d callbacks", MaxCallbacks)

// SetCallback adds a callback, or replaces the one of its name. The callback given by change is that of the name as it is
// now; the zero Callback when there is none.
func (d *Directory) SetCallback(ctx context.Context, id ID, name string, change func(Callback) (Callback, error)) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name: %q must be 1 to 32 of a-z, 0-9, \"_\" and \"-\"", name)
	}
	return d.changeCallbacks(ctx, id, func(all []Callback) ([]Callback, error) {
		at := slices.IndexFunc(all, func(c Callback) bool { return c.Name == name })
		if at < 0 {
			if len(all) >= MaxCallbacks {
				return nil, ErrTooManyCallbacks
			}
			at, all = len(all), append(all, Callback{})
		}
		next, err := change(all[at])
		next.Name = name
		all[at] = next
		return all, err
	})
}

// RemoveCallback ends a callback.
func (d *Directory) RemoveCallback(ctx context.Context, id ID, name string) error {
	return d.changeCallbacks(ctx, id, func(all []Callback) ([]Callback, error) {
		kept := slices.DeleteFunc(all, func(c Callback) bool { return c.Name == name })
		if len(kept) == len(all) {
			return nil, ErrNoCallback
		}
		return kept, nil
	})
}

func (d *Directory) changeCallbacks(ctx context.Context, id ID, change func([]Callback) ([]Callback, error)) error {
	return d.change(ctx, TenantApplied, func(s *Snapshot) (any, error) {
		old := s.Tenants[id]
		if old == nil {
			return nil, fmt.Errorf("tenant: there is no tenant %q", id)
		}
		t := *old
		var err error
		t.Callbacks, err = change(slices.Clone(old.Callbacks))
		return t, err
	})
}
