package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

func TestOneOfManyWinsAnExpectedVersion(t *testing.T) {
	s := open(t, testOptions(t))
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head")}))
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for version := 1; version <= 20; {
				errs, err := s.Commit(context.Background(), Tx{{Ref: m, Expect: version, Events: event(2, "step")}})
				var conflict *ConflictError
				switch {
				case err == nil && errs[0] == nil:
					won.Add(1)
					version++
				case errors.As(errs[0], &conflict):
					lost.Add(1)
					version = conflict.Have
				default:
					t.Error(errs, err)
					return
				}
			}
		})
	}
	all.Wait()
	events, err := s.Load(t.Context(), tenant.Only(acme), m)
	require.NoError(t, err)
	require.Len(t, events, 1+int(won.Load()))
	require.EqualValues(t, 20, won.Load())
	require.NotZero(t, lost.Load())
}

func TestOneOfManyTakesAnExclusiveName(t *testing.T) {
	s := open(t, testOptions(t))
	for n := range 10 {
		key := fmt.Sprint("key ", n)
		holders := make(chan Ref, 16)
		told := make(chan Ref, 16)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				m := newRef(acme, Message)
				errs, err := s.Commit(context.Background(), Tx{{Ref: m, Events: event(1, "head"), Names: []Name{{Space: ByKey, Key: key, Exclusive: true, Value: []byte(key)}}}})
				var taken *TakenError
				switch {
				case err == nil && errs[0] == nil:
					holders <- m
				case errors.As(errs[0], &taken) && string(taken.Value) == key:
					told <- taken.Holder
				default:
					t.Error(errs, err)
				}
			})
		}
		all.Wait()
		require.Len(t, holders, 1)
		holder := <-holders
		require.Len(t, told, 15)
		for range 15 {
			require.Equal(t, holder, <-told)
		}
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	s := open(t, testOptions(t))
	a, b := newRef(acme, Message), newRef(acme, Claim)
	require.NoError(t, commit1(t, s, Change{Ref: b, Events: event(1, "head")}))
	var conflict *ConflictError
	require.ErrorAs(t, commit1(t, s,
		Change{Ref: a, Events: event(1, "head"), Names: []Name{{Space: ByToken, Key: "t"}}},
		Change{Ref: b, Expect: 2, Events: event(2, "late")},
	), &conflict)
	require.Equal(t, 1, conflict.Have)
	_, err := s.Load(t.Context(), tenant.Only(acme), a)
	require.ErrorIs(t, err, ErrNotFound)
	_, _, err = s.Lookup(t.Context(), tenant.Only(acme), ByToken, "t")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestBadTransactionsAreRefused(t *testing.T) {
	s := open(t, testOptions(t))
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head")}))
	head := event(1, "head")
	refused := func(want string, c Change) {
		t.Helper()
		require.ErrorContains(t, commit1(t, s, c), want)
	}
	refused("tenant must be", Change{Ref: Ref{"A/b", Message, m.ID}, Events: head})
	refused("unknown kind", Change{Ref: Ref{acme, 'z', m.ID}, Events: head})
	refused("no id", Change{Ref: Ref{acme, Message, ulid.ULID{}}, Events: head})
	refused("needs its head", Change{Ref: newRef(acme, Message)})
	refused("terms only go with the head", Change{Ref: m, Expect: 1, Terms: []Term{{1, "x"}}})
	refused("at most 64 bytes", Change{Ref: newRef(acme, Message), Events: head, Terms: []Term{{1, strings.Repeat("x", 65)}}})
	refused("1 to 256 bytes", Change{Ref: m, Expect: 1, Names: []Name{{Space: ByNo, Key: strings.Repeat("x", 257)}}})
	refused("unknown name space", Change{Ref: m, Expect: 1, Names: []Name{{Space: 'z', Key: "x"}}})
	refused("queue name", Change{Ref: m, Expect: 1, Due: &Due{Queue: "a\x00b"}})
	refused("above the limit", Change{Ref: m, Expect: 1, Events: event(2, strings.Repeat("x", maxGroup))})
	refused("already in use", Change{Ref: Ref{other, Message, m.ID}, Events: head})
	require.ErrorIs(t, commit1(t, s, Change{Ref: Ref{other, Message, m.ID}, Expect: Any, Events: head}), ErrNotFound)
	require.ErrorIs(t, commit1(t, s, Change{Ref: Ref{other, Message, m.ID}, Expect: 1, Events: head}), ErrNotFound)
}

