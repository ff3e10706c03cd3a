package apptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/built"
)

// TestContentEndsWithItsTermInOlderBackupsToo sets the engine's clock on (build tag chaosclock) behind the term of a
// message: its content is gone in the engine, and in a record that was made before, restored with the keys that the next
// backup left.
func TestContentEndsWithItsTermInOlderBackupsToo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute) // the build included
	defer cancel()
	stepped, clock := t.TempDir(), filepath.Join(t.TempDir(), "clock.seconds")
	require.NoError(t, built.Into(ctx, stepped, "chaosclock", "."))
	began := time.Now()
	require.NoError(t, os.WriteFile(clock, []byte("0\n"), 0o600))
	c := newCountry(t, Options{Engine: filepath.Join(stepped, "kakitome"), Env: []string{"KAKITOME_CLOCK=" + clock}})
	config, record, keys := c.File("kakitome.toml"), c.File("record"), c.File("keys.json")
	written, err := os.ReadFile(config)
	require.NoError(t, err)
	written = append(written, "\n[[retention.class]]\nclass = \"notice\"\nmonths = 1\n"...)
	require.NoError(t, os.WriteFile(config, written, 0o600))
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)

	const lead = "ご使用量をお知らせします。"
	sent, _, err := sender.Send(ctx, &message.Draft{Key: "ends", To: Number(1), Text: "お知らせ {url}", Reference: "C-0001", Page: &message.Page{Title: "お知らせ", Lead: lead}})
	require.NoError(t, err)
	await(t, ctx, func() bool {
		m, err := sender.Message(ctx, sent.ID)
		return err == nil && m.Status == message.Arrived
	})
	_, err = get(ctx, sent.URL)
	require.NoError(t, err, "the link is alive")
	m, err := sender.Message(ctx, sent.ID)
	require.NoError(t, err)
	require.False(t, m.Erased)
	require.Equal(t, "C-0001", m.Reference)
	backup := func() {
		t.Helper()
		out, err := c.Command(ctx, "backup", "-config", config, "-keys", keys, record)
		require.NoError(t, err, out)
	}
	backup()
	older, err := filepath.Glob(filepath.Join(record, "record-*.json"))
	require.NoError(t, err)
	require.Len(t, older, 1)
	out, err := c.Command(ctx, "retention", "-config", config)
	require.NoError(t, err)
	require.Contains(t, out, "nothing is past its term")

	const later = 200 * 24 * time.Hour
	require.NoError(t, os.WriteFile(clock+".new", fmt.Appendln(nil, int64(later/time.Second)), 0o600))
	require.NoError(t, os.Rename(clock+".new", clock))
	await(t, ctx, func() bool { // the engine has seen its clock
		out, err := c.Command(ctx, "retention", "-config", config, "-dry-run")
		require.NoError(t, err)
		return !strings.Contains(out, "nothing is past its term")
	})
	m, err = sender.Message(ctx, sent.ID)
	require.NoError(t, err)
	require.False(t, m.Erased, "-dry-run changes nothing")
	out, err = c.Command(ctx, "retention", "-config", config)
	require.NoError(t, err, out)
	require.Regexp(t, `(?m)^`+Tenant+` +notice +\d{4}-\d\d-\d\d .* 1 +0 *$`, out)

	gone := func() {
		t.Helper()
		m, err := sender.Message(ctx, sent.ID)
		require.NoError(t, err)
		require.True(t, m.Erased)
		require.WithinDuration(t, time.Now().Add(later), *m.ErasedAt, 5*time.Minute)
		require.Equal(t, []any{message.Arrived, ""}, []any{m.Status, m.Reference})
		require.NotEmpty(t, m.Timeline, "what happened stays")
		_, err = get(ctx, sent.URL)
		var ended, unknown *Refused
		require.ErrorAs(t, err, &ended)
		require.NotContains(t, ended.Body, lead)
		_, err = get(ctx, c.LinksURL()+"/nobodysays12")
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, unknown.Status, ended.Status, "as a link that never was")
	}
	gone()
	backup()
	require.NoError(t, c.Engine.Stop(30*time.Second))
	out, err = c.Command(ctx, "verify", "-config", config)
	require.NoError(t, err, out)
	require.Contains(t, out, "no faults")

	require.NoError(t, os.Rename(c.Data(), c.File("lost")))
	out, err = c.Command(ctx, "restore", "-config", config, "-keys", keys, older[0])
	require.NoError(t, err, out)
	require.Contains(t, out, "no faults")
	require.NoError(t, c.StartEngine(ctx))
	gone()
	t.Logf("after the build: %v", time.Since(began).Round(time.Millisecond))
}
