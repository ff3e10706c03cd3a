package message

import (
	"errors"
	"time"
	"unsafe"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// The events that every message has, some millions of times a day, are stored in a compact form instead of JSON: the byte
// 1, then fields in the wire format of Protocol Buffers, which any tool can show (protoc --decode_raw). Numbers of fields
// are stored: they never change. A zero value is left out; a field that is not known is passed over. Times are nanoseconds
// since 1970 (zigzag), truths are 1. Reading JSON, ten times as slow, stays possible: a record that begins with "{".
//
//	Head:       1 v · 2 no · 3 class · 4 via · 5 lane · 6 by · 7 for · 8 campaign · 9 sender · 10 carrier · 11 parts ·
//	            12 send at · 13 window from · 14 window to · 15 valid until · 16 masked · 17 token · 18 url ·
//	            19 link expires · 20 state until · 21 answer … (1 field · 2 label · 3 level · 4 hash) · 22 code ·
//	            23 claim · 24 survey · 25 sms · 26 page · commitment to 27 text · 28 page · 29 number · 30 resends ·
//	            31 answering
//	Submission: 1 part · 2 attempt · 3 carrier · 4 bind · 5 smsc id · 6 status · 7 reason · 8 policy · 9 until · 10 written
//	Report:     1 part · 2 carrier · 3 bind · 4 state · 5 err · 6 done
//	Keeping:    1 day · 2 sms · 3 page · 4 survey
//
// What is sealed has forms of this kind too: content.go.
const recordVersion = 1

// record is data with a compact form.
type record interface {
	appendFields(dst []byte) []byte
	// set takes one field; bytes alias the record.
	set(num protowire.Number, f field) error
}

var errRecord = errors.New("damaged record")

func appendRecord(dst []byte, r record) []byte {
	return r.appendFields(append(dst, recordVersion))
}

// field is the value of a field: n of a number, b of bytes.
type field struct {
	n    uint64
	b    []byte
	lent bool // texts alias b too
}

// text is the field as a string. Most of what is decoded is a dozen short texts that are looked at once: where the caller
// vouches for the record's bytes (State.Borrow) they are not copied one by one.
func (f field) text() string {
	if f.lent {
		return unsafe.String(unsafe.SliceData(f.b), len(f.b))
	}
	return string(f.b)
}

// parseFields gives each field of b to r; see field for lent.
func parseFields(b []byte, r record, lent bool) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errRecord
		}
		b = b[n:]
		f := field{lent: lent}
		switch typ {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			return errRecord
		}
		if n < 0 {
			return errRecord
		}
		b = b[n:]
		if err := r.set(num, f); err != nil {
			return err
		}
	}
	return nil
}

func appendNumber[N int | uint32](dst []byte, num protowire.Number, n N) []byte {
	if n == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), uint64(n))
}

func appendTruth(dst []byte, num protowire.Number, v bool) []byte {
	if !v {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), 1)
}

func appendTime(dst []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), protowire.EncodeZigZag(t.UnixNano()))
}

func appendText[T ~string | []byte](dst []byte, num protowire.Number, s T) []byte {
	if len(s) == 0 {
		return dst
	}
	dst = protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.BytesType), uint64(len(s)))
	return append(dst, s...)
}

// appendNested appends a record as a field. Its length is known behind it: room is left for the longest, and closed.
func appendNested(dst []byte, num protowire.Number, r record) []byte {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	at := len(dst)
	dst = r.appendFields(append(dst, 0, 0, 0, 0, 0)) // of a length below 2^35
	size := protowire.AppendVarint(dst[at:at], uint64(len(dst)-at-5))
	return append(dst[:at+len(size)], dst[at+5:]...)
}

func appendID(dst []byte, num protowire.Number, id ulid.ULID) []byte {
	if id.IsZero() {
		return dst
	}
	return appendText(dst, num, id[:])
}

// word is one of a few known words, or another one.
func word[W ~string](f field, known []W) W {
	for _, w := range known {
		if string(w) == string(f.b) {
			return w
		}
	}
	return W(f.b)
}

func (f field) time() time.Time { return time.Unix(0, protowire.DecodeZigZag(f.n)).UTC() }

func (f field) id(to *ulid.ULID) error {
	if len(f.b) != len(to) {
		return errRecord
	}
	copy(to[:], f.b)
	return nil
}

func (h *Head) appendFields(dst []byte) []byte {
	dst = appendNumber(dst, 1, h.V)
	dst = appendText(dst, 2, h.No)
	dst = appendText(dst, 3, h.Class)
	dst = appendText(dst, 4, h.Via)
	dst = appendText(dst, 5, h.Lane)
	dst = appendText(dst, 6, h.By)
	dst = appendID(dst, 7, h.For)
	dst = appendID(dst, 8, h.Campaign)
	dst = appendText(dst, 9, h.Sender)
	dst = appendText(dst, 10, h.Carrier)
	dst = appendNumber(dst, 11, h.Parts)
	dst = appendTime(dst, 12, h.SendAt)
	if h.Window != nil {
		dst = appendText(dst, 13, h.Window.From)
		dst = appendText(dst, 14, h.Window.To)
	}
	dst = appendTime(dst, 15, h.ValidUntil)
	dst = appendText(dst, 16, h.Masked)
	dst = appendText(dst, 17, h.Token)
	dst = appendText(dst, 18, h.URL)
	dst = appendTime(dst, 19, h.LinkExpires)
	dst = appendTime(dst, 20, h.StateUntil)
	for i := range h.Answers {
		dst = appendNested(dst, 21, &h.Answers[i])
	}
	dst = appendTruth(dst, 22, h.Code)
	dst = appendID(dst, 23, h.Claim)
	dst = appendTruth(dst, 24, h.Survey)
	dst = appendText(dst, 25, h.SMS)
	dst = appendText(dst, 26, h.Page)
	if h.Commit != nil {
		dst = appendText(dst, 27, h.Commit.Text)
		dst = appendText(dst, 28, h.Commit.Page)
		dst = appendText(dst, 29, h.Commit.Number)
	}
	dst = appendID(dst, 30, h.Resends)
	dst = appendID(dst, 31, h.Answering)
	return appendNumber(dst, 32, h.CodeDigits)
}

