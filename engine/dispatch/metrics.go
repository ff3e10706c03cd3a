package dispatch

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	outcomes  *prometheus.CounterVec
	submitted prometheus.Counter // outcome "submitted": of most
	written   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, carrier string) *metrics {
	labels := prometheus.Labels{"carrier": carrier}
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_dispatch_outcomes_total", Help: "What became of submissions, by segment.", ConstLabels: labels},
			// submitted, refused, retries_spent, retrying, throttled, not_sent, unencodable, in_doubt; by message: lapsed, no_sender,
			// do_not_send, unknown_carrier, too_many_segments, number_unreadable, content_unreadable, campaign_ended, paid_meanwhile
			[]string{"outcome"}),
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_dispatch_submissions_total", Help: "Segments given to a session.", ConstLabels: labels}),
	}
	m.submitted = m.outcomes.WithLabelValues("submitted")
	if reg != nil {
		reg.MustRegister(m.outcomes, m.written)
	}
	return m
}

func (m *metrics) outcome(word string) { m.outcomes.WithLabelValues(word).Inc() }
