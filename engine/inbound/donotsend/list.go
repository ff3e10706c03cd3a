package donotsend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Store is what a List needs of engine/store.
type Store interface {
	Commit(ctx context.Context, txs ...store.Tx) ([]error, error)
	Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error)
	LoadMany(ctx context.Context, scope tenant.Scope, refs []store.Ref) ([][]store.Event, error)
	Lookup(ctx context.Context, scope tenant.Scope, space store.Space, key string) (store.Ref, []byte, error)
	Search(ctx context.Context, scope tenant.Scope, q store.Query) ([]store.Ref, error)
	Seal(id tenant.ID, class string, day time.Time, aad string, plain []byte) ([]byte, error)
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
	Keyed(id tenant.ID, purpose, value string) ([16]byte, error)
}

// List is the do-not-send lists of all tenants. Safe for concurrent use.
type List struct {
	store Store

	mu  sync.RWMutex       // guards any
	any map[tenant.ID]bool // whether a list has, or had, an entry; missing: not looked yet
}

// New makes the lists of a store. Nothing is read before it is asked for.
func New(s Store) *List { return &List{store: s, any: map[tenant.ID]bool{}} }

// Refuses reports whether a message of the class may not go to the number. One-time codes always may: whoever asks for one
// waits for it. It costs nothing for a tenant that never listed a number, and one look at the index else.
func (l *List) Refuses(ctx context.Context, t tenant.ID, c message.Class, n carrier.Number) (bool, error) {
	if c == message.OTP || n.IsZero() {
		return false, nil
	}
	any, err := l.hasAny(ctx, t)
	if err != nil || !any {
		return false, err
	}
	_, err = l.holder(ctx, t, n)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (l *List) hasAny(ctx context.Context, t tenant.ID) (bool, error) {
	l.mu.RLock()
	any, known := l.any[t]
	l.mu.RUnlock()
	if known {
		return any, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if any, known := l.any[t]; known { // an addition may have come between
		return any, nil
	}
	refs, err := l.store.Search(ctx, tenant.Only(t), store.Query{Kind: store.Tenant, Terms: []store.Term{{Field: fieldList, Value: listValue}}, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("do-not-send list: %w", err)
	}
	l.any[t] = len(refs) > 0
	return l.any[t], nil
}

func (l *List) holder(ctx context.Context, t tenant.ID, n carrier.Number) (store.Ref, error) {
	key, err := l.key(t, n)
	if err != nil {
		return store.Ref{}, fmt.Errorf("do-not-send list: %w", err)
	}
	r, _, err := l.store.Lookup(ctx, tenant.Only(t), store.ByKey, key)
	return r, err
}

// Plan returns what lists a number, to be committed with whatever caused it; nil when the number is listed already. A
// *store.TakenError means that somebody else listed it meanwhile: plan again.
func (l *List) Plan(ctx context.Context, t tenant.ID, a Addition) (*store.Change, ulid.ULID, error) {
	if ps := a.Check(); len(ps) > 0 {
		return nil, ulid.ULID{}, ps
	}
	key, err := l.key(t, a.Number)
	if err != nil {
		return nil, ulid.ULID{}, fmt.Errorf("do-not-send list: %w", err)
	}
	holder, _, err := l.store.Lookup(ctx, tenant.Only(t), store.ByKey, key)
	if err == nil {
		return nil, holder.ID, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, ulid.ULID{}, fmt.Errorf("do-not-send list: %w", err)
	}
	id := ulid.MustNew(ulid.Timestamp(a.At), ulid.DefaultEntropy())
	box, err := l.store.Seal(t, class, a.At, id.String()+"/number", []byte(a.Number.National()))
	if err != nil {
		return nil, id, fmt.Errorf("do-not-send list: %w", err)
	}
	last4, err := l.store.Keyed(t, "last4", a.Number.Last4())
	if err != nil {
		return nil, id, fmt.Errorf("do-not-send list: %w", err)
	}
	data, err := json.Marshal(listedData{V: 1, Masked: a.Number.Masked(), Reason: a.Reason, Note: a.Note, By: a.By, Number: box})
	if err != nil {
		return nil, id, err
	}
	l.mu.Lock()
	l.any[t] = true // before the commit: whoever asks after it must look
	l.mu.Unlock()
	return &store.Change{
		Ref:    ref(t, id),
		Events: []store.NewEvent{{Type: listed, At: a.At, Data: data}},
		Names:  []store.Name{{Space: store.ByKey, Key: key, Exclusive: true}},
		Terms:  []store.Term{{Field: fieldList, Value: listValue}, {Field: fieldLast4, Value: string(last4[:])}},
	}, id, nil
}

// Added is the answer to one addition.
type Added struct {
	ID    ulid.ULID
	Known bool // it was listed already
	Err   error
}

// addStep is how many additions are committed at once.
const addStep = 500

// patience is how often an addition that lost a race is planned again.
const patience = 8

// Add lists numbers; one answer an addition, in order. What was added is on disk. An error of Added may be
// message.Problems.
func (l *List) Add(ctx context.Context, t tenant.ID, additions []Addition) []Added {
	added := make([]Added, len(additions))
	open := make([]int, len(additions))
	for i := range open {
		open[i] = i
	}
	for part := range slices.Chunk(open, addStep) {
		for try := 0; len(part) > 0; try++ {
			if part = l.addOnce(ctx, t, additions, added, part); try == patience {
				for _, i := range part {
					added[i].Err = store.ErrBusy
				}
				break
			}
		}
	}
	return added
}

// addOnce returns the additions that lost a race.
func (l *List) addOnce(ctx context.Context, t tenant.ID, additions []Addition, added []Added, open []int) (again []int) {
	var txs []store.Tx
	var tried []int
	for _, i := range open {
		change, id, err := l.Plan(ctx, t, additions[i])
		if added[i] = (Added{ID: id, Known: err == nil && change == nil, Err: err}); change != nil {
			txs, tried = append(txs, store.Tx{*change}), append(tried, i)
		}
	}
	if len(txs) == 0 {
		return nil
	}
	errs, err := l.store.Commit(ctx, txs...)
	for n, i := range tried {
		var taken *store.TakenError
		switch {
		case err != nil:
			added[i].Err = err
		case errors.As(errs[n], &taken):
			again = append(again, i)
		default:
			added[i].Err = errs[n]
		}
	}
	return again
}

// Remove ends an entry; one that has ended stays as it is. The error is store.ErrNotFound when the tenant has no such entry.
func (l *List) Remove(ctx context.Context, t tenant.ID, id ulid.ULID, by string) error {
	for {
		e, number, err := l.get(ctx, t, id)
		if err != nil || !e.Removed.IsZero() {
			return err
		}
		key, err := l.key(t, number)
		if err != nil {
			return fmt.Errorf("do-not-send list: %w", err)
		}
		data, err := json.Marshal(removedData{By: by})
		if err != nil {
			return err
		}
		now := clock.Now()
		errs, err := l.store.Commit(ctx, store.Tx{{
			Ref: ref(t, id), Expect: 1, Final: true,
			Events: []store.NewEvent{{Type: removed, At: now, Data: data}},
			Names:  []store.Name{{Space: store.ByKey, Key: key, Until: now, Exclusive: true}}, // the name ends
		}})
		if err == nil {
			err = errs[0]
		}
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) { // else somebody else removes it
			return err
		}
	}
}

func (l *List) get(ctx context.Context, t tenant.ID, id ulid.ULID) (Entry, carrier.Number, error) {
	events, err := l.store.Load(ctx, tenant.Only(t), ref(t, id))
	if err != nil {
		return Entry{}, carrier.Number{}, err
	}
	e, err := fold(events)
	if err != nil {
		return e, carrier.Number{}, err
	}
	n, err := l.Number(&e)
	return e, n, err
}

// Get returns an entry of the tenant.
func (l *List) Get(ctx context.Context, t tenant.ID, id ulid.ULID) (Entry, error) {
	e, _, err := l.get(ctx, t, id)
	return e, err
}

// Find returns the entry that holds for a number; store.ErrNotFound: there is none.
func (l *List) Find(ctx context.Context, t tenant.ID, n carrier.Number) (Entry, error) {
	r, err := l.holder(ctx, t, n)
	if err != nil {
		return Entry{}, err
	}
	return l.Get(ctx, t, r.ID)
}

// Number opens the number of an entry. Personal.
func (l *List) Number(e *Entry) (carrier.Number, error) {
	plain, err := l.store.Open(e.Tenant, e.ID.String()+"/number", e.box)
	if err != nil {
		return carrier.Number{}, fmt.Errorf("do-not-send entry %s: %w", e.ID, err)
	}
	return carrier.ParseNumber(string(plain))
}

// Query selects entries that hold.
type Query struct {
	Last4  string    // empty: all
	Before ulid.ULID // cursor: only older ones; zero: from the newest
	Limit  int       // 1 to 1,000
}

// Page returns entries that hold, newest first, and the cursor of the next page; zero: this is the last one.
func (l *List) Page(ctx context.Context, t tenant.ID, q Query) (entries []Entry, next ulid.ULID, err error) {
	terms := []store.Term{{Field: fieldList, Value: listValue}}
	if q.Last4 != "" {
		sum, err := l.store.Keyed(t, "last4", q.Last4)
		if err != nil {
			return nil, next, err
		}
		terms = append(terms, store.Term{Field: fieldLast4, Value: string(sum[:])})
	}
	sq := store.Query{Kind: store.Tenant, Terms: terms, Before: q.Before, Limit: min(q.Limit+1, 1000)}
	for {
		refs, err := l.store.Search(ctx, tenant.Only(t), sq)
		if err != nil {
			return nil, next, fmt.Errorf("do-not-send list: %w", err)
		}
		all, err := l.store.LoadMany(ctx, tenant.Only(t), refs)
		if err != nil {
			return nil, next, fmt.Errorf("do-not-send list: %w", err)
		}
		for _, events := range all {
			e, err := fold(events)
			if err != nil {
				return nil, next, err
			}
			if !e.Removed.IsZero() {
				continue
			}
			if len(entries) == q.Limit { // there is at least one more
				return entries, entries[q.Limit-1].ID, nil
			}
			entries = append(entries, e)
		}
		if len(refs) < sq.Limit {
			return entries, ulid.ULID{}, nil
		}
		sq.Before = refs[len(refs)-1].ID
	}
}
