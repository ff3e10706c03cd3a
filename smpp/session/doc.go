// Package session runs one SMPP 3.4 session over one connection, for either
// side: [Dial] binds as an ESME, [Accept] answers a bind as an SMSC. A carrier
// that prefers to connect itself sends [Outbind], and [AnswerOutbind] binds on
// its connection. A TLS connection is a net.Conn like others on both sides.
//
// # Requests that we send
//
// [Session.Submit] encodes a batch into the write buffer and returns; the
// answer to each request comes later as one [Result], in batches, by
// OnResults. Every request that Submit accepted gets exactly one result with
// an outcome:
//
//	Answered   a response with the same sequence number and kind arrived, or
//	           a generic_nack for it; Status says what the peer thinks
//	InDoubt    it was written, but no answer was seen: ErrTimeout after
//	           ResponseTimeout, or the cause of the end of the session
//	NotSent    no whole PDU left this host: send it on any other bind
//
// A response that comes after the timeout gives one more result with Late
// set, so that a message_id is not lost. At most Window requests are
// outstanding; a response frees its place at once. An owner who does not take
// its results holds up only its own Submit.
//
// # Requests that we receive
//
// deliver_sm, submit_sm and their kin are handed in batches to OnRequests,
// through a queue of RequestQueue; when it is full they are answered
// QueueFullStatus without being seen, and the peer sends them again. Nothing
// is acknowledged by itself: the owner answers by [Reply.Respond] or
// [Session.Respond] after its commit, at any time, from any goroutine, in any
// order. What is not answered when the session ends is the peer's to repeat.
//
// # Goroutines
//
// A read and a write goroutine speak the protocol. They never call user code
// and never wait for it: responses, enquire_link, unbind, generic_nack and
// timeouts are served while both handlers are blocked. Two more call user
// code: one OnWritten and OnResults, one OnRequests. There is no goroutine or timer per message.
// All are gone when Done is closed.
//
// # How a session ends
//
// By [Session.Unbind] (drains, unbinds, closes), by the peer's unbind (drained
// and answered), by [Session.Close], or by a fault: the peer hangs up, loses
// its frame (answered with generic_nack), stops reading (WriteTimeout), or
// answers nothing (EnquireTimeout). A PDU of an unknown kind is answered with
// generic_nack and survived; a response to nothing is counted and dropped.
// Err says why. Nothing survives the end of the process: the owner records
// what it submits before it submits.
package session
