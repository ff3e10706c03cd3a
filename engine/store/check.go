package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// errIDTaken: the id of a new stream is that of a stream of another kind or tenant.
var errIDTaken = errors.New("stream id is already in use")

// checking is what the builder uses while it checks one transaction. Nothing of a transaction is seen by others, nor
// encoded, before all of it has passed.
type checking struct {
	now     time.Time
	full    bool
	streams []state  // of this transaction, after the changes so far
	names   []staged // of this transaction
	ats     []int64  // of its events, in order
	before  []uint32 // version ahead of each change
	key     []byte
}

type staged struct {
	key  string
	name name
}

// add checks a transaction against everything that is committed, on its way, or in this group, and encodes it.
func (b *builder) add(g *group, tx Tx, size int) error {
	if groupHeaderSize+size > maxGroup {
		return fmt.Errorf("transaction of about %d bytes is above the limit of %d", size, maxGroup-groupHeaderSize)
	}
	b.checking.streams, b.checking.names, b.ats, b.before = b.checking.streams[:0], b.checking.names[:0], b.ats[:0], b.before[:0]
	for i := range tx {
		if err := b.check(&tx[i]); err != nil {
			return err
		}
	}
	at := 0
	for i := range tx {
		c := &tx[i]
		for j := range c.Events {
			e := &c.Events[j]
			g.buf = appendEvent(g.buf, c.Ref, b.before[i]+uint32(j), e.Type, b.ats[at], e.Data)
			g.entries++
			g.events++
			at++
		}
		if c.Due != nil || c.Final || len(c.Names) > 0 || len(c.Terms) > 0 {
			g.buf = appendFacts(g.buf, c)
			g.entries++
		}
	}
	for _, s := range b.checking.streams {
		b.streams[s.ref.ID] = overlaid[state]{s, g.seq}
		g.streams = append(g.streams, s.ref.ID)
	}
	for _, n := range b.checking.names {
		b.names[n.key] = overlaid[name]{n.name, g.seq}
		g.names = append(g.names, n.key)
	}
	return nil
}

func (b *builder) check(c *Change) error {
	if err := c.validate(); err != nil {
		return err
	}
	st, err := b.expect(c)
	if err != nil {
		return err
	}
	b.before = append(b.before, st.version)
	if uint64(st.version)+uint64(len(c.Events)) > math.MaxUint32 {
		return fmt.Errorf("stream %s is full", c.Ref)
	}
	for i := range c.Events {
		at := b.now.UnixNano()
		if !c.Events[i].At.IsZero() {
			at = c.Events[i].At.UnixNano()
		}
		st.lastAt = max(at, st.lastAt)
		b.ats = append(b.ats, st.lastAt)
	}
	st.version += uint32(len(c.Events))
	st.final = st.final || c.Final
	b.stage(st)
	for i := range c.Names {
		if err := b.take(&c.Names[i], c.Ref); err != nil {
			return err
		}
	}
	return nil
}

// expect returns the state of the change's stream when the change may go on it.
func (b *builder) expect(c *Change) (state, error) {
	var st state
	var there bool
	if c.Expect != 0 || !b.fresh(c.Ref) {
		var err error
		if st, there, err = b.state(c.Ref.ID); err != nil {
			return st, err
		}
	}
	ours := there && st.ref == c.Ref
	switch {
	case c.Expect == 0:
		if there && !ours {
			return st, errIDTaken
		}
		if there {
			return st, &ConflictError{Ref: c.Ref, Have: int(st.version)}
		}
		if b.full && c.makesStream() {
			return st, ErrFull
		}
		return state{ref: c.Ref, lastAt: math.MinInt64}, nil
	case !ours && (there || c.Expect == Any):
		return st, ErrNotFound
	case !there:
		return st, &ConflictError{Ref: c.Ref, Expect: c.Expect}
	case c.Expect != Any && uint32(c.Expect) != st.version:
		return st, &ConflictError{Ref: c.Ref, Expect: c.Expect, Have: int(st.version)}
	}
	return st, nil
}

