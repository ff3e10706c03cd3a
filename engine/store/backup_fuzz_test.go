package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// Whatever lies in a segment file, reading it ends, gives groups in rising order, and a change of it is noticed.
func FuzzReadSegment(f *testing.F) {
	store := ulid.ULID{1, 2, 3}
	dir := f.TempDir()
	w, err := createSegment(dir, store, 7)
	require.NoError(f, err)
	require.NoError(f, w.add(7, []byte("a group")))
	require.NoError(f, w.add(9, nil))
	require.NoError(f, w.close())
	good, err := os.ReadFile(w.path)
	require.NoError(f, err)
	f.Add(good)
	for n := range len(good) {
		f.Add(good[:n])
	}
	path := filepath.Join(dir, "any")
	f.Fuzz(func(t *testing.T, b []byte) {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		last, groups := uint64(0), uint32(0)
		s, err := readSegment(path, store, func(seq uint64, _ []byte) error {
			require.Greater(t, seq, last)
			last = seq
			groups++
			return nil
		})
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		require.Equal(t, last, s.Last)
		require.Equal(t, groups, s.Groups)
		require.EqualValues(t, len(b), s.Bytes)
		if len(b) == len(good) && s.SHA256 == w.SHA256 {
			require.Equal(t, good, b)
		}
	})
}
