package history

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// Record is what a bind did in a stretch of time.
type Record struct {
	At      time.Time     // beginning of the stretch
	Covered time.Duration // how much of it was watched; zero: nothing is known, all else is zero
	Up      time.Duration // of this, bound

	Submitted, Answered, Receipts uint32
	Received                      uint32 // requests of the carrier, receipts among them
	Throttled, InDoubt, NotSent   uint32
	Connects                      uint32 // sessions that were bound
	Window                        Window
	State                         bind.State // at the end
	Errors                        []StatusCount
	OtherErrors                   uint32 // those that Errors has no room for
	Latency                       [bind.LatencyBuckets]uint32
}

// Window is how full the window was, looked at each second.
type Window struct {
	Sum, Samples, Peak uint32 // of outstanding PDUs
	Limit              uint32 // as configured
}

// Mean is the average of outstanding PDUs.
func (w Window) Mean() float64 {
	if w.Samples == 0 {
		return 0
	}
	return float64(w.Sum) / float64(w.Samples)
}

// StatusCount is how often responses had a status.
type StatusCount struct {
	Status pdu.Status
	N      uint32
}

const (
	errorsKept = 6
	countsKept = 13
	recordSize = 8 + 2*4 + countsKept*4 + 4 + errorsKept*8 + bind.LatencyBuckets*4 + 4 + 4 // state takes 4, 4 are left
)

// states give the numbers under which states are stored; never reused.
var states = []bind.State{"", bind.Bound, bind.Dialing, bind.Waiting, bind.Refused, bind.Held, bind.Unbinding, bind.Stopped}

// PerSecond is the rate of a count.
func (r *Record) PerSecond(n uint32) float64 {
	if r.Covered <= 0 {
		return 0
	}
	return float64(n) / r.Covered.Seconds()
}

// AllErrors is the number of responses other than ESME_ROK.
func (r *Record) AllErrors() uint64 {
	n := uint64(r.OtherErrors)
	for _, e := range r.Errors {
		n += uint64(e.N)
	}
	return n
}

// Quantile is that of the latencies; false when there was no response.
func (r *Record) Quantile(q float64) (time.Duration, bool) {
	var l bind.Latency
	for i, n := range r.Latency {
		l[i] = uint64(n)
	}
	return l.Quantile(q)
}

// counts are the fields in the order of the file.
func (r *Record) counts() [countsKept]*uint32 {
	return [countsKept]*uint32{&r.Submitted, &r.Answered, &r.Receipts, &r.Received, &r.Throttled, &r.InDoubt, &r.NotSent, &r.Connects,
		&r.Window.Sum, &r.Window.Samples, &r.Window.Peak, &r.Window.Limit, &r.OtherErrors}
}

// add puts a later stretch to r. r.At stays.
func (r *Record) add(o *Record) {
	if o.Covered <= 0 {
		return
	}
	peak := max(r.Window.Peak, o.Window.Peak)
	to, from := r.counts(), o.counts()
	for i := range to {
		*to[i] = sum(*to[i], *from[i])
	}
	r.Covered, r.Up = r.Covered+o.Covered, r.Up+o.Up
	r.Window.Peak, r.Window.Limit, r.State = peak, o.Window.Limit, o.State
	for i, n := range o.Latency {
		r.Latency[i] = sum(r.Latency[i], n)
	}
	all := slices.Clone(r.Errors)
	for _, e := range o.Errors {
		if i := slices.IndexFunc(all, func(a StatusCount) bool { return a.Status == e.Status }); i >= 0 {
			all[i].N = sum(all[i].N, e.N)
			continue
		}
		all = append(all, e)
	}
	r.setErrors(all)
}

// setErrors keeps the most frequent and adds the rest to OtherErrors.
func (r *Record) setErrors(all []StatusCount) {
	slices.SortFunc(all, func(a, b StatusCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Status, b.Status)) })
	for len(all) > errorsKept {
		r.OtherErrors = sum(r.OtherErrors, all[len(all)-1].N)
		all = all[:len(all)-1]
	}
	r.Errors = all
}

// sum does not wrap.
func sum(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append writes r as a slot.
func (r *Record) append(dst []byte) []byte {
	start := len(dst)
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(r.At.Unix()))
	dst = le.AppendUint32(dst, millis(r.Covered))
	dst = le.AppendUint32(dst, millis(r.Up))
	for _, n := range r.counts() {
		dst = le.AppendUint32(dst, *n)
	}
	dst = le.AppendUint32(dst, uint32(max(slices.Index(states, r.State), 0)))
	for i := range errorsKept {
		var e StatusCount
		if i < len(r.Errors) {
			e = r.Errors[i]
		}
		dst = le.AppendUint32(le.AppendUint32(dst, uint32(e.Status)), e.N)
	}
	for _, n := range r.Latency {
		dst = le.AppendUint32(dst, n)
	}
	dst = append(dst, 0, 0, 0, 0)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func millis(d time.Duration) uint32 {
	return uint32(min(max(d, 0)/time.Millisecond, math.MaxUint32))
}

// parse reads a slot; false when it holds nothing, or was torn.
func parse(b []byte) (r Record, ok bool) {
	if len(b) != recordSize {
		return r, false
	}
	le := binary.LittleEndian
	at := le.Uint64(b)
	if at == 0 || at > math.MaxInt64 || le.Uint32(b[recordSize-4:]) != crc32.Checksum(b[:recordSize-4], castagnoli) {
		return r, false
	}
	r.At, r.Covered, r.Up = time.Unix(int64(at), 0).UTC(), time.Duration(le.Uint32(b[8:]))*time.Millisecond, time.Duration(le.Uint32(b[12:]))*time.Millisecond
	b = b[16:]
	next := func() uint32 {
		n := le.Uint32(b)
		b = b[4:]
		return n
	}
	for _, n := range r.counts() {
		*n = next()
	}
	if i := next(); int(i) < len(states) {
		r.State = states[i]
	}
	for range errorsKept {
		if e := (StatusCount{pdu.Status(next()), next()}); e.N > 0 {
			r.Errors = append(r.Errors, e)
		}
	}
	for i := range r.Latency {
		r.Latency[i] = next()
	}
	return r, true
}
