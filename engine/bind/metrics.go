package bind

import "github.com/prometheus/client_golang/prometheus"

// metrics tells Prometheus the bind's Figures when it asks; nothing is counted twice.
type metrics struct {
	bind *Bind
	up, throttled, submitted, answered, inDoubt, receipts, connects, refusals, pace,
	response *prometheus.Desc
}

// newMetrics describes what one bind has. Carriers and binds are those of the configuration.
func newMetrics(b *Bind) *metrics {
	labels := prometheus.Labels{"carrier": b.o.Config.Carrier, "bind": b.o.Config.Name}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("kakitome_bind_"+name, help, variable, labels)
	}
	return &metrics{
		bind:      b,
		up:        desc("up", "1 while the bind is bound."),
		throttled: desc("throttled_total", "Times that the bind was slowed because the carrier said we are too fast."),
		pace:      desc("pace", "PDUs a second at most since the carrier said we are too fast; 0: as configured."),
		submitted: desc("submitted_total", "PDUs that a session accepted."),
		answered:  desc("answered_total", "Responses, late ones too."),
		inDoubt:   desc("in_doubt_total", "Submissions without a response in time."),
		receipts:  desc("receipts_total", "Delivery receipts received."),
		connects:  desc("connects_total", "Times that the bind came up."),
		refusals:  desc("refusals_total", "Responses other than ESME_ROK.", "status"), // ESME_…, numbers of the carrier's own, other: 65 at most
		response:  desc("response_seconds", "From the write of a submission to its response."),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.throttled, m.submitted, m.answered, m.inDoubt, m.receipts, m.connects, m.refusals, m.pace, m.response} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	f, st := m.bind.Figures(), m.bind.Status()
	up := 0.0
	if st.State == Bound {
		up = 1
	}
	ch <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, up)
	ch <- prometheus.MustNewConstMetric(m.pace, prometheus.GaugeValue, float64(st.Pace))
	for _, c := range []struct {
		desc *prometheus.Desc
		n    uint64
	}{{m.throttled, f.Slowed}, {m.submitted, f.Submitted}, {m.answered, f.Answered}, {m.inDoubt, f.InDoubt}, {m.receipts, f.Receipts}, {m.connects, f.Connects}} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.n))
	}
	for status, n := range f.Errors {
		name := status.String()
		if status == OtherErrors {
			name = "other"
		}
		ch <- prometheus.MustNewConstMetric(m.refusals, prometheus.CounterValue, float64(n), name)
	}
	buckets, all := map[float64]uint64{}, uint64(0)
	for i, n := range f.Latency {
		all += n
		if i%2 == 0 && i < LatencyBuckets-1 { // every second bound is enough for an alarm
			buckets[LatencyBound(i).Seconds()] = all
		}
	}
	ch <- prometheus.MustNewConstHistogram(m.response, all, f.Waited.Seconds(), buckets)
}
