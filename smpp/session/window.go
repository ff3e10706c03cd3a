package session

import (
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// window holds the requests without a response: a table by sequence number
// (sequence modulo its size, numbers whose place is taken are skipped) with a
// list through it in the order of submission. Nothing is allocated after it
// is made. Its owner locks.
type window struct {
	slots []slot // length is a power of two, at least twice the window
	first int32  // oldest, -1 when empty
	last  int32
	count int
}

type slot struct {
	seq     uint32 // 0 when free
	phase   phase
	command pdu.Command
	owner   any
	written time.Time // set in phase written
	prev    int32
	next    int32
}

// phase is how far a request has gone.
type phase uint8

const (
	queued  phase = iota // in the write buffer
	writing              // handed to the connection
	written              // the connection took all of it
)

func newWindow(size int) window {
	n := 16
	for n < 2*size {
		n *= 2
	}
	return window{slots: make([]slot, n), first: -1, last: -1}
}

func (w *window) index(seq uint32) int32 { return int32(seq & uint32(len(w.slots)-1)) }

// get returns the slot of seq, or nil.
func (w *window) get(seq uint32) *slot {
	if sl := &w.slots[w.index(seq)]; sl.seq == seq && seq != 0 {
		return sl
	}
	return nil
}

func (w *window) free(seq uint32) bool { return w.slots[w.index(seq)].seq == 0 }

func (w *window) oldest() *slot {
	if w.first < 0 {
		return nil
	}
	return &w.slots[w.first]
}

// add puts a request at the end; the place of seq is free.
func (w *window) add(seq uint32, command pdu.Command, owner any) {
	i := w.index(seq)
	w.slots[i] = slot{seq: seq, command: command, owner: owner, prev: w.last, next: -1}
	if w.last >= 0 {
		w.slots[w.last].next = i
	} else {
		w.first = i
	}
	w.last = i
	w.count++
}

func (w *window) remove(sl *slot) {
	if sl.prev >= 0 {
		w.slots[sl.prev].next = sl.next
	} else {
		w.first = sl.next
	}
	if sl.next >= 0 {
		w.slots[sl.next].prev = sl.prev
	} else {
		w.last = sl.prev
	}
	*sl = slot{}
	w.count--
}

// lateBox remembers requests whose time is over, for responses that still
// come: a map with the order of entry, bounded by most.
type lateBox struct {
	most  int
	bySeq map[uint32]late
	order []uint32 // oldest first; entries answered since are still in it
}

type late struct {
	command pdu.Command
	owner   any
	written time.Time
	until   time.Time
}

func (b *lateBox) add(seq uint32, l late) {
	if b.bySeq == nil {
		b.bySeq = make(map[uint32]late)
	}
	for len(b.order) >= b.most {
		delete(b.bySeq, b.order[0])
		b.order = b.order[1:]
	}
	b.bySeq[seq] = l
	b.order = append(b.order, seq)
}

// take returns and forgets the request of seq if response answers its kind.
func (b *lateBox) take(seq uint32, response pdu.Command) (late, bool) {
	l, ok := b.bySeq[seq]
	if !ok || response != l.command.Response() && response != pdu.CmdGenericNack {
		return late{}, false
	}
	delete(b.bySeq, seq)
	return l, true
}

// prune forgets what is over.
func (b *lateBox) prune(now time.Time) {
	for len(b.order) > 0 {
		if l, ok := b.bySeq[b.order[0]]; ok && now.Before(l.until) {
			return
		}
		delete(b.bySeq, b.order[0])
		b.order = b.order[1:]
	}
}
