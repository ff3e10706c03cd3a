package payment

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	phases   *prometheus.CounterVec
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	webhooks *prometheus.CounterVec
	alerts   prometheus.Counter
	receipts prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		phases: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_payment_claims_total", Help: "Claims that came into a phase.",
		}, []string{"phase"}), // Phases but overdue
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_payment_calls_total", Help: "Calls of payment agents.",
		}, []string{"call", "outcome"}), // create, get, cancel × answered, declined, unknown, absent
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kakitome_payment_call_seconds", Help: "Duration of calls of payment agents.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"call"}), // create, get, cancel
		webhooks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_payment_webhooks_total", Help: "Webhooks by what became of them.",
		}, []string{"outcome"}), // applied, unverified, unknown_hook, too_large, too_many, delayed, abandoned, foreign, reused
		alerts: f.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_payment_alerts_total", Help: "Claims that came to need attention.",
		}),
		receipts: f.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_payment_receipts_total", Help: "Receipts issued.",
		}),
	}
}

var outcomeNames = map[outcome]string{answered: "answered", declined: "declined", doubtful: "unknown", absent: "absent"}

func (m *metrics) called(call string, r answer, d time.Duration) {
	m.calls.WithLabelValues(call, outcomeNames[r.outcome]).Inc()
	m.duration.WithLabelValues(call).Observe(d.Seconds())
}

func (m *metrics) count(was, is *State) {
	if was.Phase != is.Phase {
		m.phases.WithLabelValues(string(is.Phase)).Inc()
	}
}
