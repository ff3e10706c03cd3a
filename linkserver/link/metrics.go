package link

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	kept  prometheus.Counter
	asked prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		kept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_link_kept_total", Help: "Links found in the serving store.",
		}),
		asked: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_link_asked_total", Help: "Tokens that the serving store did not have and asked the record for.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.kept, m.asked)
	}
	return m
}
