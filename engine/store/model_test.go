package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/tenant"
)

// model is what the store promises, as simply as it can be said.
type model struct {
	now     time.Time
	streams map[ulid.ULID]*modelStream
	names   map[string]modelName
}

type modelStream struct {
	ref    Ref
	events []Event
	terms  []Term
	final  bool
	queue  string
	at     time.Time // asked for, or of the commit
}

type modelName struct {
	Name
	holder Ref
}

func (m *model) clone() *model {
	c := &model{now: m.now, streams: map[ulid.ULID]*modelStream{}, names: map[string]modelName{}}
	for id, s := range m.streams {
		t := *s
		t.events = slices.Clone(s.events)
		c.streams[id] = &t
	}
	for k, n := range m.names {
		c.names[k] = n
	}
	return c
}

func (m *model) resolve(key string) (modelName, bool) {
	n, ok := m.names[key]
	if !ok {
		return n, false
	}
	if n.Until.IsZero() || m.now.Before(n.Until) || n.WhileOpen && !m.streams[n.holder.ID].final {
		return n, true
	}
	return n, false
}

func nameIn(space Space, t tenant.ID, key string) string {
	if !space.ofTenant() {
		t = ""
	}
	return fmt.Sprintf("%c %s %s", space, t, key)
}

// apply returns the model after the transaction and how it is answered: "", "conflict", "taken", or "not found".
func (m *model) apply(tx Tx) (*model, string) {
	next := m.clone()
	for _, c := range tx {
		s := next.streams[c.Ref.ID]
		switch {
		case s == nil && c.Expect == Any:
			return m, "not found"
		case s == nil && c.Expect != 0, s != nil && c.Expect != Any && c.Expect != len(s.events):
			return m, "conflict"
		case s == nil:
			s = &modelStream{ref: c.Ref, terms: c.Terms}
			next.streams[c.Ref.ID] = s
		}
		for _, e := range c.Events {
			at := e.At
			if at.IsZero() {
				at = m.now
			}
			if n := len(s.events); n > 0 && at.Before(s.events[n-1].At) {
				at = s.events[n-1].At
			}
			s.events = append(s.events, Event{Ref: c.Ref, Seq: uint32(len(s.events)), Type: e.Type, At: at, Data: e.Data})
		}
		s.final = s.final || c.Final
		if c.Due != nil {
			s.queue, s.at = c.Due.Queue, c.Due.At
			if s.at.Before(m.now) {
				s.at = m.now
			}
		}
		for _, n := range c.Names {
			key := nameIn(n.Space, c.Ref.Tenant, n.Key)
			if have, ok := next.resolve(key); ok && n.Exclusive && have.holder.ID != c.Ref.ID {
				return m, "taken"
			}
			next.names[key] = modelName{n, c.Ref}
		}
	}
	return next, ""
}

func answer(err error) string {
	var conflict *ConflictError
	var taken *TakenError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &conflict):
		return "conflict"
	case errors.As(err, &taken):
		return "taken"
	case errors.Is(err, ErrNotFound):
		return "not found"
	}
	return err.Error()
}

var (
	modelTenants = []tenant.ID{acme, other}
	modelQueues  = []string{"docomo/bulk", "au/otp"}
	modelKinds   = []Kind{Message, Claim}
)

func TestStoreKeepsThePromisesOfItsModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		old := f.Value.String()
		flag.Set("rapid.checks", "5")
		defer flag.Set("rapid.checks", old)
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), streams: map[ulid.ULID]*modelStream{}, names: map[string]modelName{}}
		o := optionsIn(t, dir)
		o.Now = func() time.Time { return m.now }
		o.Pace = -1
		var s *Store
		reopen := func() {
			if s != nil {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
			}
			if s, err = Open(o); err != nil {
				rt.Fatal(err)
			}
		}
		reopen()
		defer func() { s.Close() }()
		var ids []Ref
		ref := func(rt *rapid.T) Ref {
			if len(ids) == 0 || rapid.IntRange(0, 3).Draw(rt, "new") == 0 {
				r := Ref{
					rapid.SampledFrom(modelTenants).Draw(rt, "tenant"), rapid.SampledFrom(modelKinds).Draw(rt, "kind"),
					ulid.ULID{15: byte(len(ids)), 6: byte(rapid.IntRange(1, 3).Draw(rt, "id"))},
				}
				ids = append(ids, r)
				return r
			}
			return rapid.SampledFrom(ids).Draw(rt, "stream")
		}
		moment := func(rt *rapid.T) time.Time {
			return m.now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "seconds")) * time.Second)
		}
		change := func(rt *rapid.T, m *model) Change {
			c := Change{Ref: ref(rt), Expect: Any}
			st := m.streams[c.Ref.ID]
			if st == nil {
				c.Expect = 0
			} else if rapid.Bool().Draw(rt, "exact") {
				c.Expect = len(st.events)
			}
			if rapid.IntRange(0, 9).Draw(rt, "wrong") == 0 {
				c.Expect = rapid.IntRange(Any, 3).Draw(rt, "expect")
			}
			for range rapid.SampledFrom([]int{1, 1, 2, 0, 70}).Draw(rt, "events") {
				e := NewEvent{Type: byte(len(c.Events)), Data: []byte(fmt.Sprintf("%s %d", c.Ref, len(c.Events)))}
				if rapid.Bool().Draw(rt, "own time") {
					e.At = moment(rt)
				}
				c.Events = append(c.Events, e)
			}
			if c.Expect == 0 && len(c.Events) == 0 {
				c.Events = event(9, "head")
			}
			for range rapid.IntRange(0, 2).Draw(rt, "names") {
				n := Name{
					Space: rapid.SampledFrom([]Space{ByToken, ByKey, BySMSCID}).Draw(rt, "space"), Key: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key"),
					Value: []byte(c.Ref.String()), Exclusive: rapid.Bool().Draw(rt, "exclusive"), WhileOpen: rapid.Bool().Draw(rt, "while open"),
				}
				if rapid.Bool().Draw(rt, "ends") {
					n.Until = moment(rt)
				}
				c.Names = append(c.Names, n)
			}
			if c.Expect == 0 {
				for f := range byte(2) {
					c.Terms = append(c.Terms, Term{f, rapid.SampledFrom([]string{"x", "xy", ""}).Draw(rt, "term")})
				}
			}
			switch rapid.IntRange(0, 3).Draw(rt, "due") {
			case 0:
				c.Due = &Due{Queue: rapid.SampledFrom(modelQueues).Draw(rt, "queue"), At: moment(rt)}
			case 1:
				c.Due = &Due{}
			}
			c.Final = rapid.IntRange(0, 4).Draw(rt, "final") == 0
			return c
		}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				var txs []Tx
				var want []string
				for range rapid.IntRange(1, 4).Draw(rt, "txs") {
					var tx Tx
					after := m.clone()
					for range rapid.IntRange(1, 3).Draw(rt, "changes") {
						c := change(rt, after)
						tx = append(tx, c)
						after, _ = after.apply(Tx{c})
					}
					next, outcome := m.apply(tx)
					m, txs, want = next, append(txs, tx), append(want, outcome)
				}
				errs, err := s.Commit(context.Background(), txs...)
				if err != nil {
					rt.Fatal(err)
				}
				for i, err := range errs {
					if got := answer(err); got != want[i] {
						rt.Fatalf("transaction %d: got %q, want %q", i, got, want[i])
					}
				}
			},
			"time passes": func(rt *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
			},
			"write out": func(rt *rapid.T) {
				if err := s.writeOut(); err != nil {
					rt.Fatal(err)
				}
			},
			"sweep": func(rt *rapid.T) {
				if _, err := s.sweepNames(); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(*rapid.T) { reopen() },
			"reopen without index": func(rt *rapid.T) {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if err := os.RemoveAll(filepath.Join(o.Dir, indexDir)); err != nil {
					rt.Fatal(err)
				}
				s = nil
				reopen()
			},
			"": func(rt *rapid.T) { m.verify(rt, s) },
		})
	})
}

