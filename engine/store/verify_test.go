package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
)

func verified(t testing.TB, o Options) *VerifyReport {
	t.Helper()
	before := tree(t, o.Dir)
	report, err := Verify(t.Context(), VerifyOptions{Options: o})
	require.NoError(t, err)
	require.NoDirExists(t, o.Dir+".view")
	require.Equal(t, before, tree(t, o.Dir), "verifying changes nothing")
	return report
}

func TestVerifyFindsNothingInASoundStore(t *testing.T) {
	o := testOptions(t)
	s, err := Open(o)
	require.NoError(t, err)
	_, err = Verify(t.Context(), VerifyOptions{Options: o})
	require.ErrorContains(t, err, "in use by another process")
	refs := lively(t, s, 20)
	_, err = s.sweepNames()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	report := verified(t, o)
	require.Empty(t, report.Findings)
	require.EqualValues(t, len(refs), report.Streams)
	require.EqualValues(t, 20, report.Names, "those that ended were swept")
	require.EqualValues(t, 20, report.Swept)
	require.EqualValues(t, 13, report.Queued)
	require.Zero(t, report.Behind)

	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
	report = verified(t, o)
	require.Empty(t, report.Findings)
	require.Equal(t, report.Groups, report.Behind, "a start will replay all")
}

// What a killed process leaves is sound too, wherever the index stands.
func TestVerifyFindsNothingAfterAKill(t *testing.T) {
	dir := t.TempDir()
	o := optionsIn(t, dir)
	for range 3 {
		killed(t, "commit", dir, 60*time.Millisecond)
		require.Empty(t, verified(t, o).Findings)
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	kept := testOptions(t)
	kept.ValueLogSize = 1 << 20
	for range 3 { // files of the log, tables of log and index
		s, err := Open(kept)
		require.NoError(t, err)
		lively(t, s, 20)
		require.NoError(t, s.Close())
	}
	file := func(pattern string, n int) func(*testing.T, Options) string {
		return func(t *testing.T, o Options) string {
			paths := slices.DeleteFunc(mustGlob(t, filepath.Join(o.Dir, pattern)), func(p string) bool {
				info, err := os.Stat(p)
				return err != nil || info.Size() < 100 && strings.HasSuffix(p, ".vlog")
			})
			require.Greater(t, len(paths), n, pattern)
			return paths[(n+len(paths))%len(paths)]
		}
	}
	files := map[string]func(*testing.T, Options) string{
		"FORMAT": file(formatFile, 0), "ACKED": file(ackedFile, 0), "READERS": file(readersFile, 0), "keys": file("keys/acme/class-bulk.json", 0),
		"value log": file("log/*.vlog", 0), "table of the log": file("log/*.sst", 0), "manifest of the log": file("log/MANIFEST", 0),
		"table of the index": file("index/*.sst", 0), "manifest of the index": file("index/MANIFEST-*", -1),
	}
	damages := map[string]func(*testing.T, Options, string, string){
		"a byte flipped": func(t *testing.T, _ Options, name, path string) {
			edit(t, path, func(b []byte) []byte {
				at := len(b) / 2
				switch name {
				case "FORMAT": // not between two words
					at = strings.Index(string(b), `"check": "`) + 20
				case "keys":
					at = strings.Index(string(b), `"key": "`) + 20
				}
				b[at] ^= 1
				return b
			})
		},
		"lost": func(t *testing.T, _ Options, _, path string) { require.NoError(t, os.Remove(path)) },
		"cut": func(t *testing.T, _ Options, _, path string) {
			edit(t, path, func(b []byte) []byte { return b[:len(b)*2/3] })
		},
	}
	check := func(t *testing.T, spoil func(t *testing.T, o Options)) {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Dir(kept.Dir))))
		o := optionsIn(t, dir)
		require.NoError(t, os.Chmod(o.MasterKey, 0o600))
		o.ValueLogSize = kept.ValueLogSize
		spoil(t, o)
		report, err := Verify(t.Context(), VerifyOptions{Options: o, Inspect: opensContent})
		if err != nil { // a damaged FORMAT looks like that of another master key
			require.ErrorContains(t, err, "or FORMAT is damaged")
			return
		}
		if report.Behind > 0 && report.Found == 0 { // the index's manifest was cut: that is an earlier index, and no more
			return
		}
		require.NotEmpty(t, report.Findings)
		t.Log(report.Found, report.Findings[0])
		for _, f := range report.Findings {
			require.NotContains(t, f.What, ".view")
		}
	}
	for damage, spoil := range damages {
		for name, path := range files {
			t.Run(name+" "+damage, func(t *testing.T) {
				check(t, func(t *testing.T, o Options) { spoil(t, o, name, path(t, o)) })
			})
		}
	}
	for name, pair := range map[string][2]func(*testing.T, Options) string{
		"value logs": {file("log/*.vlog", 0), file("log/*.vlog", 1)}, "tables of the index": {file("index/*.sst", 0), file("index/*.sst", 1)},
		"keys": {file("keys/acme/class-bulk.json", 0), file("keys/other/class-bulk.json", 0)},
	} {
		t.Run(name+" swapped", func(t *testing.T) {
			check(t, func(t *testing.T, o Options) { swap(t, pair[0](t, o), pair[1](t, o)) })
		})
	}
	t.Run("index of an earlier time", func(t *testing.T) { // it may lie behind, but not have lost something
		check(t, func(t *testing.T, o Options) {
			changeIndex(t, o, func(ix *index) {
				it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyLife}, UpperBound: []byte{keyLife + 1}})
				require.NoError(t, err)
				require.True(t, it.First())
				require.NoError(t, ix.db.Delete(it.Key(), pebble.NoSync))
				require.NoError(t, it.Close())
			})
		})
	})
}

