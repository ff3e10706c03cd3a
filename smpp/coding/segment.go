package coding

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// MaxSegments is the most segments that a user data header can count.
const MaxSegments = 255

// Join is how the segments of a long text are held together.
type Join uint8

const (
	ByUDH     Join = iota // a user data header in short_message; every carrier takes it
	BySAR                 // the TLVs sar_msg_ref_num, sar_total_segments and sar_segment_seqnum
	ByPayload             // not cut: the whole text is one message_payload
)

// Options says how a text is cut. The zero value chooses the alphabet, writes
// user data headers with 8-bit references and allows MaxSegments.
type Options struct {
	Alphabet  Alphabet
	Join      Join
	Reference uint16 // same in all segments of a text; only the low 8 bits count unless Wide
	Wide      bool   // 16-bit reference: one unit less per segment, far fewer clashes. With BySAR and ByPayload: the carrier writes such ones
	MaxParts  int    // refuse longer texts; 0 is MaxSegments
}

// Length is what a text measures.
type Length struct {
	Alphabet Alphabet // not Auto
	Units    int      // septets, letters, UTF-16 units or, of the Japanese alphabets, bytes
	Parts    int      // short messages, as carriers bill them; 1 for an empty text
}

// Segment is the user data of one short message.
type Segment struct {
	Alphabet    Alphabet
	Data        []byte // user data header, if any, and text
	UDH         int    // length of the header in Data in bytes, 0 without
	Units       int    // of text
	Part, Total int    // from 1; 1 of 1 when alone
	Reference   uint16 // that of Options, for BySAR
	Join        Join   // how Put carries it; ByUDH when alone
}

// Put writes the segment into p: esm_class, data_coding, and short_message or
// the TLVs, which are appended to those that p has. The error is that of
// message_payload above 65,535 bytes. SMPP 3.4 §5.3.2.22, §5.3.2.23,
// §5.3.2.24, §5.3.2.32
func (s *Segment) Put(p *pdu.SM) (err error) {
	p.ESMClass |= s.ESMClass()
	p.DataCoding = s.Alphabet.DataCoding()
	switch s.Join {
	case ByPayload:
		p.ShortMessage = nil
		p.TLVs, err = pdu.AppendTLV(p.TLVs, pdu.TagMessagePayload, s.Data)
		return err
	case BySAR:
		p.TLVs = p.TLVs.AppendUint16(pdu.TagSARMsgRefNum, s.Reference).
			AppendUint8(pdu.TagSARTotalSegments, byte(s.Total)).AppendUint8(pdu.TagSARSegmentSeqnum, byte(s.Part))
	}
	p.ShortMessage = s.Data
	return nil
}

// ESMClass returns the bit that announces a user data header, or 0.
// SMPP 3.4 §5.2.12
func (s *Segment) ESMClass() byte {
	if s.UDH > 0 {
		return 0x40
	}
	return 0
}

// ErrTooManyParts reports a text that needs more segments than allowed.
var ErrTooManyParts = errors.New("text needs too many short messages")

// capacity returns how many units fit one short message, alone and as a
// segment behind a header of udh bytes.
func (a Alphabet) capacity(udh int) (alone, part int) {
	switch a {
	case GSM7, GSM7Packed:
		return 160, 160 - (udh*8+6)/7
	case Latin1, ShiftJIS, ISO2022JP:
		return 140, 140 - udh
	}
	return 70, (140 - udh) / 2
}

func (o Options) udh() int {
	if o.Wide {
		return 7
	}
	return 6
}

// Measure returns the length of text without building its segments; it
// allocates nothing. Errors are those of [Split].
func Measure(text string, o Options) (Length, error) {
	l := Length{Alphabet: o.Alphabet, Parts: 1}
	if l.Alphabet == Auto {
		l.Alphabet = Choose(text)
	}
	alone, part := l.Alphabet.capacity(o.udh())
	fresh := pen{alphabet: l.Alphabet}
	whole, here := fresh, fresh
	parts, used := 1, 0
	for i, r := range text {
		n, behind := whole.cost(r)
		if err := l.Alphabet.check(text, i, r, n); err != nil {
			return Length{}, err
		}
		whole = behind
		l.Units += n
		if n, behind = here.cost(r); used+n+behind.closing() > part {
			parts, used = parts+1, 0
			n, behind = fresh.cost(r)
		}
		here = behind
		used += n
	}
	if l.Units += whole.closing(); l.Units > alone {
		l.Parts = parts
	}
	most := o.MaxParts
	if most <= 0 || most > MaxSegments {
		most = MaxSegments
	}
	if l.Parts > most {
		return Length{}, fmt.Errorf("%w: %d units of %v make %d, limit %d", ErrTooManyParts, l.Units, l.Alphabet, l.Parts, most)
	}
	return l, nil
}

