package apptest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/message"
)

// TestCallbacksComeAllAndInOrderWhenKilled kills the engine under load; the sender's system hears of every message at least
// once, in the message's order, signed, masked; then all of it is told again on demand.
func TestCallbacksComeAllAndInOrderWhenKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	system := NewHook()
	server := httptest.NewServer(system)
	defer server.Close()
	host := server.Listener.Addr().String()
	c := newCountry(t, Options{Window: window, Latency: 5 * time.Millisecond, ReceiptDelay: 50 * time.Millisecond, Doubt: string(message.DoubtResend), Egress: []string{host}})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	var refused *Refused
	require.ErrorAs(t, sender.Do(ctx, http.MethodPut, "/v1/callbacks/erp", fmt.Appendf(nil, `{"url":%q}`, c.OperatorURL()+"/metrics"), http.StatusCreated, nil), &refused, "our own door")
	require.Equal(t, http.StatusUnprocessableEntity, refused.Status)
	require.NoError(t, system.Register(ctx, sender, "erp", "http://"+host+"/hook"))

	l := &Load{Sender: sender, Every: 15 * time.Millisecond}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(loading) })
	const kills = 3
	for range kills {
		alive := time.NewTimer(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		<-alive.C
		c.Engine.Kill()
		require.NoError(t, c.StartEngine(ctx))
	}
	stop()
	wg.Wait()
	require.Empty(t, l.Faults())
	records := settled(t, ctx, sender)
	require.NotEmpty(t, records)
	v := &Verdict{}
	require.NoError(t, v.notices(ctx, system, records, Terms{}))
	require.Empty(t, v.Broken)
	t.Logf("%d messages, %d kills: %+v", len(records), kills, v.Notices)
	system.mu.Lock()
	clear(system.told)
	system.mu.Unlock()

	require.NoError(t, sender.Do(ctx, http.MethodPost, "/v1/callbacks/erp/replay", []byte(`{"from":"2020-01-01T00:00:00Z"}`), http.StatusAccepted, nil))
	await(t, ctx, func() bool {
		for id := range records {
			if !system.has(id, callback.MessageAccepted) || !system.has(id, callback.MessageDelivered) {
				return false
			}
		}
		return true
	})
}

// TestTenantApplySetsCallbacks: a definition's callback answers its challenge, is in the diff, and its secret is printed once.
func TestTenantApplySetsCallbacks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	system := NewHook()
	server := httptest.NewServer(system)
	defer server.Close()
	host := server.Listener.Addr().String()
	c := newCountry(t, Options{Egress: []string{host}})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	_, err := c.Join(ctx)
	require.NoError(t, err)
	apply := func(extra string, args ...string) (string, error) {
		path := c.File("more.toml")
		require.NoError(t, os.WriteFile(path, append(c.tenant(), extra...), 0o600))
		return c.Command(ctx, append(append([]string{"tenant", "apply", "-config", c.File("kakitome.toml")}, args...), path)...)
	}
	callbackTOML := "[[callback]]\nname = \"erp\"\nurl = \"http://" + host + "/\"\nevents = [\"message.delivered\"]\n"
	out, err := apply(callbackTOML, "-dry-run")
	require.NoError(t, err)
	require.Contains(t, out, "+ callback.erp.url: http://"+host)
	require.NotContains(t, out, "whsec_")
	out, err = apply(callbackTOML)
	require.NoError(t, err)
	require.Contains(t, out, "whsec_")
	out, err = apply(callbackTOML)
	require.NoError(t, err)
	require.NotContains(t, out, "callback", "nothing of it changes")
	out, err = apply("")
	require.NoError(t, err)
	require.NotContains(t, out, "callback", "what a definition does not name stays")
	_, err = apply("[[callback]]\nname = \"crm\"\nurl = \"https://127.0.0.1:1/\"\n")
	require.ErrorContains(t, err, "url")
}

// TestReceiverThatNeverAnswersHoldsNoMessageBack: the sender's system takes the connection and the notices, and says nothing more. All its
// messages are at the carrier and delivered before it has answered a single one.
func TestReceiverThatNeverAnswersHoldsNoMessageBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	system := NewHook()
	var hanging, answered atomic.Int32
	var silent atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // what ends it is the engine's patience
			hanging.Add(1)
			<-r.Context().Done()
			return
		}
		system.ServeHTTP(w, r)
		answered.Add(1)
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	c := newCountry(t, Options{Window: window, Egress: []string{host}})
	defer c.Close() // before the receiver, so that nothing of it hangs
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	require.NoError(t, system.Register(ctx, sender, "erp", "http://"+host+"/hook"))
	challenges := answered.Load()
	silent.Store(true)
	send := func(from, n int) (ids []string) {
		t.Helper()
		var drafts []message.Draft
		for i := range n {
			drafts = append(drafts, message.Draft{To: Number(from + i), Text: "〇〇県水道局のお知らせです。"})
		}
		lines, err := sender.Batch(ctx, drafts)
		require.NoError(t, err)
		for _, l := range lines {
			require.NotNil(t, l.Message, "%+v", l.Problem)
			ids = append(ids, l.Message.ID)
		}
		return ids
	}
	ids := send(0, 1)
	await(t, ctx, func() bool { return hanging.Load() > 0 })
	const bulk = 400 // more than callbacks of a tenant run at a time
	for _, id := range append(ids, send(1, bulk)...) {
		await(t, ctx, func() bool {
			m, err := sender.Message(ctx, id)
			require.NoError(t, err)
			return m.Status == message.Arrived
		})
	}
	require.Equal(t, challenges, answered.Load(), "the receiver still hangs")
	ledger, err := ReadLedger(c.File("ledger.ndjson"))
	require.NoError(t, err)
	for i := range bulk + 1 {
		require.Len(t, ledger.Received[Number(i)], 1)
	}
}
