package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killed runs a child until it is ready, and kills it after a while.
func killed(t *testing.T, what, dir string, after time.Duration) {
	t.Helper()
	cmd := child(t, what, dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	r := bufio.NewReader(out)
	ready, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", ready)
	kill := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer kill.Stop()
	_, _ = r.WriteTo(discard{}) // until it ends
	cmd.Wait()
	require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// The children do their work over and over, so that the kill meets it anywhere.
func childRestore(dir string) RestoreOptions {
	b := backupIn(dir)
	o := childOptions(dir)
	o.Dir = filepath.Join(dir, "restored")
	return RestoreOptions{Options: o, From: b.Dir, Keys: b.Keys}
}

func workForever(dir string, work func() error) {
	fmt.Println("ready")
	for {
		if err := work(); err != nil {
			fmt.Fprintln(os.Stderr, "error", err)
			os.Exit(1)
		}
	}
}

func backUpForever(dir string) {
	workForever(dir, func() error {
		_, err := BackupStopped(context.Background(), childOptions(dir), backupIn(dir))
		b := backupIn(dir)
		if err == nil {
			err = os.RemoveAll(b.Dir)
		}
		return err
	})
}

func restoreForever(dir string) {
	workForever(dir, func() error {
		r := childRestore(dir)
		_, _, err := Restore(context.Background(), r)
		if err == nil {
			err = os.Rename(r.Dir, fmt.Sprintf("%s-%d", r.Dir, time.Now().UnixNano()))
		}
		return err
	})
}

func rebuildForever(dir string) {
	workForever(dir, func() error { return Rebuild(context.Background(), childOptions(dir), func(Progress) {}) })
}

func TestKilledWhileWorkingOnBackups(t *testing.T) {
	dir := t.TempDir()
	o, b := optionsIn(t, dir), backupIn(dir)
	s, err := Open(o)
	require.NoError(t, err)
	lively(t, s, 100)
	require.NoError(t, s.Close())
	const rounds = 4
	kill := func(what string) { killed(t, what, dir, time.Duration(rand.IntN(150_000))*time.Microsecond) }

	for range rounds {
		kill("backup")
		require.Empty(t, verified(t, o).Findings)
		if _, err := os.Stat(b.Dir); err == nil && len(mustGlob(t, filepath.Join(b.Dir, recordPattern))) == 0 {
			_, _, err := Restore(t.Context(), childRestore(dir))
			require.ErrorContains(t, err, "no record in it")
		}
		_, err := BackupStopped(t.Context(), o, b)
		require.NoError(t, err, "what the killed one left is no obstacle")
	}
	for range rounds {
		kill("restore")
		r := childRestore(dir)
		if _, err := os.Stat(r.Dir); err == nil { // whole, or not there
			r.Options.Log = o.Log
			require.Empty(t, verified(t, r.Options).Findings)
			require.NoError(t, os.RemoveAll(r.Dir))
		}
	}
	_, report, err := Restore(t.Context(), childRestore(dir))
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	for range rounds {
		kill("rebuild")
		require.Empty(t, verified(t, o).Findings, "the old index or the new one")
	}
	require.NoError(t, Rebuild(t.Context(), o, func(Progress) {}))
	require.Empty(t, verified(t, o).Findings)
}
