package email

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
)

// Events of a mail. The values are stored and never change.
const (
	asked  byte = 96 // request; the head
	tried  byte = 97 // outcome: to be tried again
	sent   byte = 98 // outcome; nothing follows
	failed byte = 99 // outcome; nothing follows
)

// request is what was asked for.
type request struct {
	V       int       `json:"v"` // 1
	Message ulid.ULID `json:"message"`
	Claim   ulid.ULID `json:"claim"`
	Attempt ulid.ULID `json:"attempt"`
	Lang    string    `json:"lang"`
	By      string    `json:"by,omitempty"` // as Asking.By
	Sealed  []byte    `json:"sealed"`       // the address, aad "<id>/address"
}

// outcome is what became of one try. Reason is one of the words below.
type outcome struct {
	Reason string    `json:"reason,omitempty"`
	Code   int       `json:"code,omitempty"` // the relay's answer; 0: there was none
	Until  time.Time `json:"until,omitzero"` // tried: not before
}

// Why a mail failed, or is tried again. Stable: timelines show them.
const (
	ReasonObsolete    = "obsolete"    // what it was asked for can no longer be paid
	ReasonRefused     = "refused"     // by the relay, for good
	ReasonTemporary   = "temporary"   // by the relay, for now
	ReasonUnreachable = "unreachable" // no relay, no login, no answer
	ReasonGaveUp      = "gave_up"     // a day of tries is over
	ReasonErased      = "erased"      // its content is past its term
)

// state is the fold of a mail's events.
type state struct {
	request
	at    time.Time // of the request
	tries int
	over  bool
}

func fold(events []store.Event) (state, error) {
	var s state
	for _, e := range events {
		switch e.Type {
		case asked:
			if err := json.Unmarshal(e.Data, &s.request); err != nil {
				return s, fmt.Errorf("mail %s: %w", e.Ref.ID, err)
			}
			if s.V > 1 {
				return s, fmt.Errorf("mail %s: record of format %d is newer than this program", e.Ref.ID, s.V)
			}
			s.at = e.At
		case tried:
			s.tries++
		case sent, failed:
			s.over = true
		default:
			return s, fmt.Errorf("mail %s: event type %d was written by a newer program", e.Ref.ID, e.Type)
		}
	}
	return s, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: mail event data: " + err.Error())
	}
	return b
}
