package campaign

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// orders are the uploads of which dispatch has to heed something: few, whatever their size. It follows the store: New reads
// what was said before, and each decision is put in once it is committed, before whoever said it is answered.
type orders struct {
	mu  sync.Mutex                           // held while an upload is read anew and put in, so that the newest stands
	now atomic.Pointer[map[ulid.ULID]*State] // never changed itself; nil: none
	let atomic.Pointer[func()]               // called when something was let go
}

// OnResume sets what is called when messages that were held may go: dispatch has to look at them again.
func (c *Campaigns) OnResume(fn func()) { c.orders.let.Store(&fn) }

// Word is what was said of the upload, as far as it concerns messages to the carrier; an empty carrier: to any. It takes
// tens of nanoseconds and never blocks.
func (c *Campaigns) Word(campaign ulid.ULID, carrier string) message.Word {
	all := c.orders.now.Load()
	if all == nil {
		return message.Word{}
	}
	st := (*all)[campaign]
	if st == nil {
		return message.Word{}
	}
	return st.word(carrier)
}

// refresh puts in what the store says of the upload.
func (c *Campaigns) refresh(ref store.Ref) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	o := &c.orders
	o.mu.Lock()
	defer o.mu.Unlock()
	st, err := c.load(ctx, tenant.Only(ref.Tenant), ref.ID)
	if err != nil {
		return fmt.Errorf("tell dispatch of upload %s: %w", ref.ID, err)
	}
	next := map[ulid.ULID]*State{}
	if all := o.now.Load(); all != nil {
		next = maps.Clone(*all)
	}
	was := next[ref.ID]
	delete(next, ref.ID)
	if st.ordered() {
		next[ref.ID] = st
	}
	o.now.Store(&next)
	c.metrics.held.Set(float64(len(next)))
	if was != nil && was.Paused != nil && st.Paused == nil {
		if let := o.let.Load(); let != nil {
			(*let)()
		}
	}
	return nil
}

// findOrders reads what was said before the program started.
func (c *Campaigns) findOrders() error {
	for _, q := range []string{queue, watchQueue, heldQueue} {
		var cursor store.Cursor
		for {
			// Entries of the future count too: the clock may have been set back.
			items, err := c.Store.Due(nil, q, cursor, clock.Now().AddDate(100, 0, 0), 1000)
			if err != nil {
				return fmt.Errorf("find paused uploads: %w", err)
			}
			for _, it := range items {
				if err := c.refresh(it.Ref); err != nil {
					return err
				}
			}
			if len(items) == 0 {
				break
			}
			cursor = items[len(items)-1].Cursor
		}
	}
	return nil
}

// say appends what a rule makes of the upload as it is.
func (c *Campaigns) say(ctx context.Context, scope tenant.Scope, id ulid.ULID, what, by string, rule func(*State) ([]store.NewEvent, error)) (*State, error) {
	st, err := c.decide(ctx, scope, id, func(st *State) (step, error) {
		events, err := rule(st)
		if err != nil || len(events) == 0 {
			return step{}, err
		}
		return st.next(c.now(), events...)
	})
	if err == nil {
		c.Log.Info("upload "+what, "tenant", st.ref.Tenant, "campaign", id, "by", by)
	}
	return st, err
}

// Pause holds an upload that was released: no further row becomes a message, and no message is submitted, until Resume.
// What was recorded as being submitted goes out. Validity goes on: a message whose time passes lapses when it is looked at
// again. It holds over restarts. Done twice it changes nothing. The error is *PhaseError before the release and when it is
// canceled.
func (c *Campaigns) Pause(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*State, error) {
	return c.say(ctx, scope, id, "paused", by, func(st *State) ([]store.NewEvent, error) { return st.pause(by) })
}

// Resume ends a pause. Done twice it changes nothing.
func (c *Campaigns) Resume(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*State, error) {
	return c.say(ctx, scope, id, "resumed", by, func(st *State) ([]store.NewEvent, error) { return st.resume(by) })
}

// maxReason is how many characters a cancellation may be explained with.
const maxReason = 200

// Cancel ends an upload that was released: nothing more is submitted from now on; its messages of which nothing was written
// are ended one by one in the background, their links closed (Sweep says how far). What the carrier has stays as it is. Done
// twice it changes nothing. The error is *PhaseError before the release (Drop), message.Problems for the reason.
func (c *Campaigns) Cancel(ctx context.Context, scope tenant.Scope, id ulid.ULID, by, reason string) (*State, error) {
	if n := utf8.RuneCountInString(reason); n > maxReason {
		return nil, message.Problems{{Field: "reason", Code: "too_long", Limit: maxReason, Got: int64(n)}}
	}
	return c.say(ctx, scope, id, "canceled", by, func(st *State) ([]store.NewEvent, error) { return st.cancel(by, reason) })
}

// RetryCanary sends the seeds that did not arrive again, to the tenant's seeds as they are now, and waits as long as the first
// time. The error is *PhaseError unless the canary was stopped, *SeedError where a carrier has no seed, message.Problems after
// maxRetries.
func (c *Campaigns) RetryCanary(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*State, error) {
	return c.say(ctx, scope, id, "tries its canary again", by, func(st *State) ([]store.NewEvent, error) {
		events, err := st.retryCanary(by)
		if err != nil {
			return nil, err
		}
		t := c.Tenants.Now().Tenants[st.ref.Tenant]
		if t == nil {
			return nil, intake.ErrNoTenant
		}
		return events, c.needSeeds(t, st.Canary.Failed)
	})
}

// GoOn releases an upload whose canary was stopped, to all carriers that were not dropped.
func (c *Campaigns) GoOn(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*State, error) {
	return c.say(ctx, scope, id, "goes on", by, func(st *State) ([]store.NewEvent, error) { return st.goOn(by) })
}

// DropCarrier lets an upload whose canary was stopped go on without a carrier whose seed did not arrive: messages to it end
// canceled with the reason. With several such carriers it goes on when all are decided on.
func (c *Campaigns) DropCarrier(ctx context.Context, scope tenant.Scope, id ulid.ULID, by, name string) (*State, error) {
	return c.say(ctx, scope, id, "goes on without "+name, by, func(st *State) ([]store.NewEvent, error) { return st.dropCarrier(by, name) })
}
