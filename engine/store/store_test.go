package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	acme  = tenant.ID("acme")
	other = tenant.ID("other")
)

// testOptions are those of a new store in a directory of the test; a second call in a test gives the same ones.
func testOptions(t testing.TB) Options {
	t.Helper()
	return optionsIn(t, t.TempDir())
}

func optionsIn(t testing.TB, dir string) Options {
	t.Helper()
	key := filepath.Join(dir, "master.key")
	if _, err := os.Stat(key); err != nil {
		require.NoError(t, NewMasterKey(key))
	}
	return Options{
		Dir: filepath.Join(dir, "data"), MasterKey: key,
		Log:  slog.New(slog.DiscardHandler),
		Pace: 200 * time.Microsecond, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20,
		Fatal: func(err error) { panic(fmt.Sprintf("store failed: %v", err)) },
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func newRef(t tenant.ID, kind Kind) Ref {
	return Ref{t, kind, ulid.MustNew(ulid.Timestamp(time.Now()), rand.Reader)}
}

func event(typ byte, data string) []NewEvent { return []NewEvent{{Type: typ, Data: []byte(data)}} }

// commit1 commits one transaction and returns its outcome.
func commit1(t testing.TB, s *Store, changes ...Change) error {
	t.Helper()
	errs, err := s.Commit(context.Background(), Tx(changes))
	require.NoError(t, err)
	require.Len(t, errs, 1)
	return errs[0]
}

func datas(events []Event) (out []string) {
	for i, e := range events {
		if int(e.Seq) != i {
			return []string{fmt.Sprintf("event %d has number %d", i, e.Seq)}
		}
		out = append(out, string(e.Data))
	}
	return out
}

func TestLifeOfAMessage(t *testing.T) {
	ctx := t.Context()
	o := testOptions(t)
	s := open(t, o)
	at := time.Date(2026, 11, 1, 3, 4, 5, 678, time.UTC)
	m := newRef(acme, Message)
	no := s.NextNo(at)
	require.Equal(t, "20261101000000001", no)
	require.NoError(t, commit1(t, s, Change{
		Ref: m, Events: []NewEvent{{Type: 1, At: at, Data: []byte("accepted")}},
		Names: []Name{{Space: ByToken, Key: "SQND01gr", Exclusive: true}, {Space: ByNo, Key: no}, {Space: ByKey, Key: "k1", Value: []byte("digest"), Exclusive: true}},
		Terms: []Term{{1, "h4sh"}, {2, "c1"}},
		Due:   &Due{Queue: "docomo/bulk", At: at},
	}))

	check := func(s *Store) {
		ref, _, err := s.Lookup(ctx, tenant.Operator(), ByToken, "SQND01gr")
		require.NoError(t, err)
		require.Equal(t, m, ref)
		ref, value, err := s.Lookup(ctx, tenant.Only(acme), ByKey, "k1")
		require.NoError(t, err)
		require.Equal(t, m, ref)
		require.Equal(t, "digest", string(value))
		refs, err := s.Search(ctx, tenant.Only(acme), Query{Kind: Message, Terms: []Term{{2, "c1"}, {1, "h4sh"}}, Limit: 10})
		require.NoError(t, err)
		require.Equal(t, []Ref{m}, refs)
	}
	check(s)
	due, err := s.Due(nil, "docomo/bulk", Cursor{}, time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, m, due[0].Ref)

	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 1, Events: event(2, "submitting"), Due: &Due{}}))
	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: Any, Events: event(3, "submitted"), Names: []Name{{Space: BySMSCID, Key: "docomo/1"}}}))
	require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 3, Events: event(4, "delivered"), Final: true}))
	events, err := s.Load(ctx, tenant.Only(acme), m)
	require.NoError(t, err)
	require.Equal(t, []string{"accepted", "submitting", "submitted", "delivered"}, datas(events))
	require.Equal(t, at, events[0].At)
	require.Equal(t, m, events[3].Ref)

	require.NoError(t, s.Close())
	s = open(t, o)
	check(s)
	again, err := s.Load(ctx, tenant.Operator(), m)
	require.NoError(t, err)
	require.Equal(t, events, again)
	due, err = s.Due(nil, "docomo/bulk", Cursor{}, time.Now(), 10)
	require.NoError(t, err)
	require.Empty(t, due)
	require.Equal(t, "20261101000000002", s.NextNo(at))
}