func TestManyTransactionsAreSpreadOverGroups(t *testing.T) {
	s := open(t, testOptions(t))
	var txs []Tx
	for range 30 {
		txs = append(txs, Tx{{Ref: newRef(acme, File), Events: event(1, strings.Repeat("x", 400<<10))}})
	}
	errs, err := s.Commit(t.Context(), txs...)
	require.NoError(t, err)
	for i, err := range errs {
		require.NoError(t, err)
		events, err := s.Load(t.Context(), tenant.Only(acme), txs[i][0].Ref)
		require.NoError(t, err)
		require.Len(t, events[0].Data, 400<<10)
	}
	require.Greater(t, s.applied.Load(), uint64(2))
}

func TestShortDiskRefusesNewStreamsOnly(t *testing.T) {
	o := testOptions(t)
	s := open(t, o)
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head")}))
	require.NoError(t, s.Close())
	o.MinFree = 1 << 60
	s = open(t, o)
	_, err := s.Commit(t.Context(), Tx{{Ref: newRef(acme, Message), Events: event(1, "head")}})
	require.ErrorIs(t, err, ErrFull)
	errs, err := s.Commit(t.Context(), Tx{{Ref: newRef(acme, Message), Events: event(1, "head")}}, Tx{{Ref: m, Expect: 1, Events: event(2, "delivered")}})
	require.NoError(t, err)
	require.ErrorIs(t, errs[0], ErrFull)
	require.NoError(t, errs[1])
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Audit), Events: event(1, "what was done then")}))
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Callback), Events: event(1, "what is told of it")}))
	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 2, Events: event(3, "paid")}, Change{Ref: newRef(acme, Register), Events: event(1, "on that day")}))
}

func TestFullQueueAnswersBusy(t *testing.T) {
	q := queue{ready: make(chan struct{}, 1)}
	require.NoError(t, q.put(&request{txs: make([]Tx, 1), size: maxQueuedBytes}))
	require.ErrorIs(t, q.put(&request{txs: make([]Tx, 1), size: 1}), ErrBusy)
	r, _ := q.peek()
	q.pop(r)
	require.NoError(t, q.put(&request{txs: make([]Tx, 1), size: 1}))
	q.close()
	require.ErrorIs(t, q.put(&request{txs: make([]Tx, 1), size: 1}), ErrClosed)
}

// Names that lie in the lowest level are found, and those that do not are not.
func TestNamesOfTheLowestLevel(t *testing.T) {
	s := open(t, testOptions(t))
	const n = 2000
	name := func(i int) string { return fmt.Sprintf("name-%05d", i) }
	var txs []Tx
	for i := range n {
		txs = append(txs, Tx{{Ref: newRef(acme, Message), Events: event(1, "head"), Names: []Name{{Space: ByToken, Key: name(i), Exclusive: true}}}})
	}
	errs, err := s.Commit(t.Context(), txs...)
	require.NoError(t, errors.Join(append(errs, err)...))
	require.NoError(t, s.index.writeOut())
	require.NoError(t, s.index.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
	var keys []string
	for i := range n {
		keys = append(keys, name(i), name(i)+"x")
	}
	for i, f := range s.LookupMany(t.Context(), tenant.Operator(), ByToken, keys) {
		if i%2 == 0 {
			require.NoError(t, f.Err)
		} else {
			require.ErrorIs(t, f.Err, ErrNotFound)
		}
	}
	var taken *TakenError
	require.ErrorAs(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "head"), Names: []Name{{Space: ByToken, Key: name(7), Exclusive: true}}}), &taken)
}

