package bind

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	reg       prometheus.Registerer // nil: none
	up        prometheus.Gauge
	throttled prometheus.Counter
}

// newMetrics resolves the labels of one bind. Carriers and binds are those of the configuration.
func newMetrics(reg prometheus.Registerer, carrier, bind string) *metrics {
	labels := prometheus.Labels{"carrier": carrier, "bind": bind}
	m := &metrics{
		reg:       reg,
		up:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "kakitome_bind_up", Help: "1 while the bind is bound.", ConstLabels: labels}),
		throttled: prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_bind_throttled_total", Help: "Times that the carrier said we are too fast.", ConstLabels: labels}),
	}
	if reg != nil {
		reg.MustRegister(m.up, m.throttled)
	}
	return m
}

// forget lets a bind of the same name be made again.
func (m *metrics) forget() {
	if m.reg != nil {
		m.reg.Unregister(m.up)
		m.reg.Unregister(m.throttled)
	}
}
