package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
)

// seedNumber is the tenant's phone at the i-th carrier.
func seedNumber(i int) string { return Number(3_900_000 + i) }

// campaigns is a tenant with its files.
type campaigns struct {
	*Country
	t      *testing.T
	ctx    context.Context
	sender *Sender
}

func newCampaigns(t *testing.T, ctx context.Context, o Options) *campaigns {
	t.Helper()
	c := &campaigns{Country: newCountry(t, o), t: t, ctx: ctx}
	c.edit(t, "suido.toml", func(def string) string {
		def += "[seed]\n"
		for i, name := range Carriers {
			def += fmt.Sprintf("%s = %q\n", name, seedNumber(i))
		}
		return def
	})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	var err error
	c.sender, err = c.Join(ctx)
	require.NoError(t, err)
	return c
}

func (c *campaigns) call(method, path string, body any, want int) *campaign.State {
	c.t.Helper()
	var data []byte
	if body != nil {
		var err error
		data, err = json.Marshal(body)
		require.NoError(c.t, err)
	}
	var st campaign.State
	require.NoError(c.t, c.sender.Do(c.ctx, method, path, data, want, &st))
	return &st
}

var surnames = []string{"山田", "佐藤", "鈴木"}

// released uploads n rows, of numbers from first on, and releases them.
func (c *campaigns) released(first, n int, release map[string]any) string {
	c.t.Helper()
	var b bytes.Buffer
	b.WriteString("電話番号,本文,タイトル,会員情報\r\n")
	for i := range n {
		fmt.Fprintf(&b, "%s,%s様 〇〇県水道局です。{url},お知らせ,R-%d\r\n", Number(first+i), surnames[i%len(surnames)], first+i)
	}
	path := "/v1/uploads/" + c.call(http.MethodPost, "/v1/uploads", map[string]any{"name": "a.csv", "size": b.Len()}, 201).ID.String()
	data, _, err := c.sender.send(c.ctx, http.MethodPut, path+"?offset=0", "application/octet-stream", b.Bytes(), 200)
	require.NoError(c.t, err, "%s", data)
	c.until(path, func(st *campaign.State) bool { return st.Phase == campaign.Staged })
	c.call(http.MethodPost, path+"/release", release, 202)
	return path
}

func (c *campaigns) until(path string, so func(*campaign.State) bool) (st *campaign.State) {
	c.t.Helper()
	await(c.t, c.ctx, func() bool {
		st = c.call(http.MethodGet, path, nil, 200)
		return so(st)
	})
	return st
}

func (c *campaigns) at(phase campaign.Phase) func(*campaign.State) bool {
	return func(st *campaign.State) bool { return st.Phase == phase }
}

// outcomes counts the upload's messages by status and reason, settled or not.
func (c *campaigns) outcomes(path string) map[string]int {
	c.t.Helper()
	all, err := c.sender.Messages(c.ctx)
	require.NoError(c.t, err)
	counts := map[string]int{}
	id := strings.TrimPrefix(path, "/v1/uploads/")
	for _, m := range all {
		if m.Campaign == id {
			counts[m.Carrier+" "+string(m.Status)+" "+m.Reason]++
		}
	}
	return counts
}

// received is how many times a carrier took a message to each number.
func (c *campaigns) received() map[string]int {
	c.t.Helper()
	if _, err := os.Stat(c.File("ledger.ndjson")); err != nil {
		return map[string]int{}
	}
	counts := map[string]int{}
	for number, taken := range carriersFile(c.t, c.File("ledger.ndjson")) {
		counts[strings.ReplaceAll(number, "-", "")] += len(taken)
	}
	return counts
}

// TestCanaryStopsAtTheCarrierThatFailsAndTheRestIsDelivered: one carrier delivers nothing. The engine is killed while the
// seeds are on their way.
func TestCanaryStopsAtTheCarrierThatFailsAndTheRestIsDelivered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := newCampaigns(t, ctx, Options{Latency: 5 * time.Millisecond, ReceiptDelay: time.Second, Doubt: string(message.DoubtWait)})
	res, err := http.Post(c.SMSCURL()+"/carriers/au/faults", "application/json", strings.NewReader(`{"rules":[{"suffix":"","state":"UNDELIV","err":"001"}]}`))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 200, res.StatusCode)

	path := c.released(0, 400, map[string]any{"canary": true, "canary_minutes": 2})
	c.until(path, func(st *campaign.State) bool { return st.Canary.Seeds != nil })
	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	st := c.until(path, c.at(campaign.Stopped))
	require.Contains(t, st.Canary.Failed, "au")
	for _, p := range st.Canary.Seeds {
		m, err := c.sender.Message(ctx, p.Message.String())
		require.NoError(t, err)
		require.Equal(t, message.ViaCanary, m.Via)
		require.Empty(t, m.Campaign)
	}
	require.Empty(t, c.outcomes(path), "not one row is a message yet")
	for number, n := range c.received() {
		require.Contains(t, []string{seedNumber(0), seedNumber(1), seedNumber(2), seedNumber(3)}, number)
		require.Equal(t, 1, n, "a seed is sent once")
	}
	for number, taken := range carriersFile(t, c.File("ledger.ndjson")) {
		for _, name := range surnames {
			require.NotContains(t, taken[0].Text, name, "%s got something of a customer", number)
		}
		require.Contains(t, taken[0].Text, "様 〇〇県水道局です。")
	}

	for _, name := range st.Canary.Failed { // the kill may have left another seed in doubt
		st = c.call(http.MethodPost, path+"/drop-carrier", map[string]string{"carrier": name}, 200)
	}
	dropped := len(st.Without)
	c.until(path, c.at(campaign.Done))
	var got map[string]int
	await(t, ctx, func() bool {
		got = c.outcomes(path)
		n := 0
		for what, count := range got {
			if strings.HasSuffix(what, "delivered ") || strings.HasSuffix(what, "canceled carrier_dropped") {
				n += count
			}
		}
		return n == 400
	})
	require.Equal(t, 100, got["au canceled carrier_dropped"])
	require.Len(t, got, 4)
	require.Len(t, c.received(), 100*(4-dropped)+4)
}

