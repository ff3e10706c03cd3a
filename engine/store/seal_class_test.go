package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// TestEveryMessageClassCanBeSealed: the classes of retention are the classes of messages, by the same words.
func TestEveryMessageClassCanBeSealed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "key")))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "key")})
	require.NoError(t, err)
	defer s.Close()
	for _, c := range message.Classes {
		box, err := s.Seal("suido", string(c), time.Now(), "x", []byte("plain"))
		require.NoError(t, err, c)
		plain, err := s.Open("suido", "x", box)
		require.NoError(t, err, c)
		require.Equal(t, "plain", string(plain))
	}
	_, err = s.Seal("suido", "../hash", time.Now(), "x", nil)
	require.Error(t, err)
}
