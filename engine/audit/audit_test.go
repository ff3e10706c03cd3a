package audit

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestEntriesOfADayAreKeptApartByTenant(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "key")))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "key")})
	require.NoError(t, err)
	defer s.Close()
	l := New(s)
	at := time.Date(2026, 7, 1, 23, 59, 0, 0, message.Tokyo)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			require.NoError(t, l.Record(t.Context(), "suido", Entry{At: at, By: "user:tanto", Action: "message.unmask"}))
		})
	}
	wg.Wait()
	require.NoError(t, l.Record(t.Context(), "suido", Entry{At: at.Add(2 * time.Minute), By: "user:tanto", Action: "results.export"}))

	got, err := l.Day(t.Context(), tenant.Only("suido"), "suido", at)
	require.NoError(t, err)
	require.Len(t, got, 20)
	next, err := l.Day(t.Context(), tenant.Only("suido"), "suido", at.Add(2*time.Minute))
	require.NoError(t, err)
	require.Len(t, next, 1)
	other, err := l.Day(t.Context(), tenant.Only("gas"), "suido", at)
	require.NoError(t, err)
	require.Empty(t, other, "another tenant sees nothing")
}
