package session

import (
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// LateFor is the default of [Settings].LateFor.
const LateFor = 10 * time.Minute

// Settings is what both sides of a session can set. The zero value of a field
// means the default named there.
type Settings struct {
	// Window is the most requests of ours without a response, counted in
	// PDUs. Default 10.
	Window int
	// RequestQueue is the most requests of the peer that wait for OnRequests.
	// Default 1,024.
	RequestQueue int
	// QueueFullStatus answers requests that find the queue full. Default
	// pdu.StatusMessageQueueFull.
	QueueFullStatus pdu.Status

	// ResponseTimeout is the longest wait for a response, from the write.
	// Default 60 s. SMPP 3.4 §7.2
	ResponseTimeout time.Duration
	// LateFor is how long after its timeout a response still finds its owner.
	// At most four windows of requests are remembered. Default 10 min.
	LateFor time.Duration
	// WriteTimeout is the longest that the peer may refuse to read. Default
	// 10 s. While a write waits, timeouts are late by as much.
	WriteTimeout time.Duration
	// EnquireInterval is the time without a response after which
	// enquire_link is sent. Default 30 s, negative never. SMPP 3.4 §7.2
	EnquireInterval time.Duration
	// EnquireTimeout is the longest wait for any response after an
	// enquire_link. Default 10 s.
	EnquireTimeout time.Duration
	// DrainTimeout is the longest wait for what is outstanding before unbind
	// is sent or answered; see UnbindWithin. Default 3 s.
	DrainTimeout time.Duration
	// UnbindTimeout is the longest wait for unbind_resp. Default 3 s.
	UnbindTimeout time.Duration

	// OnResults takes the results of Submit. It must not keep the batch or
	// the byte slices in it. While it runs, further results gather; it may
	// call TrySubmit, but not Submit, Unbind or Close. nil drops the results.
	OnResults func(s *Session, batch []Result)
	// OnWritten, if set, is told which requests the connection took, right
	// after the write and before their results; those answered before that
	// are left out, their Result has the time. It is called like OnResults
	// and by the same goroutine. Without it the time comes with the Result.
	OnWritten func(s *Session, batch []Written)
	// OnRequests takes the requests of the peer. It must not keep the batch
	// or the byte slices in it; a Reply may be kept. While it runs, further
	// requests gather; it must not call Unbind or Close. nil refuses all
	// requests with pdu.StatusInvalidBindStatus.
	OnRequests func(s *Session, batch []Incoming)
}

func (o *Settings) setDefaults() {
	o.Window = or(o.Window, 10)
	o.RequestQueue = or(o.RequestQueue, 1024)
	o.QueueFullStatus = or(o.QueueFullStatus, pdu.StatusMessageQueueFull)
	o.ResponseTimeout = or(o.ResponseTimeout, 60*time.Second)
	o.LateFor = or(o.LateFor, LateFor)
	o.WriteTimeout = or(o.WriteTimeout, 10*time.Second)
	o.EnquireInterval = or(o.EnquireInterval, 30*time.Second)
	o.EnquireTimeout = or(o.EnquireTimeout, 10*time.Second)
	o.DrainTimeout = or(o.DrainTimeout, 3*time.Second)
	o.UnbindTimeout = or(o.UnbindTimeout, 3*time.Second)
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
