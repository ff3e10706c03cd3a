package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// lively fills an open store with what a record holds: streams of several kinds and lengths, names that hold and that
// have ended, terms, queues, sealed content, a named reader.
func lively(t testing.TB, s *Store, n int) (refs []Ref) {
	t.Helper()
	now := time.Now()
	for i := range n {
		id := []tenant.ID{acme, other}[i%2]
		m := newRef(id, Message)
		refs = append(refs, m)
		box, err := s.Seal(id, "bulk", now, m.ID.String(), []byte("〇〇のお知らせ"))
		require.NoError(t, err)
		key := m.ID.String()
		require.NoError(t, commit1(t, s, Change{
			Ref: m, Events: []NewEvent{{Type: 1, Data: box}}, Terms: []Term{{1, "h4sh"}, {2, fmt.Sprint(i % 3)}}, Due: &Due{Queue: "docomo/bulk", At: now},
			Names: []Name{{Space: ByToken, Key: key, Exclusive: true}, {Space: ByKey, Key: key, Until: now.Add(-time.Hour)}},
		}))
		if i%3 == 0 {
			require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 1, Events: event(2, "delivered"), Due: &Due{}, Final: true}))
		}
	}
	long := newRef(acme, Audit)
	events := make([]NewEvent, 3*chunkLen+5)
	for i := range events {
		events[i] = NewEvent{Type: 1, Data: fmt.Append(nil, i)}
	}
	require.NoError(t, commit1(t, s, Change{Ref: long, Events: events}))
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, s.Follow(ctx, "callbacks", func([]Event, bool) error { cancel(); return nil }), context.Canceled)
	return append(refs, long)
}

func backupIn(dir string) BackupOptions {
	return BackupOptions{Dir: filepath.Join(dir, "record"), Keys: filepath.Join(dir, "keys.json")}
}

// restoreOf is where a test restores to.
func restoreOf(t testing.TB, o Options, b BackupOptions) RestoreOptions {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "restored")
	return RestoreOptions{Options: o, From: b.Dir, Keys: b.Keys}
}

func TestBackupUnderLoadHoldsWhatWasAcknowledged(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s := open(t, o)
	refs := lively(t, s, 40)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var mu sync.Mutex
	acked := append([]Ref(nil), refs...)
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				m := newRef(acme, Message)
				errs, err := s.Commit(context.Background(), Tx{{Ref: m, Events: event(1, m.ID.String()), Due: &Due{Queue: "au/bulk"}}})
				if err != nil || errs[0] != nil {
					panic(fmt.Sprint(err, errs))
				}
				mu.Lock()
				acked = append(acked, m)
				mu.Unlock()
			}
		})
	}
	b.Rate = 64 << 20
	var first *BackupReport
	for range 3 { // each adds what is new
		mu.Lock()
		before := append([]Ref(nil), acked...)
		mu.Unlock()
		report, err := s.Backup(t.Context(), b)
		require.NoError(t, err)
		if first == nil {
			first = report
			refs = before
		} else {
			require.Less(t, report.New, report.Last)
		}
	}
	stop()
	load.Wait()
	require.NoError(t, s.Close())

	r := restoreOf(t, o, b)
	r.From = first.Record
	restored, report, err := Restore(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.Equal(t, first.Last, restored.Last)
	require.Equal(t, first.Last, report.Groups)
	again := open(t, r.Options)
	for _, ref := range refs {
		events, err := again.Load(t.Context(), tenant.Only(ref.Tenant), ref)
		require.NoError(t, err)
		require.NotEmpty(t, events)
	}
	events, err := again.Load(t.Context(), tenant.Only(acme), refs[0])
	require.NoError(t, err)
	plain, err := again.Open(acme, refs[0].ID.String(), events[0].Data)
	require.NoError(t, err)
	require.Equal(t, "〇〇のお知らせ", string(plain))
	require.NotZero(t, again.readers.places()["callbacks"])
	was, err := again.Restored()
	require.NoError(t, err)
	require.Equal(t, first.Last, was.Last)
	require.NoError(t, again.SettleRestored())
	was, err = again.Restored()
	require.NoError(t, err)
	require.Nil(t, was)
	require.NoError(t, commit1(t, again, Change{Ref: newRef(acme, Message), Events: event(1, "goes on")}))

	_, err = again.Backup(t.Context(), b)
	require.ErrorContains(t, err, "before this store was restored")
	for _, file := range mustGlob(t, filepath.Join(b.Dir, "*")) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "class-bulk", "keys lie apart")
	}
}

func mustGlob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return paths
}