// take gives the name to ref, unless it is exclusive and another's.
func (b *builder) take(n *Name, ref Ref) error {
	b.key = appendNameKey(b.key[:0], n.Space, ref.Tenant, n.Key)
	if n.Exclusive {
		have, there, err := b.name(b.key)
		if err != nil {
			return err
		}
		if there && have.holder.ID != ref.ID {
			holds, err := have.holds(b.now, func(id ulid.ULID) (bool, error) {
				st, _, err := b.state(id)
				return st.final, err
			})
			if err != nil {
				return err
			}
			if holds {
				return &TakenError{Space: n.Space, Key: n.Key, Holder: have.holder, Value: bytes.Clone(have.value)}
			}
		}
	}
	b.checking.names = append(b.checking.names, staged{
		string(b.key), name{holder: ref, until: nanos(n.Until), whileOpen: n.WhileOpen, value: n.Value},
	})
	return nil
}

// state is that of a stream after everything that was built so far.
func (b *builder) state(id ulid.ULID) (state, bool, error) {
	for i := range b.checking.streams {
		if b.checking.streams[i].ref.ID == id {
			return b.checking.streams[i], true, nil
		}
	}
	if o, ok := b.streams[id]; ok {
		return o.value, true, nil
	}
	return b.s.index.state(id)
}

// fresh reports whether the id of a new stream is certainly nobody's.
func (b *builder) fresh(ref Ref) bool {
	if _, ok := b.streams[ref.ID]; ok || slices.ContainsFunc(b.checking.streams, func(st state) bool { return st.ref.ID == ref.ID }) {
		return false
	}
	return b.s.index.fresh(ref)
}

func (b *builder) name(key []byte) (name, bool, error) {
	for i := len(b.checking.names) - 1; i >= 0; i-- {
		if b.checking.names[i].key == string(key) {
			return b.checking.names[i].name, true, nil
		}
	}
	if o, ok := b.names[string(key)]; ok {
		return o.value, true, nil
	}
	return b.indexed.get(key)
}

func (b *builder) stage(st state) {
	for i := range b.checking.streams {
		if b.checking.streams[i].ref.ID == st.ref.ID {
			b.checking.streams[i] = st
			return
		}
	}
	b.checking.streams = append(b.checking.streams, st)
}

func (c *Change) validate() error {
	switch {
	case !validTenant(string(c.Ref.Tenant)):
		return fmt.Errorf("change of stream %s: tenant must be 2 to %d of a-z, 0-9 and \"-\"", c.Ref, maxTenant)
	case !c.Ref.Kind.known():
		return fmt.Errorf("change of stream %s: unknown kind %q", c.Ref, c.Ref.Kind)
	case c.Ref.ID.IsZero():
		return fmt.Errorf("change of stream %s: no id", c.Ref)
	case c.Expect < Any:
		return fmt.Errorf("change of stream %s: expected version %d", c.Ref, c.Expect)
	case c.Expect == 0 && len(c.Events) == 0:
		return fmt.Errorf("change of stream %s: a new stream needs its head", c.Ref)
	case c.Expect != 0 && len(c.Terms) > 0:
		return fmt.Errorf("change of stream %s: terms only go with the head", c.Ref)
	case c.Due != nil && (len(c.Due.Queue) > maxQueue || strings.IndexByte(c.Due.Queue, 0) >= 0):
		return fmt.Errorf("change of stream %s: queue name must be at most %d bytes, none of them zero", c.Ref, maxQueue)
	}
	for i := range c.Names {
		n := &c.Names[i]
		if !n.Space.known() {
			return fmt.Errorf("change of stream %s: unknown name space %q", c.Ref, n.Space)
		}
		if len(n.Key) == 0 || len(n.Key) > maxNameKey {
			return fmt.Errorf("change of stream %s: name in space %c must be 1 to %d bytes, not %d", c.Ref, n.Space, maxNameKey, len(n.Key))
		}
	}
	for i := range c.Terms {
		if len(c.Terms[i].Value) > maxTerm {
			return fmt.Errorf("change of stream %s: term of field %d must be at most %d bytes, not %d", c.Ref, c.Terms[i].Field, maxTerm, len(c.Terms[i].Value))
		}
	}
	return nil
}

func validTenant(id string) bool {
	if len(id) < 2 || len(id) > maxTenant {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
