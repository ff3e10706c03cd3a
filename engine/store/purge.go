package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// Content ends with its data key (EraseKey). What is left of it are boxes that nobody can open, and the names and terms
// that lead to them: Purge takes these away, some groups at a time, and Reclaim gives the space back. A box leaves its
// stub, so that Open still says ErrErased; the events stay, with their times and states.
//
// First the index forgets, durably, then the groups are written anew: whenever it ends early, the groups still say what
// else the index has to forget. Doing it again changes nothing.

// Erasure says what goes with content. Its functions belong to those who own the formats.
type Erasure struct {
	// Cut gives the data of an event with each box in it replaced by cut(box), by the kind of its stream. The data given
	// is the log's own and must not change. An error leaves the event as it is, and is logged.
	Cut map[Kind]func(typ byte, data []byte, cut func(box []byte) []byte) ([]byte, error)
	// Term and Name say which ways to find a stream go with its content.
	Term func(kind Kind, field byte) bool
	Name func(kind Kind, space Space) bool
	// A stream of kind Callback goes as a whole, its events and all that the index knows of it, when the content of its
	// source is erased. Source names the source by the head (false: it stays), Content gives a box of the source's content.
	Source  func(ref Ref, head []byte) (Ref, bool, error)
	Content func(source []Event) (box []byte, err error)
	// Gone is told the heads of streams whose content has gone, perhaps repeatedly.
	Gone func(heads []Event) error
}

// Purged says what Purge did.
type Purged struct {
	Groups, Rewritten int   // read, written anew
	Read, Freed       int64 // bytes of groups read, and by how much they became shorter
	Boxes             int   // that were shortened
	Whole             int   // streams that went as a whole
	Names, Terms      int   // ways to find streams that went
}

// Add sums two reports.
func (p *Purged) Add(o Purged) {
	p.Groups, p.Rewritten, p.Read, p.Freed = p.Groups+o.Groups, p.Rewritten+o.Rewritten, p.Read+o.Read, p.Freed+o.Freed
	p.Boxes, p.Whole, p.Names, p.Terms = p.Boxes+o.Boxes, p.Whole+o.Whole, p.Names+o.Names, p.Terms+o.Terms
}

// A step of Purge reads so much of the log at most, but one group at least. What the index forgets is spread over all of it,
// and each table of that is merged with much of the rest: few large ones are far cheaper than many small ones.
const (
	purgeBytes  = 32 << 20
	purgeGroups = 16384
	restBytes   = 4 << 20 // a part of a step, behind which it rests
	restGroups  = 2048
)

// Purge goes through groups from one to another, some ten MB at a time, and returns the group to go on with. It calls rest
// behind each part of its work, about a tenth of that, and ends early with its error. One caller at a time.
func (s *Store) Purge(ctx context.Context, from, to uint64, e Erasure, rest func() error) (next uint64, p Purged, err error) {
	if err := s.enter(); err != nil {
		return from, p, err
	}
	defer s.exit()
	c := &purge{ctx: ctx, s: s, e: e, batch: s.index.db.NewBatch(), whole: map[ulid.ULID]bool{}, of: s.index.names()}
	defer c.batch.Close()
	defer func() { err = errors.Join(err, c.of.close()) }()
	to = min(to, s.applied.Load())
	read, groups := int64(restBytes), restGroups // at which it rests
	for next = max(from, 1); next <= to && c.Read < purgeBytes && c.Groups < purgeGroups; next++ {
		if err := ctx.Err(); err != nil {
			return from, p, err
		}
		if c.Read >= read || c.Groups >= groups {
			if err := errors.Join(c.of.close(), rest()); err != nil { // it is not to hold files while it waits
				return from, p, err
			}
			read, groups = c.Read+restBytes, c.Groups+restGroups
		}
		if err := s.log.Read(next, func(group []byte) error { return c.group(next, group) }); err != nil {
			return from, p, err
		}
	}
	if err := c.finish(); err != nil {
		return from, p, err
	}
	return next, c.Purged, nil
}

