package followup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Intake takes the messages of a run; *intake.Intake is one.
type Intake interface {
	Accept(ctx context.Context, r intake.Request) ([]intake.Result, error)
}

// Claims says how a claim is asked for again; *payment.Payments is one, and its promises hold.
type Claims interface {
	Again(ctx context.Context, s *payment.State, a payment.Again) ([]store.Change, *message.Problem, error)
}

// Options are the rooms that follow-ups stand on. Log may be nil.
type Options struct {
	Dir       string // of the index
	Store     *store.Store
	Directory func() *tenant.Snapshot
	Intake    Intake
	Claims    Claims
	Log       *slog.Logger
}

// FollowUps are the lists and runs of all tenants. Safe for concurrent use. Run does the work behind them.
type FollowUps struct {
	Options
	index *index
	now   func() time.Time
}

// Open opens the index, or makes it.
func Open(o Options) (*FollowUps, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ix, err := openIndex(o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	return &FollowUps{Options: o, index: ix, now: clock.Now}, nil
}

// Close closes the index. Run must have returned, and readers.
func (f *FollowUps) Close() error { return f.index.db.Close() }

// Run follows the store, sweeps, and works on runs until ctx ends; it then returns nil.
func (f *FollowUps) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { f.sweeping(ctx) })
	beside.Go(func() { f.working(ctx) })
	defer beside.Wait()
	defer cancel()
	f.Store.DropReaders(func(name string) bool { return strings.HasPrefix(name, readerPrefix) && name != f.index.reader })
	err := f.Store.Follow(ctx, f.index.reader, func(batch []store.Event, _ bool) error { return f.index.apply(ctx, batch) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *FollowUps) sweeping(ctx context.Context) {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		var tenants []tenant.ID
		for id := range f.Directory().Tenants {
			tenants = append(tenants, id)
		}
		if err := f.index.sweep(tenants, f.now()); err != nil {
			f.Log.Error("lists not swept", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Item is a message of a list.
type Item struct {
	ID       ulid.ULID
	State    message.State
	Claim    *payment.State // nil: none; its Content is not opened
	SMS      message.SMS    // opened
	Resends  int            // times that it, or the message that it follows up, was sent again
	ResentAt time.Time      // the last time
}

// Submissions is how many times its SMS was given to a carrier.
func (it *Item) Submissions() (n int) {
	for _, p := range it.State.Parts {
		n = max(n, p.Attempt)
	}
	return n
}

// Page is a part of a list.
type Page struct {
	Items []Item
	// Next is where to go on; zero: all was looked at. A page may have no items and yet go on.
	Next ulid.ULID
}

const (
	walkBatch = 256
	lookMost  = 5000 // candidates that one page looks at
)

// List gives messages of a list, newest first, older than before (zero: from the newest), at most limit.
func (f *FollowUps) List(ctx context.Context, id tenant.ID, l List, by Filter, before ulid.ULID, limit int) (Page, error) {
	var p Page
	if !by.To.IsZero() && before.IsZero() {
		before = firstID(by.To)
	}
	for looked := 0; looked < lookMost && len(p.Items) < limit; {
		ids, err := f.index.walk(ctx, id, l, before, by.From, walkBatch)
		if err != nil {
			return p, err
		}
		subjects, err := f.judged(ctx, id, l, ids)
		if err != nil {
			return p, err
		}
		now, full := f.now(), false
		for i := range subjects {
			s := &subjects[i]
			before = s.id
			looked++
			if !s.in(l, now) || !by.takes(s) {
				continue
			}
			item, err := f.item(id, s)
			if errors.Is(err, store.ErrErased) { // nobody can be asked any more
				continue
			}
			if err != nil {
				return p, err
			}
			if p.Items = append(p.Items, item); len(p.Items) == limit {
				full = i < len(subjects)-1
				break
			}
		}
		if !full && len(ids) < walkBatch {
			return p, nil
		}
	}
	p.Next = before
	return p, nil
}

// Each calls fn with the messages of a list, newest first, until fn fails.
func (f *FollowUps) Each(ctx context.Context, id tenant.ID, l List, by Filter, fn func(*Item) error) error {
	for before := (ulid.ULID{}); ; {
		p, err := f.List(ctx, id, l, by, before, walkBatch)
		if err != nil {
			return err
		}
		for i := range p.Items {
			if err := fn(&p.Items[i]); err != nil {
				return err
			}
		}
		if before = p.Next; before.IsZero() {
			return nil
		}
	}
}

func (f *FollowUps) item(id tenant.ID, s *subject) (Item, error) {
	it := Item{ID: s.id, State: s.st, Claim: s.claim}
	it.Resends, it.ResentAt = s.resent()
	sms, err := f.sms(id, s)
	it.SMS = sms
	return it, err
}

func (f *FollowUps) sms(id tenant.ID, s *subject) (message.SMS, error) {
	return stored.SMS(f.Store, id, s.id, &s.st.Head)
}

// judged loads candidates with all that decides about them, and takes those out of the index that are out of the list for good.
func (f *FollowUps) judged(ctx context.Context, id tenant.ID, l List, ids []ulid.ULID) ([]subject, error) {
	subjects, err := f.load(ctx, id, ids)
	if err != nil {
		return nil, err
	}
	var gone []ulid.ULID
	for i := range subjects {
		if subjects[i].over(l) {
			gone = append(gone, subjects[i].id)
		}
	}
	if len(gone) > 0 {
		err = f.index.forget(id, l, gone)
	}
	return subjects, err
}

// load reads messages, their claims, what followed them up, and what they follow up.
func (f *FollowUps) load(ctx context.Context, id tenant.ID, ids []ulid.ULID) ([]subject, error) {
	states, err := f.states(ctx, id, ids)
	if err != nil {
		return nil, err
	}
	subjects := make([]subject, len(ids))
	var claims []store.Ref
	var others []ulid.ULID
	for i := range ids {
		subjects[i] = subject{id: ids[i], st: states[i]}
		if c := states[i].Head.Claim; !c.IsZero() {
			claims = append(claims, store.Ref{Tenant: id, Kind: store.Claim, ID: c})
		}
		for _, o := range []ulid.ULID{states[i].ResentTo, states[i].Head.Resends} {
			if !o.IsZero() {
				others = append(others, o)
			}
		}
	}
	byID := map[ulid.ULID]*message.State{}
	if len(others) > 0 {
		found, err := f.states(ctx, id, others)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if found[i].Version > 0 {
				byID[others[i]] = &found[i]
			}
		}
	}
	money := map[ulid.ULID]*payment.State{}
	slices.SortFunc(claims, func(a, b store.Ref) int { return a.ID.Compare(b.ID) })
	claims = slices.Compact(claims)
	found, err := f.Store.LoadMany(ctx, tenant.Only(id), claims)
	if err != nil {
		return nil, fmt.Errorf("load claims: %w", err)
	}
	for i, events := range found {
		if len(events) == 0 {
			continue
		}
		c, err := payment.Fold(events)
		if err != nil {
			return nil, err
		}
		money[claims[i].ID] = &c
	}
	for i := range subjects {
		s := &subjects[i]
		s.claim, s.last, s.first = money[s.st.Head.Claim], byID[s.st.ResentTo], byID[s.st.Head.Resends]
	}
	return subjects, nil
}

// states are the folds of messages, in order; the zero State where there is none.
func (f *FollowUps) states(ctx context.Context, id tenant.ID, ids []ulid.ULID) ([]message.State, error) {
	refs := make([]store.Ref, len(ids))
	for i := range ids {
		refs[i] = store.Ref{Tenant: id, Kind: store.Message, ID: ids[i]}
	}
	streams, err := f.Store.LoadMany(ctx, tenant.Only(id), refs)
	if err != nil {
		return nil, fmt.Errorf("load messages: %w", err)
	}
	states := make([]message.State, len(ids))
	for i, events := range streams {
		if states[i], err = stored.State(events); err != nil {
			return nil, fmt.Errorf("message %s: %w", ids[i], err)
		}
	}
	return states, nil
}

// Awaited implements dispatch.Claims.
func (f *FollowUps) Awaited(ctx context.Context, id tenant.ID, claim ulid.ULID) (store.Change, bool, error) {
	ref := store.Ref{Tenant: id, Kind: store.Claim, ID: claim}
	events, err := f.Store.Load(ctx, tenant.Only(id), ref)
	if err != nil {
		return store.Change{}, false, fmt.Errorf("load claim %s: %w", claim, err)
	}
	c, err := payment.Fold(events)
	if err != nil {
		return store.Change{}, false, err
	}
	return store.Change{Ref: ref, Expect: c.Version}, awaited(&c, f.now()), nil
}