// A reader of names sees what has gone to Pebble, and out of it, since it began.
func TestNamesAreSeenAsTheyMove(t *testing.T) {
	s := open(t, testOptions(t))
	r := s.index.names()
	key := appendNameKey(nil, ByToken, acme, "name")
	_, there, err := r.get(key)
	require.NoError(t, err)
	require.False(t, there)
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head"), Names: []Name{{Space: ByToken, Key: "name", Exclusive: true}}}))
	for range 2 { // staged, stored
		n, there, err := r.get(key)
		require.NoError(t, err)
		require.True(t, there)
		require.Equal(t, m, n.holder)
		require.NoError(t, s.index.writeOut())
	}
	for _, holder := range []ulid.ULID{newRef(acme, Message).ID, m.ID} { // somebody else's is left
		_, there, err = r.get(key)
		require.NoError(t, err)
		require.True(t, there)
		require.NoError(t, s.index.forget(s.index.db.NewBatch(), []heldName{{key, holder}}))
	}
	_, there, err = r.get(key)
	require.NoError(t, err)
	require.False(t, there)
	require.NoError(t, r.close())
}

// Bulk that fills the queue leaves an eighth of it, in bytes and in transactions, to what is urgent.
func TestBulkLeavesRoomForUrgent(t *testing.T) {
	for name, of := range map[string]func(share int) *request{
		"bytes":        func(n int) *request { return &request{txs: make([]Tx, 1), size: n * maxQueuedBytes / 8} },
		"transactions": func(n int) *request { return &request{txs: make([]Tx, n*maxQueuedTxs/8)} },
	} {
		t.Run(name, func(t *testing.T) {
			q := queue{ready: make(chan struct{}, 1)}
			urgent := func(n int) *request { r := of(n); r.urgent = true; return r }
			require.NoError(t, q.put(of(4)))
			require.NoError(t, q.put(of(3)))
			require.ErrorIs(t, q.put(of(1)), ErrBusy)
			require.NoError(t, q.put(urgent(1)))
			require.ErrorIs(t, q.put(urgent(1)), ErrBusy)
			r, _ := q.peek()
			q.pop(r)
			require.ErrorIs(t, q.put(of(1)), ErrBusy)
			require.NoError(t, q.put(urgent(1)))
		})
	}
}

// What is urgent is taken before what waits already, also before the rest of a request of which a part was taken.
func TestUrgentIsTakenFirst(t *testing.T) {
	q := queue{ready: make(chan struct{}, 1)}
	bulk, code, more := &request{next: 1}, &request{urgent: true}, &request{}
	for _, r := range []*request{bulk, more, code} {
		require.NoError(t, q.put(r))
	}
	for _, want := range []*request{code, bulk, more} {
		r, _ := q.peek()
		require.Same(t, want, r)
		q.pop(r)
	}
	require.True(t, isUrgent(Urgent(t.Context())))
	require.False(t, isUrgent(t.Context()))
}

func TestClosedStoreAnswersClosed(t *testing.T) {
	s := open(t, testOptions(t))
	require.NoError(t, s.Close())
	_, err := s.Commit(t.Context(), Tx{{Ref: newRef(acme, Message), Events: event(1, "head")}})
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Load(t.Context(), tenant.Operator(), newRef(acme, Message))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Follow(t.Context(), "r", nil), ErrClosed)
	_, err = s.Seal(acme, "bulk", time.Now(), "", nil)
	require.ErrorIs(t, err, ErrClosed)
}

