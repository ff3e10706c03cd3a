package bind

import (
	"maps"
	"math/bits"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Figures are a bind's counts since New; they only grow. Prometheus and the history (engine/bind/history) read the same.
type Figures struct {
	Began     time.Time     // when counting began: another one says that the bind was made anew
	Up        time.Duration // bound, in all
	Connects  uint64        // sessions that were bound
	Submitted uint64        // PDUs that a session accepted
	Answered  uint64        // responses, good or bad, late ones too
	Throttled uint64        // of these, ESME_RTHROTTLED or ESME_RMSGQFUL
	InDoubt   uint64
	NotSent   uint64
	Received  uint64                // requests of the carrier
	Receipts  uint64                // of these, delivery receipts
	Errors    map[pdu.Status]uint64 // responses other than ESME_ROK; OtherErrors holds those that found no room
	Slowed    uint64                // times that submissions were slowed because of that
	Waited    time.Duration         // for all responses together
	Latency   Latency               // from the write to the response, of all answered
}

// OtherErrors stands for all statuses beyond the first errorsMax that a carrier invents.
const OtherErrors pdu.Status = 0xFFFFFFFF

const errorsMax = 64

// LatencyBuckets is the number of buckets of a Latency.
const LatencyBuckets = 40

// Latency counts durations by size: two buckets to each doubling from 256 µs on, so that a quantile is at most a quarter
// off. The first holds all that is shorter, the last all that is longer than about two minutes.
type Latency [LatencyBuckets]uint64

const latencyFirst = 9 // bits of 256 µs

// Add counts a duration.
func (l *Latency) Add(d time.Duration) {
	us := uint64(max(d, 0) / time.Microsecond)
	n := bits.Len64(us)
	if n < latencyFirst {
		l[0]++
		return
	}
	half := us >> (n - 2) & 1 // the upper half of the doubling
	l[min(1+2*(n-latencyFirst)+int(half), LatencyBuckets-1)]++
}

// LatencyBound is the end of bucket i; the last one has none and gives its beginning.
func LatencyBound(i int) time.Duration {
	i = min(i, LatencyBuckets-2)
	d := time.Duration(1<<(latencyFirst-1)) * time.Microsecond << (i / 2)
	if i%2 == 1 {
		d += d / 2
	}
	return d
}

// Quantile estimates the duration that the part q of all does not exceed, 0 < q ≤ 1; false when there are none.
func (l *Latency) Quantile(q float64) (time.Duration, bool) {
	var all uint64
	for _, n := range l {
		all += n
	}
	if all == 0 {
		return 0, false
	}
	rank := q * float64(all)
	for i, n := range l {
		if n == 0 || rank > float64(n) {
			rank -= float64(n)
			continue
		}
		low := time.Duration(0)
		if i > 0 {
			low = LatencyBound(i - 1)
		}
		return low + time.Duration(max(rank, 0)/float64(n)*float64(LatencyBound(i)-low)), true
	}
	return LatencyBound(LatencyBuckets - 1), true // rounding
}

// tally is what a session does not count. The bind's mutex guards it.
type tally struct {
	past     session.Stats // of the sessions that ended
	up       time.Duration // of these
	connects uint64
	receipts uint64
	slowed   uint64
	waited   time.Duration
	errors   map[pdu.Status]uint64
	latency  Latency
}

// Figures returns the counts.
func (b *Bind) Figures() Figures {
	b.mu.Lock()
	defer b.mu.Unlock()
	st, up := b.count.past, b.count.up
	if b.sess != nil {
		now := b.sess.Stats()
		addStats(&st, &now)
		up += time.Since(b.boundAt)
	}
	return Figures{Began: b.began, Up: up, Connects: b.count.connects, Submitted: st.Submitted, Answered: st.Answered + st.Late, Throttled: st.Throttled,
		InDoubt: st.InDoubt, NotSent: st.NotSent, Received: st.Received, Receipts: b.count.receipts, Errors: maps.Clone(b.count.errors), Slowed: b.count.slowed,
		Waited: b.count.waited, Latency: b.count.latency}
}

func addStats(to, s *session.Stats) {
	to.Submitted += s.Submitted
	to.Answered += s.Answered
	to.Late += s.Late
	to.Throttled += s.Throttled
	to.InDoubt += s.InDoubt
	to.NotSent += s.NotSent
	to.Received += s.Received
}

// CountReceipts is told how many of a batch of requests are delivery receipts: what one is, engine/dlr knows.
func (b *Bind) CountReceipts(n int) {
	b.mu.Lock()
	b.count.receipts += uint64(n)
	b.mu.Unlock()
}

func (b *Bind) countResults(batch []session.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := 0
	for i := range batch {
		r := &batch[i]
		if r.Outcome != session.Answered {
			continue
		}
		waited := r.Received.Sub(r.Written)
		b.count.latency.Add(waited)
		b.count.waited += max(waited, 0)
		if r.Status == pdu.StatusOK {
			took++
			continue
		}
		status := r.Status
		if _, known := b.count.errors[status]; !known && len(b.count.errors) >= errorsMax {
			status = OtherErrors
		}
		b.count.errors[status]++
	}
	b.pace.accepted(clock.Now(), took)
}
