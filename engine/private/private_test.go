package private

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyTheOwnerMayReadASecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	for mode, good := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o622: false, 0o601: false} {
		require.NoError(t, os.Chmod(path, mode))
		f, opened := Open(path)
		_, read := Read(path)
		for _, err := range []error{Check(path), opened, read} {
			if good {
				require.NoError(t, err, mode)
				continue
			}
			require.ErrorIs(t, err, ErrReadable)
			require.ErrorContains(t, err, "needs 0600")
		}
		if good {
			require.NoError(t, f.Close())
		}
	}
	require.ErrorIs(t, Check(path+"x"), fs.ErrNotExist)
	_, err := Read(path + "x")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
