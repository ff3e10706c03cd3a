package store

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

var update = flag.Bool("update", false, "make the store of format 1 under testdata anew")

// filled makes a store with n files of 10,000 bytes, one group each, and closes it.
func filled(t *testing.T, o Options, n int) (refs []Ref) {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	for range n {
		ref := newRef(acme, File)
		refs = append(refs, ref)
		require.NoError(t, commit1(t, s, Change{Ref: ref, Events: event(1, strings.Repeat("x", 10_000))}))
	}
	_, err = s.Seal(acme, "bulk", time.Now(), "", nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return refs
}

// vlog returns the one value-log file that holds groups.
func vlog(t *testing.T, o Options) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(o.Dir, logDir, "*.vlog"))
	require.NoError(t, err)
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && len(b) > 10_000 {
			return f
		}
	}
	t.Fatal("no groups in the value log")
	return ""
}

func edit(t *testing.T, path string, fn func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, fn(b), 0o600))
}

func TestOpenRefuses(t *testing.T) {
	refuse := func(name, want string, spoil func(t *testing.T, o *Options)) {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			filled(t, o, 3)
			spoil(t, &o)
			s, err := Open(o)
			if err == nil {
				s.Close()
			}
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
	newKey := func(t *testing.T, path string) string {
		require.NoError(t, NewMasterKey(path))
		return path
	}
	refuse("another process", "in use by another process", func(t *testing.T, o *Options) { open(t, *o) })
	refuse("newer format", "has format 2, this program knows up to 1", func(t *testing.T, o *Options) {
		edit(t, filepath.Join(o.Dir, formatFile), func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1)
		})
	})
	refuse("format lost", "FORMAT is missing beside log", func(t *testing.T, o *Options) { os.Remove(filepath.Join(o.Dir, formatFile)) })
	refuse("format damaged", "damaged", func(t *testing.T, o *Options) {
		edit(t, filepath.Join(o.Dir, formatFile), func(b []byte) []byte { return b[:len(b)/2] })
	})
	refuse("master key missing", "is missing", func(t *testing.T, o *Options) { os.Remove(o.MasterKey) })
	refuse("master key readable by others", "may be read by others (mode 0640", func(t *testing.T, o *Options) { os.Chmod(o.MasterKey, 0o640) })
	refuse("master key of another store", "is not this store's", func(t *testing.T, o *Options) {
		o.MasterKey = newKey(t, filepath.Join(t.TempDir(), "key"))
	})
	refuse("master key inside", "lies inside the store", func(t *testing.T, o *Options) { o.MasterKey = newKey(t, filepath.Join(o.Dir, "key")) })
	refuse("master key damaged", "line 2 is not", func(t *testing.T, o *Options) {
		edit(t, o.MasterKey, func(b []byte) []byte { return b[:len(b)-10] })
	})
	refuse("key file damaged", "damaged", func(t *testing.T, o *Options) {
		edit(t, filepath.Join(o.Dir, keysDir, "acme", "class-bulk.json"), func(b []byte) []byte { return b[:len(b)-5] })
	})
	refuse("mark damaged", "damaged", func(t *testing.T, o *Options) {
		edit(t, filepath.Join(o.Dir, ackedFile), func(b []byte) []byte { return bytes.Repeat([]byte{1}, len(b)) })
	})
	refuse("log lost", "the log ends at group 0, but group 3 was acknowledged", func(t *testing.T, o *Options) {
		require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, logDir)))
	})
	refuse("mark lost", "ACKED is missing", func(t *testing.T, o *Options) { require.NoError(t, os.Remove(filepath.Join(o.Dir, ackedFile))) })
	refuse("mark that cannot be read", "read the mark", func(t *testing.T, o *Options) {
		require.NoError(t, os.Remove(filepath.Join(o.Dir, ackedFile)))
		require.NoError(t, os.Symlink("/proc/self/mem", filepath.Join(o.Dir, ackedFile))) // reading it at 0 is an error
	})
	refuse("log lost with its mark", "the index knows group 3, the log ends at 0", func(t *testing.T, o *Options) {
		require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, logDir)))
		require.NoError(t, os.WriteFile(filepath.Join(o.Dir, ackedFile), nil, 0o600))
	})
	refuse("log damaged in its newest file", "breaks off behind group 1, but group 3 was acknowledged", func(t *testing.T, o *Options) {
		edit(t, vlog(t, *o), func(b []byte) []byte {
			b[15_000] ^= 1 // in the second group
			return b
		})
	})
	refuse("log truncated", "breaks off behind group 2, but group 3 was acknowledged", func(t *testing.T, o *Options) {
		edit(t, vlog(t, *o), func(b []byte) []byte { return b[:25_000] })
	})
	refuse("log without its manifest", "MANIFEST is missing", func(t *testing.T, o *Options) {
		require.NoError(t, os.Remove(filepath.Join(o.Dir, logDir, "MANIFEST")))
	})
	refuse("log with a damaged manifest", "MANIFEST: manifest has checksum mismatch; restore it", func(t *testing.T, o *Options) {
		edit(t, filepath.Join(o.Dir, logDir, "MANIFEST"), func(b []byte) []byte {
			b[len(b)-3] ^= 1
			return b
		})
	})
	refuse("keys lost", "keys is missing", func(t *testing.T, o *Options) { require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, keysDir))) })
	refuse("index of another store", "the index belongs to store", func(t *testing.T, o *Options) {
		o2 := testOptions(t)
		filled(t, o2, 3)
		require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
		require.NoError(t, os.Rename(filepath.Join(o2.Dir, indexDir), filepath.Join(o.Dir, indexDir)))
	})
}

