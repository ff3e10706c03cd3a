package dlr

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	receipts                                 [Skipped + 1]prometheus.Counter // by State, those that are final
	orphans, unreadable, refused, unanswered prometheus.Counter
	doubts                                   prometheus.Counter
	ahead                                    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, carrier string) *metrics {
	labels := prometheus.Labels{"carrier": carrier}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kakitome_dlr_" + name + "_total", Help: help, ConstLabels: labels})
	}
	receipts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kakitome_dlr_receipts_total", Help: "Delivery receipts recorded.", ConstLabels: labels},
		[]string{"state"}) // DELIVRD, EXPIRED, DELETED, UNDELIV, REJECTD, SKIPPED
	m := &metrics{
		orphans:    counter("orphans", "Delivery receipts that named no known submission, nor one whose response came in time."),
		unreadable: counter("unreadable", "Delivery receipts without a message id, or a state that is known."),
		refused:    counter("refused", "Requests of the carrier that are no delivery receipt."),
		doubts:     counter("doubts", "Delivery receipts that ended the doubt of a submission whose response was lost, told by number and time."),
		unanswered: counter("unanswered", "Delivery receipts whose session ended before the answer."),
		ahead: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kakitome_dlr_ahead", ConstLabels: labels,
			Help: "Delivery receipts that wait for the response that names their id, and come again meanwhile."}),
	}
	for st := range m.receipts {
		if State(st).Final() {
			m.receipts[st] = receipts.WithLabelValues(State(st).String())
		}
	}
	if reg != nil {
		reg.MustRegister(receipts, m.orphans, m.unreadable, m.refused, m.unanswered, m.doubts, m.ahead)
	}
	return m
}
