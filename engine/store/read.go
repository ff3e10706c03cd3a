package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// errScope: the read needs the scope of one tenant.
var errScope = errors.New("the read needs the scope of one tenant")

// Load returns all events of a stream in order.
func (s *Store) Load(ctx context.Context, scope tenant.Scope, ref Ref) ([]Event, error) {
	return s.LoadFrom(ctx, scope, ref, 0)
}

// LoadFrom is Load from event seq on; the result is empty when the stream has no such event yet.
func (s *Store) LoadFrom(ctx context.Context, scope tenant.Scope, ref Ref, seq uint32) ([]Event, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.exit()
	if !scope.Sees(ref.Tenant) {
		return nil, ErrNotFound
	}
	places, have, there, err := s.index.places(nil, ref.ID, seq)
	if err != nil {
		return nil, err
	}
	if !there || have != ref {
		return nil, ErrNotFound
	}
	wants := make([]want, len(places))
	for i, p := range places {
		wants[i] = want{place: p, ref: ref, seq: seq + uint32(i), at: i}
	}
	events := make([]Event, len(places))
	return events, s.fetch(ctx, wants, func(w want, e Event) { events[w.at] = e })
}

// LoadMany is Load for many streams; a stream that is not there gives an empty slice in its place.
func (s *Store) LoadMany(ctx context.Context, scope tenant.Scope, refs []Ref) ([][]Event, error) {
	return s.LoadInto(ctx, scope, refs, &Streams{})
}

// Streams is memory of LoadInto, for a reader that has done with one batch of streams before it loads the next. The zero
// value is ready.
type Streams struct {
	all    [][]Event
	events []Event
	data   []byte
	wants  []want
	places []place
}

// LoadInto is LoadMany into the memory of the last call: what that returned is no longer good.
func (s *Store) LoadInto(ctx context.Context, scope tenant.Scope, refs []Ref, into *Streams) ([][]Event, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.exit()
	into.all, into.wants, into.data = slices.Grow(into.all[:0], len(refs)), into.wants[:0], into.data[:0]
	for i, ref := range refs {
		into.all = append(into.all, nil)
		if !scope.Sees(ref.Tenant) {
			continue
		}
		var have Ref
		var there bool
		var err error
		into.places, have, there, err = s.index.places(into.places[:0], ref.ID, 0)
		if err != nil {
			return nil, err
		}
		if !there || have != ref {
			continue
		}
		for seq, p := range into.places {
			into.wants = append(into.wants, want{place: p, ref: ref, seq: uint32(seq), at: i})
		}
	}
	into.events = slices.Grow(into.events[:0], len(into.wants))[:len(into.wants)]
	for i, from := 0, 0; i < len(into.wants); i++ {
		w := &into.wants[i]
		if end := i + 1; end == len(into.wants) || into.wants[end].at != w.at {
			into.all[w.at] = into.events[from:end:end]
			from = end
		}
	}
	// The events lie in a few pieces of memory, which later ones do not move: an append that finds no room begins a new piece.
	return into.all, s.fetchStored(ctx, into.wants, func(w want, e storedEvent) {
		if len(e.data) > cap(into.data)-len(into.data) {
			into.data = make([]byte, 0, max(streamsPiece, 2*cap(into.data), len(e.data)))
		}
		from := len(into.data)
		into.data = append(into.data, e.data...)
		into.all[w.at][w.seq] = e.eventOf(w.ref.Tenant, into.data[from:len(into.data):len(into.data)])
	})
}

// streamsPiece is the least size of a piece of memory for events, in bytes.
const streamsPiece = 4 << 10

// want is an event to be fetched from the log, for place at of the caller's result.
type want struct {
	place place
	ref   Ref
	seq   uint32
	at    int
}

// fetch is fetchStored that copies.
func (s *Store) fetch(ctx context.Context, wants []want, put func(want, Event)) error {
	return s.fetchStored(ctx, wants, func(w want, e storedEvent) { put(w, e.event(w.ref.Tenant)) })
}

