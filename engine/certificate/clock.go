package certificate

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/kakitome/kakitome/engine/certificate/proof"
)

// KernelClock asks the kernel what it knows of the machine's clock (adjtimex(2), which any user may read). Programs that
// discipline the clock (chrony, ntpd, systemd-timesyncd) tell the kernel; one that does not leaves the clock unsynchronised
// in its eyes, and that is what certificates then say.
func KernelClock(source string, now time.Time) proof.Clock {
	c := proof.Clock{State: proof.ClockUnknown, Source: source, At: now.UTC()}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return c
	}
	return clockOf(c, &t, state)
}

// clockOf reads adjtimex's answer: errors in microseconds, the offset in nanoseconds where STA_NANO says so.
func clockOf(c proof.Clock, t *unix.Timex, state int) proof.Clock {
	c.State = proof.Synchronised
	if t.Status&unix.STA_UNSYNC != 0 || state == unix.TIME_ERROR {
		c.State = proof.Unsynchronised
	}
	unit := time.Microsecond
	if t.Status&unix.STA_NANO != 0 {
		unit = time.Nanosecond
	}
	c.Offset = time.Duration(t.Offset) * unit
	c.Estimated, c.Maximum = time.Duration(t.Esterror)*time.Microsecond, time.Duration(t.Maxerror)*time.Microsecond
	return c
}