// purge is one step.
type purge struct {
	Purged
	ctx   context.Context
	s     *Store
	e     Erasure
	batch *pebble.Batch // what the index forgets
	names []heldName    // the same, where they are still held
	new   []rewritten
	heads []Event
	whole map[ulid.ULID]bool // streams of kind Callback that go (true) or stay
	facts storedFacts
	of    names // reads names one by one
}

// fate is what becomes of a stream of which something is erased.
type fate struct {
	kept   bool  // it lives on under another key
	head   bool  // its head is in the group
	headAt int64 // then the head's time
}

func (c *purge) group(seq uint64, group []byte) error {
	gone := map[ulid.ULID]fate{} // streams of which something in this group is erased
	out, err := rewriteGroup(group, func(_ uint32, body []byte) ([]byte, error) {
		if body[0] == entryFacts {
			return c.forget(gone, body)
		}
		return c.event(gone, body)
	})
	if err != nil {
		return fmt.Errorf("purge group %d: %w", seq, err)
	}
	c.Groups++
	c.Read += int64(len(group))
	if out != nil {
		c.new = append(c.new, rewritten{seq, out})
		c.Freed += int64(len(group) - len(out))
	}
	return nil
}

// event gives the body of an event without erased content; nil when its stream goes as a whole.
func (c *purge) event(gone map[ulid.ULID]fate, body []byte) ([]byte, error) {
	ev, err := parseEvent(body)
	if err != nil {
		return nil, err
	}
	if ev.kind == Callback && c.e.Source != nil {
		if whole, err := c.goes(&ev); err != nil || whole {
			return nil, err
		}
	}
	cut := c.e.Cut[ev.kind]
	if cut == nil {
		return body, nil
	}
	erased, cuts := 0, 0
	t := tenantOf(ev.tenant)
	data, err := cut(ev.typ, ev.data, func(box []byte) []byte {
		switch {
		case isStub(box):
			erased++
		case c.s.keys.erasedBox(t, box):
			erased++
			cuts++
			return box[:stubSize]
		}
		return box
	})
	if err != nil {
		c.s.opt.Log.Error("event is left as it is", "stream", Ref{t, ev.kind, ev.id}, "event", ev.seq, "err", err)
		return body, nil
	}
	if erased > 0 {
		of, known := gone[ev.id]
		if !known {
			if of.kept, err = c.kept(Ref{t, ev.kind, ev.id}); err != nil {
				return nil, err
			}
		}
		if ev.seq == 0 {
			of.head, of.headAt = true, ev.at
			if !of.kept {
				c.heads = append(c.heads, ev.event(t))
			}
		}
		gone[ev.id] = of
	}
	if cuts == 0 {
		return body, nil
	}
	c.Boxes += cuts
	head := len(body) - len(ev.data)
	return append(body[:head:head], data...), nil
}

func (c *purge) kept(ref Ref) (bool, error) {
	n, there, err := c.of.get(appendNameKey(nil, ByKept, ref.Tenant, ref.ID[:]))
	return there && n.holder == ref, err
}

// goes reports whether the stream of an event goes, or has gone, as a whole.
func (c *purge) goes(ev *storedEvent) (bool, error) {
	if whole, known := c.whole[ev.id]; known {
		return whole, nil
	}
	ix := c.s.index
	ix.mu.RLock()
	busy := ix.young[ev.id] != nil || ix.old[ev.id] != nil
	ix.mu.RUnlock()
	if busy {
		return false, nil
	}
	l, err := ix.stored(ev.id)
	if err != nil {
		return false, err
	}
	if l == nil { // its head has gone
		c.whole[ev.id] = true
		return true, nil
	}
	if ev.seq != 0 || l.due.queue != "" {
		return false, nil // it goes from its head on; what still waits stays
	}
	whole, err := c.s.sourceGone(c.ctx, &c.e, l.ref, ev.data)
	if err != nil {
		c.s.opt.Log.Error("stream is left as it is", "stream", l.ref, "err", err)
		whole = false
	}
	c.whole[ev.id] = whole
	if !whole {
		return false, nil
	}
	c.Whole++
	keys := [][]byte{append([]byte{keyLife}, ev.id[:]...), appendHeadKey(nil, l.ref.Tenant, l.ref.Kind, l.headAt, ev.id)}
	for n := range l.version / chunkLen {
		keys = append(keys, chunkKey(ev.id, n))
	}
	for _, key := range keys {
		if err := c.batch.Delete(key, nil); err != nil {
			return false, err
		}
	}
	return true, nil
}

