// Package dlr reads delivery receipts and finds the submission that they speak of.
//
// A carrier sends a receipt as a deliver_sm whose esm_class says so (SMPP 3.4 §5.2.12). What it says stands in TLVs
// (receipted_message_id, message_state), in the text ("id:… stat:DELIVRD err:000 …", SMPP 3.4 appendix B), or both; TLVs
// win, and either may be incomplete. Parse takes what it can get and fails only without an id.
//
// Matching (Matcher) is by carrier, not by bind: a receipt may come on any bind of the carrier, and before the response
// that named the id is stored. A receipt that matches nothing is kept for a while before it is given up; the deliver_sm is
// answered only after the event is on disk, so a crash in between makes the carrier send it again.
package dlr

import (
	"bytes"
	"errors"
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
}

// State is a message_state. SMPP 3.4 §5.2.28
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
)

var stateWords = map[State]string{
	Enroute: "ENROUTE", Delivered: "DELIVRD", Expired: "EXPIRED", Deleted: "DELETED", Undeliverable: "UNDELIV",
	Accepted: "ACCEPTD", UnknownState: "UNKNOWN", Rejected: "REJECTD",
}

func (s State) String() string {
	if w, ok := stateWords[s]; ok {
		return w
	}
	return "UNKNOWN"
}

// Final reports whether nothing else will come for this submission.
func (s State) Final() bool {
	switch s {
	case Delivered, Expired, Deleted, Undeliverable, UnknownState, Rejected:
		return true
	}
	return false
}

// ErrNoID: the receipt names no submission.
var ErrNoID = errors.New("delivery receipt without a message id")

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
	r := parseText(p.Text(), tokyo)
	if v, ok := p.TLVs.Get(pdu.TagReceiptedMessageID); ok {
		if id, _, _ := bytes.Cut(v, []byte{0}); len(id) > 0 {
			r.ID = string(id)
		}
	}
	if v, ok := p.TLVs.Get(pdu.TagMessageState); ok && len(v) == 1 {
		r.State = State(v[0])
	}
	if r.ID == "" {
		return r, ErrNoID
	}
	return r, nil
}

// parseText reads the fields of SMPP 3.4 appendix B in any order and case; what is not there stays empty.
func parseText(text []byte, zone *time.Location) Receipt {
	var r Receipt
	s := string(text)
	if i := indexFold(s, "text:"); i >= 0 {
		s = s[:i] // the rest quotes the message and may hold anything
	}
	r.ID = field(s, "id:")
	r.Err = field(s, "err:")
	word := strings.ToUpper(field(s, "stat:"))
	for st, w := range stateWords {
		if word != "" && (w == word || strings.HasPrefix(w, word) && len(word) >= 5) {
			r.State = st
		}
	}
	done := field(s, "done date:")
	for _, layout := range []string{"0601021504", "060102150405", "20060102150405"} {
		if t, err := time.ParseInLocation(layout, done, zone); err == nil {
			r.Done = t
		}
	}
	return r
}

// field returns what follows name up to the next space. name counts only at the start or behind a space.
func field(s, name string) string {
	for from := 0; ; {
		i := indexFold(s[from:], name)
		if i < 0 {
			return ""
		}
		i += from
		if i == 0 || s[i-1] == ' ' {
			v := strings.TrimLeft(s[i+len(name):], " ")
			v, _, _ = strings.Cut(v, " ")
			if len(v) > 65 {
				v = v[:65]
			}
			return v
		}
		from = i + 1
	}
}

// indexFold finds an ASCII lower-case name in s whatever its case. Lengths stay those of s, unlike with strings.ToLower.
func indexFold(s, name string) int {
	for i := 0; i+len(name) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(name)], name) {
			return i
		}
	}
	return -1
}
