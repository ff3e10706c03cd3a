package email

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct{ mails *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{mails: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "kakitome_email_mails_total", Help: "E-mails with payment numbers by what became of them.",
	}, []string{"outcome"})} // asked, used_up, sent, tried, failed
}
