package link

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

func TestCheckComparesLinksWithTheRecord(t *testing.T) {
	s := record(t)
	dir := filepath.Join(t.TempDir(), "links")
	require.NoError(t, Check(t.Context(), dir, s, true, nil), "there need not be any")
	l, err := Open(Options{Dir: dir, Record: s})
	require.NoError(t, err)
	ref, h := accept(t, s, "a/SQND01gr")
	good, _ := Of(ref, h)
	gone, hg := accept(t, s, "a/gone234567")
	revoke(t, s, gone)
	lagging, _ := Of(gone, hg)
	later, hl := accept(t, s, "a/later23456")
	wrong, _ := Of(later, hl)
	wrong.Expires = wrong.Expires.AddDate(1, 0, 0)
	moved, _ := Of(later, hl)
	moved.Token = "a/moved23456"
	stray := good
	stray.Token, stray.Message = "a/stray23456", ulid.Make()
	require.NoError(t, l.Put([]Link{good, lagging, wrong, moved, stray}))
	require.NoError(t, l.db.Set([]byte("a/version9"), []byte{9}, pebble.NoSync))
	require.NoError(t, l.Close())

	found := map[string]string{}
	find := func(l Link, what string) { found[l.Token] = what }
	require.NoError(t, Check(t.Context(), dir, s, true, find))
	require.Equal(t, map[string]string{
		"a/gone234567": "it says something else than the message", "a/later23456": "it says something else than the message",
		"a/moved23456": "the message has another link", "a/stray23456": "there is no such message",
	}, found)
	delete(found, "a/gone234567")
	want := found
	found = map[string]string{}
	require.NoError(t, Check(t.Context(), dir, s, false, find), "the revocation is not followed yet")
	require.Equal(t, want, found)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Check(ctx, dir, s, true, find), context.Canceled)
}
