package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// The backup under testdata was written by format 1 and is restored by every version to come.
func TestBackupOfFormat1IsRestored(t *testing.T) {
	const kept = "testdata/backup1"
	m := Ref{acme, Message, ulid.MustParse("01KAM0VJ00000000000000KAKI")}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if *update {
		require.NoError(t, os.RemoveAll(kept))
		require.NoError(t, os.MkdirAll(kept, 0o700))
		dir := t.TempDir()
		o := optionsIn(t, dir)
		s := open(t, o)
		box, err := s.Seal(acme, "bulk", at, "text", []byte("〇〇のお知らせ"))
		require.NoError(t, err)
		require.NoError(t, commit1(t, s, Change{Ref: m, Events: []NewEvent{{Type: 1, At: at, Data: box}}, Names: []Name{{Space: ByToken, Key: "SQND01gr"}}}))
		_, err = s.Backup(t.Context(), backupIn(dir))
		require.NoError(t, err)
		require.NoError(t, os.CopyFS(kept, os.DirFS(dir)))
		require.NoError(t, os.RemoveAll(filepath.Join(kept, "data")))
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(kept)))
	o := optionsIn(t, dir)
	require.NoError(t, os.Chmod(o.MasterKey, 0o600)) // version control keeps no such modes
	r := restoreOf(t, o, backupIn(dir))
	_, report, err := Restore(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	s := open(t, r.Options)
	events, err := s.Load(t.Context(), tenant.Only(acme), m)
	require.NoError(t, err)
	plain, err := s.Open(acme, "text", events[0].Data)
	require.NoError(t, err)
	require.Equal(t, "〇〇のお知らせ", string(plain))
}
