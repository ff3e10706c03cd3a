package bind

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// pace is how many PDUs a second a bind may submit: what the configuration allows, or less where the carrier said that we
// are too fast. Then it falls to half of what the carrier took in the last second, and rises again with each second that
// was used and in which nothing was refused: it doubles up to half of what was too fast, from there on it grows by a tenth.
// So a carrier whose limit we do not know is asked a little too much now and then, and not all the time. Its owner locks.
type pace struct {
	limiter *rate.Limiter
	most    float64 // as configured; 0: no limit
	now     float64 // 0: most
	fast    float64 // what was too fast; 0: unknown
	cut     time.Time

	second                time.Time // when the present one began
	submitted, took, last int       // PDUs in it; that the carrier took in it, and in the one before
	refused               bool      // some in it were too fast
}

// slowest is the least that is submitted, in PDUs a second.
const slowest = 1

func newPace(most int) pace {
	p := pace{most: float64(most), limiter: rate.NewLimiter(rate.Inf, 1)}
	p.set(time.Time{}, 0)
	return p
}

// set changes the pace. A burst of a tenth of a second, of two PDUs where it can be, keeps it smooth without a timer per PDU.
func (p *pace) set(now time.Time, pace float64) {
	p.now = pace
	if pace == 0 {
		pace = p.most
	}
	limit := rate.Limit(pace)
	if pace == 0 {
		limit = rate.Inf
	}
	p.limiter.SetLimitAt(now, limit)
	p.limiter.SetBurstAt(now, max(int(pace/10), min(int(pace), 2), 1))
}

// room is how many may be submitted now; urgent ones find an eighth of the burst that others do not, and one at the least if it is of more
// than one.
func (p *pace) room(now time.Time, urgent bool) int {
	p.turn(now)
	if p.most == 0 && p.now == 0 {
		return math.MaxInt
	}
	room := int(p.limiter.TokensAt(now))
	if burst := p.limiter.Burst(); !urgent && burst > 1 {
		room -= max(burst/reserved, 1)
	}
	return max(room, 0)
}

// submit is told how many of the room were submitted.
func (p *pace) submit(now time.Time, n int) {
	p.submitted += n
	p.limiter.AllowN(now, n)
}

// accepted is told how many the carrier took.
func (p *pace) accepted(now time.Time, n int) {
	p.turn(now)
	p.took += n
}

// tooFast is told that the carrier refused something for that, and when it was written. What was written before the pace was
// cut, or within a second of it, says nothing new. It reports whether the pace was cut.
func (p *pace) tooFast(now, written time.Time) bool {
	p.turn(now)
	p.refused = true
	if written.Before(p.cut.Add(time.Second)) {
		return false
	}
	p.cut, p.fast = now, p.now
	was := p.now
	if was == 0 {
		was = math.MaxFloat64
	}
	p.set(now, max(min(was, float64(max(p.took, p.last)))/2, slowest))
	return true
}

// turn ends a second that is over.
func (p *pace) turn(now time.Time) {
	d := now.Sub(p.second)
	if d < time.Second {
		return
	}
	if p.now > 0 && !p.refused && float64(p.submitted) >= p.now/2 {
		next := 2 * p.now
		if p.fast > 0 && next > p.fast/2 {
			next = p.now + max(p.now/10, 1)
		}
		if p.most > 0 && next >= p.most {
			next = 0
		}
		p.set(now, next)
	}
	p.last = p.took
	if d >= 2*time.Second {
		p.last = 0
	}
	p.second, p.submitted, p.took, p.refused = now, 0, 0, false
}