// verify asks the store everything that the model knows.
func (m *model) verify(rt *rapid.T, s *Store) {
	ctx := context.Background()
	var refs []Ref
	for _, st := range m.streams {
		refs = append(refs, st.ref)
	}
	many, err := s.LoadMany(ctx, tenant.Operator(), refs)
	if err != nil {
		rt.Fatal(err)
	}
	for i, ref := range refs {
		want := m.streams[ref.ID].events
		one, err := s.Load(ctx, tenant.Only(ref.Tenant), ref)
		if err != nil {
			rt.Fatal(err)
		}
		same := func(a, b Event) bool {
			return a.Ref == b.Ref && a.Seq == b.Seq && a.Type == b.Type && a.At.Equal(b.At) && bytes.Equal(a.Data, b.Data)
		}
		if !slices.EqualFunc(one, want, same) || !slices.EqualFunc(many[i], want, same) {
			rt.Fatalf("stream %s: got %v and %v, want %v", ref, one, many[i], want)
		}
	}
	for _, t := range modelTenants {
		for _, space := range []Space{ByToken, ByKey, BySMSCID} {
			for _, key := range []string{"a", "b", "c"} {
				ref, value, err := s.Lookup(ctx, tenant.Only(t), space, key)
				n, ok := m.resolve(nameIn(space, t, key))
				if ok = ok && n.holder.Tenant == t; ok && (err != nil || ref != n.holder || !bytes.Equal(value, n.Value)) || !ok && !errors.Is(err, ErrNotFound) {
					rt.Fatalf("name %c %s of %s: got %v %v, want %v %v", space, key, t, ref, err, n, ok)
				}
			}
		}
		for _, kind := range modelKinds {
			for _, q := range []Query{
				{}, {Terms: []Term{{0, "x"}}}, {Terms: []Term{{0, "x"}, {1, ""}}}, {Terms: []Term{{0, "xy"}, {1, "x"}}},
				{From: m.now.Add(-2 * time.Second)}, {To: m.now.Add(-2 * time.Second)}, {From: m.now.Add(-3 * time.Second), To: m.now, Terms: []Term{{1, "x"}}},
			} {
				q.Kind = kind
				m.verifySearch(rt, s, t, q)
			}
		}
	}
	for _, queue := range modelQueues {
		due, err := s.Due(nil, queue, Cursor{}, m.now, 1000)
		if err != nil {
			rt.Fatal(err)
		}
		got, want := map[Ref]bool{}, map[Ref]bool{}
		for _, d := range due {
			got[d.Ref] = true
		}
		for _, st := range m.streams {
			if st.queue == queue && !st.at.After(m.now) {
				want[st.ref] = true
			}
		}
		if len(got) != len(due) || fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("queue %s at %v: got %v, want %v", queue, m.now, due, want)
		}
	}
}

func (m *model) verifySearch(rt *rapid.T, s *Store, t tenant.ID, q Query) {
	var want []*modelStream
	for _, st := range m.streams {
		at := st.events[0].At
		ok := st.ref.Tenant == t && st.ref.Kind == q.Kind && !at.Before(q.From) && (q.To.IsZero() || at.Before(q.To))
		for _, term := range q.Terms {
			ok = ok && slices.Contains(st.terms, term)
		}
		if ok {
			want = append(want, st)
		}
	}
	slices.SortFunc(want, func(a, b *modelStream) int {
		return cmp.Or(b.events[0].At.Compare(a.events[0].At), b.ref.ID.Compare(a.ref.ID))
	})
	var got []Ref
	for q.Limit = 2; ; {
		page, err := s.Search(context.Background(), tenant.Only(t), q)
		if err != nil {
			rt.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < q.Limit {
			break
		}
		q.Before = page[len(page)-1].ID
	}
	if !slices.EqualFunc(got, want, func(r Ref, st *modelStream) bool { return r == st.ref }) {
		rt.Fatalf("search %+v: got %v, want %d streams", q, got, len(want))
	}
	if n, err := s.Count(context.Background(), tenant.Only(t), q, 3); err != nil || n != min(3, len(want)) {
		rt.Fatalf("count %+v: got %d, %v, want %d up to 3", q, n, err, len(want))
	}
}
