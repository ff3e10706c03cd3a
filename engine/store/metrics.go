package store

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reg        prometheus.Registerer
	all        []prometheus.Collector
	groups     prometheus.Counter
	events     prometheus.Counter
	busy       prometheus.Counter
	groupBytes prometheus.Histogram
	latency    prometheus.Histogram
	sync       prometheus.Histogram
	free       prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{reg: reg}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kakitome", Subsystem: "store", Name: name, Help: help})
		m.all = append(m.all, c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kakitome", Subsystem: "store", Name: name, Help: help, Buckets: buckets})
		m.all = append(m.all, h)
		return h
	}
	seconds := prometheus.ExponentialBuckets(0.0001, 2, 16) // 0.1 ms to 3.3 s
	m.groups = counter("groups_total", "Commit groups written.")
	m.events = counter("events_total", "Events committed.")
	m.busy = counter("refused_busy_total", "Requests refused because the queue was full.")
	m.groupBytes = histogram("group_bytes", "Size of a commit group.", prometheus.ExponentialBuckets(256, 4, 8))
	m.latency = histogram("commit_seconds", "Time from a request to its answer.", seconds)
	m.sync = histogram("sync_seconds", "Time to append a group to the log, synced.", seconds)
	m.free = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kakitome", Subsystem: "store", Name: "free_bytes", Help: "Free space of the file system."})
	m.all = append(m.all, m.free)
	return m
}

// watch registers everything, with what is read off the store when it is asked for.
func (m *metrics) watch(s *Store) {
	if m.reg == nil {
		return
	}
	gauge := func(name, help string, value func() float64) {
		m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kakitome", Subsystem: "store", Name: name, Help: help}, value))
	}
	gauge("queue_transactions", "Transactions that wait to be built into a group.", func() float64 { return float64(s.queue.length()) })
	gauge("lives_in_memory", "Streams in the index's memory.", func() float64 {
		young, old := s.index.counts()
		return float64(young + old)
	})
	m.all = append(m.all, &followers{s: s, lag: prometheus.NewDesc(
		"kakitome_store_follower_lag_groups", "Groups that a named reader is behind.",
		[]string{"reader"}, nil, // the names that Follow was called with: fixed in the program
	)})
	m.reg.MustRegister(m.all...)
}

func (m *metrics) forget() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}

type followers struct {
	s   *Store
	lag *prometheus.Desc
}

func (f *followers) Describe(ch chan<- *prometheus.Desc) { ch <- f.lag }

func (f *followers) Collect(ch chan<- prometheus.Metric) {
	for name, lag := range f.s.readers.lag(f.s.recent.next()) {
		ch <- prometheus.MustNewConstMetric(f.lag, prometheus.GaugeValue, float64(lag), name)
	}
}