// HasLink reports whether a message has a link, from its Accepted event, of which it reads no more than it must. What cannot be read may
// have one.
func HasLink(accepted []byte) bool {
	const token = 17
	if len(accepted) == 0 || accepted[0] != recordVersion {
		var h Head
		return Decode(accepted, &h) != nil || h.Token != ""
	}
	for rest := accepted[1:]; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 || num == token {
			return true
		}
		if num > token { // they are in order
			return false
		}
		size := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if size < 0 {
			return true
		}
		rest = rest[n+size:]
	}
	return false
}

func (h *Head) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		h.V = int(f.n)
	case 2:
		h.No = f.text()
	case 3:
		h.Class = word(f, Classes)
	case 4:
		h.Via = word(f, Vias)
	case 5:
		h.Lane = word(f, Lanes)
	case 6:
		h.By = f.text()
	case 7:
		return f.id(&h.For)
	case 8:
		return f.id(&h.Campaign)
	case 9:
		h.Sender = f.text()
	case 10:
		h.Carrier = f.text()
	case 11:
		h.Parts = int(f.n)
	case 12:
		h.SendAt = f.time()
	case 13:
		h.window().From = f.text()
	case 14:
		h.window().To = f.text()
	case 15:
		h.ValidUntil = f.time()
	case 16:
		h.Masked = f.text()
	case 17:
		h.Token = f.text()
	case 18:
		h.URL = f.text()
	case 19:
		h.LinkExpires = f.time()
	case 20:
		h.StateUntil = f.time()
	case 21:
		var a Answer
		err := parseFields(f.b, &a, f.lent)
		h.Answers = append(h.Answers, a)
		return err
	case 22:
		h.Code = f.n != 0
	case 23:
		return f.id(&h.Claim)
	case 24:
		h.Survey = f.n != 0
	case 25:
		h.SMS = f.b
	case 26:
		h.Page = f.b
	case 27:
		h.commit().Text = f.b
	case 28:
		h.commit().Page = f.b
	case 29:
		h.commit().Number = f.b
	case 30:
		return f.id(&h.Resends)
	case 31:
		return f.id(&h.Answering)
	case 32:
		h.CodeDigits = int(f.n)
	}
	return nil
}

func (h *Head) commit() *Commitment {
	if h.Commit == nil {
		h.Commit = new(Commitment)
	}
	return h.Commit
}

func (h *Head) window() *Window {
	if h.Window == nil {
		h.Window = new(Window)
	}
	return h.Window
}

func (a *Answer) appendFields(dst []byte) []byte {
	dst = appendText(dst, 1, a.Field)
	dst = appendText(dst, 2, a.Label)
	dst = appendText(dst, 3, a.Level)
	return appendText(dst, 4, a.Hash)
}

func (a *Answer) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		a.Field = f.text()
	case 2:
		a.Label = f.text()
	case 3:
		a.Level = f.text()
	case 4:
		a.Hash = f.b
	}
	return nil
}

func (s *Submission) appendFields(dst []byte) []byte {
	dst = appendNumber(dst, 1, s.Part)
	dst = appendNumber(dst, 2, s.Attempt)
	dst = appendText(dst, 3, s.Carrier)
	dst = appendText(dst, 4, s.Bind)
	dst = appendText(dst, 5, s.SMSCID)
	dst = appendNumber(dst, 6, s.Status)
	dst = appendText(dst, 7, s.Reason)
	dst = appendText(dst, 8, s.Policy)
	dst = appendTime(dst, 9, s.Until)
	return appendTime(dst, 10, s.Written)
}

func (s *Submission) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		s.Part = int(f.n)
	case 2:
		s.Attempt = int(f.n)
	case 3:
		s.Carrier = f.text()
	case 4:
		s.Bind = f.text()
	case 5:
		s.SMSCID = f.text()
	case 6:
		s.Status = uint32(f.n)
	case 7:
		s.Reason = f.text()
	case 8:
		s.Policy = Doubt(f.text())
	case 9:
		s.Until = f.time()
	case 10:
		s.Written = f.time()
	}
	return nil
}

func (r *Report) appendFields(dst []byte) []byte {
	dst = appendNumber(dst, 1, r.Part)
	dst = appendText(dst, 2, r.Carrier)
	dst = appendText(dst, 3, r.Bind)
	dst = appendText(dst, 4, r.State)
	dst = appendText(dst, 5, r.Err)
	return appendTime(dst, 6, r.Done)
}

func (r *Report) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		r.Part = int(f.n)
	case 2:
		r.Carrier = f.text()
	case 3:
		r.Bind = f.text()
	case 4:
		r.State = f.text()
	case 5:
		r.Err = f.text()
	case 6:
		r.Done = f.time()
	}
	return nil
}
