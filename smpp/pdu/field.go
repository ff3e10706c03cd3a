package pdu

import (
	"bytes"
	"errors"
	"fmt"
)

// What can be wrong with a field. A [*FieldError] wraps one of them.
var (
	ErrTooLong      = errors.New("too long")
	ErrNUL          = errors.New("has a NUL inside")
	ErrBadTime      = errors.New("not a time of 16 characters")
	ErrTruncated    = errors.New("body ends inside the field")
	ErrUnterminated = errors.New("not ended by a NUL")
	ErrCount        = errors.New("wrong number of entries")
	ErrValue        = errors.New("value without a meaning")
	ErrBothTexts    = errors.New("there is a short_message too")
)

// FieldError names the field of a PDU that cannot be encoded or decoded. It
// carries no value: addresses are personal data.
type FieldError struct {
	Field string // name in the specification, such as "destination_addr"
	Len   int    // length met, in bytes or entries
	Limit int    // length allowed, in bytes or entries; 0 when it does not matter
	Err   error
}

func (e *FieldError) Error() string {
	if e.Limit > 0 {
		return fmt.Sprintf("%s: %v: %d, limit %d", e.Field, e.Err, e.Len, e.Limit)
	}
	return fmt.Sprintf("%s: %v", e.Field, e.Err)
}

func (e *FieldError) Unwrap() error { return e.Err }

// writer appends fields and keeps the first error.
type writer struct {
	b   []byte
	err error
}

func (w *writer) byte(v byte) { w.b = append(w.b, v) }

func writeCString[T []byte | string](w *writer, field string, v T, limit int) {
	if w.err == nil {
		w.err = checkCString(field, v, limit)
	}
	w.b = append(append(w.b, v...), 0)
}

// checkCString checks a C-octet string before it is encoded; limit excludes
// the NUL. SMPP 3.4 §3.1
func checkCString[T []byte | string](field string, v T, limit int) error {
	if len(v) > limit {
		return &FieldError{Field: field, Len: len(v), Limit: limit, Err: ErrTooLong}
	}
	for i := range len(v) {
		if v[i] == 0 {
			return &FieldError{Field: field, Err: ErrNUL}
		}
	}
	return nil
}

func (w *writer) address(field string, a *Address, limit int) {
	w.byte(a.TON)
	w.byte(a.NPI)
	writeCString(w, field, a.Addr, limit)
}

// time appends an absolute or relative time: empty or 16 characters.
// SMPP 3.4 §7.1.1
func (w *writer) time(field string, v []byte) {
	if w.err == nil && len(v) != 0 && len(v) != 16 {
		w.err = &FieldError{Field: field, Len: len(v), Limit: 16, Err: ErrBadTime}
	}
	writeCString(w, field, v, 16)
}

// text appends sm_length, short_message and the TLVs, of which
// message_payload stands only instead of short_message. SMPP 3.4 §5.3.2.32
func (w *writer) text(short []byte, tlvs TLVs) {
	if n := len(short); n > MaxShortMessage {
		w.fail("short_message", n, MaxShortMessage, ErrTooLong)
	} else if n > 0 && len(tlvs) > 0 {
		if _, both := tlvs.Get(TagMessagePayload); both {
			w.fail("message_payload", 0, 0, ErrBothTexts)
		}
	}
	w.b = append(append(w.b, byte(len(short))), short...)
	w.tlvs(tlvs)
}

// tlvs appends the optional parameters, unless they would not decode to
// themselves.
func (w *writer) tlvs(t TLVs) {
	if n := wholeTLVs(t); n != len(t) {
		w.fail("tlvs", len(t), n, ErrTruncated)
	}
	w.b = append(w.b, t...)
}

func (w *writer) fail(field string, n, limit int, err error) {
	if w.err == nil {
		w.err = &FieldError{Field: field, Len: n, Limit: limit, Err: err}
	}
}

// done returns the result of AppendBody.
func (w *writer) done(dst []byte) ([]byte, error) {
	if w.err != nil {
		return dst, w.err
	}
	return w.b, nil
}

// reader takes fields off a body and keeps the first error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) byte(field string) byte {
	if len(r.b) == 0 {
		r.fail(field, ErrTruncated)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) cstring(field string) []byte {
	i := 0
	if len(r.b) == 0 || r.b[0] != 0 { // many are empty
		i = bytes.IndexByte(r.b, 0)
	}
	if i < 0 {
		r.fail(field, ErrUnterminated)
		return nil
	}
	v := r.b[:i:i]
	r.b = r.b[i+1:]
	return v
}

func (r *reader) address(ton, npi, addr string) Address {
	return Address{TON: r.byte(ton), NPI: r.byte(npi), Addr: r.cstring(addr)}
}

func (r *reader) octets(field string, n int) []byte {
	if n > len(r.b) {
		r.fail(field, ErrTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) fail(field string, err error) {
	if r.err == nil {
		r.err = &FieldError{Field: field, Err: err}
	}
	r.b = nil
}

// tlvs takes the rest of the body: its TLVs and the bytes after the last
// whole one.
func (r *reader) tlvs() (tlvs TLVs, trailing []byte) {
	if r.err != nil || len(r.b) == 0 {
		return nil, nil
	}
	n := wholeTLVs(r.b)
	tlvs, trailing = TLVs(r.b[:n:n]), r.b[n:]
	if len(trailing) == 0 {
		trailing = nil
	}
	if n == 0 {
		tlvs = nil
	}
	r.b = nil
	return tlvs, trailing
}
