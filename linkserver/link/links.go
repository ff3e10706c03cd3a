package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Record is the part of engine/store that links are made from.
type Record interface {
	Lookup(ctx context.Context, scope tenant.Scope, space store.Space, key string) (store.Ref, []byte, error)
	Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error)
	Follow(ctx context.Context, reader string, fn func(batch []store.Event, lost bool) error) error
}

// Options open the links. Dir and Record are required.
type Options struct {
	Dir        string
	Record     Record
	FS         vfs.FS // default the disk
	CacheBytes int64  // a quarter of it for the newest entries, the rest for blocks of Pebble; default 48 MiB
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	Now        func() time.Time
	Fatal      func(error) // called when the directory cannot be written, after logging; nil: the process exits with 1
}

// Links is the serving store. Safe for concurrent use.
type Links struct {
	db      *pebble.DB
	recent  *recent
	record  Record
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time

	// keeping orders what is kept after a miss against what Renew writes: a revocation is never overwritten by a state
	// that was read before it.
	keeping sync.Mutex
}

const (
	defaultCache = 48 << 20
	sweepEvery   = 24 * time.Hour
	sweepBatch   = 1000
	// An entry whose link has ended is dropped after another StatePatience: a payment that came late shows longer
	// than StateUntil, and what is dropped too early is only asked for again.
	dropAfter = StatePatience
)

// Open opens or makes the directory.
func Open(o Options) (*Links, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCache
	}
	if o.Fatal == nil {
		o.Fatal = func(error) { os.Exit(1) }
	}
	fatal := func(err error) {
		o.Log.Error("links failed", "err", err)
		o.Fatal(err)
	}
	forRecent := o.CacheBytes / 4
	cache := pebble.NewCache(o.CacheBytes - forRecent)
	defer cache.Unref()
	opts := &pebble.Options{
		FS: o.FS, Cache: cache, FormatMajorVersion: pebble.FormatNewest,
		MemTableSize: 16 << 20, L0CompactionThreshold: 4,
		Logger: quiet{o.Log, fatal},
		// Else Pebble would try again for ever, and Put wait, and each 202 with it.
		EventListener: &pebble.EventListener{BackgroundError: fatal},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(o.Dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open the links in %s (the directory can be deleted: it fills again from the store): %w", o.Dir, err)
	}
	return &Links{db: db, recent: newRecent(forRecent), record: o.Record, log: o.Log, metrics: newMetrics(o.Metrics), now: o.Now}, nil
}

// Close closes the directory. Run must have returned.
func (s *Links) Close() error { return s.db.Close() }

