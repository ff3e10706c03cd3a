package intake

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Beside an idempotency key stands a digest of the body that it was given with, a keyed hash because numbers and birth dates
// in it could be guessed:
//
//	version 1:  hash 16, of the draft as encoding/json writes it and how it came. Only read.
//	version 2:  2 | hash 16, of the draft's canonical form and how it came. Of a resend only read.
//	version 3:  3 | hash 16, of a resend: the same, the message that it follows up and the order's due date
const (
	digestVersion = 2
	resendVersion = 3
	hashSize      = 16
)

// digest is the body's in the present version; f is nil where the draft follows nothing up.
func (in *Intake) digest(id tenant.ID, via message.Via, d *message.Draft, f *Resend) ([]byte, error) {
	var room [2 << 10]byte // nearly all fit
	body := append(append(d.AppendCanonical(room[:0]), 0), via...)
	version, purpose := byte(digestVersion), "request 2"
	if f != nil {
		body = append(append(append(body, 0), f.Of[:]...), f.Due...)
		version, purpose = resendVersion, "request 3"
	}
	plain := sha256.Sum256(body)
	sum, err := in.Store.Keyed(id, purpose, string(plain[:]))
	return append([]byte{version}, sum[:]...), err
}

// sameBody reports whether a stored digest of any version is that of the plan's draft.
func (in *Intake) sameBody(id tenant.ID, via message.Via, p *plan, stored []byte) (bool, error) {
	if p.resend != nil && bytes.HasPrefix(stored, []byte{digestVersion}) && len(stored) == 1+hashSize {
		old, err := in.digest(id, via, p.draft, nil)
		return bytes.Equal(stored, old), err
	}
	if len(stored) != hashSize {
		return bytes.Equal(stored, p.digest), nil
	}
	body := *p.draft
	body.Key = ""
	b, err := json.Marshal(&body)
	if err != nil {
		return false, fmt.Errorf("digest of a draft: %w", err)
	}
	plain := sha256.Sum256(append(b, via...))
	sum, err := in.Store.Keyed(id, "request", string(plain[:]))
	return bytes.Equal(stored, sum[:]), err
}
