package sheet

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// FuzzCode: no code but one that was signed is read, and what is read was signed so.
func FuzzCode(f *testing.F) {
	dir := f.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(f, store.NewMasterKey(key))
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20})
	require.NoError(f, err)
	f.Cleanup(func() { _ = st.Close() })
	snap := &tenant.Snapshot{Tenants: map[tenant.ID]*tenant.Tenant{"water": {ID: "water"}, "gasu": {ID: "gasu"}}}
	s := New(Options{Store: st, Directory: func() *tenant.Snapshot { return snap }})
	want := ticket{expires: time.Unix(1_800_000_000, 0), generation: 3, lang: "en", claim: ulid.ULID{1, 2, 3}, tenant: "water"}
	good, err := s.code(want)
	require.NoError(f, err)
	got, ok := s.read(good)
	require.True(f, ok)
	require.Equal(f, want, got)
	other := want
	other.tenant = "gasu"
	theirs, err := s.code(other)
	require.NoError(f, err)
	f.Add(good)
	f.Add(theirs)
	f.Add(good[:len(good)-4] + theirs[len(theirs)-4:])
	f.Add("")
	f.Fuzz(func(t *testing.T, code string) {
		k, ok := s.read(code)
		if ok && code != good && code != theirs {
			t.Fatalf("%q is read as %v", code, k)
		}
	})
}
