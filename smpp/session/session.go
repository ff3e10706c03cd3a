package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// maxControl bounds the responses and link checks that wait to be written to
// a peer that sends but does not read, in bytes.
const maxControl = 4 << 20

// Session is one bound session. Its methods are safe for concurrent use.
type Session struct {
	set      Settings
	conn     net.Conn
	raw      net.Conn // conn, or what is under its TLS
	bind     pdu.Bind // without password
	smsc     bool     // we are the SMSC
	peerID   string
	wake     chan struct{} // to the write goroutine; capacity 1, full is enough
	results  chan struct{} // to the results goroutine; the same
	incoming chan struct{} // to the requests goroutine; the same
	room     chan struct{} // to one waiting Submit; the same
	quit     chan struct{} // closed when err is set
	done     chan struct{}
	over     chan struct{}  // closed when nobody reads or writes any more
	handler  sync.WaitGroup // requests goroutine

	mu         sync.Mutex // guards everything below
	err        error
	draining   bool // no new requests of ours
	seq        uint32
	window     window
	late       lateBox
	waiting    int    // Submits that wait for room
	control    []byte // encoded responses and link checks to write
	requests   []byte // encoded requests to write
	batch      []span // of requests
	out        []Result
	outBytes   []byte
	outNotes   []Written // that a request was written
	unclaimed  int       // results in out or in OnResults
	in         []Incoming
	inBytes    []byte
	unanswered int // requests of the peer without our response
	stats      Stats

	lastResponse time.Time // or bind: the peer read and answered
	enquireSeq   uint32    // outstanding enquire_link, 0 none
	enquireAt    time.Time
	drainBy      time.Time
	unbindSeq    uint32 // outstanding unbind of ours, 0 none
	unbindBy     time.Time
	peerUnbind   bool // unbind of the peer awaits its response
	peerSeq      uint32
	lastWrite    error // end the session with this when the buffers are written
}

// span is one request in the write buffer.
type span struct {
	seq uint32
	end int // offset of its last byte + 1
}

// Stats counts since the bind, in PDUs.
type Stats struct {
	Outstanding int // requests of ours without a response, now
	Unclaimed   int // results not yet taken by OnResults, now
	Unanswered  int // requests of the peer without our response, now

	Submitted uint64 // accepted by Submit
	Written   uint64 // taken by the connection
	Answered  uint64 // of them, responses in time
	Throttled uint64 // of these, ESME_RTHROTTLED or ESME_RMSGQFUL: slow down
	TimedOut  uint64 // without a response in time
	Late      uint64 // responses after the timeout
	InDoubt   uint64 // reported so, timed out or lost with the session
	NotSent   uint64
	Unmatched uint64 // responses to nothing, or of the wrong kind

	Received  uint64 // requests of the peer handed on
	Responded uint64
	QueueFull uint64 // requests answered QueueFullStatus
	Refused   uint64 // requests not allowed on this bind
	Malformed uint64 // requests that cannot be decoded
	Unknown   uint64 // PDUs answered with generic_nack

	Enquired     uint64 // enquire_link sent
	Writes       uint64 // calls of the connection's Write
	BytesRead    uint64
	BytesWritten uint64
}

// link is a connection on which the bind is done.
type link struct {
	conn   net.Conn
	bind   pdu.Bind
	smsc   bool
	peerID string
	seq    uint32
	rest   []byte // bytes read behind the bind
}

func start(l link, set Settings) *Session {
	set.setDefaults()
	l.bind.Password = ""
	s := &Session{
		set: set, conn: l.conn, raw: l.conn, bind: l.bind, smsc: l.smsc, peerID: l.peerID,
		wake: make(chan struct{}, 1), results: make(chan struct{}, 1),
		incoming: make(chan struct{}, 1), room: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}), over: make(chan struct{}),
		seq: l.seq, window: newWindow(set.Window), lastResponse: time.Now(),
		late: lateBox{most: 4 * set.Window},
	}
	if under, ok := l.conn.(interface{ NetConn() net.Conn }); ok {
		s.raw = under.NetConn()
	}
	_ = l.conn.SetDeadline(time.Time{})
	unread := make(chan struct{})
	go func() {
		s.readLoop(l.rest)
		close(unread)
	}()
	go func() {
		s.writeLoop()
		<-unread
		close(s.over)
	}()
	s.handler.Go(s.requestLoop)
	go s.resultLoop() // closes done
	return s
}

