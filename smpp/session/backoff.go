package session

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Permanent reports whether another try with the same words gets the same
// answer: a person has to correct the account. SMPP 3.4 §5.1.3
func (e *BindError) Permanent() bool {
	switch e.Status {
	case pdu.StatusInvalidPassword, pdu.StatusInvalidSystemID, pdu.StatusInvalidSystemType, pdu.StatusInvalidCommandID:
		return true
	}
	return false
}

// AlreadyBound reports whether the carrier still counts a session of ours,
// mostly one that was lost without unbind: it passes when the carrier's own
// link check has found out.
func (e *BindError) AlreadyBound() bool { return e.Status == pdu.StatusAlreadyBound }

// Backoff spaces the tries to bind: from one second, doubled up to a minute,
// each between half of it and the whole, so that the binds of a carrier that
// was down do not come back in step. The zero value is ready. It is not safe
// for concurrent use.
type Backoff struct{ tries int }

const (
	backoffFirst = time.Second
	backoffMost  = time.Minute
	// backoffBound is the least wait after ESME_RALYBND: some carriers begin
	// to count anew with every try.
	backoffBound = 10 * time.Second
)

// Next returns how long to wait after err. again is false when waiting does
// not help: err is a [*BindError] that is Permanent.
func (b *Backoff) Next(err error) (wait time.Duration, again bool) {
	wait = min(backoffFirst<<min(b.tries, 6), backoffMost)
	b.tries++
	var refused *BindError
	if errors.As(err, &refused) {
		if refused.Permanent() {
			return 0, false
		}
		if refused.AlreadyBound() {
			wait = max(wait, 2*backoffBound)
		}
	}
	return wait/2 + rand.N(wait/2+1), true
}

// Reset starts over, after a session that lasted.
func (b *Backoff) Reset() { b.tries = 0 }
