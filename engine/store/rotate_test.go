package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

type sealed struct {
	tenant tenant.ID
	aad    string
	box    []byte
	keyed  [16]byte
}

// sealSome seals under several keys of several tenants.
func sealSome(t testing.TB, s *Store) (all []sealed) {
	t.Helper()
	for _, id := range []tenant.ID{acme, other} {
		for _, class := range []string{"notice", "billing"} {
			for day := range 2 {
				aad := fmt.Sprintf("%s/%s/%d", id, class, day)
				box, err := s.Seal(id, class, time.Now().AddDate(0, 0, -day), aad, []byte("plain "+aad))
				require.NoError(t, err)
				keyed, err := s.Keyed(id, "number", aad)
				require.NoError(t, err)
				all = append(all, sealed{id, aad, box, keyed})
			}
		}
	}
	return all
}

func requireOpens(t testing.TB, s *Store, all []sealed, note any) {
	t.Helper()
	for _, b := range all {
		plain, err := s.Open(b.tenant, b.aad, b.box)
		require.NoError(t, err, note)
		require.Equal(t, "plain "+b.aad, string(plain))
		keyed, err := s.Keyed(b.tenant, "number", b.aad)
		require.NoError(t, err)
		require.Equal(t, b.keyed, keyed)
	}
}

var errKilled = errors.New("killed")

// TestRotationEndsAnywhere stops a rotation behind each of its steps, looks that everything opens, and finishes it.
func TestRotationEndsAnywhere(t *testing.T) {
	for stop := range 7 { // added, format, four files of keys and two of hash keys, retired
		dir := t.TempDir()
		o := optionsIn(t, dir)
		s := open(t, o)
		all := sealSome(t, s)
		before, err := os.ReadFile(o.MasterKey)
		require.NoError(t, err)
		require.NoError(t, s.Close())

		master, err := readMasterKeys(o.MasterKey, o.Dir)
		require.NoError(t, err)
		keys, err := openKeyring(filepath.Join(o.Dir, keysDir), master, false)
		require.NoError(t, err)
		steps := 0
		r := rotation{dir: o.Dir, master: master, keys: keys, reach: func(string) error {
			if steps++; steps > stop {
				return errKilled
			}
			return nil
		}}
		_, err = r.run()
		require.ErrorIs(t, err, errKilled)

		report, err := CheckKeys(o.Dir, o.MasterKey)
		require.NoError(t, err, "stop %d", stop)
		require.True(t, report.Rotating)
		s = open(t, o)
		requireOpens(t, s, all, stop)
		all = append(all, sealSome(t, s)...)
		rotated, err := s.RotateMaster() // finishes it, while the store is open
		require.NoError(t, err)
		require.True(t, rotated.Finished)
		requireOpens(t, s, all, stop)
		require.NoError(t, s.Close())

		report, err = CheckKeys(o.Dir, o.MasterKey)
		require.NoError(t, err)
		require.False(t, report.Rotating)
		require.Equal(t, map[string]int{rotated.Key: 10}, report.Keys)
		s = open(t, o)
		requireOpens(t, s, all, stop)
		require.NoError(t, s.Close())

		was := filepath.Join(dir, "was.key") // the old master key is worth nothing now
		require.NoError(t, os.WriteFile(was, before, 0o600))
		_, err = CheckKeys(o.Dir, was)
		require.ErrorContains(t, err, "not this store's")
		require.NotContains(t, filesBelow(t, dir), o.MasterKey+oldSuffix)
	}
}

func filesBelow(t testing.TB, dir string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	return paths
}

func TestRotationWhileKeysAreMade(t *testing.T) {
	o := testOptions(t)
	s := open(t, o)
	done := make(chan []sealed, 1)
	go func() {
		var all []sealed
		for range 20 {
			all = append(all, sealSome(t, s)...)
		}
		done <- all
	}()
	var last Rotation
	for range 3 {
		var err error
		last, err = s.RotateMaster()
		require.NoError(t, err)
		require.False(t, last.Finished)
	}
	all := <-done
	requireOpens(t, s, all, "open")
	require.NoError(t, s.Close())
	report, err := CheckKeys(o.Dir, o.MasterKey)
	require.NoError(t, err)
	require.Equal(t, map[string]int{last.Key: 10}, report.Keys)
	requireOpens(t, open(t, o), all, "reopened")
}

