package link

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func record(t *testing.T) *store.Store {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	s, err := store.Open(store.Options{
		Dir: filepath.Join(dir, "data"), MasterKey: key, Log: slog.New(slog.DiscardHandler),
		Pace: 200 * time.Microsecond, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// accept commits a message with a link.
func accept(t *testing.T, s *store.Store, token string) (store.Ref, *message.Head) {
	t.Helper()
	ref := store.Ref{Tenant: "water", Kind: store.Message, ID: ulid.MustNew(ulid.Now(), rand.Reader)}
	h := &message.Head{V: 1, Token: token, LinkExpires: time.Now().Add(time.Hour), StateUntil: time.Now().Add(48 * time.Hour), Code: true}
	commit(t, s, store.Change{
		Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Encode(h)}},
		Names: []store.Name{{Space: store.ByToken, Key: token, Exclusive: true}},
	})
	return ref, h
}

func revoke(t *testing.T, s *store.Store, ref store.Ref) {
	t.Helper()
	commit(t, s, store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: byte(message.Revoked), Data: message.Encode(message.Act{By: "user:a"})}}})
}

func commit(t *testing.T, s *store.Store, c store.Change) {
	t.Helper()
	errs, err := s.Commit(context.Background(), store.Tx{c})
	require.NoError(t, err)
	require.NoError(t, errs[0])
}

func open(t *testing.T, fs vfs.FS, r Record) *Links {
	t.Helper()
	l, err := Open(Options{Dir: "links", FS: fs, Record: r})
	require.NoError(t, err)
	return l
}

func TestLinkOpensAsSoonAsItIsPut(t *testing.T) {
	s := record(t)
	l := open(t, vfs.NewMem(), s)
	defer l.Close()
	ref, h := accept(t, s, "a/SQND01gr")
	want, ok := Of(ref, h)
	require.True(t, ok)
	want.Code = true
	require.NoError(t, l.Put([]Link{want}))
	got, ok, err := l.Kept("a/SQND01gr")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, want.Expires.Equal(got.Expires) && want.StateUntil.Equal(got.StateUntil))
	require.Equal(t, ref, got.Ref())
	require.True(t, got.Identity && got.Code)
	require.False(t, got.Revoked)
}

func TestMissAsksTheRecordAndKeepsTheAnswer(t *testing.T) {
	s := record(t)
	l := open(t, vfs.NewMem(), s)
	defer l.Close()
	ref, _ := accept(t, s, "a/SQND01gr")
	got, ok, err := l.Get(t.Context(), "a/SQND01gr")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, ref, got.Ref())
	_, ok, _ = l.Kept("a/SQND01gr")
	require.True(t, ok, "it is kept from then on")

	for _, unknown := range []string{"a/SQND01gs", "", "a/", string(make([]byte, 5000))} {
		_, ok, err := l.Get(t.Context(), unknown)
		require.NoError(t, err)
		require.False(t, ok)
	}
}

// A crash loses what was not synced; a deleted directory loses everything. Both come back from the record, and a
// revocation is never undone by it.
func TestLostEntriesComeBackFromTheRecord(t *testing.T) {
	s := record(t)
	mem := vfs.NewCrashableMem()
	l := open(t, mem, s)
	live, h := accept(t, s, "a/live234567")
	dead, hd := accept(t, s, "a/dead234567")
	a, _ := Of(live, h)
	b, _ := Of(dead, hd)
	require.NoError(t, l.Put([]Link{a, b}))
	crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	require.NoError(t, l.Close())
	revoke(t, s, dead)

	for name, fs := range map[string]vfs.FS{"crash": crashed, "deleted": vfs.NewMem()} {
		l := open(t, fs, s)
		_, kept, _ := l.Kept("a/live234567")
		require.False(t, kept, "%s: the test is of a loss", name)
		got, ok, err := l.Get(t.Context(), "a/live234567")
		require.NoError(t, err, name)
		require.True(t, ok, name)
		require.False(t, got.Revoked, name)
		got, ok, err = l.Get(t.Context(), "a/dead234567")
		require.NoError(t, err, name)
		require.True(t, ok, name)
		require.True(t, got.Revoked, name)
		require.NoError(t, l.Close())
	}
}

func TestRevocationReachesTheEntryAndSurvivesACrash(t *testing.T) {
	s := record(t)
	mem := vfs.NewCrashableMem()
	l := open(t, mem, s)
	ref, h := accept(t, s, "a/SQND01gr")
	entry, _ := Of(ref, h)
	require.NoError(t, l.Put([]Link{entry}))

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	revoke(t, s, ref)
	require.Eventually(t, func() bool {
		got, _, err := l.Get(t.Context(), "a/SQND01gr")
		return err == nil && got.Revoked
	}, 20*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended) // Get may show what is being synced; the end of Run waits for that
	crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	require.NoError(t, l.Close())

	after := open(t, crashed, s)
	defer after.Close()
	got, ok, err := after.Kept("a/SQND01gr")
	require.NoError(t, err)
	require.True(t, ok && got.Revoked)
}

// slowRecord lets something happen between the reading of a stream and what is made of it.
type slowRecord struct {
	*store.Store
	loaded func()
}

func (r *slowRecord) Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error) {
	events, err := r.Store.Load(ctx, scope, ref)
	if r.loaded != nil {
		r.loaded()
	}
	return events, err
}

func TestOlderReadingNeverUndoesARevocation(t *testing.T) {
	s := record(t)
	r := &slowRecord{Store: s}
	l := open(t, vfs.NewMem(), r)
	defer l.Close()
	ref, h := accept(t, s, "a/SQND01gr")
	entry, _ := Of(ref, h)
	r.loaded = func() {
		r.loaded = nil
		entry.Revoked = true
		require.NoError(t, l.mark(entry))
	}
	got, ok, err := l.Get(t.Context(), "a/SQND01gr")
	require.NoError(t, err)
	require.True(t, ok && got.Revoked)
}

func TestSweepDropsWhatEndedLongAgo(t *testing.T) {
	s := record(t)
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	l, err := Open(Options{Dir: "links", FS: vfs.NewMem(), Record: s, Now: func() time.Time { return now }})
	require.NoError(t, err)
	defer l.Close()
	var all []Link
	for i := range 2500 {
		until := now.Add(time.Hour)
		if i%2 == 0 {
			until = now.Add(-dropAfter - time.Hour)
		}
		all = append(all, Link{Token: fmt.Sprintf("a/%08d", i), Tenant: "water", Expires: until, StateUntil: until})
	}
	require.NoError(t, l.Put(all))
	dropped, err := l.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1250, dropped)
	for i := range all {
		_, ok, err := l.Kept(all[i].Token)
		require.NoError(t, err)
		require.Equal(t, i%2 == 1, ok)
	}
}

func BenchmarkKept(b *testing.B) {
	l, err := Open(Options{Dir: b.TempDir()})
	require.NoError(b, err)
	defer l.Close()
	var all []Link
	for i := range 100_000 {
		all = append(all, Link{Token: fmt.Sprintf("a/%010d", i), Tenant: "water"})
	}
	require.NoError(b, l.Put(all))
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i = (i + 7919) % len(all)
		if _, ok, _ := l.Kept(all[i].Token); !ok {
			b.Fatal("lost")
		}
	}
}
