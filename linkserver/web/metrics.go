package web

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds *prometheus.HistogramVec // route: the names of route; status: classes
	found   [len(classes)]sync.Map   // of seconds: prometheus.Observer by route
	misses  prometheus.Counter
	limited prometheus.Counter
	refused prometheus.Counter

	entryLimited prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kakitome_web_request_seconds", Help: "Requests of the link server by route and status class.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
		}, []string{"route", "status"}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_web_misses_total", Help: "Requests for links that are unknown, revoked or ended.",
		}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_web_limited_total", Help: "Requests beyond an address's budget of misses.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_web_refused_forms_total", Help: "Forms without a session or with another session's token.",
		}),
	}
	m.entryLimited = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kakitome_web_entry_limited_total", Help: "Forms of shared entry pages beyond an address's budget.",
	})
	if reg != nil {
		reg.MustRegister(m.seconds, m.misses, m.limited, m.refused, m.entryLimited)
	}
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	class := min(max(status/100, 0), len(classes)-1)
	o, ok := m.found[class].Load(route)
	if !ok { // a vector hashes its labels for each look
		o, _ = m.found[class].LoadOrStore(route, m.seconds.WithLabelValues(route, classes[class]))
	}
	o.(prometheus.Observer).Observe(took.Seconds())
}

// classes of status, by their first digit; a module that answers a webhook chooses its own.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx", "other"}