// TestLostHashKeyIsNotReplaced: another would find no order, and no number that nothing is to be sent to.
func TestLostHashKeyIsNotReplaced(t *testing.T) {
	o := testOptions(t)
	filled(t, o, 3)
	require.NoError(t, os.Remove(filepath.Join(o.Dir, keysDir, string(acme), "hash.json")))
	s := open(t, o)
	_, err := s.Keyed(acme, "number", "080")
	require.ErrorContains(t, err, "hash.json is missing")
	_, err = s.Keyed("other", "number", "080")
	require.NoError(t, err, "of another tenant")
}

// TestCopiesOfKeysGoWithTheNextStart: a verify or backup that was killed leaves some beside the store.
func TestCopiesOfKeysGoWithTheNextStart(t *testing.T) {
	o := testOptions(t)
	filled(t, o, 3)
	v, err := makeView(o, true)
	require.NoError(t, err)
	require.NoError(t, v.lock.Close())
	copies := filepath.Join(v.dir, keysDir, string(acme))
	require.FileExists(t, filepath.Join(copies, "class-bulk.json"))
	open(t, o)
	require.NoFileExists(t, filepath.Join(copies, "class-bulk.json"))
	require.NoFileExists(t, filepath.Join(copies, "hash.json"))
}

// TestFirstStartThatWasCutOffIsMadeAgain: between the mark and FORMAT nothing is there yet that could be lost.
func TestFirstStartThatWasCutOffIsMadeAgain(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	require.NoError(t, makeAckMark(filepath.Join(o.Dir, ackedFile)))
	s := open(t, o)
	require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "head")}))
}

// TestNumbersGoOnBehindACrash: names of the last seconds are then in memory alone.
func TestNumbersGoOnBehindACrash(t *testing.T) {
	o := testOptions(t)
	o.Flush = time.Hour
	s := open(t, o)
	now := time.Now()
	last := ""
	for range 3 {
		last = s.NextNo(now)
		require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, "head"), Names: []Name{{Space: ByNo, Key: last}}}))
	}
	crashed := o
	crashed.Dir = filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.CopyFS(crashed.Dir, os.DirFS(o.Dir)))
	require.Greater(t, open(t, crashed).NextNo(now), last)
}

func TestRefusalLeavesTheLogAsItIs(t *testing.T) {
	o := testOptions(t)
	filled(t, o, 3)
	path := vlog(t, o)
	edit(t, path, func(b []byte) []byte {
		b[15_000] ^= 1
		return b
	})
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = Open(o)
	require.ErrorIs(t, err, errDamaged)
	edit(t, path, func(b []byte) []byte {
		require.Equal(t, before, b)
		b[15_000] ^= 1
		return b
	})
	open(t, o)
}

// A manifest that was cut off no longer names the table of the groups, and Badger removes what it does not name.
func TestTablesThatNobodyNamesAreKept(t *testing.T) {
	o := testOptions(t)
	refs := filled(t, o, 3)
	log := filepath.Join(o.Dir, logDir)
	table, err := os.ReadFile(filepath.Join(log, "000001.sst"))
	require.NoError(t, err)
	manifest, err := os.ReadFile(filepath.Join(log, "MANIFEST"))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, os.WriteFile(filepath.Join(log, "MANIFEST"), manifest[:len(manifest)-3], 0o600))
		_, err = Open(o)
		require.ErrorIs(t, err, errDamaged)
		kept, err := os.ReadFile(filepath.Join(log, keptDir, "000001.sst"))
		require.NoError(t, err)
		require.Equal(t, table, kept)
	}
	// what a backup of the manifest, and the kept table, make of it
	require.NoError(t, os.WriteFile(filepath.Join(log, "MANIFEST"), manifest, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(log, "000001.sst"), table, 0o600))
	s := open(t, o)
	events, err := s.Load(t.Context(), tenant.Only(acme), refs[0])
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.NoDirExists(t, filepath.Join(log, keptDir), "the log is whole again")
}