// A key that was wrapped before the new master key was there, and whose file comes behind it, is wrapped anew too.
func TestRotationWaitsForAKeyThatIsBeingMade(t *testing.T) {
	o := testOptions(t)
	s := open(t, o)
	k := s.keys
	d := &dataKey{slot: keySlot{acme, "bulk", "2030-01-01"}}
	d.stored = storedKey{ID: hex.EncodeToString(d.id[:]), Day: d.slot.day}
	formatted, done := make(chan struct{}), make(chan error, 1)
	k.files.Lock()
	d.stored.Master, d.stored.Key = k.master.wrap(make([]byte, 32), wrapAAD(acme, classDir+"bulk", d.stored))
	r := rotation{dir: o.Dir, master: s.master, keys: k, reach: func(step string) error {
		if step == "format" {
			close(formatted)
		}
		return nil
	}}
	go func() {
		_, err := r.run()
		done <- err
	}()
	<-formatted
	for range 10_000 {
		runtime.Gosched() // the rotation would go by
	}
	err := k.write(acme, classDir+"bulk", []storedKey{d.stored})
	k.files.Unlock()
	require.NoError(t, err)
	require.NoError(t, <-done)
	f, err := readKeyFile(k.path(acme, classDir+"bulk"))
	require.NoError(t, err)
	require.Equal(t, s.master.current(), f.Keys[0].Master)
}

// TestKeyDestroyedLeavesNoCopy looks for the wrapped key in all that lies in the directory, and in what is interrupted.
func TestKeyDestroyedLeavesNoCopy(t *testing.T) {
	o := testOptions(t)
	s := open(t, o)
	day := time.Now().AddDate(0, 0, -100)
	box, err := s.Seal(acme, "notice", day, "a", []byte("x"))
	require.NoError(t, err)
	path := s.keys.path(acme, classDir+"notice")
	f, err := readKeyFile(path)
	require.NoError(t, err)
	wrapped, err := os.ReadFile(path)
	require.NoError(t, err)
	hold, err := os.OpenFile(path, os.O_RDONLY, 0) // the old file, after it has gone from the directory
	require.NoError(t, err)
	defer hold.Close()

	gone, err := s.EraseKey(acme, "notice", f.Keys[0].Day)
	require.NoError(t, err)
	require.True(t, gone)
	was := make([]byte, len(wrapped))
	_, err = hold.ReadAt(was, 0)
	require.NoError(t, err)
	require.Equal(t, make([]byte, len(was)), was, "overwritten")
	gone, err = s.EraseKey(acme, "notice", f.Keys[0].Day)
	require.NoError(t, err)
	require.False(t, gone)
	_, err = s.Open(acme, "a", box)
	require.ErrorIs(t, err, ErrErased)
	_, err = s.Open(acme, "a", box[:stubSize])
	require.ErrorIs(t, err, ErrErased)
	require.NoError(t, s.Close())

	// A process that ended between the replacement and the overwriting, or before the replacement.
	require.NoError(t, os.WriteFile(path+oldSuffix, wrapped, 0o600))
	require.NoError(t, os.WriteFile(path+newSuffix, wrapped, 0o600))
	require.NoError(t, open(t, o).Close())
	for _, p := range filesBelow(t, o.Dir) {
		if b, err := os.ReadFile(p); err == nil {
			require.False(t, bytes.Contains(b, wrapped), p)
		}
	}
	require.NoError(t, os.Link(path, path+oldSuffix)) // it ended before the replacement: nothing is lost
	s = open(t, o)
	require.NoFileExists(t, path+oldSuffix)
	_, err = s.Open(acme, "a", box)
	require.ErrorIs(t, err, ErrErased)
}

func TestMasterKeyIsRefusedInOneLine(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, open(t, o).Close())
	refused := func(key, want string) {
		t.Helper()
		bad := o
		bad.MasterKey = key
		_, err := Open(bad)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		_, err = CheckKeys(o.Dir, key)
		require.ErrorContains(t, err, want)
		_, err = RotateStopped(o.Dir, key)
		require.ErrorContains(t, err, want)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.key")
	refused(foreign, "is missing")
	require.NoError(t, NewMasterKey(foreign))
	refused(foreign, "not this store's")
	require.Error(t, NewMasterKey(foreign), "it never replaces one")
	require.NoError(t, os.Chmod(foreign, 0o640))
	refused(foreign, "0640")
}
