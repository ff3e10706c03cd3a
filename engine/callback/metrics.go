package callback

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	posts   map[outcome]prometheus.Counter // resolved once
	seconds prometheus.Histogram
	lag     prometheus.Histogram
	gaveUp  prometheus.Counter
	running prometheus.Gauge
	replays prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, parked, behind func() float64) *metrics {
	f := promauto.With(reg)
	posts := f.NewCounterVec(prometheus.CounterOpts{
		Name: "kakitome_callback_posts_total", Help: "Notices posted to senders' systems, by what came of it.",
	}, []string{"outcome"}) // taken, refused (4xx), down (no reply, 5xx, 429, or an address that may not be reached), gone (410)
	m := &metrics{posts: map[outcome]prometheus.Counter{}}
	for _, o := range []outcome{taken, refused, down, gone} {
		m.posts[o] = posts.WithLabelValues(string(o))
	}
	m.seconds = f.NewHistogram(prometheus.HistogramOpts{
		Name: "kakitome_callback_post_seconds", Help: "Time of one post.", Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
	})
	m.lag = f.NewHistogram(prometheus.HistogramOpts{
		Name: "kakitome_callback_lag_seconds", Help: "From what happened to its notice being taken.", Buckets: []float64{.02, .05, .1, .25, .5, 1, 5, 30, 300, 3600, 86400},
	})
	m.gaveUp = f.NewCounter(prometheus.CounterOpts{Name: "kakitome_callback_given_up_total", Help: "Notices that were never taken."})
	m.running = f.NewGauge(prometheus.GaugeOpts{Name: "kakitome_callback_posts_running", Help: "Posts under way."})
	m.replays = f.NewCounter(prometheus.CounterOpts{Name: "kakitome_callback_replayed_total", Help: "Deliveries that are told again because somebody asked for it."})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "kakitome_callback_parked", Help: "Callbacks whose receiver is down."}, parked)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "kakitome_callback_behind_seconds", Help: "How long the oldest due delivery has been waiting, paused callbacks aside."}, behind)
	return m
}

func (m *metrics) posted(o outcome, took time.Duration) {
	m.posts[o].Inc()
	m.seconds.Observe(took.Seconds())
}
