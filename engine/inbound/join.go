package inbound

import "bytes"

// assembly is a message of several segments on its way. The zero value of a slot is a segment that is missing.
type assembly struct {
	slots []slot
	have  int
}

type slot struct {
	there   bool
	coding  byte
	digest  []byte // keyed hash of coding and payload
	payload []byte // opened only for the text
}

// fit is what a segment means to an assembly.
type fit int

const (
	fitsNew   fit = iota // it was missing
	fitsAgain            // it is there, the same
	fitsNot              // another is there: it belongs to another message
)

func newAssembly(total int) *assembly { return &assembly{slots: make([]slot, total)} }

// fits says what the segment means, and add puts it in.
func (a *assembly) fits(part int, digest []byte) fit {
	switch {
	case part < 1 || part > len(a.slots):
		return fitsNot
	case !a.slots[part-1].there:
		return fitsNew
	case bytes.Equal(a.slots[part-1].digest, digest):
		return fitsAgain
	}
	return fitsNot
}

// add puts a segment into its slot; one that does not fit, or is there, changes nothing.
func (a *assembly) add(part int, s slot) {
	if a.fits(part, s.digest) == fitsNew {
		s.there = true
		a.slots[part-1] = s
		a.have++
	}
}

func (a *assembly) whole() bool { return a.have == len(a.slots) }

// missing lists the parts that are not there.
func (a *assembly) missing() (parts []int) {
	for i, s := range a.slots {
		if !s.there {
			parts = append(parts, i+1)
		}
	}
	return parts
}

// within reports whether every segment that is here is, with the same bytes, in the other as well.
func (a *assembly) within(other *assembly) bool {
	for i, s := range a.slots {
		if s.there && other.fits(i+1, s.digest) != fitsAgain {
			return false
		}
	}
	return true
}

// text joins what is there; "…" stands for what is missing. Neighbours of the same data_coding are read as one, because
// phones cut through a pair of surrogates or an escape. False: nothing of it could be read.
func (a *assembly) text() (text string, readable bool) {
	for i := 0; i < len(a.slots); {
		if !a.slots[i].there {
			for i < len(a.slots) && !a.slots[i].there {
				i++
			}
			text += "…"
			continue
		}
		var run []byte
		dc := a.slots[i].coding
		for ; i < len(a.slots) && a.slots[i].there && a.slots[i].coding == dc; i++ {
			run = append(run, a.slots[i].payload...)
		}
		t, ok := decode(dc, run)
		text, readable = text+t, readable || ok
	}
	return text, readable
}
