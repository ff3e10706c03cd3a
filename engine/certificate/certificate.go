package certificate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	modules "github.com/kakitome/kakitome/plugins/proto"
)

// Store is what the room needs of engine/store.
type Store interface {
	Commit(ctx context.Context, txs ...store.Tx) ([]error, error)
	Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error)
	LoadMany(ctx context.Context, scope tenant.Scope, refs []store.Ref) ([][]store.Event, error)
	Lookup(ctx context.Context, scope tenant.Scope, space store.Space, key string) (store.Ref, []byte, error)
	Search(ctx context.Context, scope tenant.Scope, q store.Query) ([]store.Ref, error)
	Follow(ctx context.Context, reader string, fn func(batch []store.Event, lost bool) error) error
	Keyed(id tenant.ID, purpose, value string) ([16]byte, error)
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
}

// Renders draws documents. plugins/host implements it.
type Renders interface {
	Render(module string) modules.RenderClient
}

// Options of Certificates. Store, Directory and Dir are needed.
type Options struct {
	Config    Config
	Dir       string // of data: where the published file lies when Config names none
	Store     Store
	Directory func() *tenant.Snapshot
	Renders   Renders            // nil: no PDFs
	Now       func() time.Time   // nil: the time of day
	Clock     func() proof.Clock // nil: the kernel's
	Log       *slog.Logger
	Registry  prometheus.Registerer
}

// Certificates makes certificates and closes days. Its methods may be called concurrently.
type Certificates struct {
	o       Options
	metrics *metrics
	path    string        // of the published file
	wake    chan struct{} // size 1: a day has ended

	mu        sync.Mutex // guards what follows, and all commits to the streams of days
	loaded    bool
	published bool               // the file was compared with lines since the start
	open      string             // the oldest date that has not ended
	days      map[string]*day    // that are not closed
	tracked   map[ulid.ULID]mark // streams that are certified
	lines     []*proof.Line      // that the record has, oldest first
	trees     []*tree            // the last that were asked for
}

// mark is how far a certified stream has come.
type mark struct {
	n   uint32 // events that are noted
	day string // the last closed day that holds it; empty: none
}

// ErrClass: messages of this class are not certified.
var ErrClass = errors.New("messages of this class are not certified")

