package page

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	hits  prometheus.Counter
	drawn *prometheus.CounterVec // kind: page, document
	plain *prometheus.CounterVec // reason: down, refused, late
	// reason: down, refused, late, document
	standIn *prometheus.CounterVec
	failed  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, c *cache) *metrics {
	m := &metrics{
		hits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_page_hits_total", Help: "Pages and documents that were in the cache.",
		}),
		drawn: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_page_drawn_total", Help: "Pages and documents that a renderer drew, by kind.",
		}, []string{"kind"}),
		plain: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_page_plain_total", Help: "Pages that the host drew plainly because the renderer was down, its page was refused, or it was late for somebody who was not identified yet.",
		}, []string{"reason"}),
		standIn: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kakitome_page_stand_in_total", Help: "Pages and documents that the standard renderer drew because the tenant's own failed, its page was refused, or it was late.",
		}, []string{"reason"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kakitome_page_documents_failed_total", Help: "Documents that no renderer drew; one that was drawn before was given where there was one.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.hits, m.drawn, m.plain, m.standIn, m.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kakitome_page_cache_bytes", Help: "Bytes of the pages and documents kept.",
		}, func() float64 { return float64(c.bytes()) }))
	}
	return m
}
