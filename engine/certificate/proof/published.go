package proof

import (
	"bytes"
	"fmt"
)

// Published is the file of all lines, in order.
type Published struct {
	Lines []*Line
	byDay map[string]*Line
}

// MaxPublished is the largest published file that is read, in bytes: more than 200 years.
const MaxPublished = 64 << 20

// ParsePublished reads a published file and checks that each line follows the one before: its prev, and a later day. The
// error is a *Fault that names the line. Signatures are not checked: see Verify.
func ParsePublished(data []byte) (*Published, error) {
	p := &Published{byDay: map[string]*Line{}}
	if len(data) > MaxPublished {
		return nil, &Fault{Of: OfPublished, What: fmt.Sprintf("the file has %d bytes, at most %d", len(data), MaxPublished)}
	}
	for len(data) > 0 {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		n := len(p.Lines) + 1
		if !whole {
			return nil, &Fault{Of: OfPublished, Line: n, What: "the line has no end: the file was cut off"}
		}
		data = rest
		l, err := ParseLine(string(text))
		if err != nil {
			return nil, &Fault{Of: OfPublished, Line: n, What: err.Error()}
		}
		if err := p.add(l); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add appends a line, or says why it does not follow.
func (p *Published) add(l *Line) error {
	n := len(p.Lines)
	bad := func(format string, args ...any) error {
		return &Fault{Of: OfPublished, Line: n + 1, Day: l.Day, What: fmt.Sprintf(format, args...)}
	}
	if l.Prev != p.Head() {
		if n == 0 {
			return bad("the first line names one before it: lines are missing at the beginning")
		}
		return bad("it does not follow line %d (%s): that line was changed, or lines were taken out between them", n, p.Lines[n-1].Day)
	}
	if n > 0 && l.Day <= p.Lines[n-1].Day {
		return bad("its day is not after that of line %d", n)
	}
	p.Lines = append(p.Lines, l)
	p.byDay[l.Day] = l
	return nil
}

// Head is the hash that the next line has to name.
func (p *Published) Head() Hash {
	if len(p.Lines) == 0 {
		return Hash{}
	}
	return p.Lines[len(p.Lines)-1].Hash()
}

// Last is the last day; empty: there is none.
func (p *Published) Last() string {
	if len(p.Lines) == 0 {
		return ""
	}
	return p.Lines[len(p.Lines)-1].Day
}

// Day is the line of a day; nil: there is none.
func (p *Published) Day(day string) *Line { return p.byDay[day] }

// verify checks the signatures of the lines. Without all keys, those by others are passed over.
func (p *Published) verify(keys map[string]PublicKey, all bool) *Fault {
	for i, l := range p.Lines {
		k, known := keys[l.Key]
		switch {
		case !known && !all:
		case !known:
			return &Fault{Of: OfPublished, Line: i + 1, Day: l.Day, What: "it is signed with key " + l.Key + ", which is not among the keys"}
		case !l.Verify(k):
			return &Fault{Of: OfPublished, Line: i + 1, Day: l.Day, What: "its signature does not belong to it: the line was changed"}
		}
	}
	return nil
}
