package apptest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// TestBackupUnderLoadIsRestoredElsewhere makes backups of an engine that works, restores one into another directory,
// verifies it, and goes on with the restored state: everything that was answered before the backup is there, as it was
// told, nothing is sent before the operator says so, and what the carriers have is what was asked for.
func TestBackupUnderLoadIsRestoredElsewhere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c := newCountry(t, Options{Window: window, Latency: 20 * time.Millisecond, ReceiptDelay: 100 * time.Millisecond, Doubt: string(message.DoubtResend)})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	config, record, keys := c.File("kakitome.toml"), c.File("record"), c.File("keys.json")

	l := &Load{Sender: sender, Every: 15 * time.Millisecond}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(loading) })
	await(t, ctx, func() bool { return len(l.Told()) > 200 })
	_, err = c.Command(ctx, "backup", "-config", config, "-keys", filepath.Join(record, "keys.json"), record)
	require.ErrorContains(t, err, "are kept apart")
	_, err = c.Command(ctx, "backup", "-config", config, "-keys", keys, filepath.Join(c.Data(), "record"))
	require.ErrorContains(t, err, "are kept apart")
	_, err = c.Command(ctx, "verify", "-config", config)
	require.ErrorContains(t, err, "in use by another process")
	_, err = c.Command(ctx, "rebuild", "-config", config)
	require.ErrorContains(t, err, "in use by another process")
	var before map[string]Order
	for range 2 { // the second adds what is new
		before = l.Told()
		out, err := c.Command(ctx, "backup", "-config", config, "-keys", keys, record)
		require.NoError(t, err)
		require.Contains(t, out, filepath.Join(record, "record-"))
		grown := len(before) + 50
		await(t, ctx, func() bool { return len(l.Told()) > grown })
	}
	stop()
	wg.Wait()
	require.Empty(t, l.Faults())

	_, err = c.Command(ctx, "restore", "-config", config, "-keys", keys, record)
	require.ErrorContains(t, err, "is not empty")
	c.Engine.Kill() // and the disk is lost
	out, err := c.Command(ctx, "verify", "-config", config)
	require.NoError(t, err, out)
	require.Contains(t, out, "no faults")
	lost := c.File("lost")
	require.NoError(t, os.Rename(c.Data(), lost))
	waiting := c.File("waiting.csv")
	out, err = c.Command(ctx, "restore", "-config", config, "-keys", keys, "-waiting", waiting, record)
	require.NoError(t, err, out)
	require.Contains(t, out, "no faults")
	listed, err := os.ReadFile(waiting)
	require.NoError(t, err)
	out, err = c.Command(ctx, "verify", "-config", config)
	require.NoError(t, err, out)
	require.Contains(t, out, "no faults")
	out, err = c.Command(ctx, "upgrade", "-config", config)
	require.NoError(t, err, out)
	require.Contains(t, out, "is current")

	held := carriersFile(t, c.File("ledger.ndjson"))
	sent := 0
	for _, m := range held {
		sent += len(m)
	}
	require.NoError(t, c.StartEngine(ctx))
	all, err := sender.Messages(ctx)
	require.NoError(t, err)
	have := map[string]bool{}
	for _, m := range all {
		have[m.ID] = true
	}
	told := l.Told()
	for id, o := range before {
		require.True(t, have[id], "message %s was answered before the backup", id)
		_, err := get(ctx, o.URL)
		require.NoError(t, err, "its link opens")
	}
	for id := range have {
		require.NotNil(t, told[id], "message %s was told nobody", id)
	}
	out, err = c.Command(ctx, "carrier", "status", "-config", config)
	require.NoError(t, err)
	for _, carrier := range Carriers {
		require.Regexp(t, `(?m)^`+carrier+` +pause`, out)
	}
	now := 0
	for _, m := range carriersFile(t, c.File("ledger.ndjson")) {
		now += len(m)
	}
	require.Equal(t, sent, now, "nothing is sent before the operator says so")
	for _, carrier := range Carriers {
		_, err := c.Command(ctx, "carrier", "resume", "-config", config, carrier)
		require.NoError(t, err)
	}
	phases := map[string]message.Phase{}
	await(t, ctx, func() bool {
		all, err := sender.Messages(ctx)
		require.NoError(t, err)
		over := true
		for _, m := range all {
			phases[m.ID] = m.Status
			over = over && m.Status != message.Waiting && m.Status != message.Sending && m.Status != message.Doubtful
		}
		return over
	})
	ledger := carriersFile(t, c.File("ledger.ndjson"))
	for id := range before {
		// one that was submitted before the backup had its receipt after it, which is lost: the state says that none came
		require.Contains(t, []message.Phase{message.Arrived, message.Confirming}, phases[id], "message %s", id)
		require.NotEmpty(t, ledger[told[id].Draft.To], "message %s is at no carrier", id)
	}
	again := 0
	for id, o := range told {
		if n := len(ledger[o.Draft.To]); n > 1 {
			require.Contains(t, string(listed), Tenant+","+id+",", "what may be sent again was listed")
			again += n - 1
		}
	}
	t.Logf("%d told, %d of them before the backup, %d in it; %d sent a second time after the restore", len(told), len(before), len(have), again)

	require.NoError(t, c.Engine.Stop(time.Minute))
	out, err = c.Command(ctx, "rebuild", "-config", config)
	require.NoError(t, err, out)
	require.NoDirExists(t, filepath.Join(c.Data(), "links"))
	require.NoDirExists(t, filepath.Join(c.Data(), "followup"))
	out, err = c.Command(ctx, "verify", "-config", config)
	require.NoError(t, err, out)
	require.Contains(t, out, "no faults")
	_, err = c.Command(ctx, "backup", "-config", config, "-keys", keys, record)
	require.ErrorContains(t, err, "before this store was restored")
	out, err = c.Command(ctx, "backup", "-config", config, "-keys", keys, record+"2")
	require.True(t, err == nil || strings.Contains(err.Error(), "does not know"), out) // a day's key may be younger than the backup
}
