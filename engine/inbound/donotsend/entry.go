package donotsend

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Reason is why a number is on the list. The words are stored and part of the API.
type Reason string

const (
	Stop        Reason = "stop"         // its owner wrote a stop word
	Request     Reason = "request"      // its owner asked the tenant otherwise
	WrongPerson Reason = "wrong_person" // お心当たりのない方: it belongs to somebody else
	Import      Reason = "import"       // came with a file that names no reason
)

// Reasons lists them.
var Reasons = []Reason{Stop, Request, WrongPerson, Import}

// MaxNote is the longest note, in characters.
const MaxNote = 200

// Addition is a number to be listed.
type Addition struct {
	Number carrier.Number
	Reason Reason
	Note   string // at most MaxNote characters; no personal data belongs there
	By     string // "phone", "link", "user:<login>", "key:<name>"
	At     time.Time
}

// Check reports what is wrong with the addition's own fields.
func (a *Addition) Check() message.Problems {
	var ps message.Problems
	if a.Number.IsZero() {
		ps = append(ps, message.Problem{Field: "number", Code: "required"})
	}
	switch a.Reason {
	case Stop, Request, WrongPerson, Import:
	default:
		ps = append(ps, message.Problem{Field: "reason", Code: "unknown", Value: message.Mask(string(a.Reason)), Detail: "stop, request, wrong_person or import"})
	}
	if n := utf8.RuneCountInString(a.Note); n > MaxNote {
		ps = append(ps, message.Problem{Field: "note", Code: "too_long", Limit: MaxNote, Got: int64(n)})
	}
	return ps
}

// Entry is one number on a list.
type Entry struct {
	ID      ulid.ULID
	Tenant  tenant.ID
	Masked  string
	Reason  Reason
	Note    string
	By      string
	At      time.Time
	Removed time.Time // zero: it holds
	Ended   string    // who removed it
	box     []byte
}

// Events of an entry. The values are stored; those of tenant.EventType, whose stream is of the same kind, are smaller.
const (
	listed  byte = 64
	removed byte = 65
)

type listedData struct {
	V      int    `json:"v"` // 1
	Masked string `json:"masked"`
	Reason Reason `json:"reason"`
	Note   string `json:"note,omitempty"`
	By     string `json:"by"`
	Number []byte `json:"number"` // sealed, aad "<id>/number"
}

type removedData struct {
	By string `json:"by"`
}

// Fields by which entries are searched. The values are stored.
const (
	fieldList  byte = 'd' // every entry has it, so that other streams of the kind are not met
	fieldLast4 byte = '4' // keyed hash of the last four digits
)

const listValue = "do-not-send"

// class is the class of the data keys. Nothing erases it: an entry holds for as long as its number is listed.
const class = "donotsend"

func ref(t tenant.ID, id ulid.ULID) store.Ref {
	return store.Ref{Tenant: t, Kind: store.Tenant, ID: id}
}

// errForeign: the stream is not an entry of the list.
var errForeign = fmt.Errorf("do-not-send entry: %w", store.ErrNotFound)

// fold reads the events of an entry.
func fold(events []store.Event) (Entry, error) {
	var e Entry
	if len(events) == 0 || events[0].Type != listed {
		return e, errForeign
	}
	var d listedData
	if err := json.Unmarshal(events[0].Data, &d); err != nil || d.V != 1 {
		return e, fmt.Errorf("do-not-send entry %s: %w", events[0].Ref.ID, errors.Join(err, errors.New("written by another program")))
	}
	e = Entry{ID: events[0].Ref.ID, Tenant: events[0].Ref.Tenant, Masked: d.Masked, Reason: d.Reason, Note: d.Note, By: d.By, At: events[0].At, box: d.Number}
	for _, ev := range events[1:] {
		var r removedData
		if err := json.Unmarshal(ev.Data, &r); err != nil {
			return e, fmt.Errorf("do-not-send entry %s: %w", e.ID, err)
		}
		if ev.Type == removed && e.Removed.IsZero() {
			e.Removed, e.Ended = ev.At, r.By
		}
	}
	return e, nil
}

// key is the name in store.ByKey of a listed number. It cannot be an idempotency key's: those are 32 digits.
func (l *List) key(t tenant.ID, n carrier.Number) (string, error) {
	sum, err := l.store.Keyed(t, "number", n.E164())
	return "do-not-send/" + hex.EncodeToString(sum[:]), err
}
