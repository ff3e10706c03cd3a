package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// write puts a configuration on free ports into a file.
func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "127.0.0.1:0")
	text = regexp.MustCompile(`receipt_delay = "\w+"`).ReplaceAllString(text, `receipt_delay = "1ms"`)
	name := filepath.Join(t.TempDir(), "smsc.toml")
	require.NoError(t, os.WriteFile(name, []byte(text), mode))
	return name
}

// run starts the program and returns its addresses by name.
func run(t *testing.T, name string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- start(ctx, name, w, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		began := time.Now()
		require.NoError(t, <-done)
		require.Less(t, time.Since(began), 20*time.Second)
	})
	ready, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	addrs := map[string]string{}
	require.True(t, strings.HasPrefix(ready, "ready "))
	for _, pair := range strings.Fields(ready)[1:] {
		k, v, _ := strings.Cut(pair, "=")
		addrs[k] = v
	}
	return addrs
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestSampleRunsAndShowsWhatItReceived(t *testing.T) {
	name := write(t, sample, 0o600)
	addrs := run(t, name)
	base := "http://" + addrs["http"]
	require.Len(t, addrs, 5)
	_, body := get(t, base+"/healthz")
	require.Equal(t, "ok\n", body)

	stream, err := http.Get(base + "/messages/stream")
	require.NoError(t, err)
	defer stream.Body.Close()
	events := bufio.NewReader(stream.Body)
	_, err = events.ReadString('\n') // hello
	require.NoError(t, err)

	results := make(chan pdu.Status, 1)
	delivered := make(chan string, 10)
	s, err := session.Dial(t.Context(), session.Options{
		Addr: addrs["au"], Bind: pdu.Bind{SystemID: "kakitome", Password: "kddi0001"},
		Settings: session.Settings{
			OnResults: func(_ *session.Session, batch []session.Result) { results <- batch[0].Status },
			OnRequests: func(_ *session.Session, batch []session.Incoming) {
				for _, in := range batch {
					delivered <- string(in.SM.ShortMessage)
					_ = in.Reply.Respond(pdu.StatusOK)
				}
			},
		},
	})
	require.NoError(t, err)
	defer s.Close()
	submit := func() pdu.Status {
		_, err := s.TrySubmit([]session.Request{{Body: &pdu.SubmitSM{SM: pdu.SM{
			Source: pdu.Address{Addr: []byte("0312345678")}, Dest: pdu.Address{Addr: []byte("818000000001")},
			RegisteredDelivery: 1, ShortMessage: []byte("code 123456"),
		}}}})
		require.NoError(t, err)
		return <-results
	}
	require.Equal(t, pdu.StatusOK, submit())
	require.Contains(t, <-delivered, "stat:DELIVRD")

	var m smsc.Message
	for {
		line, err := events.ReadString('\n')
		require.NoError(t, err)
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			require.NoError(t, json.Unmarshal([]byte(data), &m))
			break
		}
	}
	require.Equal(t, "code 123456", m.Text)
	require.Equal(t, "au", m.Carrier)

	_, body = get(t, base+"/ledger")
	require.Contains(t, body, `"text":"code 123456"`)
	_, body = get(t, base+"/ledger?carrier=au&since=1")
	require.Empty(t, body)
	_, body = get(t, base+"/ledger?carrier=docomo")
	require.Empty(t, body)
	_, body = get(t, base+"/ledger?since="+m.Received.UTC().Format(time.RFC3339Nano))
	require.Empty(t, body)
	for _, bad := range []string{"?carrier=nobody", "?since=yesterday", "?since=1"} {
		code, _ := get(t, base+"/ledger"+bad)
		require.GreaterOrEqual(t, code, 400, bad)
	}
	var counts map[string]smsc.Counts
	_, body = get(t, base+"/counts")
	require.NoError(t, json.Unmarshal([]byte(body), &counts))
	require.EqualValues(t, 1, counts["au"].Accepted)

	code, body := post(t, base+"/carriers/au/faults", `{"reject":"ESME_RSYSERR"}`)
	require.Equal(t, 200, code, body)
	require.Equal(t, pdu.StatusSystemError, submit())
	code, _ = post(t, base+"/carriers/au/faults", `{"rules":[{"suffix":"0001","status":"0x45"}]}`)
	require.Equal(t, 200, code)
	require.Equal(t, pdu.StatusSubmitFailed, submit())
	for url, bad := range map[string]string{"/carriers/au/faults": `{"rejekt":1}`, "/carriers/nobody/faults": `{}`, "/carriers/au/originate": `{"from":"12345678901234567890123"}`} {
		code, _ := post(t, base+url, bad)
		require.GreaterOrEqual(t, code, 400, url)
	}
	code, _ = post(t, base+"/carriers/au/originate", `{"from":"818000000001","to":"0312345678","text":"STOP"}`)
	require.Equal(t, 202, code)
	require.Equal(t, "STOP", <-delivered)

	code, _ = post(t, base+"/carriers/au/script", "{\"suffix\":\"0001\",\"status\":\"0x58\",\"times\":1}\n{\"suffix\":\"0001\",\"status\":\"0x14\"}\n")
	require.Equal(t, 204, code)
	require.Equal(t, pdu.StatusThrottled, submit())
	require.Equal(t, pdu.StatusMessageQueueFull, submit())
	code, _ = post(t, base+"/carriers/au/script", "{\"suffix\":\"0001\",\"status\":\"0x14\"}\n{\"trouble\":{\"reject\":\"ESME_RSUBMITFAIL\"}}\n")
	require.Equal(t, 204, code)
	require.Eventually(t, func() bool { return submit() == pdu.StatusSubmitFailed }, 30*time.Second, time.Millisecond)
	code, body = post(t, base+"/carriers/au/script", "{}\n{\"stat\":1}")
	require.Equal(t, 400, code)
	require.Contains(t, body, "line 2")
	for _, to := range []string{`{"addr":"192.0.2.1:1"}`, `{"addr":"127.0.0.1:1"}`} {
		code, _ = post(t, base+"/carriers/au/outbind", to)
		require.GreaterOrEqual(t, code, 400)
	}
	code, _ = post(t, base+"/carriers/au/unbind", "")
	require.Equal(t, 202, code)
	<-s.Done()
	require.ErrorIs(t, s.Err(), session.ErrPeerUnbound)

	file, err := os.ReadFile(filepath.Join(filepath.Dir(name), "smsc-ledger.ndjson"))
	require.NoError(t, err)
	for event, n := range map[string]int{"received": 1, "state": 1, "phone": 1} {
		require.Equal(t, n, strings.Count(string(file), `{"event":"`+event+`",`), event)
	}
}

