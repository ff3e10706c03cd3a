package campaign

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	bytes   prometheus.Counter
	rows    *prometheus.CounterVec // outcome: good, faulty (when checked), accepted, repeated, refused (when released)
	uploads *prometheus.CounterVec // phase reached: receiving, staged, canary, stopped, releasing, done, canceled, dropped, failed
	retries prometheus.Counter
	ended   prometheus.Counter
	held    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		bytes:   prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_campaign_received_bytes_total", Help: "Bytes of files on disk."}),
		rows:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_campaign_rows_total", Help: "Rows by what checking and releasing made of them."}, []string{"outcome"}),
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_campaign_uploads_total", Help: "Uploads that reached a phase."}, []string{"phase"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_campaign_retries_total", Help: "Batches that had to be given to intake again."}),
		ended:   prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_campaign_ended_messages_total", Help: "Messages found ended or ended because their upload was canceled or goes on without their carrier."}),
		held:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "kakitome_campaign_orders", Help: "Uploads that are paused, canceled or without a carrier, as dispatch heeds them."}),
	}
	if reg != nil {
		reg.MustRegister(m.bytes, m.rows, m.uploads, m.retries, m.ended, m.held)
	}
	return m
}
