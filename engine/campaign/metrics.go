package campaign

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	bytes   prometheus.Counter
	rows    *prometheus.CounterVec // outcome: good, faulty (when checked), accepted, repeated, refused (when released)
	uploads *prometheus.CounterVec // phase reached: receiving, staged, releasing, done, dropped, failed
	retries prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		bytes:   prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_campaign_received_bytes_total", Help: "Bytes of files on disk."}),
		rows:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_campaign_rows_total", Help: "Rows by what checking and releasing made of them."}, []string{"outcome"}),
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_campaign_uploads_total", Help: "Uploads that reached a phase."}, []string{"phase"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_campaign_retries_total", Help: "Batches that had to be given to intake again."}),
	}
	if reg != nil {
		reg.MustRegister(m.bytes, m.rows, m.uploads, m.retries)
	}
	return m
}
