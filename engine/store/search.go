package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// maxSearch is the most that one Search returns.
const maxSearch = 1000

// Query selects streams, newest first.
type Query struct {
	Kind     Kind
	Terms    []Term    // all must hold
	From, To time.Time // by the time of the head, From inclusive, To exclusive; zero: open
	Before   ulid.ULID // cursor: only streams older than this one; zero: from the newest
	Limit    int       // at most 1,000
}

// Search returns matching streams, newest first. It needs a scope of one tenant.
func (s *Store) Search(ctx context.Context, scope tenant.Scope, q Query) ([]Ref, error) {
	if q.Limit < 1 || q.Limit > maxSearch {
		return nil, fmt.Errorf("search: limit must be 1 to %d, not %d", maxSearch, q.Limit)
	}
	var refs []Ref
	err := s.match(ctx, scope, q, func(r Ref) bool {
		refs = append(refs, r)
		return len(refs) < q.Limit
	})
	return refs, err
}

// Count counts the matches of q up to limit, ignoring q.Limit and q.Before.
func (s *Store) Count(ctx context.Context, scope tenant.Scope, q Query, limit int) (int, error) {
	q.Before = ulid.ULID{}
	n := 0
	if limit < 1 {
		return 0, nil
	}
	err := s.match(ctx, scope, q, func(Ref) bool {
		n++
		return n < limit
	})
	return n, err
}

// match calls yield with each match, newest first, until it returns false.
//
// The heads, and the heads of each term, lie in the same order: newest first. So the streams that carry all terms are
// found by letting each iterator in turn jump to where the others are; the rarest term sets the pace.
func (s *Store) match(ctx context.Context, scope tenant.Scope, q Query, yield func(Ref) bool) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.exit()
	t, one := scope.Tenant()
	if !one {
		return fmt.Errorf("search: %w", errScope)
	}
	if !q.Kind.known() {
		return fmt.Errorf("search: unknown kind %q", q.Kind)
	}
	lower, upper, err := s.span(t, q)
	if err != nil {
		return err
	}
	prefixes := [][]byte{}
	for _, term := range q.Terms {
		if len(term.Value) > maxTerm {
			return fmt.Errorf("search: term of field %d must be at most %d bytes, not %d", term.Field, maxTerm, len(term.Value))
		}
		prefixes = append(prefixes, appendTermPrefix(nil, t, q.Kind, term.Field, term.Value))
	}
	if len(prefixes) == 0 {
		prefixes = append(prefixes, appendHeadPrefix(nil, t, q.Kind))
	}
	iters := make([]*pebble.Iterator, 0, len(prefixes))
	defer func() {
		for _, it := range iters {
			it.Close()
		}
	}()
	snap := s.index.db.NewSnapshot()
	defer snap.Close()
	for _, p := range prefixes {
		end := prefixEnd(p)
		if upper != nil {
			end = append(append([]byte(nil), p...), upper...)
		}
		it, err := snap.NewIter(&pebble.IterOptions{LowerBound: append(append([]byte(nil), p...), lower...), UpperBound: end})
		if err != nil {
			return fmt.Errorf("search: %w", err)
		}
		iters = append(iters, it)
		if !it.First() {
			return it.Error()
		}
	}
	rest := func(i int) []byte { return iters[i].Key()[len(prefixes[i]):] }
	var seek []byte
	for steps := 0; ; steps++ {
		if steps%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		// agree on a place: whoever is behind jumps to the one furthest on
		at := append(seek[:0], rest(0)...)
		for i, agreed := 0, 0; agreed < len(iters); i = (i + 1) % len(iters) {
			switch bytes.Compare(rest(i), at) {
			case 0:
				agreed++
			case 1:
				at, agreed = append(at[:0], rest(i)...), 1
			case -1:
				if !iters[i].SeekGE(append(append([]byte(nil), prefixes[i]...), at...)) {
					return iters[i].Error()
				}
				if bytes.Equal(rest(i), at) {
					agreed++
				} else {
					at, agreed = append(at[:0], rest(i)...), 1
				}
			}
		}
		seek = at
		if len(at) != newestSize {
			return fmt.Errorf("search: %w: key of %d bytes", errDamaged, len(at))
		}
		_, id := parseNewest(at)
		if !yield(Ref{t, q.Kind, id}) {
			return nil
		}
		if !iters[0].Next() {
			return iters[0].Error()
		}
	}
}

// span returns the bounds of what may match, as appendNewest has it: from the newest (lower) to the oldest (upper).
func (s *Store) span(t tenant.ID, q Query) (lower, upper []byte, err error) {
	if !q.To.IsZero() { // the first key with a time before To
		lower = appendNewest(nil, q.To.UnixNano()-1, maxULID)
	}
	if !q.From.IsZero() { // the first key with a time before From
		upper = appendNewest(nil, q.From.UnixNano()-1, maxULID)
	}
	if !q.Before.IsZero() {
		st, there, err := s.index.state(q.Before)
		if err != nil {
			return nil, nil, err
		}
		if !there || st.ref.Tenant != t || st.ref.Kind != q.Kind {
			return nil, nil, fmt.Errorf("search: cursor: %w", ErrNotFound)
		}
		if behind := append(appendNewest(nil, st.headAt, q.Before), 0); bytes.Compare(behind, lower) > 0 {
			lower = behind
		}
	}
	if upper != nil && bytes.Compare(lower, upper) > 0 {
		lower = upper // nothing can match
	}
	return lower, upper, nil
}

var maxULID = func() (id ulid.ULID) {
	for i := range id {
		id[i] = 0xff
	}
	return id
}()