// Bind returns the bind request, without its password.
func (s *Session) Bind() pdu.Bind { return s.bind }

// PeerSystemID returns the system_id of the bind response on an ESME, of the
// bind request on an SMSC.
func (s *Session) PeerSystemID() string { return s.peerID }

// RemoteAddr returns the address of the peer.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// Done is closed when the session has ended, its connection is closed, every
// result was handed over and no handler runs any more.
func (s *Session) Done() <-chan struct{} { return s.done }

// Ended is closed when the session begins to end; the last results may still
// come.
func (s *Session) Ended() <-chan struct{} { return s.quit }

// Err returns why the session ended, nil while it is up.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stats returns the counters.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Outstanding, st.Unclaimed, st.Unanswered = s.window.count, s.unclaimed, s.unanswered
	return st
}

// Unbind ends the session in order: no new requests are accepted, those
// accepted are written, responses are awaited and the peer's requests answered
// for at most DrainTimeout; then unbind is sent and its response awaited for
// at most UnbindTimeout, and the connection closed. When ctx ends first, the
// connection is closed at once. Unbind returns when Done is closed; nil if
// either side's unbind was answered. SMPP 3.4 §4.2.1
func (s *Session) Unbind(ctx context.Context) error {
	return s.UnbindWithin(ctx, s.set.DrainTimeout)
}

// UnbindWithin is Unbind, but awaits responses for at most so long. Once all
// are there, what we have not answered is waited for no longer than
// DrainTimeout. Of several calls, and the peer's unbind, the shortest wait
// counts.
func (s *Session) UnbindWithin(ctx context.Context, limit time.Duration) error {
	s.mu.Lock()
	if s.err == nil {
		s.drain(time.Now().Add(limit))
	}
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.Abort(ErrClosed)
		<-s.done
	}
	if err := s.Err(); !errors.Is(err, ErrUnbound) && !errors.Is(err, ErrPeerUnbound) {
		return fmt.Errorf("unbind: %w", err)
	}
	return nil
}

// Close closes the connection at once and returns when Done is closed. What
// is outstanding is in doubt. A carrier may count the bind as present for a
// while: prefer Unbind.
func (s *Session) Close() {
	s.Abort(ErrClosed)
	<-s.done
}

// Abort begins to end the session with cause as its Err and does not wait;
// it may be called by handlers.
func (s *Session) Abort(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(cause)
}

// drain begins the way to unbind, which is sent by then, or sooner. The lock
// is held.
func (s *Session) drain(by time.Time) {
	if !s.draining || by.Before(s.drainBy) {
		s.drainBy = by
	}
	s.draining = true
	notify(s.wake)
	notify(s.room)
}

// end sets the cause and stops all goroutines. The lock is held.
func (s *Session) end(cause error) {
	if s.err != nil {
		return
	}
	s.err = cause
	close(s.quit)
	// A deadline in the past stops Read and Write without waiting for them.
	_ = s.raw.SetDeadline(time.Unix(1, 0))
}

// nextSeq returns the next sequence number that is not in use. The lock is
// held. SMPP 3.4 §5.1.4
func (s *Session) nextSeq() uint32 {
	for {
		s.seq++
		if s.seq > pdu.MaxSequence {
			s.seq = 1
		}
		if s.seq == s.enquireSeq || s.seq == s.unbindSeq || !s.window.free(s.seq) {
			continue
		}
		if len(s.late.bySeq) > 0 {
			if _, taken := s.late.bySeq[s.seq]; taken {
				continue
			}
		}
		return s.seq
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
