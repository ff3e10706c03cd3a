package session

import (
	"fmt"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Incoming is one request of the peer. Its byte slices are borrowed: valid
// until OnRequests returns.
type Incoming struct {
	Command  pdu.Command
	Sequence uint32
	// SM is the decoded body of submit_sm and deliver_sm, or what data_sm
	// would be as one of them; zero otherwise.
	SM       pdu.SM
	Body     []byte // encoded, of every command
	Received time.Time
	// Reply answers this request; it may be copied and kept.
	Reply Reply
}

// Reply is the right to answer one request, once. The zero Reply (of
// alert_notification, which has no response) answers nothing.
type Reply struct {
	s       *Session
	command pdu.Command
	seq     uint32
}

// Respond answers with a status. See [Session.Respond].
func (r Reply) Respond(status pdu.Status) error {
	if r.s == nil {
		return nil
	}
	return r.s.Respond([]Response{{To: r, Status: status}})
}

// Response is one answer to a request of the peer.
type Response struct {
	To     Reply
	Status pdu.Status
	// MessageID goes into submit_sm_resp and data_sm_resp when Status is
	// pdu.StatusOK.
	MessageID []byte
	// Body replaces the body built from MessageID, as query_sm_resp needs.
	Body pdu.Body
}

// Respond queues answers to requests that this session received, in one go,
// and does not wait for the write. It errs with the cause of the session's
// end when that came first (the peer will repeat the request elsewhere), or
// with the fault of an answer that cannot be encoded; those before it are
// sent.
func (s *Session) Respond(batch []Response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("respond: %w", s.err)
	}
	defer notify(s.wake)
	var resp pdu.MessageResp
	for i := range batch {
		r := &batch[i]
		if r.To.s != s {
			if r.To.s == nil {
				continue
			}
			panic("BUG: session: response for another session")
		}
		if r.Body != nil {
			out, err := pdu.Append(s.control, r.To.seq, r.Status, r.Body)
			if err != nil {
				return fmt.Errorf("respond: %w", err)
			}
			s.control = out
		} else if err := s.appendResponse(&resp, r); err != nil {
			return fmt.Errorf("respond: %w", err)
		}
		s.unanswered--
		s.stats.Responded++
	}
	return nil
}

// RespondEach is Respond for requests of different sessions; those of one
// behind each other are answered in one go. It returns how many were not
// answered, because their session has ended or the answer cannot be encoded.
func RespondEach(batch []Response) (lost int) {
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].To.s == batch[0].To.s {
			n++
		}
		if s := batch[0].To.s; s != nil {
			if err := s.Respond(batch[:n]); err != nil {
				lost += n
			}
		}
		batch = batch[n:]
	}
	return lost
}

// appendResponse encodes an answer with at most a message_id.
func (s *Session) appendResponse(resp *pdu.MessageResp, r *Response) (err error) {
	switch r.To.command {
	case pdu.CmdSubmitSM, pdu.CmdDataSM:
		if r.Status != pdu.StatusOK { // SMPP 3.4 §4.4.2: no body with an error
			break
		}
		resp.To, resp.MessageID = r.To.command, r.MessageID
		s.control, err = pdu.Append(s.control, r.To.seq, r.Status, resp)
		return err
	case pdu.CmdDeliverSM: // SMPP 3.4 §4.6.2: message_id is there, and empty
		resp.To, resp.MessageID = r.To.command, nil
		s.control, err = pdu.Append(s.control, r.To.seq, r.Status, resp)
		return err
	}
	s.control = pdu.AppendHeader(s.control, r.To.command.Response(), r.Status, r.To.seq)
	return nil
}

// accept queues a request of the peer for OnRequests. The lock is held.
func (s *Session) accept(h pdu.Header, body []byte, now time.Time) {
	answers := h.Command != pdu.CmdAlertNotification
	refuse := func(status pdu.Status, count *uint64) {
		*count++
		if answers {
			s.control = pdu.AppendHeader(s.control, h.Command.Response(), status, h.Sequence)
		}
	}
	switch {
	case s.set.OnRequests == nil || !s.allowed(h.Command):
		refuse(pdu.StatusInvalidBindStatus, &s.stats.Refused)
		return
	case len(s.in) >= s.set.RequestQueue:
		refuse(s.set.QueueFullStatus, &s.stats.QueueFull)
		return
	}
	start := len(s.inBytes)
	s.inBytes = append(s.inBytes, body...)
	s.in = append(s.in, Incoming{
		Command: h.Command, Sequence: h.Sequence, Received: now,
		Body: s.inBytes[start:len(s.inBytes):len(s.inBytes)],
	})
	in := &s.in[len(s.in)-1]
	var err error
	switch h.Command {
	case pdu.CmdSubmitSM, pdu.CmdDeliverSM:
		err = in.SM.ParseBody(in.Body)
	case pdu.CmdDataSM:
		var data pdu.DataSM
		err = data.ParseBody(in.Body)
		in.SM = data.SM()
	}
	if err != nil {
		s.in = s.in[:len(s.in)-1]
		s.inBytes = s.inBytes[:start]
		refuse(pdu.StatusInvalidCommandLength, &s.stats.Malformed)
		return
	}
	if answers {
		in.Reply = Reply{s: s, command: h.Command, seq: h.Sequence}
		s.unanswered++
	}
	s.stats.Received++
}

// allowed reports whether the peer may send the request on this bind.
// SMPP 3.4 §2.3
func (s *Session) allowed(c pdu.Command) bool {
	if !s.smsc {
		return c == pdu.CmdDeliverSM || c == pdu.CmdDataSM || c == pdu.CmdAlertNotification
	}
	switch c {
	case pdu.CmdSubmitSM, pdu.CmdSubmitMulti, pdu.CmdDataSM, pdu.CmdQuerySM, pdu.CmdCancelSM, pdu.CmdReplaceSM:
		return s.bind.Mode != pdu.CmdBindReceiver
	}
	return false
}

// requestLoop hands the peer's requests to the owner.
func (s *Session) requestLoop() {
	var spare []Incoming
	var spareBytes []byte
	for {
		select {
		case <-s.incoming:
		case <-s.quit:
			return // what was not handed over is not answered: the peer repeats it
		}
		s.mu.Lock()
		batch, bytes := s.in, s.inBytes
		s.in, s.inBytes = spare[:0], spareBytes[:0]
		s.mu.Unlock()
		if len(batch) > 0 {
			s.set.OnRequests(s, batch)
		}
		clear(batch)
		spare, spareBytes = batch, keep(bytes)
	}
}
