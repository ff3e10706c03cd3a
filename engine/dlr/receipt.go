// Package dlr reads delivery receipts and finds the submission that they speak of.
//
// A carrier sends a receipt as a deliver_sm, or a data_sm, whose esm_class says so (SMPP 3.4 §5.2.12). What it says stands in TLVs
// (receipted_message_id, message_state), in the text ("id:… stat:DELIVRD err:000 …", SMPP 3.4 appendix B), or both; TLVs
// win, and either may be incomplete. Parse takes what it can get and fails only without an id, or without a state that it knows.
//
// Matching (Matcher) is by carrier, not by bind: a receipt may come on any bind of the carrier, and before the response
// that named the id is stored. The deliver_sm is answered only after the event is on disk, so a crash in between makes the
// carrier send it again. One that matches nothing for a second is answered ESME_RX_T_APPN, so that it holds up no other, until no
// response can name it any more. Where a response was lost, nothing names the id: then the receipt is told by phone and time (doubt.go).
package dlr

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Receipt is what a deliver_sm says of one submission.
type Receipt struct {
	ID    string // as the carrier wrote it
	State State
	Err   string    // the network's error, as written: not always three digits
	Done  time.Time // the carrier's clock, its zone taken as Asia/Tokyo; zero: not said

	Number    uint64    // PhoneOf the phone
	Submitted time.Time // when the carrier took the message, as Done
}

// State is a message_state. SMPP 3.4 §5.2.28, SMPP 5.0 §4.7.15
type State byte

const (
	Unknown       State = 0
	Enroute       State = 1
	Delivered     State = 2
	Expired       State = 3
	Deleted       State = 4
	Undeliverable State = 5
	Accepted      State = 6
	UnknownState  State = 7
	Rejected      State = 8
	Skipped       State = 9
)

var stateWords = [...]string{
	Enroute: "ENROUTE", Delivered: "DELIVRD", Expired: "EXPIRED", Deleted: "DELETED", Undeliverable: "UNDELIV",
	Accepted: "ACCEPTD", UnknownState: "UNKNOWN", Rejected: "REJECTD", Skipped: "SKIPPED",
}

func (s State) String() string {
	if int(s) < len(stateWords) && stateWords[s] != "" {
		return stateWords[s]
	}
	return stateWords[UnknownState]
}

// Final reports whether the state ends a submission. UNKNOWN does not, though SMPP calls it final: the carrier does not know
// whether the phone has the message. Another receipt may still say; without one it becomes 送達不明 (message.DLRPatience).
func (s State) Final() bool {
	switch s {
	case Delivered, Expired, Deleted, Undeliverable, Rejected, Skipped:
		return true
	}
	return false
}

// What is wrong with a receipt that Parse cannot take.
var (
	ErrNoID    = errors.New("delivery receipt without a message id")
	ErrNoState = errors.New("delivery receipt without a state that is known")
)

// esmReceipt marks a delivery receipt in the message type bits of esm_class. SMPP 3.4 §5.2.12
const (
	esmTypeMask     = 0x3C
	esmReceipt      = 0x04
	esmIntermediate = 0x20
)

// IsReceipt reports whether a deliver_sm is a receipt rather than a message from a phone.
func IsReceipt(p *pdu.SM) bool {
	t := p.ESMClass & esmTypeMask
	return t == esmReceipt || t == esmIntermediate
}

// isFromPhone reports whether a deliver_sm is a message that a person wrote. Acknowledgements of handsets are neither that nor
// a receipt of the carrier.
func isFromPhone(p *pdu.SM) bool { return p.ESMClass&esmTypeMask == 0 }

// Parse reads a receipt. The result holds no memory of p.
func Parse(p *pdu.SM, tokyo *time.Location) (Receipt, error) {
	return parse(&strings.Builder{}, p, tokyo)
}

// parse keeps the texts of many receipts in one Builder, which shares its memory among them.
func parse(texts *strings.Builder, p *pdu.SM, tokyo *time.Location) (Receipt, error) {
	text := p.Text()
	if i := indexFold(text, "text:"); i >= 0 {
		text = text[:i] // the rest quotes the message and may hold anything
	}
	id, word := field(text, "id:"), field(text, "stat:")
	r := Receipt{
		State: stateOf(word), Done: doneDate(field(text, "done date:"), tokyo),
		Number: PhoneOf(p.Source.Addr), Submitted: doneDate(field(text, "submit date:"), tokyo),
	}
	if v, ok := p.TLVs.Get(pdu.TagReceiptedMessageID); ok {
		if v, _, _ := bytes.Cut(v, []byte{0}); len(v) > 0 {
			id = v
		}
	}
	state, ok := p.TLVs.Get(pdu.TagMessageState)
	if ok && len(state) == 1 && state[0] >= byte(Enroute) && state[0] <= byte(Skipped) {
		r.State = State(state[0])
	}
	r.Err = keepText(texts, field(text, "err:"))
	if len(id) == 0 {
		return r, ErrNoID
	}
	r.ID = keepText(texts, id)
	if r.State == Unknown {
		if bytes.ContainsAny(word, "0123456789") {
			word = nil // it may be a number
		}
		return r, fmt.Errorf("%w: stat %q, message_state %x", ErrNoState, word, state)
	}
	return r, nil
}

// keepText puts b behind what the Builder has and returns it as a string.
func keepText(texts *strings.Builder, b []byte) string {
	at := texts.Len()
	texts.Write(b)
	return texts.String()[at:]
}

// The fields of SMPP 3.4 appendix B are read in any order and case; what is not there stays empty.

// stateOf reads a word of appendix B by its first five letters: some carriers cut it there, others write DELIVERED, UNDELIVERABLE.
func stateOf(word []byte) State {
	if len(word) < 5 {
		return Unknown
	}
	word = word[:5]
	if bytes.EqualFold(word, []byte("FAILE")) { // FAILED
		return Undeliverable
	}
	for st, w := range stateWords {
		if w != "" && strings.EqualFold(w[:5], string(word)) {
			return State(st)
		}
	}
	return Unknown
}

// doneDate reads YYMMDDhhmm, with seconds or with the century too; zero: it is none.
func doneDate(v []byte, zone *time.Location) time.Time {
	var n [6]int // year of the century, month, day, hour, minute, second
	switch {
	case len(v) == 14 && (v[0] != '2' || v[1] != '0'), len(v) != 10 && len(v) != 12 && len(v) != 14:
		return time.Time{}
	case len(v) == 14:
		v = v[2:]
	}
	for i, c := range v {
		if c < '0' || c > '9' {
			return time.Time{}
		}
		n[i/2] = n[i/2]*10 + int(c-'0')
	}
	t := time.Date(2000+n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, zone)
	if int(t.Month()) != n[1] || t.Day() != n[2] || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return time.Time{}
	}
	return t
}

// field returns what follows name up to the next space. name counts only at the start or behind a space.
func field(s []byte, name string) []byte {
	for from := 0; ; {
		i := indexFold(s[from:], name)
		if i < 0 {
			return nil
		}
		i += from
		if i == 0 || s[i-1] == ' ' {
			v := bytes.TrimLeft(s[i+len(name):], " ")
			if end := bytes.IndexByte(v, ' '); end >= 0 {
				v = v[:end]
			}
			return v[:min(len(v), 65)]
		}
		from = i + 1
	}
}

// indexFold finds an ASCII lower-case name in s whatever its case.
func indexFold(s []byte, name string) int {
next:
	for i := 0; i+len(name) <= len(s); i++ {
		for j := range len(name) {
			c := s[i+j]
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			if c != name[j] {
				continue next
			}
		}
		return i
	}
	return -1
}