// opensContent finds keys that are lost: what they sealed does not open.
func opensContent(s *Store) func(context.Context, Inspected) error {
	return func(_ context.Context, i Inspected) error {
		if i.Ref.Kind != Message {
			return nil
		}
		_, err := s.Open(i.Ref.Tenant, i.Ref.ID.String(), i.Events[0].Data)
		return err
	}
}

// changeIndex changes a closed store's index behind its back.
func changeIndex(t testing.TB, o Options, fn func(*index)) {
	t.Helper()
	f, err := readFormat(o.Dir)
	require.NoError(t, err)
	ix, err := newIndex(filepath.Join(o.Dir, indexDir), f, o.withDefaults())
	require.NoError(t, err)
	fn(ix)
	require.NoError(t, ix.db.Flush())
	require.NoError(t, ix.db.Close())
}

// Each kind of key that the index and the log disagree on is found, by the name of its stream and without its own.
func TestVerifyComparesIndexAndLogInBothDirections(t *testing.T) {
	o := testOptions(t)
	s, err := Open(o)
	require.NoError(t, err)
	refs := lively(t, s, 6)
	require.NoError(t, s.Close())
	for _, kind := range []byte{keyLife, keyChunk, keyName, keyHead, keyTerm, keyDue} {
		var key, value []byte
		changeIndex(t, o, func(ix *index) {
			it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
			require.NoError(t, err)
			require.True(t, it.Last())
			key, value = slices.Clone(it.Key()), slices.Clone(it.Value())
			require.NoError(t, it.Close())
			require.NoError(t, ix.db.Delete(key, pebble.NoSync))
		})
		report := verified(t, o)
		require.NotEmpty(t, report.Findings, string(kind))
		require.Equal(t, "it is in the log and not in the index", report.Findings[0].What)
		require.True(t, slices.ContainsFunc(refs, func(r Ref) bool { return strings.Contains(report.Findings[0].Of, r.ID.String()) }), report.Findings[0].Of)

		more := slices.Clone(key)
		more[len(more)-1] ^= 1 // another stream, queue place, name …
		changeIndex(t, o, func(ix *index) {
			require.NoError(t, ix.db.Set(key, value, pebble.NoSync))
			require.NoError(t, ix.db.Set(more, value, pebble.NoSync))
		})
		report = verified(t, o)
		require.NotEmpty(t, report.Findings, string(kind))
		require.Equal(t, "it is in the index and not in the log", report.Findings[0].What)
		changeIndex(t, o, func(ix *index) { require.NoError(t, ix.db.Delete(more, pebble.NoSync)) })
		require.Empty(t, verified(t, o).Findings)
	}
}

// What the coordinator would never write is found when it is in the log all the same.
func TestVerifyFindsStreamsThatAreOutOfOrder(t *testing.T) {
	o := testOptions(t)
	s, err := Open(o)
	require.NoError(t, err)
	m := newRef(acme, Message)
	require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "head")}))
	require.NoError(t, s.Close())
	v, err := openBadgerLog(filepath.Join(o.Dir, logDir), o, o.Fatal)
	require.NoError(t, err)
	now := time.Now().UnixNano()
	write := func(seq uint64, entries ...[]byte) {
		group := appendGroupHeader(nil, groupHeader{entries: uint32(len(entries)), time: now, floor: now})
		for _, e := range entries {
			group = append(group, e...)
		}
		require.NoError(t, v.Append(seq, group))
	}
	stranger := newRef(acme, Message)
	write(2, appendEvent(nil, m, 2, 1, now, nil))                  // event 1 is missing
	write(3, appendEvent(nil, m, 1, 1, now-int64(time.Hour), nil)) // older than the head
	write(4, appendEvent(nil, stranger, 1, 1, now, nil))           // no head
	write(5, appendEvent(nil, Ref{other, Message, m.ID}, 2, 1, now, nil))
	require.NoError(t, v.Close())
	report := verified(t, o)
	var all []string
	for _, f := range report.Findings {
		all = append(all, f.Of+": "+f.What)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"follows 1 events", "older than the one before it", "has no head", "of another stream than its id"} {
		require.Contains(t, text, want)
	}
	err = Rebuild(t.Context(), o, func(Progress) {})
	require.ErrorIs(t, err, errDamaged)
}

