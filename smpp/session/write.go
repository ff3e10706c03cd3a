package session

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// retained is the largest buffer kept for reuse, in bytes.
const retained = 4 << 20

// writeLoop writes what has gathered, all in one call, and keeps time.
func (s *Session) writeLoop() {
	var spareControl, spareRequests []byte
	var spareBatch []span
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.err != nil {
			s.mu.Unlock()
			return
		}
		now := time.Now()
		s.tick(now)
		if len(s.out) > 0 {
			notify(s.results)
		}
		if s.err != nil {
			s.mu.Unlock()
			return
		}
		if len(s.control)+len(s.requests) == 0 {
			if s.lastWrite != nil {
				s.end(s.lastWrite)
			}
			wait := s.nextTick(now)
			s.mu.Unlock()
			timer.Reset(wait)
			select {
			case <-s.wake:
			case <-timer.C:
			case <-s.quit:
				return
			}
			continue
		}
		control, requests, batch := s.control, s.requests, s.batch
		s.control, s.requests, s.batch = spareControl[:0], spareRequests[:0], spareBatch[:0]
		for _, sp := range batch {
			if sl := s.window.get(sp.seq); sl != nil {
				sl.phase = writing
			}
		}
		// Under the lock, so that it cannot undo the deadline of end.
		_ = s.conn.SetWriteDeadline(now.Add(s.set.WriteTimeout))
		s.mu.Unlock()

		out, base := requests, 0
		if len(control) > 0 { // responses and link checks go first
			base = len(control)
			control = append(control, requests...)
			out = control
		}
		n, err := s.conn.Write(out)
		s.wrote(batch, n-base, n, err)
		spareControl, spareRequests, spareBatch = keep(control), keep(requests), batch
	}
}

func keep(b []byte) []byte {
	if cap(b) > retained {
		return nil
	}
	return b
}

// wrote notes which requests of a batch the connection took whole.
func (s *Session) wrote(batch []span, took, n int, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Writes++
	s.stats.BytesWritten += uint64(n)
	for _, sp := range batch {
		sl := s.window.get(sp.seq)
		switch {
		case sp.end <= took:
			s.stats.Written++
			if sl != nil {
				sl.phase, sl.written = written, now
				if s.set.OnWritten != nil {
					s.outNotes = append(s.outNotes, Written{Owner: sl.owner, Sequence: sl.seq, At: now})
				}
			}
		case sl != nil:
			sl.phase = queued // no whole PDU went out: not sent
		}
	}
	if len(s.outNotes) > 0 {
		notify(s.results)
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ErrStalled
		}
		s.end(fmt.Errorf("write: %w", err))
	}
}

// tick does what is due. The lock is held.
func (s *Session) tick(now time.Time) {
	for sl := s.window.oldest(); sl != nil && sl.phase == written && now.Sub(sl.written) >= s.set.ResponseTimeout; sl = s.window.oldest() {
		s.late.add(sl.seq, late{command: sl.command, owner: sl.owner, written: sl.written, until: now.Add(s.set.LateFor)})
		s.stats.TimedOut++
		s.settle(sl, Result{Outcome: InDoubt, Err: ErrTimeout})
		s.callWaiting()
	}
	s.late.prune(now)
	s.checkLink(now)
	s.checkUnbind(now)
}

// checkLink sends enquire_link after EnquireInterval without a response, and
// ends the session when none follows. SMPP 3.4 §4.11.1
func (s *Session) checkLink(now time.Time) {
	switch {
	case s.set.EnquireInterval < 0 || s.err != nil:
	case s.enquireSeq == 0:
		if now.Sub(s.lastResponse) >= s.set.EnquireInterval {
			s.enquireSeq, s.enquireAt = s.nextSeq(), now
			s.stats.Enquired++
			s.control = pdu.AppendHeader(s.control, pdu.CmdEnquireLink, pdu.StatusOK, s.enquireSeq)
		}
	case now.Sub(s.enquireAt) >= s.set.EnquireTimeout:
		if s.lastResponse.Before(s.enquireAt) {
			s.end(ErrSilent)
		}
		s.enquireSeq = 0 // it answers, though not this
	}
}

// checkUnbind takes the step to unbind that is due.
func (s *Session) checkUnbind(now time.Time) {
	if !s.draining || s.err != nil || s.lastWrite != nil {
		return
	}
	if by := now.Add(s.set.DrainTimeout); s.window.count == 0 && by.Before(s.drainBy) {
		s.drainBy = by // what is left is ours to answer
	}
	idle := s.window.count == 0 && s.unanswered <= 0
	switch {
	case s.unbindSeq != 0 && !s.peerUnbind:
		if !now.Before(s.unbindBy) {
			s.end(fmt.Errorf("unbind: %w", ErrTimeout))
		}
	case !idle && now.Before(s.drainBy):
	case s.peerUnbind:
		s.control = pdu.AppendHeader(s.control, pdu.CmdUnbindResp, pdu.StatusOK, s.peerSeq)
		s.lastWrite = ErrPeerUnbound
	default:
		s.unbindSeq, s.unbindBy = s.nextSeq(), now.Add(s.set.UnbindTimeout)
		// Behind the last request, in the same buffer.
		s.requests = pdu.AppendHeader(s.requests, pdu.CmdUnbind, pdu.StatusOK, s.unbindSeq)
	}
}

// nextTick returns how long the write goroutine may sleep. The lock is held.
func (s *Session) nextTick(now time.Time) time.Duration {
	wait := time.Hour
	sooner := func(at time.Time) {
		wait = min(wait, max(at.Sub(now), 0))
	}
	if sl := s.window.oldest(); sl != nil && sl.phase == written {
		sooner(sl.written.Add(s.set.ResponseTimeout))
	}
	switch {
	case s.set.EnquireInterval < 0:
	case s.enquireSeq == 0:
		sooner(s.lastResponse.Add(s.set.EnquireInterval))
	default:
		sooner(s.enquireAt.Add(s.set.EnquireTimeout))
	}
	switch {
	case !s.draining:
	case s.unbindSeq != 0 && !s.peerUnbind:
		sooner(s.unbindBy)
	default:
		sooner(s.drainBy)
	}
	return wait
}
