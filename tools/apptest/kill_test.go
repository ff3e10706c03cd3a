package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/smpp/smsc"
)

const (
	kills  = 20
	window = 50
)

// TestNothingAcknowledgedIsLostWhenKilled kills the engine under load at random times, over and over, and then compares
// three ledgers: what the clients were told, what the engine says, and what the carriers wrote into their file.
func TestNothingAcknowledgedIsLostWhenKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := newCountry(t, Options{Window: window, Latency: 20 * time.Millisecond, ReceiptDelay: 200 * time.Millisecond, Doubt: string(message.DoubtResend)})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)

	l := &load{sender: sender}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.run(loading) })
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
	require.Empty(t, l.faults)

	// What was given up gets its answer now; what was answered gets the same one again.
	told, unanswered := map[string]*order{}, 0
	for i := 0; i < len(l.orders); i += 100 {
		some := l.orders[i:min(i+100, len(l.orders))]
		for _, o := range some {
			if o.id == "" {
				unanswered++
			}
		}
		require.NoError(t, l.send(ctx, some))
	}
	require.Empty(t, l.faults, "the same key gives the same answer")
	for _, o := range l.orders {
		require.Nil(t, told[o.id], "two keys have one message")
		told[o.id] = o
	}

	records := settled(t, ctx, sender)
	require.Len(t, records, len(told), "the engine has each message once, and no other")
	ledger := carriersFile(t, c.File("ledger.ndjson"))
	var duplicates, resent, again int
	for id, m := range records {
		o := told[id]
		require.NotNil(t, o, "message %s was told nobody", id)
		require.Equal(t, message.Arrived, m.Status, "message %s: %s", id, m.Reason)
		sent := ledger[o.draft.To]
		require.NotEmpty(t, sent, "message %s never reached the carrier", id)
		for _, s := range sent {
			require.Contains(t, s.Text, o.url)
		}
		if o.unanswered {
			again++
		}
		delete(ledger, o.draft.To)
		if len(sent) == 1 {
			continue
		}
		duplicates += len(sent) - 1
		m, err := sender.Message(ctx, id)
		require.NoError(t, err)
		doubts := 0
		for _, e := range m.Timeline {
			if e.Event == "in_doubt" {
				doubts++
			}
		}
		resent += doubts
		require.LessOrEqual(t, len(sent)-1, doubts, "message %s was sent again without a doubt: %v", id, m.Timeline)
	}
	require.Empty(t, ledger, "the carriers got what nobody asked for")
	require.LessOrEqual(t, duplicates, kills*window*len(Carriers), "duplicates are bounded by the windows")
	for _, o := range l.orders { // the links of all lives open
		_, err := get(ctx, o.url)
		require.NoError(t, err)
		if o.draft.Claim != nil && rand.IntN(10) == 0 {
			cl, err := sender.Claim(ctx, o.draft.Claim.Number)
			require.NoError(t, err)
			require.Equal(t, int64(1000), cl.Amount)
		}
	}
	t.Logf("%d messages, %d kills: 0 lost, %d duplicated (of at most %d), doubts of the duplicated %d", len(told), kills, duplicates, kills*window*len(Carriers), resent)
	t.Logf("%d had a request without an answer, %d of them none until the end; a start took %v", again, unanswered, starting/kills)
}

// settled waits until nothing is under way and returns all messages by id.
func settled(t *testing.T, ctx context.Context, s *Sender) map[string]api.Message {
	t.Helper()
	records := map[string]api.Message{}
	await(t, ctx, func() bool {
		all, err := s.Messages(ctx)
		require.NoError(t, err)
		over := true
		for _, m := range all {
			records[m.ID] = m
			switch m.Status {
			case message.Waiting, message.Sending, message.Doubtful, message.Confirming:
				over = false
			}
		}
		return over
	})
	return records
}

// carriersFile reads what the carriers accepted, by number as people write it.
func carriersFile(t *testing.T, name string) map[string][]smsc.Message {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	got := map[string][]smsc.Message{}
	for line := range bytes.Lines(data) {
		var m struct {
			Event string
			smsc.Message
		}
		require.NoError(t, json.Unmarshal(line, &m))
		if m.Event == "received" {
			number := "0" + strings.TrimPrefix(m.Dest, "81")
			got[number] = append(got[number], m.Message)
		}
	}
	return got
}