func TestTenantsCannotSeeEachOther(t *testing.T) {
	ctx := t.Context()
	s := open(t, testOptions(t))
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{
		Ref: m, Events: event(1, "secret"), Terms: []Term{{1, "x"}},
		Names: []Name{{Space: ByToken, Key: "token"}, {Space: ByKey, Key: "key"}},
	}))
	for _, scope := range []tenant.Scope{tenant.Only(other), {}, tenant.Only("acm"), tenant.Only("acme-")} {
		for _, ref := range []Ref{m, {other, Message, m.ID}, {acme, Claim, m.ID}} {
			_, err := s.Load(ctx, scope, ref)
			require.ErrorIs(t, err, ErrNotFound)
			many, err := s.LoadMany(ctx, scope, []Ref{ref})
			require.NoError(t, err)
			require.Empty(t, many[0])
		}
		_, _, err := s.Lookup(ctx, scope, ByToken, "token")
		require.ErrorIs(t, err, ErrNotFound)
		_, _, err = s.Lookup(ctx, scope, ByKey, "key")
		require.Error(t, err)
		for _, terms := range [][]Term{nil, {{1, "x"}}} {
			refs, _ := s.Search(ctx, scope, Query{Kind: Message, Terms: terms, Limit: 10})
			require.Empty(t, refs)
			n, _ := s.Count(ctx, scope, Query{Kind: Message, Terms: terms}, 10)
			require.Zero(t, n)
		}
		_, err = s.Search(ctx, scope, Query{Kind: Message, Before: m.ID, Limit: 10})
		require.Error(t, err)
	}
	for _, scope := range []tenant.Scope{{}, tenant.Operator()} {
		_, err := s.Search(ctx, scope, Query{Kind: Message, Limit: 10})
		require.ErrorIs(t, err, errScope)
		_, _, err = s.Lookup(ctx, scope, ByKey, "key")
		require.ErrorIs(t, err, errScope)
	}
	// a tenant's own names do not clash with another's
	require.NoError(t, commit1(t, s, Change{Ref: newRef(other, Message), Events: event(1, "x"), Names: []Name{{Space: ByKey, Key: "key", Exclusive: true}}}))
}

func TestLateEntryComesBehindTheCursor(t *testing.T) {
	s := open(t, testOptions(t))
	now := time.Now()
	put := func(at time.Time) Ref {
		m := newRef(acme, Message)
		require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "x"), Due: &Due{Queue: "q", At: at}}))
		return m
	}
	wake := s.Wake("q")
	first := put(now.Add(-time.Hour))
	<-wake
	ahead := now.Add(time.Hour) // a reader whose clock is ahead
	items, err := s.Due(nil, "q", Cursor{}, ahead, 10)
	require.NoError(t, err)
	require.Len(t, items, 1)
	require.Equal(t, first, items[0].Ref)
	second, third := put(now.Add(-2*time.Hour)), put(time.Time{})
	_, due, err := s.NextDue("q", items[0].Cursor)
	require.NoError(t, err)
	require.True(t, due)
	items, err = s.Due(items[:0], "q", items[0].Cursor, ahead, 10)
	require.NoError(t, err)
	require.Equal(t, []Ref{second, third}, []Ref{items[0].Ref, items[1].Ref})
	queues, err := s.Queues()
	require.NoError(t, err)
	require.Equal(t, []string{"q"}, queues)
	put(now.Add(2 * time.Hour))
	n, oldest, err := s.Waiting("q", time.Now(), 10)
	require.NoError(t, err)
	require.Equal(t, 3, n, "what is due later does not wait")
	require.WithinDuration(t, now, oldest, 10*time.Second, "no earlier than it was put in")
	n, _, err = s.Waiting("q", ahead.Add(2*time.Hour), 2)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, oldest, err = s.Waiting("r", time.Now(), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Zero(t, oldest)
}

func TestConcurrentReaderOfAQueueMissesNothing(t *testing.T) {
	s := open(t, testOptions(t))
	const total = 2000
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range total / 8 {
				if errs, err := s.Commit(context.Background(), Tx{{Ref: newRef(acme, Message), Events: event(1, "x"), Due: &Due{Queue: "q"}}}); err != nil || errs[0] != nil {
					t.Error(errs, err)
				}
			}
		})
	}
	seen := map[Ref]int{}
	var cursor Cursor
	for len(seen) < total {
		items, err := s.Due(nil, "q", cursor, time.Now(), 100)
		require.NoError(t, err)
		for _, i := range items {
			seen[i.Ref]++
			require.Equal(t, 1, seen[i.Ref])
			cursor = i.Cursor
		}
		if len(items) == 0 {
			select {
			case <-s.Wake("q"):
			case <-time.After(5 * time.Second):
				t.Fatalf("%d of %d seen", len(seen), total)
			}
		}
	}
	all.Wait()
}

