package host

import "github.com/prometheus/client_golang/prometheus"

// metrics carry the label module: the names in the configuration. method is one of the contract's methods.
type metrics struct {
	calls    *prometheus.CounterVec   // module, method, outcome: ok, not_sent, unknown
	seconds  *prometheus.HistogramVec // module, method
	inFlight *prometheus.GaugeVec     // module
	running  *prometheus.GaugeVec     // module: 1 while it runs
	ends     *prometheus.CounterVec   // module: failed starts, crashes and kills for bad health
	dropped  *prometheus.CounterVec   // module: log lines
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_host_calls_total", Help: "Calls to modules."}, []string{"module", "method", "outcome"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kakitome_host_call_seconds", Help: "Time of calls to modules, waiting included.", Buckets: prometheus.ExponentialBuckets(0.0005, 3, 11)}, []string{"module", "method"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kakitome_host_calls_in_flight", Help: "Calls that a module is working on."}, []string{"module"}),
		running:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kakitome_host_module_running", Help: "1 while the module runs."}, []string{"module"}),
		ends:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_host_module_failures_total", Help: "Failed starts, crashes and kills for bad health."}, []string{"module"}),
		dropped:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_host_log_lines_dropped_total", Help: "Lines of modules that were not logged."}, []string{"module"}),
	}
	if reg != nil {
		reg.MustRegister(m.calls, m.seconds, m.inFlight, m.running, m.ends, m.dropped)
	}
	return m
}
