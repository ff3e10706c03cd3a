package admin

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/bind/history"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/tenant"
)

// lines is a dispatcher at which messages wait.
type lines struct{}

func (lines) Waiting(carrier string, now time.Time) (dispatch.Waiting, error) {
	if carrier != "softbank" {
		return dispatch.Waiting{}, nil
	}
	return dispatch.Waiting{Lanes: [3]int{0, 12, 1234}, All: 1246, Oldest: now.Add(-5 * time.Minute), InDoubt: 3}, nil
}

func (lines) BindConfig(name string) (bind.Config, bool) {
	carrier, _, _ := strings.Cut(name, "-")
	return bind.Config{Name: name, Carrier: carrier, Address: "192.0.2.1:2775"}, name == "docomo-1"
}

func (lines) Recheck() {}

// past is a history by script: what each step does.
type past struct {
	mu     sync.Mutex // guards what follows
	step   func(i, of int, r *history.Record)
	reload func() ([]string, error)
}

func (p *past) Read(_ string, now time.Time, span, step time.Duration) ([]history.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int(span / step)
	all := make([]history.Record, n)
	for i := range all {
		all[i].At = now.Add(-span + time.Duration(i)*step)
		if p.step != nil {
			all[i].Covered = step
			p.step(i, n, &all[i])
		}
	}
	return all, nil
}

func (p *past) set(step func(i, of int, r *history.Record)) {
	p.mu.Lock()
	p.step = step
	p.mu.Unlock()
}

func tryByScript(_ context.Context, t dispatch.Trial) ([]string, error) {
	t.Tell(dispatch.Step{Deed: dispatch.TrialBound, Peer: "smsc", Took: time.Millisecond})
	if t.Text == "no receipt" {
		return nil, &dispatch.NoReceiptError{ID: "1", Wait: t.Wait}
	}
	t.Tell(dispatch.Step{Deed: dispatch.TrialReceived, ID: "0FF", State: "DELIVRD"})
	return []string{"hex/decimal"}, nil
}

func TestOperatorsHoldCarriersAndTenantsDoNot(t *testing.T) {
	r := openRoom(t)
	b := r.enter("operator")
	body := b.get("/carriers").body
	for _, want := range []string{"docomo-1", "1,246", "5分前", "接続先が接続を受け付けていません"} {
		require.Contains(t, body, want)
	}
	for mode, want := range map[string]string{"pause": "一時停止中", "drain": "切り離し中"} {
		require.Equal(t, http.StatusSeeOther, b.post("/carriers/docomo/hold", "mode", mode).status)
		require.Equal(t, tenant.HoldMode(mode), r.Directory.Now().Held["docomo"].Mode)
		require.Equal(t, "user:operator", r.Directory.Now().Held["docomo"].By)
		require.Contains(t, b.get("/carriers").body, want)
		require.Equal(t, "carrier.hold", r.actions(tenant.OperatorID)[0])
	}
	require.Equal(t, http.StatusSeeOther, b.post("/carriers/docomo/hold", "mode", "").status)
	require.Equal(t, tenant.Released, r.Directory.Now().Held["docomo"].Mode)
	for _, form := range [][]string{{"mode", "x"}, {}} {
		require.Equal(t, http.StatusNotFound, b.post("/carriers/docomo/hold", form...).status)
	}
	require.Equal(t, http.StatusNotFound, b.post("/carriers/nobody/hold", "mode", "pause").status)
	token := b.csrf
	b.csrf = "x"
	require.Equal(t, http.StatusForbidden, b.post("/carriers/docomo/hold", "mode", "pause").status, "without the token")
	b.csrf = token
	require.Equal(t, tenant.Released, r.Directory.Now().Held["docomo"].Mode)
	admin := r.enter("admin@mizu")
	for _, path := range []string{"/carriers", "/binds/docomo-1", "/carriers/docomo/try"} {
		require.Equal(t, http.StatusForbidden, admin.get(path).status)
	}
	require.NotContains(t, admin.get("/").body, `href="/carriers"`)
}