// TestPauseAndCancelUnderLoad: after the pause at most what the open windows hold goes out; it holds over a kill; what was
// held goes out once each. A cancel is killed in its middle: nothing that is called canceled was sent, and nothing is left.
func TestPauseAndCancelUnderLoad(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	const rows, window = 6000, 50
	c := newCampaigns(t, ctx, Options{Window: window, Latency: 100 * time.Millisecond, Doubt: string(message.DoubtWait)})
	submitted := func() int {
		n, err := c.Metric(ctx, "kakitome_dispatch_submissions_total")
		require.NoError(t, err)
		return int(n)
	}
	path := c.released(0, rows, nil)
	await(t, ctx, func() bool { return submitted() > 600 })
	began := time.Now()
	st := c.call(http.MethodPost, path+"/pause", nil, 200)
	took := time.Since(began)
	before := submitted()
	require.Equal(t, "key:test", st.Paused.By)
	last, quiet := before, 0
	await(t, ctx, func() bool { // nothing more for a while: the windows have drained
		now := submitted()
		if quiet++; now != last {
			last, quiet = now, 0
		}
		return quiet == 10
	})
	require.LessOrEqual(t, last-before, window*len(Carriers), "what goes out after a pause")
	require.Less(t, last, rows, "it was paused in its middle")
	t.Logf("paused in %v at %d submissions, %d more went out", took, before, last-before)

	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	single, _, err := c.sender.Send(ctx, &message.Draft{To: Number(3_000_000), Text: "お知らせです。"})
	require.NoError(t, err)
	await(t, ctx, func() bool {
		m, err := c.sender.Message(ctx, single.ID)
		require.NoError(t, err)
		return m.Status == message.Arrived
	})
	require.Equal(t, 1, submitted(), "after a restart it is still paused, and others are not")
	require.NotNil(t, c.call(http.MethodGet, path, nil, 200).Paused)
	c.call(http.MethodPost, path+"/resume", nil, 200)
	c.until(path, c.at(campaign.Done))
	await(t, ctx, func() bool {
		got := c.outcomes(path)
		n := 0
		for what, count := range got {
			if strings.HasSuffix(what, " delivered ") {
				n += count
			}
		}
		return n == rows
	})
	taken := c.received()
	for i := range rows {
		require.Equal(t, 1, taken[Number(i)], "row %d", i)
	}

	path = c.released(100_000, rows, nil)
	began, base := time.Now(), submitted()
	await(t, ctx, func() bool { return submitted() > base+400 })
	c.call(http.MethodPost, path+"/cancel", map[string]string{"reason": "文面の誤り"}, 200)
	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	st = c.until(path, c.at(campaign.Canceled))
	require.Equal(t, "文面の誤り", st.Canceled.Reason)
	taken = c.received()
	all, err := c.sender.Messages(ctx)
	require.NoError(t, err)
	mine, canceled := 0, 0
	for _, m := range all {
		if m.Campaign != st.ID.String() {
			continue
		}
		mine++
		at := 100_000
		_, err := fmt.Sscanf(m.Reference, "R-%d", &at)
		require.NoError(t, err)
		switch m.Status {
		case message.Withdrawn:
			canceled++
			require.Equal(t, message.ReasonCampaignCanceled, m.Reason)
			require.Zero(t, taken[Number(at)], "%s is canceled and was sent", m.ID)
		case message.Confirming, message.Arrived:
			require.Equal(t, 1, taken[Number(at)])
		default:
			require.Equal(t, message.Doubtful, m.Status, "%s", m.ID)
			require.LessOrEqual(t, taken[Number(at)], 1, "what is in doubt is not sent again")
		}
	}
	require.Positive(t, canceled)
	require.EqualValues(t, mine, st.Sweep.Looked)
	require.EqualValues(t, canceled, st.Sweep.Ended)
	t.Logf("canceled %d of %d messages; settled %v after the release", canceled, mine, time.Since(began))
}
