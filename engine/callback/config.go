package callback

import "time"

// Config of the room. The zero value of each field is the default.
type Config struct {
	Width       int             // requests of one callback at a time; 8
	TenantWidth int             // requests of one tenant at a time; 16
	Total       int             // requests at a time; 512
	Probes      int             // requests to parked callbacks at a time; 64
	Retry       []time.Duration // waits after the 1st, 2nd, … failure of a notice; the last one goes on until GiveUp
	GiveUp      time.Duration   // how long one notice is tried; 7 days
	ParkAfter   int             // different deliveries that fail in a row; 5
	ProbeFirst  time.Duration   // 10 s
	ProbeMost   time.Duration   // 10 min
	Overlap     time.Duration   // how long a replaced secret still signs; 24 h
}

// defaultRetry is the schedule that Standard Webhooks proposes: ten tries in about three days.
var defaultRetry = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

func (c Config) withDefaults() Config {
	number := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	term := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	number(&c.Width, 8)
	number(&c.TenantWidth, 16)
	number(&c.Total, 512)
	number(&c.Probes, 64)
	number(&c.ParkAfter, 5)
	term(&c.GiveUp, 7*24*time.Hour)
	term(&c.ProbeFirst, 10*time.Second)
	term(&c.ProbeMost, 10*time.Minute)
	term(&c.Overlap, 24*time.Hour)
	if len(c.Retry) == 0 {
		c.Retry = defaultRetry
	}
	return c
}