func TestReloadShowsWhatIsWrong(t *testing.T) {
	r := openRoom(t)
	b := r.enter("operator")
	b.get("/carriers")
	r.past.reload = func() ([]string, error) {
		return nil, errors.Join(errors.New("kakitome.toml:12: unknown key <x>"), errors.New("bind b: there is no carrier"))
	}
	a := b.post("/carriers/reload")
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Contains(t, a.body, "kakitome.toml:12: unknown key &lt;x&gt;")
	require.Contains(t, a.body, "以前の設定のまま")
	r.past.reload = func() ([]string, error) { return []string{"listen"}, nil }
	a = b.post("/carriers/reload")
	require.Equal(t, http.StatusSeeOther, a.status)
	require.Contains(t, b.get(a.header.Get("Location")).body, "再起動後に有効になります：listen")
	require.Equal(t, "config.reload", r.actions(tenant.OperatorID)[0])
}

func TestATrialIsShownStepByStep(t *testing.T) {
	r := openRoom(t)
	b := r.enter("operator")
	require.Contains(t, b.get("/carriers/docomo/try").body, "先に「切り離す」")
	for _, form := range [][]string{
		{"bind", "docomo-1", "number", "0312345678", "from", "0312345678", "text", "x"},
		{"bind", "docomo-9", "number", "090-0001-0001", "from", "0312345678", "text", "x"},
		{"bind", "docomo-1", "number", "090-0002-0001", "from", "0312345678", "text", "x"}, // of au
		{"bind", "docomo-1", "number", "090-0001-0001", "from", "", "text", "x"},
		{"bind", "docomo-1", "number", "090-0001-0001", "from", "0312345678", "text", strings.Repeat("長", 71)},
	} {
		a := b.post("/carriers/docomo/try", form...)
		require.Equal(t, http.StatusUnprocessableEntity, a.status, "%v", form)
		require.NotContains(t, a.body, "0001-0001")
	}
	for text, want := range map[string]string{"x": "hex/decimal", "no receipt": "時間内に送達通知が届きませんでした"} {
		require.Equal(t, http.StatusSeeOther, b.post("/carriers/docomo/try", "bind", "docomo-1", "number", "090-0001-0001", "from", "0312345678", "text", text).status)
		r.trials.running.Wait()
		body := b.get("/carriers/docomo/try").body
		require.Contains(t, body, want)
		require.Contains(t, body, "接続しました")
		require.Contains(t, body, "090-****-0001")
		require.Equal(t, "carrier.try", r.actions(tenant.OperatorID)[0])
	}
}

func TestChartsOfABind(t *testing.T) {
	r := openRoom(t)
	b := r.enter("operator")
	require.Equal(t, http.StatusNotFound, b.get("/binds/nobody").status)
	shown := func(span string) string {
		a := b.get("/binds/docomo-1?range=" + span)
		require.Equal(t, http.StatusOK, a.status)
		for _, bad := range []string{"NaN", "Inf", "style=", "<script>"} {
			require.NotContains(t, a.body, bad)
		}
		return a.body
	}
	for _, sp := range chartSpans {
		require.Equal(t, 4, strings.Count(shown(sp.Code), "この期間の記録はありません"), "nothing yet")
	}
	r.past.set(func(_, _ int, rec *history.Record) { rec.Up = rec.Covered })
	require.Contains(t, shown("hour"), "100%", "all zero")
	r.past.set(func(i, of int, rec *history.Record) {
		if i != of/2 {
			*rec = history.Record{At: rec.At}
		} else {
			rec.Submitted = 7
		}
	})
	body := shown("day")
	require.Contains(t, body, "<circle", "one point")
	require.Contains(t, body, "記録なし")
	r.past.set(func(_, _ int, rec *history.Record) {
		rec.Submitted, rec.Answered, rec.Window = math.MaxUint32, math.MaxUint32, history.Window{Peak: math.MaxUint32, Sum: math.MaxUint32, Samples: 1}
		rec.Latency[bind.LatencyBuckets-1] = math.MaxUint32
	})
	require.Regexp(t, `\dM`, shown("hour"), "huge")
	r.past.set(func(i, _ int, rec *history.Record) {
		if rec.Submitted = 10; i%10 == 9 {
			*rec = history.Record{At: rec.At}
		}
	})
	require.Greater(t, strings.Count(shown("week"), `class="c1" d="M`), 20, "a gap ends a line")
}

func TestAxesEndRound(t *testing.T) {
	for high, want := range map[float64]float64{0: 1, 1: 1, 3: 3, 7: 8, 100: 100, 101: 120, 0.013: 0.015, 4e9: 4e9} {
		top, step := niceTop(high)
		require.InEpsilon(t, want, top, 0.26, "%g: %g", high, top)
		require.GreaterOrEqual(t, top, high)
		require.LessOrEqual(t, top/step, 5.01, "%g", high)
	}
}
