package apptest

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/smpp/smsc"
)

const (
	kills  = 4
	window = 50
)

// TestNothingAcknowledgedIsLostWhenKilled kills the engine under load at random times, over and over, and then compares
// three ledgers: what the clients were told, what the engine says, and what the carriers wrote into their file. Tools/chaos
// does the same with more faults and for longer.
func TestNothingAcknowledgedIsLostWhenKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := newCountry(t, Options{Window: window, Latency: 20 * time.Millisecond, ReceiptDelay: 200 * time.Millisecond, Doubt: string(message.DoubtResend)})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)

	l := &Load{Sender: sender}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(loading) })
	var starting time.Duration
	for range kills {
		alive := time.NewTimer(time.Duration(100+rand.IntN(700)) * time.Millisecond)
		<-alive.C
		c.Engine.Kill()
		began := time.Now()
		require.NoError(t, c.StartEngine(ctx))
		starting += time.Since(began)
	}
	alive := time.NewTimer(300 * time.Millisecond)
	<-alive.C
	stop()
	wg.Wait()

	v, _, err := c.Judge(ctx, l, Terms{Faults: kills, WindowSum: window * len(Carriers), Patience: 2 * time.Minute})
	require.NoError(t, err)
	require.Empty(t, v.Broken)
	for _, o := range l.Orders() { // the links of all lives open
		_, err := get(ctx, o.URL)
		require.NoError(t, err)
		if o.Draft.Claim != nil && rand.IntN(10) == 0 {
			cl, err := sender.Claim(ctx, o.Draft.Claim.Number)
			require.NoError(t, err)
			require.Equal(t, int64(1000), cl.Amount)
		}
	}
	t.Logf("%+v; a start took %v", *v, starting/kills)
}

// settled waits until nothing is under way and returns all messages by id.
func settled(t *testing.T, ctx context.Context, s *Sender) map[string]api.Message {
	t.Helper()
	records, err := Settled(ctx, s, Terms{})
	require.NoError(t, err)
	return records
}

// carriersFile reads what the carriers accepted, by number as people write it.
func carriersFile(t *testing.T, name string) map[string][]smsc.Message {
	t.Helper()
	ledger, err := ReadLedger(name)
	require.NoError(t, err)
	return ledger.Received
}
