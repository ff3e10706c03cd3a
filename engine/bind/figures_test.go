package bind

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/smpp/smsc"
)

func TestLatencyFallsIntoItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(-1, int64(10*time.Minute)).Draw(t, "d"))
		var l Latency
		l.Add(d)
		for i, n := range l {
			if n == 0 {
				continue
			}
			if i < LatencyBuckets-1 && d >= LatencyBound(i) || i > 0 && d < LatencyBound(i-1) {
				t.Fatalf("%s is in bucket %d, which ends at %s", d, i, LatencyBound(i))
			}
			got, ok := l.Quantile(0.99)
			if !ok || i < LatencyBuckets-1 && got > LatencyBound(i) || i > 0 && got < LatencyBound(i-1) {
				t.Fatalf("quantile of %s is %s", d, got)
			}
		}
	})
}

func TestQuantilesOfATail(t *testing.T) {
	var l Latency
	_, ok := l.Quantile(0.5)
	require.False(t, ok, "there is nothing")
	for range 980 {
		l.Add(10 * time.Millisecond)
	}
	for range 20 {
		l.Add(3 * time.Second)
	}
	p50, _ := l.Quantile(0.5)
	require.InDelta(t, 10, p50.Seconds()*1000, 3)
	p99, _ := l.Quantile(0.99)
	require.InDelta(t, 3, p99.Seconds(), 0.8)
}

func TestFiguresGoOnOverSessions(t *testing.T) {
	c := carrier(t)
	b := run(t, c, "secret", 0o600)
	reaches(t, b, Bound)
	submit := func(n int) {
		before := b.Figures().Answered
		require.Equal(t, n, b.TrySubmit(submissions(n), true))
		require.Eventually(t, func() bool { return b.Figures().Answered == before+uint64(n) }, 10*time.Second, 5*time.Millisecond)
	}
	submit(3)
	require.NoError(t, c.SetTrouble(smsc.Trouble{Down: true}))
	reaches(t, b, Waiting)
	require.False(t, b.Status().DownSince.IsZero())
	require.NoError(t, c.SetTrouble(smsc.Trouble{}))
	b.Resume()
	reaches(t, b, Bound)
	require.True(t, b.Status().DownSince.IsZero())
	submit(2)
	f := b.Figures()
	require.Equal(t, uint64(5), f.Submitted)
	require.Equal(t, uint64(2), f.Connects)
	require.Positive(t, f.Up)
	var n uint64
	for _, in := range f.Latency {
		n += in
	}
	require.Equal(t, f.Answered, n)
}

// errorsMax bounds what a carrier can make us keep.
func TestInventedStatusesShareOneCount(t *testing.T) {
	b := New(Options{Config: Default(), Log: slog.New(slog.DiscardHandler)})
	batch := make([]session.Result, 100)
	for i := range batch {
		batch[i] = session.Result{Outcome: session.Answered, Status: pdu.Status(0x400 + i)}
	}
	b.countResults(batch)
	f := b.Figures()
	require.Len(t, f.Errors, errorsMax+1)
	require.Equal(t, uint64(100-errorsMax), f.Errors[OtherErrors])
}

// A bind that is made anew under its name begins before the one that had it has ended.
func TestMetricsOfABindThatIsMadeAnew(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := Default()
	cfg.Name, cfg.Carrier = "docomo-1", "docomo"
	make := func() *Bind {
		return New(Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Registerer: reg})
	}
	old := make()
	require.NoError(t, reg.Register(old.metrics))
	next := make()
	require.True(t, reg.Unregister(old.metrics))
	require.NoError(t, reg.Register(next.metrics))
	next.countResults([]session.Result{{Outcome: session.Answered, Status: pdu.StatusThrottled}})
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `kakitome_bind_refusals_total{bind="docomo-1",carrier="docomo",status="ESME_RTHROTTLED"} 1`)
	require.Contains(t, w.Body.String(), `kakitome_bind_response_seconds_count{bind="docomo-1",carrier="docomo"} 1`)
}