func TestErasedContentIsGoneFromOlderBackupsToo(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s := open(t, o)
	m := lively(t, s, 1)[0]
	older, err := s.Backup(t.Context(), b)
	require.NoError(t, err)
	n, err := s.EraseKeys(time.Now().AddDate(0, 0, 1), acme, "bulk")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = s.Backup(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	r := restoreOf(t, o, b)
	r.From = older.Record
	_, report, err := Restore(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	s = open(t, r.Options)
	events, err := s.Load(t.Context(), tenant.Only(acme), m)
	require.NoError(t, err)
	_, err = s.Open(acme, m.ID.String(), events[0].Data)
	require.ErrorIs(t, err, ErrErased)
}

func TestBackupOfStoppedStoreChangesNothing(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s, err := Open(o)
	require.NoError(t, err)
	lively(t, s, 5)
	_, err = BackupStopped(t.Context(), o, b)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, s.Close())
	before := tree(t, o.Dir)
	_, err = BackupStopped(t.Context(), o, b)
	require.NoError(t, err)
	require.Equal(t, before, tree(t, o.Dir))
	require.NoDirExists(t, o.Dir+".view")
	_, report, err := Restore(t.Context(), restoreOf(t, o, b))
	require.NoError(t, err)
	require.Empty(t, report.Findings)
}

// tree is the content of all files below dir.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(b)
		return err
	}))
	return files
}

func TestBackupRefuses(t *testing.T) {
	o := testOptions(t)
	s := open(t, o)
	lively(t, s, 2)
	refuse := func(name, want string, spoil func(t *testing.T, b *BackupOptions)) {
		t.Run(name, func(t *testing.T) {
			b := backupIn(t.TempDir())
			spoil(t, &b)
			_, err := s.Backup(t.Context(), b)
			require.ErrorContains(t, err, want)
		})
	}
	refuse("record inside the data", "lies in", func(_ *testing.T, b *BackupOptions) { b.Dir = filepath.Join(o.Dir, "deep", "record") })
	refuse("data inside the record", "lies in", func(_ *testing.T, b *BackupOptions) { b.Dir = filepath.Dir(o.Dir) })
	refuse("keys inside the data", "lies in", func(_ *testing.T, b *BackupOptions) { b.Keys = filepath.Join(o.Dir, "keys.json") })
	refuse("keys inside the record", "lies in", func(_ *testing.T, b *BackupOptions) { b.Keys = filepath.Join(b.Dir, "keys.json") })
	refuse("relative path", "no absolute path", func(_ *testing.T, b *BackupOptions) { b.Keys = "keys.json" })
	refuse("a link into the data", "lies in", func(t *testing.T, b *BackupOptions) {
		require.NoError(t, os.Symlink(o.Dir, filepath.Join(filepath.Dir(b.Dir), "link")))
		b.Dir = filepath.Join(filepath.Dir(b.Dir), "link", "record")
	})
	refuse("a directory of something else", "is no backup", func(t *testing.T, b *BackupOptions) {
		require.NoError(t, os.Mkdir(b.Dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(b.Dir, "letters"), nil, 0o600))
	})
	refuse("a directory that others read", "may be read by others", func(t *testing.T, b *BackupOptions) {
		require.NoError(t, os.Mkdir(b.Dir, 0o750))
	})
	refuse("a file of something else", "it is not replaced", func(t *testing.T, b *BackupOptions) {
		require.NoError(t, os.WriteFile(b.Keys, []byte("himitsu"), 0o600))
	})
	refuse("the keys of another store", "the keys of store", func(t *testing.T, b *BackupOptions) {
		o2 := testOptions(t)
		_, err := open(t, o2).Backup(t.Context(), BackupOptions{Dir: filepath.Join(t.TempDir(), "r"), Keys: b.Keys})
		require.NoError(t, err)
	})
	refuse("the backup of another store", "a backup of store", func(t *testing.T, b *BackupOptions) {
		o2 := testOptions(t)
		_, err := open(t, o2).Backup(t.Context(), BackupOptions{Dir: b.Dir, Keys: filepath.Join(t.TempDir(), "k")})
		require.NoError(t, err)
	})
	refuse("a backup under way", "being made there already", func(t *testing.T, b *BackupOptions) {
		first, inside, outcome := *b, make(chan struct{}), make(chan error, 1)
		var once sync.Once
		ctx, cancel := context.WithCancel(t.Context())
		first.Rate = 1
		first.Tell = func(Progress) { once.Do(func() { close(inside) }) }
		go func() {
			_, err := s.Backup(ctx, first)
			outcome <- err
		}()
		<-inside
		t.Cleanup(func() {
			cancel()
			require.ErrorIs(t, <-outcome, context.Canceled)
			_, _, err := Restore(t.Context(), restoreOf(t, o, *b))
			require.ErrorContains(t, err, "no record in it")
		})
	})
}

