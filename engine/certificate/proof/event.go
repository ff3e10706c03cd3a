package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Hash is a SHA-256 hash, or another 32 bytes; hexadecimal in files.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives lower-case hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes exactly 64 lower-case hexadecimal digits.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != string(text) {
		return fmt.Errorf("%.70q is not 64 hexadecimal digits", text)
	}
	copy(h[:], b)
	return nil
}

// Event is one event of a stream as a certificate tells it.
type Event struct {
	N      uint32            `json:"n"` // from 1
	Type   string            `json:"type"`
	At     time.Time         `json:"at"` // UTC, nanoseconds
	Fields map[string]string `json:"fields,omitempty"`
	Salt   Hash              `json:"salt"`
	Digest Hash              `json:"digest"` // of the chain up to this event
}

// Stream is the events of one stream, and the days whose trees hold it.
type Stream struct {
	Kind   string  `json:"kind"` // message, claim
	ID     string  `json:"id"`
	Events []Event `json:"events"`
	Days   []Day   `json:"days,omitempty"` // oldest first; none: no day of it is closed yet
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// canonical is the one way in which the meaning of an event is written down for its digest.
func (e *Event) canonical() []byte {
	b := binary.BigEndian.AppendUint32(nil, e.N)
	b = appendText(b, e.Type)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Fields)))
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		b = appendText(appendText(b, name), e.Fields[name])
	}
	return b
}

func (e *Event) hash() Hash {
	b := append([]byte("kakitome event 1\x00"), e.Salt[:]...)
	return sha256.Sum256(append(b, e.canonical()...))
}

// Begin is the chain of a stream before its first event.
func Begin(kind, tenant, id string) Hash {
	b := appendText([]byte("kakitome stream 1\x00"), kind)
	return sha256.Sum256(appendText(appendText(b, tenant), id))
}

// Next is the chain with one more event. It does not look at e.Digest.
func (h Hash) Next(e *Event) Hash {
	of := e.hash()
	b := append([]byte("kakitome chain 1\x00"), h[:]...)
	return sha256.Sum256(append(b, of[:]...))
}

// Chain gives the events of a stream their salts and digests.
func Chain(tenant string, s *Stream, key Hash) {
	d := Begin(s.Kind, tenant, s.ID)
	for i := range s.Events {
		e := &s.Events[i]
		e.Salt = salt(key, e.N)
		d = d.Next(e)
		e.Digest = d
	}
}

// salt is that of one event. key belongs to one stream and stays secret.
func salt(key Hash, n uint32) Hash {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(binary.BigEndian.AppendUint32([]byte("salt"), n))
	return Hash(mac.Sum(nil))
}