// fetchStored reads each group once, where it lies (the log maps its files); put copies what is wanted of an event.
func (s *Store) fetchStored(ctx context.Context, wants []want, put func(want, storedEvent)) error {
	slices.SortStableFunc(wants, func(a, b want) int {
		switch {
		case a.place.group < b.place.group:
			return -1
		case a.place.group > b.place.group:
			return 1
		}
		return 0
	})
	for len(wants) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 1
		for n < len(wants) && wants[n].place.group == wants[0].place.group {
			n++
		}
		part := wants[:n]
		wants = wants[n:]
		read := func(group []byte) error {
			for _, w := range part {
				body, err := entryAt(group, int(w.place.n))
				if err != nil {
					return fmt.Errorf("event %d of stream %s: %w", w.seq, w.ref, err)
				}
				e, err := parseEvent(body)
				if err != nil {
					return fmt.Errorf("event %d of stream %s: %w", w.seq, w.ref, err)
				}
				if e.id != w.ref.ID || e.seq != w.seq || e.kind != w.ref.Kind || string(e.tenant) != string(w.ref.Tenant) {
					return fmt.Errorf("event %d of stream %s: %w: another event lies there", w.seq, w.ref, errDamaged)
				}
				put(w, e)
			}
			return nil
		}
		seq := part[0].place.group
		if group := s.recent.group(seq); group != nil {
			if err := read(group); err != nil {
				return err
			}
			continue
		}
		if err := s.log.Read(seq, read); err != nil {
			return err
		}
	}
	return nil
}

// Found is what LookupMany says of a name: Err is as that of Lookup.
type Found struct {
	Ref   Ref
	Value []byte
	Err   error
}

// LookupMany is Lookup for many names of a space; the results stand in the order of the keys.
func (s *Store) LookupMany(ctx context.Context, scope tenant.Scope, space Space, keys []string) []Found {
	found := make([]Found, len(keys))
	err := s.lookups(ctx, scope, space, func(r *names, t tenant.ID) error {
		var buf []byte
		for i, key := range keys {
			f := &found[i]
			f.Ref, f.Value, f.Err = s.lookup(r, scope, appendNameKey(buf[:0], space, t, key))
		}
		return nil
	})
	if err != nil {
		for i := range found {
			found[i] = Found{Err: err}
		}
	}
	return found
}

// Lookup finds a stream by a name. Spaces that are a tenant's need a scope of one tenant.
func (s *Store) Lookup(ctx context.Context, scope tenant.Scope, space Space, key string) (ref Ref, value []byte, err error) {
	err = s.lookups(ctx, scope, space, func(r *names, t tenant.ID) error {
		ref, value, err = s.lookup(r, scope, appendNameKey(nil, space, t, key))
		return err
	})
	return ref, value, err
}

// lookups calls do with a reader of names, and the tenant whose the space is, if it is one's.
func (s *Store) lookups(ctx context.Context, scope tenant.Scope, space Space, do func(*names, tenant.ID) error) (err error) {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !space.known() {
		return fmt.Errorf("lookup: unknown name space %q", space)
	}
	t, one := scope.Tenant()
	if space.ofTenant() && !one {
		return fmt.Errorf("lookup in space %c: %w", space, errScope)
	}
	r := s.index.names()
	defer func() {
		if e := r.close(); err == nil {
			err = e
		}
	}()
	return do(&r, t)
}

func (s *Store) lookup(r *names, scope tenant.Scope, key []byte) (Ref, []byte, error) {
	n, there, err := r.get(key)
	if err != nil {
		return Ref{}, nil, err
	}
	if !there || !scope.Sees(n.holder.Tenant) {
		return Ref{}, nil, ErrNotFound
	}
	holds, err := n.holds(s.opt.Now(), func(id ulid.ULID) (bool, error) {
		st, _, err := s.index.state(id)
		return st.final, err
	})
	if err != nil {
		return Ref{}, nil, err
	}
	if !holds {
		return Ref{}, nil, ErrNotFound
	}
	return n.holder, n.value, nil
}
