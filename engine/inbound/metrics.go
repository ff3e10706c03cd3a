package inbound

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	messages           *prometheus.CounterVec // carrier; outcome: whole, incomplete, repeated
	stops              prometheus.Counter
	failed, unanswered prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_inbound_" + name + "_total", Help: help})
	}
	m := &metrics{
		messages:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_inbound_messages_total", Help: "Messages from phones."}, []string{"carrier", "outcome"}),
		stops:      counter("stops", "Stop words received."),
		failed:     counter("failed", "deliver_sm that could not be stored and were answered ESME_RX_T_APPN."),
		unanswered: counter("unanswered", "deliver_sm whose session ended before the answer."),
	}
	if reg != nil {
		reg.MustRegister(m.messages, m.stops, m.failed, m.unanswered)
	}
	return m
}

func (m *metrics) count(carrier string, d *draft) {
	m.messages.WithLabelValues(carrier, "whole").Add(float64(d.received - d.incomplete))
	m.messages.WithLabelValues(carrier, "incomplete").Add(float64(d.incomplete))
	m.messages.WithLabelValues(carrier, "repeated").Add(float64(d.repeats))
	m.stops.Add(float64(d.stops))
}
