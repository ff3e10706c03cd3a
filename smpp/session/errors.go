package session

import (
	"errors"
	"fmt"

	"github.com/kakitome/kakitome/smpp/pdu"
)

var (
	// ErrTimeout is the Err of a result in doubt: written, and not answered
	// within ResponseTimeout.
	ErrTimeout = errors.New("no response in time")
	// ErrWindowFull is returned by TrySubmit when the window has no room.
	ErrWindowFull = errors.New("window is full")
	// ErrUnbinding is returned to those who submit while the session drains.
	ErrUnbinding = errors.New("session is unbinding")
	// ErrClosed ends a session by Close, and one whose Unbind was cut short.
	ErrClosed = errors.New("session closed")
	// ErrUnbound ends a session that was unbound by us.
	ErrUnbound = errors.New("session unbound")
	// ErrPeerUnbound ends a session that was unbound by the peer.
	ErrPeerUnbound = errors.New("session unbound by the peer")
	// ErrSilent ends a session whose peer answers neither requests nor
	// enquire_link.
	ErrSilent = errors.New("peer does not answer enquire_link")
	// ErrStalled ends a session whose peer does not read.
	ErrStalled = errors.New("peer does not read")
)

// BindError reports that the peer refused the bind. A wrong password will stay
// wrong (Permanent), ESME_RALYBND often passes (AlreadyBound); [Backoff] knows
// both.
type BindError struct {
	Status pdu.Status
}

func (e *BindError) Error() string { return fmt.Sprintf("bind refused: %v", e.Status) }
