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
	places, have, err := s.index.places(nil, ref.ID, seq)
	if err != nil {
		return nil, err
	}
	if have == nil || *have != ref {
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
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.exit()
	all := make([][]Event, len(refs))
	var wants []want
	var places []place
	for i, ref := range refs {
		if !scope.Sees(ref.Tenant) {
			continue
		}
		var have *Ref
		var err error
		places, have, err = s.index.places(places[:0], ref.ID, 0)
		if err != nil {
			return nil, err
		}
		if have == nil || *have != ref {
			continue
		}
		all[i] = make([]Event, len(places))
		for seq, p := range places {
			wants = append(wants, want{place: p, ref: ref, seq: uint32(seq), at: i})
		}
	}
	return all, s.fetch(ctx, wants, func(w want, e Event) { all[w.at][w.seq] = e })
}

// want is an event to be fetched from the log, for place at of the caller's result.
type want struct {
	place place
	ref   Ref
	seq   uint32
	at    int
}

// fetch reads each group once, where it lies (the log maps its files), and copies only the events that are wanted.
func (s *Store) fetch(ctx context.Context, wants []want, put func(want, Event)) error {
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
				put(w, e.event(w.ref.Tenant))
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

// Lookup finds a stream by a name. Spaces that are a tenant's need a scope of one tenant.
func (s *Store) Lookup(ctx context.Context, scope tenant.Scope, space Space, key string) (Ref, []byte, error) {
	if err := s.enter(); err != nil {
		return Ref{}, nil, err
	}
	defer s.exit()
	if err := ctx.Err(); err != nil {
		return Ref{}, nil, err
	}
	if !space.known() {
		return Ref{}, nil, fmt.Errorf("lookup: unknown name space %q", space)
	}
	t, one := scope.Tenant()
	if space.ofTenant() && !one {
		return Ref{}, nil, fmt.Errorf("lookup in space %c: %w", space, errScope)
	}
	n, there, err := s.index.name(appendNameKey(nil, space, t, key))
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