func TestConfigurationIsReadStrictly(t *testing.T) {
	_, err := load(write(t, sample, 0o644))
	require.ErrorContains(t, err, "needs 0600")
	_, err = load(write(t, strings.Replace(sample, "latency =", "latencie =", 1), 0o600))
	require.ErrorContains(t, err, "smsc.toml:19: unknown key")
	require.NotContains(t, err.Error(), "docomo01")
	_, err = load(write(t, strings.Replace(sample, `latency = "20ms"`, `latency = "fast"`, 1), 0o600))
	require.ErrorContains(t, err, "smsc.toml:19:")
	_, err = load(write(t, strings.Replace(sample, `name = "au"`, `name = "docomo"`, 1), 0o600))
	require.ErrorContains(t, err, "carrier[1].name")
	scripted := write(t, strings.Replace(sample, `script = ""`, `script = "script.ndjson"`, 1), 0o600)
	_, err = load(scripted)
	require.ErrorContains(t, err, "carrier[0].script")
	script := filepath.Join(filepath.Dir(scripted), "script.ndjson")
	require.NoError(t, os.WriteFile(script, []byte(`{"suffix":"1","status":"HUH"}`), 0o600))
	_, err = load(scripted)
	require.ErrorContains(t, err, "script.ndjson: line 1: status")
	require.NoError(t, os.WriteFile(script, []byte(`{"suffix":"1","status":"0x58"}`+"\n"+`{"for":"3s","trouble":{"vanish":true}}`), 0o600))
	c, err := load(scripted)
	require.NoError(t, err)
	require.Len(t, c.Carriers[0].Faults, 1)
	require.Equal(t, []smsc.Spell{{For: smsc.Duration(3 * time.Second), Trouble: smsc.Trouble{Vanish: true}}}, c.Carriers[0].Spells)
	spell := "[[carrier.spells]]\nafter = \"30m\"\ntrouble = { reject_bind = \"ESME_RALYBND\", drip = \"1ms\" }\n"
	c, err = load(write(t, sample+spell, 0o600))
	require.NoError(t, err)
	require.Equal(t, smsc.Duration(30*time.Minute), c.Carriers[3].Spells[0].After)
	require.Equal(t, smsc.Duration(time.Millisecond), c.Carriers[3].Spells[0].Trouble.Drip)
	_, err = load(write(t, sample+strings.Replace(spell, "ESME_RALYBND", "HUH", 1), 0o600))
	require.ErrorContains(t, err, "carrier[3]: spells[0].trouble.reject_bind")
	_, err = load("")
	require.Error(t, err)
}