func TestFollowerSeesEverythingInOrderOverRestarts(t *testing.T) {
	o := testOptions(t)
	var seen []string
	n := 0
	for round := range 4 {
		s := open(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		want := n + 50
		done := make(chan error, 1)
		go func() {
			done <- s.Follow(ctx, "callbacks", func(batch []Event, lost bool) error {
				for _, e := range batch {
					seen = append(seen, string(e.Data))
				}
				if len(seen) >= want {
					cancel()
				}
				return nil
			})
		}()
		for ; n < want; n++ {
			require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, fmt.Sprint(n))}))
		}
		require.ErrorIs(t, <-done, context.Canceled)
		require.ErrorContains(t, func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			s.readers.join("twice")
			return s.Follow(ctx, "twice", nil)
		}(), "following already")
		require.NoError(t, s.Close())
		if round == 1 {
			require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
		}
	}
	require.Len(t, seen, n)
	for i, d := range seen {
		require.Equal(t, fmt.Sprint(i), d)
	}
}

func TestLiveFollowerIsDroppedBehind(t *testing.T) {
	s := open(t, testOptions(t))
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "before")}))
	inside, goOn := make(chan struct{}), make(chan struct{})
	type batch struct {
		events []Event
		lost   bool
	}
	batches := make(chan batch, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		first := true
		done <- s.Follow(ctx, "", func(events []Event, lost bool) error {
			batches <- batch{slices.Clone(events), lost}
			if first {
				first = false
				close(inside)
				<-goOn
			}
			return nil
		})
	}()
	<-started
	for waiting := true; waiting; { // until the follower is there
		require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "live")}))
		select {
		case <-inside:
			waiting = false
		default:
		}
	}
	for range 30 {
		require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, File), Events: event(2, strings.Repeat("x", 4<<20))}))
	}
	close(goOn)
	first := <-batches
	require.False(t, first.lost)
	require.Equal(t, "live", string(first.events[0].Data))
	require.True(t, (<-batches).lost)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

func TestSealedContentIsUnreadableOnDisk(t *testing.T) {
	o := testOptions(t)
	o.Registerer = prometheus.NewRegistry()
	s := open(t, o)
	day := time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC) // the second of November in Tokyo
	const plain = "本日のご利用額は〇〇円です plain-text-needle"
	box, err := s.Seal(acme, "bulk", day, "m/text", []byte(plain))
	require.NoError(t, err)
	keyed, err := s.Keyed(acme, "number", "+819000000000")
	require.NoError(t, err)
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: []NewEvent{{Data: box}}, Terms: []Term{{1, string(keyed[:])}}}))
	require.NoError(t, s.Close())
	needles := 0
	require.NoError(t, filepath.WalkDir(o.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.False(t, bytes.Contains(b, []byte("plain-text-needle")) || bytes.Contains(b, []byte("819000000000")), path)
			if bytes.Contains(b, box) {
				needles++
			}
		}
		return err
	}))
	require.NotZero(t, needles, "the box itself is found, so the scan works")

	rotated, err := RotateStopped(o.Dir, o.MasterKey)
	require.NoError(t, err)
	require.Equal(t, 2, rotated.Rewrapped, "data key and hash key")
	s = open(t, o)
	again, err := s.Keyed(acme, "number", "+819000000000")
	require.NoError(t, err)
	require.Equal(t, keyed, again)
	for purpose, id := range map[string]tenant.ID{"number": other, "last4": acme} {
		differs, err := s.Keyed(id, purpose, "+819000000000")
		require.NoError(t, err)
		require.NotEqual(t, keyed, differs)
	}
	got, err := s.Open(acme, "m/text", box)
	require.NoError(t, err)
	require.Equal(t, plain, string(got))
	_, err = s.Open(other, "m/text", box)
	require.ErrorIs(t, err, errSeal)
	_, err = s.Open(acme, "m/page", box)
	require.ErrorIs(t, err, errSeal)
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		_, err = s.Open(acme, "m/text", bad)
		require.Error(t, err, "byte %d", i)
	}
	later, err := s.Seal(acme, "bulk", day.AddDate(0, 0, 1), "m/text", []byte(plain))
	require.NoError(t, err)
	n, err := s.EraseKeys(day.AddDate(0, 0, 1), acme, "bulk")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for range 2 {
		_, err = s.Open(acme, "m/text", box)
		require.ErrorIs(t, err, ErrErased)
		_, err = s.Seal(acme, "bulk", day, "m/text", nil)
		require.ErrorIs(t, err, ErrErased)
		got, err = s.Open(acme, "m/text", later)
		require.NoError(t, err)
		require.Equal(t, plain, string(got))
		require.NoError(t, s.Close())
		s = open(t, o)
	}
}

