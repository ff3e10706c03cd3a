package retention

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/store"
)

type metrics struct {
	days, messages, kept, boxes, failures, freed, files prometheus.Counter
	pending, lag                                        prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_retention_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "kakitome_retention_" + name, Help: help})
	}
	m := &metrics{
		days:     counter("keys_destroyed_total", "Data keys, of a tenant, class and day each, that were destroyed at the end of their term."),
		messages: counter("messages_total", "Messages whose content ended."),
		kept:     counter("kept_total", "Messages that outlived their term and were sealed anew."),
		boxes:    counter("boxes_total", "Sealed contents that were taken out of the record."),
		failures: counter("failures_total", "Sweeps that failed."),
		freed:    counter("freed_bytes_total", "Bytes by which groups of the record became shorter."),
		files:    counter("files_total", "Files of the log that were given back."),
		pending:  gauge("pending_groups", "Groups of the record that are still to be swept."),
		lag:      gauge("lag_seconds", "Age of the oldest term that is over while its key is there. Alarm above 172800."),
	}
	if reg != nil {
		reg.MustRegister(m.days, m.messages, m.kept, m.boxes, m.failures, m.freed, m.files, m.pending, m.lag)
	}
	return m
}

func (m *metrics) swept(p store.Purged) {
	m.boxes.Add(float64(p.Boxes))
	m.freed.Add(float64(max(p.Freed, 0)))
}

func (m *metrics) late(oldest, now time.Time) {
	if oldest.IsZero() {
		m.lag.Set(0)
		return
	}
	m.lag.Set(now.Sub(oldest).Seconds())
}
