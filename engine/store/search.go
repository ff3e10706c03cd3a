package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
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
	iters, err := s.index.postings(prefixes, lower, upper)
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	defer func() {
		for _, p := range iters {
			p.close()
		}
	}()
	for _, p := range iters {
		if !p.first() {
			return p.error()
		}
	}
	var seek []byte
	for steps := 0; ; steps++ {
		if steps%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		// agree on a place: whoever is behind jumps to the one furthest on
		at := append(seek[:0], iters[0].at...)
		for i, agreed := 0, 0; agreed < len(iters); i = (i + 1) % len(iters) {
			switch bytes.Compare(iters[i].at, at) {
			case 0:
				agreed++
			case 1:
				at, agreed = append(at[:0], iters[i].at...), 1
			case -1:
				if !iters[i].seek(at) {
					return iters[i].error()
				}
				if bytes.Equal(iters[i].at, at) {
					agreed++
				} else {
					at, agreed = append(at[:0], iters[i].at...), 1
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
		if !iters[0].next() {
			return iters[0].error()
		}
	}
}

// postings walks through the streams that carry a term, or through all heads: those in Pebble and those that are staged.
type postings struct {
	at []byte // where it is: a time and an id, as appendNewest has it

	prefix []byte // before it in the keys
	it     *pebble.Iterator
	staged []string // all of them, in order
	next0  int      // the first of staged that was not passed
	stored []byte   // where it is; nil: at the end
	key    []byte   // scratch
}

// postings makes a walk for each prefix, between two places, all of one moment. They must be closed.
func (ix *index) postings(prefixes [][]byte, lower, upper []byte) (all []*postings, err error) {
	ix.mu.RLock() // nothing goes from the stage to Pebble meanwhile
	snap := ix.db.NewSnapshot()
	stages := []stage{ix.stage.written()}
	if ix.stage0 != nil {
		stages = append(stages, ix.stage0.written())
	}
	ix.mu.RUnlock()
	defer snap.Close()
	defer func() {
		if err != nil {
			for _, p := range all {
				p.close()
			}
		}
	}()
	for _, prefix := range prefixes {
		p := &postings{prefix: prefix}
		end := prefixEnd(prefix)
		if upper != nil {
			end = slices.Concat(prefix, upper)
		}
		if p.it, err = snap.NewIter(&pebble.IterOptions{LowerBound: slices.Concat(prefix, lower), UpperBound: end}); err != nil {
			return all, err
		}
		all = append(all, p)
	}
	for i := range stages {
		stages[i].each(func(key []byte) {
			for _, p := range all {
				rest, ok := bytes.CutPrefix(key, p.prefix)
				if ok && bytes.Compare(rest, lower) >= 0 && (upper == nil || bytes.Compare(rest, upper) < 0) {
					p.staged = append(p.staged, string(rest))
				}
			}
		})
	}
	for _, p := range all {
		slices.Sort(p.staged)
		p.staged = slices.Compact(p.staged)
	}
	return all, nil
}

func (p *postings) first() bool {
	p.read(p.it.First())
	return p.settle()
}

// next goes on from where it is.
func (p *postings) next() bool {
	if p.stored != nil && bytes.Equal(p.stored, p.at) {
		p.read(p.it.Next())
	}
	if p.next0 < len(p.staged) && p.staged[p.next0] == string(p.at) {
		p.next0++
	}
	return p.settle()
}

// seek goes to the first place that is not before the given one.
func (p *postings) seek(to []byte) bool {
	if p.stored != nil && bytes.Compare(p.stored, to) < 0 {
		p.key = append(append(p.key[:0], p.prefix...), to...)
		p.read(p.it.SeekGE(p.key))
	}
	n, _ := slices.BinarySearch(p.staged[p.next0:], string(to))
	p.next0 += n
	return p.settle()
}

func (p *postings) read(ok bool) {
	if p.stored = nil; ok {
		p.stored = p.it.Key()[len(p.prefix):]
	}
}

// settle takes the first of both; false: there is nothing more.
func (p *postings) settle() bool {
	p.at = append(p.at[:0], p.stored...)
	if p.next0 < len(p.staged) && (p.stored == nil || p.staged[p.next0] < string(p.stored)) {
		p.at = append(p.at[:0], p.staged[p.next0]...)
	}
	return len(p.at) > 0
}

func (p *postings) error() error { return p.it.Error() }
func (p *postings) close()       { p.it.Close() }

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
