package identity

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	steps       *prometheus.CounterVec // step: identity, code, send; result: the names of Result, or failed
	unavailable prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_identity_steps_total", Help: "Steps of identification by outcome.",
		}, []string{"step", "result"}),
		unavailable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_identity_module_failures_total", Help: "Calls of identity modules that gave nothing.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.steps, m.unavailable)
	}
	return m
}

func (m *metrics) count(step string, r Result) {
	name := r.String()
	if name == "" {
		name = "failed"
	}
	m.steps.WithLabelValues(step, name).Inc()
}
