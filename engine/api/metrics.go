package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec   // route: messages, batch, search, message, claim, extra, openapi, unknown, refused; status
	seconds  *prometheus.HistogramVec // route
	lines    *prometheus.CounterVec   // status of a batch's lines
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_api_requests_total", Help: "Requests by route and status."}, []string{"route", "status"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kakitome_api_request_seconds", Help: "Time from a request's header to its answer.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"route"}),
		lines:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_api_batch_lines_total", Help: "Lines of batches by status."}, []string{"status"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.lines)
	}
	return m
}

func (m *metrics) observe(route string, status int, d time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(d.Seconds())
}
