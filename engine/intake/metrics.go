package intake

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/message"
)

type metrics struct {
	messages *prometheus.CounterVec // via: api, console, file, engine; outcome: accepted, repeated, refused, failed
	seconds  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_intake_messages_total", Help: "Drafts by how they came and what became of them."}, []string{"via", "outcome"}),
		seconds:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kakitome_intake_request_seconds", Help: "Time from a request of drafts to its synced answer.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
	}
	if reg != nil {
		reg.MustRegister(m.messages, m.seconds)
	}
	return m
}

func (m *metrics) count(via message.Via, results []Result) {
	var accepted, repeated, refused, failed int
	for i := range results {
		switch r := &results[i]; {
		case r.Err != nil:
			failed++
		case len(r.Problems) > 0:
			refused++
		case r.Repeated:
			repeated++
		default:
			accepted++
		}
	}
	add := func(outcome string, n int) {
		if n > 0 {
			m.messages.WithLabelValues(string(via), outcome).Add(float64(n))
		}
	}
	add("accepted", accepted)
	add("repeated", repeated)
	add("refused", refused)
	add("failed", failed)
}
