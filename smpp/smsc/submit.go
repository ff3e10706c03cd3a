package smsc

import (
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// verdict is what becomes of one submit_sm.
type verdict struct {
	status  pdu.Status
	id      string
	silent  bool
	drop    bool
	accept  bool
	first   bool // receipt before the response
	receipt *receipt
}

// noFault is the rule for all other numbers.
var noFault Fault

// firstLead is how long a receipt goes before its response.
const firstLead = 500 * time.Millisecond

// onRequests takes what an ESME asks for.
func (c *Carrier) onRequests(s *session.Session, batch []session.Incoming) {
	now := time.Now()
	answers := make([]session.Response, 0, len(batch))
	var after []session.Response // later, for receipts that go first
	var due []*receipt
	drop := false

	c.mu.Lock()
	a := c.accounts[s.PeerSystemID()]
	open := s.Stats().Unanswered
	for i := range batch {
		in := &batch[i]
		if in.Command != pdu.CmdSubmitSM {
			answers = append(answers, c.other(in))
			continue
		}
		c.counts.Submits++
		waiting := open - len(batch) + i + 1
		v := c.judge(a, &in.SM, waiting, now)
		if v.receipt != nil {
			due = append(due, v.receipt)
		}
		switch {
		case v.drop:
			c.counts.Dropped++
			drop = true
		case v.silent:
			c.counts.Silenced++
		default:
			if v.status != pdu.StatusOK {
				c.counts.Refused[v.status.String()]++
			}
			r := session.Response{To: in.Reply, Status: v.status, MessageID: []byte(v.id)}
			if v.first {
				after = append(after, r)
			} else {
				answers = append(answers, r)
			}
		}
	}
	latency := time.Duration(c.cfg.Latency + c.trouble.Latency)
	if err := c.ledger.flush(); err != nil {
		// What is not recorded must not be acknowledged.
		c.log.Error("ledger", "err", err)
		s.Abort(err)
	}
	c.mu.Unlock()

	for len(due) > 0 { // mostly all at one time
		n := 1
		for n < len(due) && due[n].due.Equal(due[0].due) {
			n++
		}
		together := due[:n:n]
		c.agenda.at(due[0].due, func() { c.finish(a, together) })
		due = due[n:]
	}
	c.respond(s, answers, now, latency)
	c.respond(s, after, now, latency+firstLead)
	if drop {
		s.Abort(errTrouble)
	}
}

func (c *Carrier) respond(s *session.Session, answers []session.Response, now time.Time, latency time.Duration) {
	if len(answers) == 0 {
		return
	}
	if latency == 0 {
		_ = s.Respond(answers) // an error means that the session is over
		return
	}
	c.agenda.at(now.Add(latency), func() { _ = s.Respond(answers) })
}

// judge decides about one submit_sm and enters it. The lock is held.
func (c *Carrier) judge(a *account, p *pdu.SM, waiting int, now time.Time) verdict {
	switch {
	case c.trouble.Silent:
		return verdict{silent: true}
	case c.trouble.reject != 0:
		return verdict{status: c.trouble.reject}
	case !c.approved(p.Source.Addr):
		return verdict{status: pdu.StatusInvalidSource}
	case len(p.Dest.Addr) == 0:
		return verdict{status: pdu.StatusInvalidDestination}
	case c.cfg.Window > 0 && waiting > c.cfg.Window:
		return verdict{status: pdu.StatusMessageQueueFull}
	}
	rate := c.cfg.Rate
	if t := c.trouble.Throttle; t > 0 && (rate == 0 || t < rate) {
		rate = t
	}
	if rate > 0 && !c.bucket.take(rate, now) {
		return verdict{status: pdu.StatusThrottled}
	}
	f := c.fault(p.Dest.Addr)
	if f == nil {
		f = &noFault
	}
	v := verdict{status: f.status, silent: f.Silent, drop: f.Drop, first: f.Receipt == "first"}
	v.accept = v.status == pdu.StatusOK && !f.Lose
	if !v.accept {
		return v
	}
	c.counts.Accepted++
	id, inReceipt := c.newID()
	v.id = id
	if c.ledger.size < 0 && p.RegisteredDelivery&pdu.RegisteredMask == pdu.RegisteredNone {
		c.counts.Messages++ // nobody will know of its end
		return v
	}
	v.receipt = c.newReceipt(p, f, now)
	v.receipt.id = inReceipt
	if c.ledger.size > 0 {
		whole, ok := c.ledger.add(Message{
			Carrier: c.cfg.Name, ID: id, SystemID: a.SystemID,
			Source: string(p.Source.Addr), Dest: string(p.Dest.Addr),
			Received: now, State: "ENROUTE",
		}, p)
		if ok {
			c.counts.Messages++
			v.receipt.message = whole.ID
		}
	} else {
		c.counts.Messages++
	}
	return v
}

// other answers the requests that are not submit_sm. The lock is held.
func (c *Carrier) other(in *session.Incoming) session.Response {
	r := session.Response{To: in.Reply, Status: pdu.StatusInvalidCommandID}
	switch in.Command {
	case pdu.CmdQuerySM:
		var q pdu.QuerySM
		r.Status = pdu.StatusQueryFailed
		if q.ParseBody(in.Body) != nil {
			break
		}
		m := c.ledger.find(string(q.MessageID))
		if m == nil || m.Source != string(q.Source.Addr) {
			break
		}
		resp := &pdu.QuerySMResp{MessageID: []byte(m.ID), MessageState: states[m.State]}
		if !m.StateAt.IsZero() {
			resp.FinalDate = []byte(pdu.AbsoluteTime(m.StateAt))
		}
		r.Status, r.Body = pdu.StatusOK, resp
	case pdu.CmdCancelSM:
		r.Status = pdu.StatusCancelFailed
	case pdu.CmdReplaceSM:
		r.Status = pdu.StatusReplaceFailed
	case pdu.CmdSubmitMulti:
		r.Status = pdu.StatusSubmitFailed
	}
	return r
}
