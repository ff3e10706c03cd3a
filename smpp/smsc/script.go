package smsc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// rules is what happens by number. Rules of one suffix follow one another: when
// the Times of the first are over, the next holds, and after the last nothing.
type rules struct {
	bySuffix map[string]*Fault // the first of each suffix
	lengths  []int             // of the suffixes, longest first
	tries    map[string]*int   // submissions per number, for Fault.Times
}

// maxTries bounds the numbers remembered for Fault.Times.
const maxTries = 1_000_000

// newRules takes over faults; builtin ones hold for suffixes that these do not
// have.
func newRules(faults, builtin []Fault) (*rules, error) {
	r := &rules{bySuffix: make(map[string]*Fault, len(faults)+len(builtin)), tries: make(map[string]*int)}
	last := make(map[string]*Fault, len(faults))
	var lengths [256]bool
	add := func(f *Fault) error {
		if err := f.prepare(); err != nil {
			return err
		}
		if before := last[f.Suffix]; before != nil {
			before.next = f
		} else {
			r.bySuffix[f.Suffix] = f
		}
		last[f.Suffix] = f
		lengths[len(f.Suffix)] = true
		return nil
	}
	faults = slices.Clone(faults)
	for i := range faults {
		if err := add(&faults[i]); err != nil {
			return nil, fmt.Errorf("faults[%d].%w", i, err)
		}
	}
	for _, f := range builtin {
		if last[f.Suffix] == nil {
			if err := add(&f); err != nil {
				panic("BUG: smsc: built-in fault: " + err.Error())
			}
		}
	}
	for n := len(lengths) - 1; n >= 0; n-- {
		if lengths[n] {
			r.lengths = append(r.lengths, n)
		}
	}
	return r, nil
}

// find returns the rule for a submission to dest, or nil.
func (r *rules) find(dest []byte) *Fault {
	for _, n := range r.lengths {
		if len(dest) < n {
			continue
		}
		f := r.bySuffix[string(dest[len(dest)-n:])]
		if f == nil {
			continue
		}
		if f.Times == 0 {
			return f
		}
		tries := r.tries[string(dest)]
		if tries == nil {
			if len(r.tries) >= maxTries {
				clear(r.tries)
			}
			tries = new(int)
			r.tries[string(dest)] = tries
		}
		before := *tries
		*tries++
		for ; f != nil; f = f.next {
			if f.Times == 0 || before < f.Times {
				return f
			}
			before -= f.Times
		}
		return nil
	}
	return nil
}

// Script is what a file says of a carrier.
type Script struct {
	Faults []Fault // rules by number
	Spells []Spell // troubles of the whole carrier
}

// ReadScript reads a file of one JSON object a line with the names of the
// configuration: a Fault, or a Spell, which is known by its trouble, such as
//
//	{"suffix":"818000000001","status":"ESME_RTHROTTLED","times":2}
//	{"suffix":"818000000001","receipt":"elsewhere","message_id":"hex"}
//	{"after":"1m","for":"10s","trouble":{"down":true}}
//	{"after":"2m","for":"30s","trouble":{"reject_bind":"ESME_RALYBND"}}
//
// Empty lines and those that begin with # are passed over. An error names the
// line.
func ReadScript(r io.Reader) (s Script, err error) {
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		if err := s.add(text); err != nil {
			return Script{}, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return Script{}, fmt.Errorf("read script: %w", err)
	}
	return s, nil
}

// add takes one line.
func (s *Script) add(text []byte) error {
	var l struct {
		Fault
		After   Duration `json:"after"`
		For     Duration `json:"for"`
		Trouble *Trouble `json:"trouble"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one object")
	}
	if l.Trouble != nil {
		if l.Fault != (Fault{}) {
			return errors.New("trouble: beside a rule by number")
		}
		spell := Spell{l.After, l.For, *l.Trouble}
		s.Spells = append(s.Spells, spell)
		return spell.prepare()
	}
	if l.After+l.For > 0 {
		return errors.New("after, for: without trouble")
	}
	s.Faults = append(s.Faults, l.Fault)
	return l.Fault.prepare()
}
