package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/callbacks"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/message"
)

// taking is a sender's system that takes callbacks. Now and then it fails at a notice that it had not seen.
type taking struct {
	mu     sync.Mutex // guards what follows
	secret []byte     // nil: not known yet
	told   map[string][]told
	seen   map[string]bool // by webhook-id
	faults []string
	refuse bool // all of it
}

// told is a notice as it was taken.
type told struct {
	typ      string
	sequence int
	status   message.Phase
}

func (s *taking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var n struct {
		Type string
		Data struct {
			ID, Challenge, To string
			Sequence          int
			Status            message.Phase
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.faults = append(s.faults, err.Error())
		return
	}
	if n.Type == callback.CallbackChallenge {
		_, _ = io.WriteString(w, n.Data.Challenge) // an engine that went away asks again
		return
	}
	id, stamp := r.Header.Get(callback.HeaderID), r.Header.Get(callback.HeaderTimestamp)
	seconds, _ := strconv.ParseInt(stamp, 10, 64) // 0 does not verify
	if callback.Sign(s.secret, id, time.Unix(seconds, 0), body) != r.Header.Get(callback.HeaderSignature) {
		s.faults = append(s.faults, "signature of "+id)
	}
	if !strings.Contains(n.Data.To, "*") {
		s.faults = append(s.faults, "a whole number")
	}
	if s.refuse || !s.seen[id] && len(s.seen)%100 == 99 {
		s.seen[id] = true
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	s.seen[id] = true
	s.told[n.Data.ID] = append(s.told[n.Data.ID], told{n.Type, n.Data.Sequence, n.Data.Status})
}

func (s *taking) has(id, typ string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.told[id], func(t told) bool { return t.typ == typ })
}

// TestCallbacksComeAllAndInOrderWhenKilled kills the engine under load; the sender's system hears of every message at least
// once, in the message's order, signed, masked; then all of it is told again on demand.
func TestCallbacksComeAllAndInOrderWhenKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	system := &taking{told: map[string][]told{}, seen: map[string]bool{}}
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
	var made callbacks.Callback
	require.NoError(t, sender.Do(ctx, http.MethodPut, "/v1/callbacks/erp", fmt.Appendf(nil, `{"url":"http://%s/hook"}`, host), http.StatusCreated, &made))
	system.mu.Lock()
	system.secret, err = callback.ParseSecret(made.Secret)
	system.mu.Unlock()
	require.NoError(t, err)

	l := &Load{Sender: sender}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(loading) })
	const kills = 6
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
	await(t, ctx, func() bool {
		for id := range records {
			if !system.has(id, callback.MessageDelivered) {
				return false
			}
		}
		return true
	})
	system.mu.Lock()
	again, notices := 0, 0
	for id := range records {
		got := system.told[id]
		require.Equal(t, callback.MessageAccepted, got[0].typ)
		for i := 1; i < len(got); i++ {
			require.GreaterOrEqual(t, got[i].sequence, got[i-1].sequence, "message %s: %v", id, got)
			if got[i].sequence == got[i-1].sequence {
				again++
			}
		}
		notices += len(got)
	}
	require.Empty(t, system.faults)
	t.Logf("%d messages, %d kills: %d notices, in order, %d of them twice", len(records), kills, notices, again)
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	system := &taking{told: map[string][]told{}, seen: map[string]bool{}}
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
