package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Request is one request to send.
type Request struct {
	// Body is encoded before Submit returns; the caller may then reuse it.
	Body pdu.Body
	// Owner comes back in the Result. After a result with ErrTimeout the
	// session keeps it for LateFor: do not reuse what it points to.
	Owner any
}

// Outcome is what became of a request.
type Outcome uint8

const (
	Answered Outcome = iota + 1 // Status holds the answer
	InDoubt                     // written, no answer seen
	NotSent                     // never left this host
)

// String returns "answered", "in doubt" or "not sent".
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case InDoubt:
		return "in doubt"
	case NotSent:
		return "not sent"
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Result is the end of one request. MessageID and Body are borrowed: valid
// until OnResults returns.
type Result struct {
	Owner    any
	Outcome  Outcome
	Late     bool        // a response after this request was reported InDoubt
	Command  pdu.Command // of the response; CmdGenericNack too; 0 without one
	Sequence uint32
	Status   pdu.Status
	// MessageID is that of submit_sm_resp or data_sm_resp, byte for byte.
	MessageID []byte
	Body      []byte    // of the response
	Written   time.Time // when the connection took the request; zero if NotSent
	Received  time.Time // when the response was read; zero without one
	Err       error     // nil if Answered
}

// Written says that the connection took a request.
type Written struct {
	Owner    any
	Sequence uint32
	At       time.Time
}

// TrySubmit accepts as many requests of batch, from its beginning, as the
// window has room for, and never waits. It returns how many, n: each of them
// gets one Result, the others none. err is nil when n is len(batch), else
// ErrWindowFull, ErrUnbinding, the cause of the session's end, or the fault
// of batch[n], which cannot be encoded (a [*pdu.FieldError] underneath).
func (s *Session) TrySubmit(batch []Request) (n int, err error) {
	return s.submit(batch, false)
}

// Submit is TrySubmit, but waits for room until ctx ends.
func (s *Session) Submit(ctx context.Context, batch []Request) (n int, err error) {
	for {
		k, err := s.submit(batch[n:], true)
		n += k
		if !errors.Is(err, ErrWindowFull) {
			return n, err
		}
		select {
		case <-s.room:
			s.mu.Lock()
			s.waiting--
			s.mu.Unlock()
		case <-s.quit:
			s.mu.Lock()
			s.waiting--
			s.mu.Unlock()
		case <-ctx.Done():
			s.mu.Lock()
			s.waiting--
			s.callWaiting() // a wake-up meant for us goes to another
			s.mu.Unlock()
			return n, context.Cause(ctx)
		}
	}
}

func (s *Session) submit(batch []Request, wait bool) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.callWaiting()
	for n < len(batch) {
		switch {
		case s.err != nil:
			return n, fmt.Errorf("submit: %w", s.err)
		case s.draining:
			return n, ErrUnbinding
		case !s.hasRoom():
			if wait {
				s.waiting++
			}
			return n, ErrWindowFull
		}
		seq := s.nextSeq()
		s.requests, err = pdu.Append(s.requests, seq, pdu.StatusOK, batch[n].Body)
		if err != nil {
			return n, err
		}
		s.batch = append(s.batch, span{seq: seq, end: len(s.requests)})
		s.window.add(seq, batch[n].Body.Command(), batch[n].Owner)
		s.stats.Submitted++
		n++
		if n == 1 {
			notify(s.wake)
		}
	}
	return n, nil
}

// Room returns how many requests TrySubmit would accept now; 0 when the
// session ends.
func (s *Session) Room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.draining {
		return 0
	}
	return max(0, s.places())
}

// places is how many more requests may be outstanding. Results that the owner
// does not take count too, with four windows of slack. The lock is held.
func (s *Session) places() int {
	return min(s.set.Window-s.window.count, 5*s.set.Window-s.window.count-s.unclaimed)
}

func (s *Session) hasRoom() bool { return s.places() > 0 }

// callWaiting wakes one waiting Submit if it can go on. The lock is held.
func (s *Session) callWaiting() {
	if s.waiting > 0 && (s.hasRoom() || s.draining) {
		notify(s.room)
	}
}

// settle moves a request out of the window into the results; the fields that
// the slot knows are filled in. The lock is held.
func (s *Session) settle(sl *slot, r Result) {
	r.Owner, r.Sequence, r.Written = sl.owner, sl.seq, sl.written
	s.window.remove(sl)
	s.report(r)
}

// report queues a result. The lock is held.
func (s *Session) report(r Result) {
	switch {
	case r.Outcome == InDoubt:
		s.stats.InDoubt++
	case r.Outcome == NotSent:
		s.stats.NotSent++
	case r.Late:
		s.stats.Late++
	default:
		s.stats.Answered++
		if r.Status == pdu.StatusThrottled || r.Status == pdu.StatusMessageQueueFull {
			s.stats.Throttled++
		}
	}
	if s.set.OnResults == nil {
		return
	}
	s.out = append(s.out, r)
	s.unclaimed++
}

// answered queues the result of a response; its body is copied. The lock is
// held.
func (s *Session) answered(r *Result, h pdu.Header, body []byte, now time.Time) {
	r.Outcome, r.Command, r.Status, r.Received = Answered, h.Command, h.Status, now
	if s.set.OnResults == nil || len(body) == 0 {
		return
	}
	start := len(s.outBytes)
	s.outBytes = append(s.outBytes, body...)
	r.Body = s.outBytes[start:len(s.outBytes):len(s.outBytes)]
	if h.Command == pdu.CmdSubmitSMResp || h.Command == pdu.CmdDataSMResp {
		var resp pdu.MessageResp
		_ = resp.ParseBody(r.Body) // never fails: a sloppy body is taken as it is
		r.MessageID = resp.MessageID
	}
}

// resultLoop hands results to the owner and, when the session is over, tidies
// up: it is the last goroutine of the session.
func (s *Session) resultLoop() {
	var spare []Result
	var spareBytes []byte
	var spareNotes []Written
	for ended := false; ; {
		if !ended {
			select {
			case <-s.results:
			case <-s.over:
				ended = true
				s.abandon()
			}
		}
		s.mu.Lock()
		batch, bytes, notes := s.out, s.outBytes, s.outNotes
		s.out, s.outBytes, s.outNotes = spare[:0], spareBytes[:0], spareNotes[:0]
		s.mu.Unlock()
		if len(notes) > 0 {
			s.set.OnWritten(s, notes)
			clear(notes)
		}
		spareNotes = notes
		if len(batch) > 0 {
			s.set.OnResults(s, batch)
		} else if ended {
			break
		}
		s.mu.Lock()
		s.unclaimed -= len(batch)
		s.callWaiting()
		s.mu.Unlock()
		clear(batch)
		spare, spareBytes = batch, keep(bytes)
	}
	s.handler.Wait()
	close(s.done)
}

// abandon settles what is left when nobody reads or writes any more, and
// closes the connection.
func (s *Session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sl := s.window.oldest(); sl != nil; sl = s.window.oldest() {
		r := Result{Outcome: InDoubt, Err: s.err}
		if sl.phase == queued {
			r.Outcome = NotSent
		}
		s.settle(sl, r)
	}
	if errors.Is(s.err, ErrUnbound) || errors.Is(s.err, ErrPeerUnbound) {
		_ = s.raw.SetDeadline(time.Now().Add(time.Second))
		_ = s.conn.Close() // TLS says goodbye
		return
	}
	_ = s.raw.Close()
}