// sourceGone reports whether the content is erased of what a callback was told of.
func (s *Store) sourceGone(ctx context.Context, e *Erasure, ref Ref, head []byte) (bool, error) {
	if e.Source == nil {
		return false, nil
	}
	source, ok, err := e.Source(ref, head)
	if err != nil || !ok {
		return false, err
	}
	places, have, there, err := s.index.places(nil, source.ID, 0)
	if err != nil {
		return false, err
	}
	if !there || have != source {
		return true, nil
	}
	wants := make([]want, len(places))
	for i, p := range places {
		wants[i] = want{place: p, ref: source, seq: uint32(i), at: i}
	}
	events := make([]Event, len(places))
	if err := s.fetch(ctx, wants, func(w want, ev Event) { events[w.at] = ev }); err != nil {
		return false, err
	}
	box, err := e.Content(events)
	return err == nil && (isStub(box) || s.keys.erasedBox(source.Tenant, box)), err
}

// forget gives the body of facts without the names and terms that go with the content of their stream.
func (c *purge) forget(gone map[ulid.ULID]fate, body []byte) ([]byte, error) {
	f := &c.facts
	if err := parseFacts(f, body); err != nil {
		return nil, err
	}
	if f.kind == Callback && c.whole[f.id] {
		return nil, nil
	}
	of, known := gone[f.id]
	if !known || of.kept || len(f.names)+len(f.terms) == 0 {
		return body, nil
	}
	ref, headAt := Ref{tenantOf(f.tenant), f.kind, f.id}, of.headAt
	if !of.head {
		st, there, err := c.s.index.state(f.id)
		if err != nil || !there {
			return body, err
		}
		headAt = st.headAt
	}
	change := Change{Ref: ref, Expect: Any, Final: f.final}
	if f.head {
		change.Expect = 0
	}
	if f.hasDue {
		change.Due = &Due{Queue: string(f.queue), At: unnano(f.dueAt)}
	}
	for _, n := range f.names {
		if c.e.Name == nil || !c.e.Name(f.kind, n.space) {
			change.Names = append(change.Names, Name{Space: n.space, Key: string(n.key), Value: n.value, Until: unnano(n.until), WhileOpen: n.whileOpen})
			continue
		}
		c.Names++
		c.names = append(c.names, heldName{appendNameKey(nil, n.space, ref.Tenant, n.key), f.id})
	}
	for _, t := range f.terms {
		if c.e.Term == nil || !c.e.Term(f.kind, t.field) {
			change.Terms = append(change.Terms, Term{t.field, string(t.value)})
			continue
		}
		c.Terms++
		key := appendNewest(appendTermPrefix(nil, ref.Tenant, f.kind, t.field, t.value), headAt, f.id)
		if err := c.batch.Delete(key, nil); err != nil {
			return nil, err
		}
	}
	if len(change.Names) == len(f.names) && len(change.Terms) == len(f.terms) {
		return body, nil
	}
	return appendFacts(nil, &change)[entryHeaderSize:], nil
}

// finish makes durable what was gathered: the index first.
func (c *purge) finish() error {
	if !c.batch.Empty() || len(c.names) > 0 {
		if err := c.s.index.forget(c.batch, c.names); err != nil {
			return fmt.Errorf("purge the index: %w", err)
		}
	}
	if c.s.forgotten != nil {
		if err := c.s.forgotten(); err != nil {
			return err
		}
	}
	if len(c.heads) > 0 && c.e.Gone != nil {
		if err := c.e.Gone(c.heads); err != nil {
			return err
		}
	}
	if len(c.new) == 0 {
		return nil
	}
	c.Rewritten = len(c.new)
	return c.s.log.(*badgerLog).Rewrite(c.new)
}

// erasedBox reports whether the key of a box has been destroyed.
func (k *keyring) erasedBox(t tenant.ID, box []byte) bool {
	if len(box) < boxOverhead || box[0] != boxVersion {
		return false
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	d := k.byID[keyID(box[1:stubSize])]
	return d != nil && d.slot.tenant == t && d.stored.Erased
}
