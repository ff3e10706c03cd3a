package callback

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Poster is the way out: *egress.Client.
type Poster interface {
	CheckURL(address string) error
	Post(ctx context.Context, address string, header http.Header, body []byte) (egress.Reply, error)
}

// Options of the room. Store, Directory and Poster are required.
type Options struct {
	Store     *store.Store
	Directory *tenant.Directory
	Poster    Poster
	// Sources tell of further kinds of streams; messages and claims are told of anyway.
	Sources map[store.Kind]Source

	Config     Config
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics are registered
	Now        func() time.Time      // nil: clock.Now
}

// Callbacks tells senders' systems what happens. Safe for concurrent use.
type Callbacks struct {
	Options
	sources map[store.Kind]Source
	met     *metrics
	slots   chan struct{} // of all requests, probes aside
	probes  chan struct{}

	mu        sync.Mutex // guards what follows
	tenants   map[tenant.ID]chan struct{}
	endpoints map[string]*endpoint // by callback id
	start     func(*endpoint)      // nil: Run does not run
}

// New makes the room; Run works.
func New(o Options) (*Callbacks, error) {
	if o.Store == nil || o.Directory == nil || o.Poster == nil {
		return nil, errors.New("callbacks: a room is missing")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	o.Config = o.Config.withDefaults()
	c := &Callbacks{
		Options: o, sources: map[store.Kind]Source{store.Message: messages{}, store.Claim: claims{}},
		slots: make(chan struct{}, o.Config.Total), probes: make(chan struct{}, o.Config.Probes),
		tenants: map[tenant.ID]chan struct{}{}, endpoints: map[string]*endpoint{},
	}
	for kind, s := range o.Sources {
		c.sources[kind] = s
	}
	c.met = newMetrics(o.Registerer, c.parked, c.behind)
	return c, nil
}

// Run works until ctx ends. It returns when all that it started has ended.
func (c *Callbacks) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c.mu.Lock()
	c.start = func(e *endpoint) {
		wg.Go(func() {
			e.run(ctx)
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.endpoints[e.id] == e {
				delete(c.endpoints, e.id)
			}
		})
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.start = nil // nothing is started behind wg.Wait
		c.mu.Unlock()
	}()
	c.sync()
	if err := c.leftovers(); err != nil {
		return err
	}
	failed := make(chan error, 2) // one of each
	wg.Go(func() { failed <- c.follow(ctx) })
	wg.Go(func() { failed <- c.runReplays(ctx) })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		return err
	}
}

// sync gives each callback of the directory its endpoint, and ends those of callbacks that are no more.
func (c *Callbacks) sync() {
	snap := c.Directory.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.start == nil {
		return
	}
	live := map[string]bool{}
	for _, id := range snap.IDs() {
		t := snap.Tenants[id]
		for i := range t.Callbacks {
			cb := &t.Callbacks[i]
			live[cb.ID] = true
			c.endpoint(id, cb.ID).set(cb)
		}
	}
	for id, e := range c.endpoints {
		if !live[id] {
			e.set(nil)
		}
	}
}

// endpoint returns the endpoint of a callback, which is started where it is missing. c.mu is held.
func (c *Callbacks) endpoint(t tenant.ID, id string) *endpoint {
	e := c.endpoints[id]
	if e == nil {
		e = &endpoint{c: c, tenant: t, id: id, changed: make(chan struct{}, 1), config: &tenant.Callback{Paused: true},
			busy: map[ulid.ULID]bool{}, failing: map[ulid.ULID]struct{}{}}
		c.endpoints[id] = e
		c.start(e)
	}
	return e
}

// leftovers makes endpoints for the queues of callbacks that were removed, so that they are cleared.
func (c *Callbacks) leftovers() error {
	queues, err := c.Store.Queues()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range queues {
		if id, ours := strings.CutPrefix(q, queuePrefix); ours && q != replayQueue {
			if c.endpoints[id] == nil {
				c.endpoint("", id).set(nil)
			}
		}
	}
	return nil
}

// clear takes everything out of the queue of a callback that is no more.
func (c *Callbacks) clear(ctx context.Context, queue string) {
	for ctx.Err() == nil {
		// what waits for a retry is due in the future
		items, err := c.Store.Due(nil, queue, store.Cursor{}, c.Now().Add(100*24*time.Hour), marksPerCommit)
		if err != nil || len(items) == 0 {
			return // the next start looks again
		}
		txs := make([]store.Tx, len(items))
		for i, it := range items {
			txs[i] = store.Tx{{Ref: it.Ref, Expect: store.Any, Due: &store.Due{}, Final: true}}
		}
		if _, err := c.Store.Commit(ctx, txs...); errors.Is(err, store.ErrBusy) {
			_ = sleep(ctx, 100*time.Millisecond) // ctx ends the loop
		} else if err != nil {
			return
		}
	}
}

func (c *Callbacks) tenantSlots(id tenant.ID) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.tenants[id]
	if s == nil {
		s = make(chan struct{}, c.Config.TenantWidth)
		c.tenants[id] = s
	}
	return s
}

func (c *Callbacks) all() []*endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*endpoint, 0, len(c.endpoints))
	for _, e := range c.endpoints {
		all = append(all, e)
	}
	return all
}

func (c *Callbacks) parked() (n float64) {
	for _, e := range c.all() {
		if e.status().State == Parked {
			n++
		}
	}
	return n
}

func (c *Callbacks) behind() (seconds float64) {
	for _, e := range c.all() {
		if s := e.status(); s.State != Paused && !s.Waiting.IsZero() {
			seconds = max(seconds, c.Now().Sub(s.Waiting).Seconds())
		}
	}
	return seconds
}

// Status says how a callback is doing.
func (c *Callbacks) Status(cb *tenant.Callback) Status {
	c.mu.Lock()
	e := c.endpoints[cb.ID]
	c.mu.Unlock()
	if e == nil {
		if cb.Paused {
			return Status{State: Paused}
		}
		return Status{State: Live}
	}
	return e.status()
}
