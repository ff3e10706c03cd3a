package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What retention took away is missing on purpose, also when a purge ended between index and log; and what was erased may
// be backed up, restored and rebuilt.
func TestVerifyKnowsWhatWasErased(t *testing.T) {
	o, b := testOptions(t), backupIn(t.TempDir())
	e := erasure(nil)
	s, err := Open(o)
	require.NoError(t, err)
	write(t, s, acme, 0, 0)
	write(t, s, acme, 1, 1)
	write(t, s, other, 0, 2)
	_, err = s.Backup(t.Context(), b)
	require.NoError(t, err)
	_, err = s.EraseKey(acme, testClass, testDay(0).Format(time.DateOnly))
	require.NoError(t, err)
	require.NoError(t, s.writeOut())
	require.NoError(t, s.writeOut())
	failed := errors.New("the power failed")
	s.forgotten = func() error { return failed }
	_, _, err = s.Purge(t.Context(), 1, 1000, e, restless)
	require.ErrorIs(t, err, failed)
	require.NoError(t, s.Close())

	look := func(o Options, e Erasure) *VerifyReport {
		before := tree(t, o.Dir) // Badger merges tables as soon as the view opens, and truncates the old ones
		report, err := Verify(t.Context(), VerifyOptions{Options: o, Erasure: e})
		require.NoError(t, err)
		require.Equal(t, before, tree(t, o.Dir))
		return report
	}
	report := look(o, e)
	require.Empty(t, report.Findings)
	require.NotZero(t, report.Swept)
	require.NotEmpty(t, look(o, Erasure{}).Findings, "nobody said so")

	s, err = Open(o)
	require.NoError(t, err)
	_, p, err := s.Purge(t.Context(), 1, 1000, e, restless)
	require.NoError(t, err)
	require.NotZero(t, p.Rewritten)
	require.NoError(t, s.Close())
	require.Empty(t, look(o, e).Findings)
	require.NoError(t, Rebuild(t.Context(), o, func(Progress) {}))
	require.Empty(t, look(o, e).Findings)
	_, err = BackupStopped(t.Context(), o, b)
	require.NoError(t, err)
	_, err = BackupStopped(t.Context(), o, BackupOptions{Dir: filepath.Join(filepath.Dir(b.Dir), "whole"), Keys: b.Keys})
	require.NoError(t, err)
	for _, dir := range []string{b.Dir, filepath.Join(filepath.Dir(b.Dir), "whole")} { // groups from before, and as they are now
		r := restoreOf(t, o, b)
		r.From, r.Verify.Erasure = dir, e
		_, report, err := Restore(t.Context(), r)
		require.NoError(t, err)
		require.Empty(t, report.Findings)
		require.NoError(t, os.RemoveAll(r.Dir))
	}
}