// Split encodes text and cuts it into segments; a text that fits one short
// message has no header. With ByPayload there is one segment of any length up
// to the parts allowed. The error is [ErrInvalidUTF8], a [*RuneError] or
// [ErrTooManyParts]. The segments share one new buffer, which the caller owns.
func Split(text string, o Options) ([]Segment, error) {
	segments, _, err := AppendSplit(nil, nil, text, o)
	return segments, err
}

// AppendSplit is Split that appends the segments to dst and their bytes to buf,
// for callers that cut many texts. Nothing is appended with an error.
func AppendSplit(dst []Segment, buf []byte, text string, o Options) ([]Segment, []byte, error) {
	l, err := Measure(text, o)
	if err != nil {
		return dst, buf, err
	}
	width, udh := 1, 0
	if l.Alphabet == UCS2 {
		width = 2
	}
	join, parts := o.Join, l.Parts
	_, part := l.Alphabet.capacity(o.udh())
	switch {
	case parts == 1:
		join, part = ByUDH, l.Units
	case join == ByPayload:
		parts, part = 1, l.Units
	case join == ByUDH:
		udh = o.udh()
	}
	// The buffer is sized once, so that earlier segments stay in place: escapes
	// of ISO-2022-JP are written anew in each segment.
	buf = room(buf, l.Units*width+parts*(udh+2*jisEscape))
	dst = room(dst, parts)
	rest := text
	for n := range parts {
		start, units := len(buf), 0
		if udh > 0 {
			buf = o.appendUDH(buf, parts, n+1)
		}
		at, p := len(buf), pen{alphabet: l.Alphabet}
		cut := len(rest)
		for i, r := range rest {
			u, behind := p.cost(r)
			if units+u+behind.closing() > part {
				cut = i
				break
			}
			units += u
			buf, p = p.append(buf, r)
		}
		units += p.closing()
		buf = p.close(buf, at, udh)
		rest = rest[cut:]
		dst = append(dst, Segment{
			Alphabet: l.Alphabet,
			Data:     buf[start:len(buf):len(buf)],
			UDH:      udh, Units: units, Part: n + 1, Total: parts, Reference: o.Reference, Join: join,
		})
	}
	return dst, buf, nil
}

// room makes room for n more behind s.
func room[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return append(make([]T, 0, 2*len(s)+n), s...)
}

func (o Options) appendUDH(dst []byte, total, part int) []byte {
	if o.Wide {
		dst = append(dst, 6, 0x08, 4)
		dst = binary.BigEndian.AppendUint16(dst, o.Reference)
	} else {
		dst = append(dst, 5, 0x00, 3, byte(o.Reference))
	}
	return append(dst, byte(total), byte(part))
}

// Concat is the part of a user data header that joins segments.
type Concat struct {
	Reference   uint16
	Total, Part byte // 1 ≤ Part ≤ Total; zero when the header joins nothing
	Wide        bool
}

// ErrUDH reports a user data header that is cut short or counts wrongly.
var ErrUDH = errors.New("user data header is damaged")

// ParseUDH reads the user data header at the beginning of data (esm_class
// said that there is one) and returns what it joins and the text behind it, a
// part of data. Information elements of other kinds are passed over.
func ParseUDH(data []byte) (c Concat, text []byte, err error) {
	if len(data) == 0 || int(data[0]) >= len(data) {
		return c, data, fmt.Errorf("%w: shorter than it says", ErrUDH)
	}
	ies, text := data[1:1+data[0]], data[1+data[0]:]
	for len(ies) >= 2 {
		iei, n := ies[0], int(ies[1])
		if 2+n > len(ies) {
			return Concat{}, text, fmt.Errorf("%w: element 0x%02x ends outside", ErrUDH, iei)
		}
		v := ies[2 : 2+n]
		switch {
		case iei == 0x00 && n == 3:
			c = Concat{Reference: uint16(v[0]), Total: v[1], Part: v[2]}
		case iei == 0x08 && n == 4:
			c = Concat{Reference: binary.BigEndian.Uint16(v), Total: v[2], Part: v[3], Wide: true}
		}
		ies = ies[2+n:]
	}
	if c != (Concat{}) && (c.Part == 0 || c.Part > c.Total) {
		return Concat{}, text, fmt.Errorf("%w: part %d of %d", ErrUDH, c.Part, c.Total)
	}
	return c, text, nil
}
