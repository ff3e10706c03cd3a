package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A restored record has nothing beside it that follows another.
func TestRestoreTakesNoDirectoryOfAnotherTime(t *testing.T) {
	for _, name := range []string{"store/FORMAT", "links/CURRENT", "followup/CURRENT", "retention.json"} {
		dir := filepath.Join(t.TempDir(), "data")
		require.NoError(t, emptyData(dir))
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, emptyData(dir))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.Error(t, emptyData(dir), name)
	}
}
