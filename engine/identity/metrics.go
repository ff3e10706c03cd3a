package identity

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	steps       *prometheus.CounterVec // step: identity, code, send, verify, check, entry, entry_code; result: the names of Result or Status, refused, failed; of entry: found, not_found, held
	unavailable prometheus.Counter
	compared    prometheus.Counter
	unsent      prometheus.Counter
	overBudget  *prometheus.CounterVec // budget: number, prefix, key, tenant
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
	m.compared = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kakitome_identity_compared_total", Help: "Answers and codes that were hashed and compared.",
	})
	m.unsent = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kakitome_identity_codes_unsent_total", Help: "One-time codes that were due and could not be accepted for sending.",
	})
	m.overBudget = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kakitome_identity_codes_over_budget_total", Help: "One-time codes that were not sent because a number, prefix, API key or tenant had its share.",
	}, []string{"budget"})
	if reg != nil {
		reg.MustRegister(m.steps, m.unavailable, m.compared, m.unsent, m.overBudget)
	}
	return m
}

func (m *metrics) count(step string, r Result) { m.named(step, r.String()) }

func (m *metrics) named(step, name string) {
	if name == "" {
		name = "failed"
	}
	m.steps.WithLabelValues(step, name).Inc()
}