// New makes Certificates. Run does the work.
func New(o Options) (*Certificates, error) {
	if errs := o.Config.Validate(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.Clock == nil {
		o.Clock = func() proof.Clock { return KernelClock(o.Config.ClockSource, o.Now()) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Certificates{o: o, metrics: newMetrics(o.Registry), path: o.Config.Published, wake: make(chan struct{}, 1),
		days: map[string]*day{}, tracked: map[ulid.ULID]mark{}}
	if c.path == "" {
		c.path = filepath.Join(o.Dir, "certificates.txt")
	}
	if o.Config.Key != "" {
		if _, err := proof.ReadKey(o.Config.Key); err != nil {
			return nil, fmt.Errorf("certification.key: %w", err)
		}
	}
	return c, nil
}

// Certifies reports whether messages of a class have certificates.
func (c *Certificates) Certifies(class message.Class) bool { return c.o.Config.Certifies(class) }

// PublishedFile is where the lines of the days are.
func (c *Certificates) PublishedFile() string { return c.path }

// Keys lists the public keys, the one in use last; none without a key.
func (c *Certificates) Keys() ([]proof.PublicKey, error) {
	if c.o.Config.Key == "" {
		return nil, nil
	}
	data, err := os.ReadFile(proof.PublicFile(c.o.Config.Key))
	if err != nil {
		return nil, fmt.Errorf("public keys of certificates: %w", err)
	}
	return proof.ParseKeys(data)
}

const (
	every = 30 * time.Second
	// grace is how long after its end a day is kept open for what is committed late.
	grace = 5 * time.Minute
)

// Run follows the record and closes days, until ctx ends. Without a key it only reads what is closed.
func (c *Certificates) Run(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	if c.o.Config.Key == "" {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timing := make(chan struct{})
	go func() {
		defer close(timing)
		c.time(ctx)
	}()
	err := c.o.Store.Follow(ctx, Reader, func(batch []store.Event, _ bool) error { return c.take(ctx, batch) })
	cancel()
	<-timing
	return err
}

// time ends and closes days when they are due.
func (c *Certificates) time(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-c.wake:
		}
		if err := c.tick(ctx); err != nil && ctx.Err() == nil {
			c.metrics.failures.Inc()
			c.o.Log.Error("a day of certificates is not closed", "err", err)
		}
		timer.Reset(every)
	}
}

// tick ends the open day when it is over, and closes what has ended.
func (c *Certificates) tick(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Now()
	d := c.dayLocked(c.open)
	if d.ending == nil && !now.Before(endOf(c.open).Add(grace)) {
		if err := c.appendLocked(ctx, d, store.NewEvent{Type: ending, Data: encode(c.o.Clock())}); err != nil {
			return err
		}
	}
	err := c.closeLocked(ctx)
	c.metrics.behind.Set(max(0, now.Sub(endOf(c.oldestLocked())).Seconds()))
	return err
}

// oldestLocked is the first date that is not closed.
func (c *Certificates) oldestLocked() string {
	oldest := c.open
	for date := range c.days {
		oldest = min(oldest, date)
	}
	return oldest
}

func (c *Certificates) dayLocked(date string) *day {
	d := c.days[date]
	if d == nil {
		d = newDay(date)
		c.days[date] = d
	}
	return d
}

// appendLocked commits events of a day, making its stream with the first, and waits for as long as the store pushes back.
func (c *Certificates) appendLocked(ctx context.Context, d *day, events ...store.NewEvent) error {
	ref, err := dayRef(d.date)
	if err != nil {
		return err
	}
	if d.version == 0 {
		events = slices.Insert(events, 0, store.NewEvent{Type: begun, Data: encode(head{1, d.date})})
	}
	change := store.Change{Ref: ref, Expect: d.version, Events: events}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		errs, err := c.o.Store.Commit(ctx, store.Tx{change})
		if err == nil {
			err = errs[0]
		}
		if errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrFull) {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			case <-timer.C:
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("note in the day of certificates %s: %w", d.date, err)
		}
		break
	}
	for _, e := range events {
		if err := d.apply(e.Type, e.Data); err != nil {
			panic("BUG: event of a day: " + err.Error())
		}
	}
	return nil
}

// load reads all days, when that was not done yet.
func (c *Certificates) load(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loadLocked(ctx)
}

// loadLocked reads which streams are certified, how far they are noted, and which lines there are.
func (c *Certificates) loadLocked(ctx context.Context) error {
	if c.loaded {
		return nil
	}
	if err := c.readLocked(ctx); err != nil { // a part of it does no harm: reading it again gives the same
		c.lines = nil
		return fmt.Errorf("read the days of certificates: %w", err)
	}
	c.loaded = true
	return nil
}

func (c *Certificates) readLocked(ctx context.Context) error {
	scope := tenant.Only(tenant.OperatorID)
	var refs []store.Ref
	for q := (store.Query{Kind: store.Day, Limit: 1000}); ; {
		found, err := c.o.Store.Search(ctx, scope, q)
		if err != nil {
			return err
		}
		refs = append(refs, found...)
		if len(found) < q.Limit {
			break
		}
		q.Before = found[len(found)-1].ID
	}
	slices.Reverse(refs)
	for _, ref := range refs {
		events, err := c.o.Store.Load(ctx, scope, ref)
		if err != nil {
			return err
		}
		d, err := foldDay(events)
		if err != nil {
			return err
		}
		for id, s := range d.sights {
			m := c.tracked[id]
			m.n = max(m.n, s.N)
			c.tracked[id] = m
		}
		if d.ended && d.date >= c.open {
			c.open = nextDate(d.date)
		}
		if d.closing == nil {
			c.days[d.date] = d
			continue
		}
		if d.closing.Line == "" {
			continue
		}
		line, err := proof.ParseLine(d.closing.Line)
		if err != nil {
			return fmt.Errorf("line of %s: %w", d.date, err)
		}
		c.lines = append(c.lines, line)
		for _, l := range d.leaves {
			m := c.tracked[l.ID]
			m.n, m.day = max(m.n, l.N), d.date
			c.tracked[l.ID] = m
		}
	}
	if c.open == "" {
		c.open = message.Day(c.o.Now())
		for date := range c.days {
			c.open = min(c.open, date)
		}
	}
	return nil
}
