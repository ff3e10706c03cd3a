package session

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

const readBuffer = 64 << 10

// readLoop reads until the connection or the frame is lost. rest was read
// with the bind.
func (s *Session) readLoop(rest []byte) {
	buf := make([]byte, max(readBuffer, len(rest)))
	have := copy(buf, rest)
	for {
		used, ok := s.handleAll(buf[:have])
		if !ok {
			return
		}
		have = copy(buf, buf[used:have])
		if have == len(buf) { // one PDU is longer; Next has checked its length
			buf = append(buf, make([]byte, len(buf))...)
		}
		n, err := s.conn.Read(buf[have:])
		have += n
		if err != nil && n == 0 {
			if errors.Is(err, io.EOF) {
				err = errors.New("peer closed the connection")
			}
			s.mu.Lock()
			if s.lastWrite != nil { // the peer took our last word and hung up
				s.end(s.lastWrite)
			}
			s.end(fmt.Errorf("read: %w", err))
			s.mu.Unlock()
			return
		}
	}
}

// handleAll takes the whole PDUs off b and returns their length. It is false
// when the session is over.
func (s *Session) handleAll(b []byte) (used int, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, false
	}
	results, requests, control := len(s.out), len(s.in), len(s.control)
	for {
		h, body, n, err := pdu.Next(b[used:])
		if err != nil {
			s.control = pdu.AppendHeader(s.control, pdu.CmdGenericNack, pdu.StatusInvalidCommandLength, h.Sequence)
			s.lastWrite = fmt.Errorf("read: %w", err)
			s.drain(now.Add(s.set.DrainTimeout))
			return used, false
		}
		if n == 0 {
			break
		}
		used += n
		s.handle(h, body, now)
	}
	s.stats.BytesRead += uint64(used)
	if len(s.control) > maxControl {
		s.end(ErrStalled)
		return used, false
	}
	if len(s.out) > results {
		notify(s.results)
	}
	s.callWaiting()
	if len(s.in) > requests {
		notify(s.incoming)
	}
	if len(s.control) > control || s.draining || s.lastWrite != nil {
		notify(s.wake)
	}
	return used, true
}

// handle does what one PDU asks for. The lock is held.
func (s *Session) handle(h pdu.Header, body []byte, now time.Time) {
	if h.Command.IsResponse() {
		s.handleResponse(h, body, now)
		return
	}
	switch h.Command {
	case pdu.CmdEnquireLink: // SMPP 3.4 §4.11.2
		s.control = pdu.AppendHeader(s.control, pdu.CmdEnquireLinkResp, pdu.StatusOK, h.Sequence)
	case pdu.CmdUnbind:
		s.handleUnbind(h.Sequence, now)
	case pdu.CmdBindReceiver, pdu.CmdBindTransmitter, pdu.CmdBindTransceiver:
		s.control = pdu.AppendHeader(s.control, h.Command.Response(), pdu.StatusAlreadyBound, h.Sequence)
	case pdu.CmdOutbind: // asks for a bind that is there; it has no response
	case pdu.CmdSubmitSM, pdu.CmdDeliverSM, pdu.CmdDataSM, pdu.CmdSubmitMulti,
		pdu.CmdQuerySM, pdu.CmdCancelSM, pdu.CmdReplaceSM, pdu.CmdAlertNotification:
		s.accept(h, body, now)
	default: // SMPP 3.4 §4.3.1
		s.stats.Unknown++
		s.control = pdu.AppendHeader(s.control, pdu.CmdGenericNack, pdu.StatusInvalidCommandID, h.Sequence)
	}
}

// handleResponse finds the request by sequence number and kind. The lock is
// held.
func (s *Session) handleResponse(h pdu.Header, body []byte, now time.Time) {
	nack := h.Command == pdu.CmdGenericNack
	if sl := s.window.get(h.Sequence); sl != nil && (nack || sl.command.Response() == h.Command) {
		if sl.phase != written { // the answer overtook the note that it was written
			sl.written = now
		}
		var r Result
		s.answered(&r, h, body, now)
		s.settle(sl, r)
		s.lastResponse = now
		return
	}
	switch {
	case h.Sequence == s.enquireSeq && s.enquireSeq != 0 && (nack || h.Command == pdu.CmdEnquireLinkResp):
		s.enquireSeq = 0
		s.lastResponse = now
		return
	case h.Sequence == s.unbindSeq && s.unbindSeq != 0 && (nack || h.Command == pdu.CmdUnbindResp):
		s.end(ErrUnbound)
		return
	}
	if l, ok := s.late.take(h.Sequence, h.Command); ok {
		r := Result{Owner: l.owner, Late: true, Sequence: h.Sequence, Written: l.written}
		s.answered(&r, h, body, now)
		s.report(r)
		s.lastResponse = now
		return
	}
	s.stats.Unmatched++
}

// handleUnbind begins to drain for the peer's unbind; the write goroutine
// answers it. Requests not yet written are not sent. The lock is held.
// SMPP 3.4 §4.2.2
func (s *Session) handleUnbind(seq uint32, now time.Time) {
	s.peerUnbind, s.peerSeq = true, seq
	for _, sp := range s.batch {
		if sl := s.window.get(sp.seq); sl != nil {
			s.settle(sl, Result{Outcome: NotSent, Err: ErrPeerUnbound})
		}
	}
	s.batch, s.requests = s.batch[:0], s.requests[:0]
	s.drain(now.Add(s.set.DrainTimeout))
}
