package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// free is a base from which all ports of a box are free.
func free(t *testing.T) int {
	for base := 20_000; base < 60_000; base += 100 {
		b := &box{dir: filepath.Join(t.TempDir(), "box"), base: base}
		if b.prepare(false) == nil {
			require.NoError(t, b.held.Close())
			return base
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func TestABoxHasItsDirectoryAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "box")
	first := &box{dir: dir, base: free(t)}
	require.NoError(t, first.prepare(false))
	kept := filepath.Join(dir, "secrets", "api.key")
	require.NoError(t, os.WriteFile(kept, nil, 0o600))

	for _, fresh := range []bool{false, true} { // FRESH=1 forgets nothing that is in use
		require.ErrorContains(t, (&box{dir: dir, base: first.base}).prepare(fresh), "a box runs in "+dir+" already")
		require.FileExists(t, kept)
	}
	require.NoError(t, first.held.Close())

	second := &box{dir: dir, base: first.base}
	require.NoError(t, second.prepare(false))
	require.FileExists(t, kept)
	require.NoError(t, second.held.Close())

	anew := &box{dir: dir, base: first.base}
	require.NoError(t, anew.prepare(true))
	require.NoFileExists(t, kept)
	require.NoError(t, anew.held.Close())
}

func TestStartIsRefusedWithOneLine(t *testing.T) {
	base := free(t)
	foreign := t.TempDir()
	photo := filepath.Join(foreign, "photo.jpg")
	require.NoError(t, os.WriteFile(photo, nil, 0o600))
	require.ErrorContains(t, (&box{dir: foreign, base: base}).prepare(true), "holds something else than a box")
	require.FileExists(t, photo)

	require.ErrorContains(t, (&box{dir: filepath.Join(photo, "box"), base: base}).prepare(false), "the box cannot write its directory")
	for _, base := range []int{-1, 0, 65_530, 70_000} {
		require.ErrorContains(t, (&box{dir: t.TempDir(), base: base}).prepare(false), "there are no ports")
	}

	b := &box{dir: filepath.Join(t.TempDir(), "box"), base: base}
	ln, err := net.Listen("tcp", b.port(portTill))
	require.NoError(t, err)
	defer ln.Close()
	err = b.prepare(false)
	require.ErrorContains(t, err, "is taken (another box?); choose others: make run BASE=")
	require.NotContains(t, err.Error(), "\n")
}
