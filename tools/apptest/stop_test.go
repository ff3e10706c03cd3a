package apptest

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

// TestStopUnderLoadLeavesNothingOpen: SIGTERM lets windows drain, so that no submission is in doubt afterwards, and
// nothing runs on.
func TestStopUnderLoadLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := newCountry(t, Options{Latency: 100 * time.Millisecond, ReceiptDelay: 100 * time.Millisecond, Doubt: string(message.DoubtFail)})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)

	l := &Load{Sender: sender, Every: 15 * time.Millisecond}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(loading) })
	await(t, ctx, func() bool {
		written, err := c.Metric(ctx, "kakitome_dispatch_outcomes_total")
		require.NoError(t, err)
		return written > 300
	})
	children, err := Under(c.Data())
	require.NoError(t, err)
	require.Len(t, children, len(modules), "the modules run from the data directory")

	began := time.Now()
	require.NoError(t, c.Engine.Stop(30*time.Second))
	took := time.Since(began)
	left, err := Under(c.Data())
	require.NoError(t, err)
	require.Empty(t, left, "modules run on")
	require.NoFileExists(t, c.File("data/operator.sock"))

	before, err := os.ReadFile(c.File("kakitome.log"))
	require.NoError(t, err)
	require.NoError(t, c.StartEngine(ctx)) // the clients that insist go on
	await(t, ctx, func() bool {
		written, err := c.Metric(ctx, "kakitome_dispatch_outcomes_total")
		require.NoError(t, err)
		return written > 100
	})
	stop()
	wg.Wait()
	require.Empty(t, l.Faults())
	after, err := os.ReadFile(c.File("kakitome.log"))
	require.NoError(t, err)
	require.NotContains(t, string(after[len(before):]), "in doubt")

	records, ledger := settled(t, ctx, sender), carriersFile(t, c.File("ledger.ndjson"))
	answered := 0
	for _, o := range l.Orders() {
		if o.ID == "" {
			continue
		}
		answered++
		require.Equal(t, message.Arrived, records[o.ID].Status, records[o.ID].Reason)
		require.Len(t, ledger[o.Draft.To], 1, "each once")
	}
	t.Logf("%d acknowledged, all sent once; SIGTERM took %v", answered, took)

	// A killed engine takes its modules with it.
	c.Engine.Kill()
	await(t, ctx, func() bool {
		left, err := Under(c.Data())
		require.NoError(t, err)
		return len(left) == 0
	})
}
