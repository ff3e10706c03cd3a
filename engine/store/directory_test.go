package store_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestDirectorySurvivesInTheStore(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	openStore := func() *store.Store {
		s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key})
		require.NoError(t, err)
		return s
	}
	s := openStore()
	d, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	require.NoError(t, d.Apply(t.Context(), tenant.Tenant{ID: "suido", Name: "〇〇県水道局", Brand: tenant.Brand{Phone: "000-000-0000"}}))
	stale, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	_, _, err = d.IssueKey(t.Context(), "suido", "billing")
	require.NoError(t, err)
	_, _, err = stale.IssueKey(t.Context(), "suido", "other")
	require.ErrorIs(t, err, tenant.ErrStale)
	require.NoError(t, s.Close())

	s = openStore()
	again, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	require.Equal(t, 2, again.Now().Version)
	require.Len(t, again.Now().KeysOf("suido"), 1)
	require.NoError(t, s.Close())
}