func TestEndedNamesAreSwept(t *testing.T) {
	o := testOptions(t)
	now := time.Now()
	o.Now = func() time.Time { return now }
	s := open(t, o)
	m := newRef(acme, Message)
	var names []Name
	for i := range 2 * sweepStep {
		names = append(names, Name{Space: BySMSCID, Key: fmt.Sprint("ends ", i), Until: now.Add(time.Minute)})
	}
	names = append(names, Name{Space: BySMSCID, Key: "stays"}, Name{Space: BySMSCID, Key: "while open", Until: now.Add(time.Minute), WhileOpen: true})
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head"), Names: names}))
	sweep := func(want int) {
		t.Helper()
		n, err := s.sweepNames()
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	sweep(0)
	now = now.Add(time.Minute)
	sweep(2 * sweepStep)
	sweep(0)
	for _, key := range []string{"stays", "while open"} {
		_, _, err := s.Lookup(t.Context(), tenant.Operator(), BySMSCID, key)
		require.NoError(t, err)
	}
	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 1, Final: true}))
	sweep(1)
}

func TestFloodOnOneStreamIsCountedOnce(t *testing.T) {
	s := open(t, testOptions(t))
	m := newRef(acme, Audit)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head")}))
	const total = 5000
	var all sync.WaitGroup
	all.Add(total)
	for i := range total {
		require.NoError(t, s.CommitAsync([]Tx{{{Ref: m, Expect: Any, Events: event(2, fmt.Sprint(i))}}}, func(errs []error) {
			if errs[0] != nil {
				t.Error(errs)
			}
			all.Done()
		}))
	}
	all.Wait()
	events, err := s.LoadFrom(t.Context(), tenant.Only(acme), m, 1)
	require.NoError(t, err)
	require.Len(t, events, total)
	for i, e := range events {
		require.Equal(t, fmt.Sprint(i), string(e.Data))
	}
}

func TestReaderIsNotShownPastAGroupOnItsWay(t *testing.T) {
	var f floors
	at := time.Unix(100, 0)
	snapshot := func(uint32) error { return nil }
	limit := func(now time.Time) time.Time {
		n, err := f.limit(now.UnixNano(), at.UnixNano(), snapshot)
		require.NoError(t, err)
		return time.Unix(0, n)
	}
	ahead := at.Add(time.Hour)
	require.Equal(t, at, limit(at))
	require.Equal(t, at.UnixNano(), f.open(at))
	require.Equal(t, at, limit(ahead), "the group's entries may lie from its floor on")
	f.close()
	at = at.Add(time.Minute)
	require.Equal(t, ahead, limit(ahead))
	require.Equal(t, at.UnixNano(), f.open(at.Add(-time.Second)), "behind what has been read, but a look into the future moves nothing")
}

func TestLifeWrittenAheadOfTheMarkIsReplayedOnce(t *testing.T) {
	o := testOptions(t)
	o.Flush = time.Hour
	s := open(t, o)
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "0"), Due: &Due{Queue: "a"}}))
	mark, olds := s.index.change()
	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 1, Events: event(2, "1"), Due: &Due{Queue: "b"}}))
	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 2, Events: event(3, "2"), Due: &Due{Queue: "c"}}))
	require.NoError(t, s.index.finish(mark, olds))
	require.NoError(t, s.index.db.Flush())
	crashed := o
	crashed.Dir = filepath.Join(t.TempDir(), "crashed")
	require.NoError(t, os.CopyFS(crashed.Dir, os.DirFS(o.Dir))) // as a killed process leaves it
	s = open(t, crashed)
	events, err := s.Load(t.Context(), tenant.Only(acme), m)
	require.NoError(t, err)
	require.Equal(t, []string{"0", "1", "2"}, datas(events))
	queues, err := s.Queues()
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, queues)
}