// An older state does not know keys that were made after it; their only copy is not overwritten.
func TestKeysOfALaterStateAreNotReplaced(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s := open(t, o)
	_, err := s.Backup(t.Context(), b)
	require.NoError(t, err)
	old, err := os.ReadFile(b.Keys)
	require.NoError(t, err)
	lively(t, s, 2)
	_, err = s.Backup(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	r := restoreOf(t, o, b)
	r.From = mustGlob(t, filepath.Join(b.Dir, recordPattern))[0]
	r.Keys = filepath.Join(t.TempDir(), "old.json")
	require.NoError(t, os.WriteFile(r.Keys, old, 0o600))
	_, _, err = Restore(t.Context(), r)
	require.NoError(t, err)
	later, err := os.ReadFile(b.Keys)
	require.NoError(t, err)
	_, err = BackupStopped(t.Context(), r.Options, BackupOptions{Dir: filepath.Join(t.TempDir(), "new"), Keys: b.Keys})
	require.ErrorContains(t, err, "a key that this store does not know")
	now, err := os.ReadFile(b.Keys)
	require.NoError(t, err)
	require.Equal(t, later, now)
}

func TestDamagedBackupIsNotRestored(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s := open(t, o)
	lively(t, s, 3)
	for range 2 {
		_, err := s.Backup(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "more")}))
	}
	segments := mustGlob(t, filepath.Join(b.Dir, "segment-*"))
	require.Len(t, segments, 2)
	records := mustGlob(t, filepath.Join(b.Dir, recordPattern))
	record := records[1]
	flip := func(path string, at int) func(t *testing.T) {
		return func(t *testing.T) {
			edit(t, path, func(raw []byte) []byte {
				raw[(at+len(raw))%len(raw)] ^= 1
				return raw
			})
		}
	}
	for name, spoil := range map[string]func(t *testing.T){
		"segment's begin": flip(segments[0], 3), "segment's store": flip(segments[0], 10), "group": flip(segments[0], 100), "segment's end": flip(segments[0], -40),
		"segment's sum": flip(segments[0], -1), "record": flip(record, 120), "keys": flip(b.Keys, 200),
		"record before": flip(records[0], 120), "record before lost": func(t *testing.T) { require.NoError(t, os.Remove(records[0])) },
		"segment lost":     func(t *testing.T) { require.NoError(t, os.Remove(segments[0])) },
		"segment cut":      func(t *testing.T) { edit(t, segments[1], func(raw []byte) []byte { return raw[:len(raw)-50] }) },
		"segment longer":   func(t *testing.T) { edit(t, segments[1], func(raw []byte) []byte { return append(raw, 0) }) },
		"segments swapped": func(t *testing.T) { swap(t, segments[0], segments[1]) },
	} {
		t.Run(name, func(t *testing.T) {
			kept := map[string]map[string]string{b.Dir: tree(t, b.Dir), filepath.Dir(b.Keys): {"/keys.json": tree(t, filepath.Dir(b.Keys))["/keys.json"]}}
			spoil(t)
			r := restoreOf(t, o, b)
			_, _, err := Restore(t.Context(), r)
			require.Error(t, err)
			require.NoDirExists(t, r.Dir)
			for dir, files := range kept {
				for file, content := range files {
					require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
				}
			}
			_, _, err = Restore(t.Context(), r)
			require.NoError(t, err, "what the failed one left is no obstacle")
		})
	}
}

func swap(t testing.TB, a, b string) {
	t.Helper()
	require.NoError(t, os.Rename(a, a+"~"))
	require.NoError(t, os.Rename(b, a))
	require.NoError(t, os.Rename(a+"~", b))
}

func TestRestoreRefuses(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s := open(t, o)
	lively(t, s, 2)
	_, err := s.Backup(t.Context(), b)
	require.NoError(t, err)
	refuse := func(want string, spoil func(r *RestoreOptions)) {
		t.Helper()
		r := restoreOf(t, o, b)
		spoil(&r)
		_, _, err := Restore(t.Context(), r)
		require.ErrorContains(t, err, want)
	}
	older, err := os.ReadFile(b.Keys)
	require.NoError(t, err)
	_, err = s.Backup(t.Context(), b)
	require.NoError(t, err)
	refuse("older than the record", func(r *RestoreOptions) {
		r.Keys = filepath.Join(t.TempDir(), "keys.json")
		require.NoError(t, os.WriteFile(r.Keys, older, 0o600))
	})
	refuse("is not empty", func(r *RestoreOptions) { r.Dir = o.Dir })
	refuse("lies in", func(r *RestoreOptions) { r.Dir = filepath.Join(b.Dir, "data") })
	refuse("no such file", func(r *RestoreOptions) { r.From += "x" })
	refuse("no such file", func(r *RestoreOptions) { r.Keys += "x" })
	refuse("no record in it", func(r *RestoreOptions) { r.From = t.TempDir() })
	refuse("is not this store's", func(r *RestoreOptions) {
		r.MasterKey = filepath.Join(t.TempDir(), "key")
		require.NoError(t, NewMasterKey(r.MasterKey))
	})
	refuse("in use by another process", func(r *RestoreOptions) {
		require.NoError(t, os.Mkdir(r.Dir+".restoring", 0o700))
		lock, err := lockDir(r.Dir + ".restoring")
		require.NoError(t, err)
		t.Cleanup(func() { lock.Close() })
	})
}
