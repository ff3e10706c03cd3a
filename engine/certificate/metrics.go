package certificate

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	days, streams, made, failures prometheus.Counter
	behind                        prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_certificate_" + name, Help: help})
	}
	m := &metrics{
		days:     counter("days_total", "Days that were closed."),
		streams:  counter("streams_total", "Messages and claims in the trees of closed days."),
		made:     counter("made_total", "Certificates that were made."),
		failures: counter("failures_total", "Days that could not be closed when they were due, counted at each try, and messages that could not be certified."),
		behind:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "kakitome_certificate_behind_seconds", Help: "Time since the end of the oldest day that is over and not closed. Alarm above 3600."}),
	}
	if reg != nil {
		reg.MustRegister(m.days, m.streams, m.made, m.failures, m.behind)
	}
	return m
}
