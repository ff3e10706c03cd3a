package admin

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	signins  *prometheus.CounterVec
	open     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_admin_requests_total", Help: "Requests by kind of answer.",
		}, []string{"answer"}), // ok, redirect, refused, error
		signins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_admin_signins_total", Help: "Steps of sign-ins by outcome.",
		}, []string{"outcome"}), // ok, refused, throttled, busy, error
		open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kakitome_admin_live_screens", Help: "Screens that are open and live."}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.signins, m.open)
	}
	return m
}