// Put tells links of messages that were just committed: they open from now on. Nothing is synced. An error means only
// that they will be asked for in the store.
func (s *Links) Put(links []Link) error {
	before := s.recent.before()
	b := s.db.NewBatch()
	defer b.Close()
	value := make([]byte, 0, 96)
	for _, l := range links {
		value = appendEntry(value[:0], l)
		if err := b.Set([]byte(l.Token), value, nil); err != nil {
			return fmt.Errorf("keep links: %w", err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("keep links: %w", err)
	}
	for _, l := range links {
		value = appendEntry(value[:0], l)
		s.recent.keep(before, l.Token, value)
	}
	return nil
}

// Get finds a link, here or in the store. False: there is no such link. A link that has ended is still found; what to
// show then is the caller's.
func (s *Links) Get(ctx context.Context, token string) (Link, bool, error) {
	l, ok, err := s.Kept(token)
	if ok || err != nil {
		return l, ok, err
	}
	if len(token) > MaxToken {
		return Link{}, false, nil
	}
	s.metrics.asked.Inc()
	before := s.recent.before()
	ref, _, err := s.record.Lookup(ctx, tenant.Operator(), store.ByToken, token)
	if errors.Is(err, store.ErrNotFound) {
		return Link{}, false, nil
	}
	if err != nil {
		return Link{}, false, fmt.Errorf("look a link up: %w", err)
	}
	state, err := s.state(ctx, ref)
	if err != nil {
		return Link{}, false, err
	}
	l, ok = Of(ref, &state.Head)
	if !ok || l.Token != token {
		return Link{}, false, nil
	}
	l.Revoked, l.Disowned = !state.RevokedAt.IsZero(), !state.DisownedAt.IsZero()
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if newer, ok, err := s.Kept(token); ok || err != nil {
		return newer, ok, err
	}
	if s.recent.before() != before { // it may have been forgotten meanwhile
		return l, true, nil
	}
	return l, true, s.Put([]Link{l})
}

// Kept finds a link that is here, without asking the store.
func (s *Links) Kept(token string) (Link, bool, error) {
	if len(token) > MaxToken {
		return Link{}, false, nil
	}
	if l, ok := s.recent.get(token); ok {
		s.metrics.kept.Inc()
		return l, true, nil
	}
	before := s.recent.before()
	value, closer, err := s.db.Get([]byte(token))
	if errors.Is(err, pebble.ErrNotFound) {
		return Link{}, false, nil
	}
	if err != nil {
		return Link{}, false, fmt.Errorf("read a link: %w", err)
	}
	defer closer.Close()
	l, err := parseEntry(token, value)
	if err != nil {
		return Link{}, false, nil // of another version: the store knows it
	}
	s.recent.keep(before, token, value)
	s.metrics.kept.Inc()
	return l, true, nil
}

func (s *Links) state(ctx context.Context, ref store.Ref) (message.State, error) {
	events, err := s.record.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil {
		return message.State{}, fmt.Errorf("load message %s: %w", ref.ID, err)
	}
	return stored.State(events)
}

// Run follows the store and drops what has long ended, until ctx ends; it then returns nil.
func (s *Links) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.sweeping(ctx) })
	defer sweeper.Wait()
	defer cancel()
	err := s.record.Follow(ctx, Reader, func(batch []store.Event, _ bool) error { return s.follow(ctx, batch) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Links) follow(ctx context.Context, batch []store.Event) error {
	for _, e := range batch {
		if e.Ref.Kind != store.Message {
			continue
		}
		switch message.Type(e.Type) {
		case message.Revoked, message.Disowned, message.Readmitted, message.LinkMoved:
			if err := s.Renew(ctx, e.Ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// Renew writes the entry of a message's link as the store has it now: whoever closed or opened a link and does not want to wait
// for Run. A message that is gone is no error.
func (s *Links) Renew(ctx context.Context, ref store.Ref) error {
	s.keeping.Lock() // while it is read as well: who writes last has read last
	defer s.keeping.Unlock()
	state, err := s.state(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l, ok := Of(ref, &state.Head)
	if !ok {
		return nil
	}
	l.Revoked, l.Disowned = !state.RevokedAt.IsZero(), !state.DisownedAt.IsZero()
	return s.mark(l)
}

// mark is synced: the reader's place in the store moves on behind it.
func (s *Links) mark(l Link) error {
	if err := s.db.Set([]byte(l.Token), appendEntry(nil, l), pebble.Sync); err != nil {
		return fmt.Errorf("mark a link: %w", err)
	}
	s.recent.changed(l.Token)
	return nil
}

func (s *Links) sweeping(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			dropped, err := s.Sweep(ctx)
			if err != nil && ctx.Err() == nil {
				s.log.Error("links not swept", "err", err)
			} else if dropped > 0 {
				s.log.Info("links swept", "dropped", dropped)
			}
		}
	}
}

// Sweep drops the entries of links that ended long ago and returns how many.
func (s *Links) Sweep(ctx context.Context) (dropped int, err error) {
	limit := s.now().Add(-dropAfter)
	it, err := s.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("read links: %w", err)
	}
	defer it.Close()
	var ended []string
	drop := func() error {
		err := s.Forget(ended)
		if err == nil {
			dropped += len(ended)
		}
		ended = ended[:0]
		return err
	}
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		l, err := parseEntry(string(it.Key()), it.Value())
		if err == nil && !l.StateUntil.Before(limit) {
			continue
		}
		if ended = append(ended, string(it.Key())); len(ended) < sweepBatch {
			continue
		}
		if err := drop(); err != nil {
			return dropped, err
		}
	}
	if err := errors.Join(it.Error(), drop()); err != nil {
		return dropped, fmt.Errorf("drop links: %w", err)
	}
	return dropped, ctx.Err()
}

// quiet passes on what Pebble says of faults.
type quiet struct {
	log   *slog.Logger
	fatal func(error)
}

func (q quiet) Infof(string, ...any) {}
func (q quiet) Errorf(format string, args ...any) {
	q.log.Error("links directory", "err", fmt.Sprintf(format, args...))
}
func (q quiet) Fatalf(format string, args ...any) { q.fatal(fmt.Errorf(format, args...)) }