// A table that the process could not name before it was killed is a left-over, and goes.
func TestLeftOverTableGoes(t *testing.T) {
	o := testOptions(t)
	filled(t, o, 3)
	log := filepath.Join(o.Dir, logDir)
	table, err := os.ReadFile(filepath.Join(log, "000001.sst"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(log, "000009.sst"), table, 0o600))
	open(t, o)
	require.NoFileExists(t, filepath.Join(log, "000009.sst"))
	require.NoDirExists(t, filepath.Join(log, keptDir))
}

func TestDamageInOlderFilesIsFoundOnReading(t *testing.T) {
	o := testOptions(t)
	refs := filled(t, o, 3)
	path := vlog(t, o)
	require.NoError(t, open(t, o).Close()) // now the damaged file is not the newest
	edit(t, path, func(b []byte) []byte {
		b[15_000] ^= 1
		return b
	})
	s := open(t, o)
	for i, ref := range refs {
		_, err := s.Load(t.Context(), tenant.Only(acme), ref)
		if i == 1 {
			require.ErrorIs(t, err, errDamaged)
		} else {
			require.NoError(t, err)
		}
	}
	require.NoError(t, s.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
	_, err := Open(o)
	require.ErrorIs(t, err, errDamaged)
}

func TestEmptyFilesLeftByAKillAreNoDamage(t *testing.T) {
	o := testOptions(t)
	refs := filled(t, o, 3)
	for _, name := range []string{"000099.vlog", "00099.mem"} {
		require.NoError(t, os.WriteFile(filepath.Join(o.Dir, logDir, name), nil, 0o600))
	}
	s := open(t, o)
	events, err := s.Load(t.Context(), tenant.Only(acme), refs[2])
	require.NoError(t, err)
	require.Len(t, events, 1)
}

// The store under testdata was written by format 1 and is read by every version to come.
func TestStoreOfFormat1IsRead(t *testing.T) {
	const kept = "testdata/format1"
	m := Ref{acme, Message, ulid.MustParse("01KAM0VJ00000000000000KAKI")}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if *update {
		require.NoError(t, os.RemoveAll(kept))
		require.NoError(t, os.MkdirAll(kept, 0o700))
		o := optionsIn(t, kept)
		o.ValueLogSize = 1 << 20
		s, err := Open(o)
		require.NoError(t, err)
		box, err := s.Seal(acme, "bulk", at, "text", []byte("〇〇のお知らせ"))
		require.NoError(t, err)
		require.NoError(t, commit1(t, s, Change{
			Ref: m, Events: []NewEvent{{Type: 1, At: at, Data: box}}, Terms: []Term{{1, "term"}}, Due: &Due{Queue: "docomo/bulk", At: at},
			Names: []Name{{Space: ByToken, Key: "SQND01gr", Exclusive: true}, {Space: ByKey, Key: "key", Value: []byte("digest")}},
		}))
		require.NoError(t, commit1(t, s, Change{Ref: m, Expect: 1, Events: []NewEvent{{Type: 2, At: at.Add(time.Second), Data: []byte("submitted")}}, Final: true}))
		require.NoError(t, s.Close())
		require.NoError(t, os.Remove(filepath.Join(o.Dir, logDir, "DISCARD"))) // a megabyte of zeros, made when it is missing
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(kept)))
	o := optionsIn(t, dir)
	require.NoError(t, os.Chmod(o.MasterKey, 0o600)) // version control keeps no such modes
	for range 2 {
		s, err := Open(o)
		require.NoError(t, err)
		ref, value, err := s.Lookup(t.Context(), tenant.Only(acme), ByKey, "key")
		require.NoError(t, err)
		require.Equal(t, m, ref)
		require.Equal(t, "digest", string(value))
		events, err := s.Load(t.Context(), tenant.Only(acme), m)
		require.NoError(t, err)
		require.Equal(t, "submitted", string(events[1].Data))
		require.Equal(t, at, events[0].At)
		plain, err := s.Open(acme, "text", events[0].Data)
		require.NoError(t, err)
		require.Equal(t, "〇〇のお知らせ", string(plain))
		refs, err := s.Search(t.Context(), tenant.Only(acme), Query{Kind: Message, Terms: []Term{{1, "term"}}, Limit: 2})
		require.NoError(t, err)
		require.Equal(t, []Ref{m}, refs)
		due, err := s.Due(nil, "docomo/bulk", Cursor{}, time.Now(), 2)
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.NoError(t, s.Close())
		require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir))) // the second time from the log alone
	}
}