func TestVerifyTellsWhatInspectorsFindAndKeepsTheFirst(t *testing.T) {
	o := testOptions(t)
	s, err := Open(o)
	require.NoError(t, err)
	refs := lively(t, s, 9)
	require.NoError(t, s.Close())
	queued := 0
	report, err := Verify(t.Context(), VerifyOptions{Options: o, Most: 4, Inspect: func(*Store) func(context.Context, Inspected) error {
		return func(_ context.Context, i Inspected) error {
			if i.Queue != "" && !i.Final && !i.Due.IsZero() {
				queued++
			}
			return fmt.Errorf("%d events are too many", len(i.Events))
		}
	}})
	require.NoError(t, err)
	require.Equal(t, len(refs), report.Found)
	require.Len(t, report.Findings, 4)
	require.Equal(t, 6, queued)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = Verify(ctx, VerifyOptions{Options: o, Tell: func(Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, o.Dir+".view")
}

func TestRebuildMakesTheSameIndex(t *testing.T) {
	o := testOptions(t)
	s, err := Open(o)
	require.NoError(t, err)
	lively(t, s, 10)
	require.ErrorContains(t, Rebuild(t.Context(), o, func(Progress) {}), "in use by another process")
	require.NoError(t, s.Close())
	changeIndex(t, o, func(ix *index) {
		require.NoError(t, ix.db.DeleteRange([]byte{keyName}, []byte{keyName + 1}, pebble.NoSync))
	})
	require.NotEmpty(t, verified(t, o).Findings)
	require.NoError(t, Rebuild(t.Context(), o, func(Progress) {}))
	report := verified(t, o)
	require.Empty(t, report.Findings)
	require.Zero(t, report.Behind)
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
	require.NoError(t, Rebuild(t.Context(), o, func(Progress) {}), "there may be none")
	require.Empty(t, verified(t, o).Findings)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := tree(t, o.Dir)
	require.ErrorIs(t, Rebuild(ctx, o, func(Progress) {}), context.Canceled)
	require.Equal(t, before, tree(t, o.Dir))
}

func TestUpgrade(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	s, err := Open(o)
	require.NoError(t, err)
	lively(t, s, 2)
	_, err = s.Backup(t.Context(), b)
	require.NoError(t, err)
	_, _, err = formats.run(o, b.Dir)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, s.Close())
	from, to, err := Upgrade(o, "")
	require.NoError(t, err)
	require.Equal(t, [2]int{formatVersion, formatVersion}, [2]int{from, to}, "the current format needs neither a step nor a backup")

	// the frame, with steps that only this test has
	marker := filepath.Join(o.Dir, "MARKER")
	broken := errors.New("power is out")
	var fail error
	later := upgrades{current: formatVersion + 2, steps: map[int]func(string) error{
		formatVersion: func(dir string) error { return os.WriteFile(filepath.Join(dir, "MARKER"), nil, 0o600) },
		formatVersion + 1: func(dir string) error {
			return errors.Join(fail, os.WriteFile(filepath.Join(dir, "MARKER"), []byte("2"), 0o600))
		},
	}}
	_, _, err = later.run(o, "")
	require.ErrorContains(t, err, "make a backup first")
	_, _, err = later.run(o, t.TempDir())
	require.ErrorContains(t, err, "no record")
	require.NoFileExists(t, marker)
	s, err = Open(o)
	require.NoError(t, err)
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "newer than the backup")}))
	require.NoError(t, s.Close())
	_, _, err = later.run(o, b.Dir)
	require.ErrorContains(t, err, "was acknowledged since")
	_, err = BackupStopped(t.Context(), o, b)
	require.NoError(t, err)
	fail = broken
	from, to, err = later.run(o, b.Dir)
	require.ErrorIs(t, err, broken)
	require.Equal(t, [2]int{formatVersion, formatVersion + 1}, [2]int{from, to})
	fail = nil
	from, to, err = later.run(o, b.Dir) // goes on where it stopped
	require.NoError(t, err)
	require.Equal(t, [2]int{formatVersion + 1, formatVersion + 2}, [2]int{from, to})
	raw, err := os.ReadFile(filepath.Join(o.Dir, formatFile))
	require.NoError(t, err)
	var f format
	require.NoError(t, json.Unmarshal(raw, &f))
	require.Equal(t, formatVersion+2, f.Version)

	_, _, err = Upgrade(o, b.Dir)
	require.ErrorContains(t, err, "run a newer one")
	_, err = Open(o)
	require.ErrorContains(t, err, "run a newer one")
	_, _, err = Upgrade(Options{Dir: t.TempDir(), MasterKey: o.MasterKey}, "")
	require.ErrorContains(t, err, "there is no store")
}
