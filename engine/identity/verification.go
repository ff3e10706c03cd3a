package identity

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A stream of kind Verification is one code that was asked for: by a page for its recipient (then it only counts, and the
// message's own stream has its tries), or by the sender through the API.
//
//	asked ─► tried … ─► (the fifth wrong one closes it; a right one is the last)
//
// Types of its events. The values are stored.
const (
	askedFor byte = 1 // verification
	triedAt  byte = 2 // try
)

// verification is the head of a stream.
type verification struct {
	V       int       `json:"v"`                // 1
	Message ulid.ULID `json:"message,omitzero"` // whose page asks; zero: the sender asks by API
	By      string    `json:"by,omitempty"`     // "key:<name>"
	SMS     ulid.ULID `json:"sms,omitzero"`     // the otp message that carries the code
	Digits  int       `json:"digits,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Hash    []byte    `json:"hash,omitempty"`   // keyed, of the code, purpose "verification/<id>"
	Sealed  []byte    `json:"sealed,omitempty"` // personal, aad "<id>/verification"
}

// personal is what of a verification is personal.
type personal struct {
	Masked    string `json:"masked,omitempty"`
	Reference string `json:"reference,omitempty"`
}

// try is a counted check.
type try struct {
	OK bool `json:"ok,omitempty"`
	// Key is a keyed hash of the request's idempotency key and the code.
	Key []byte `json:"key,omitempty"`
}

// Status is where a verification stands.
type Status string

const (
	Approved Status = "approved" // the code was given once
	Pending  Status = "pending"
	Expired  Status = "expired"
	Shut     Status = "locked" // five wrong tries
)

// Verification is a code that the sender asked for, as it stands.
type Verification struct {
	ID         ulid.ULID
	Status     Status
	Masked     string // the number, for people; empty when the term of its content is over
	Reference  string
	SMS        ulid.ULID
	Digits     int
	TriesLeft  int
	CreatedAt  time.Time
	ExpiresAt  time.Time
	ApprovedAt time.Time // zero: not approved
}

// verified is the fold of a stream.
type verified struct {
	head     verification
	version  int
	wrong    int
	at       time.Time
	approved time.Time
	tries    []try
}

// foldVerification reads a stream's events in order.
func foldVerification(events []store.Event) (*verified, error) {
	v := &verified{}
	for i, e := range events {
		var err error
		switch {
		case i == 0 && e.Type == askedFor:
			if err = json.Unmarshal(e.Data, &v.head); err == nil && v.head.V > 1 {
				err = fmt.Errorf("record of format %d is newer than this program", v.head.V)
			}
			v.at, v.version = e.At, 1
		case i > 0 && e.Type == triedAt:
			var t try
			if err = json.Unmarshal(e.Data, &t); err != nil {
				break
			}
			v.count(t, e.At)
		default:
			err = fmt.Errorf("event %d of type %d has no place there", i, e.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("verification %s: %w", e.Ref.ID, err)
		}
	}
	return v, nil
}

// count folds a try.
func (v *verified) count(t try, at time.Time) {
	v.version++
	v.tries = append(v.tries, t)
	if !t.OK {
		v.wrong++
	} else if v.approved.IsZero() {
		v.approved = at
	}
}

// CheckVerification reports what is wrong with a whole stream of kind Verification.
func CheckVerification(events []store.Event) error {
	v, err := foldVerification(events)
	if err == nil && v.wrong > MaxTries {
		err = fmt.Errorf("%d wrong tries are counted, %d are possible", v.wrong, MaxTries)
	}
	return err
}

func (v *verified) status(now time.Time) Status {
	switch {
	case !v.approved.IsZero():
		return Approved
	case v.wrong >= MaxTries:
		return Shut
	case !now.Before(v.head.Until):
		return Expired
	}
	return Pending
}

// asked is the change that makes the stream of a code. v gets what is sealed.
func (id *Identity) asked(ref store.Ref, now time.Time, c share, v *verification, p personal) (store.Change, error) {
	plain, err := json.Marshal(p)
	if err == nil {
		v.Sealed, err = id.o.Store.Seal(c.tenant.ID, string(message.OTP), now, sealedPart(ref.ID), plain)
	}
	if err != nil {
		return store.Change{}, fmt.Errorf("seal a verification: %w", err)
	}
	return store.Change{Ref: ref, Events: []store.NewEvent{{Type: askedFor, At: now, Data: message.Encode(v)}}, Terms: c.terms(), Final: true}, nil
}

func sealedPart(id ulid.ULID) string          { return id.String() + "/verification" }
func verificationPurpose(id ulid.ULID) string { return "verification/" + id.String() }

func newVerification(t tenant.ID, now time.Time) store.Ref {
	return store.Ref{Tenant: t, Kind: store.Verification, ID: ulid.MustNew(ulid.Timestamp(now), rand.Reader)}
}
