package smsc

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// verdict is what becomes of one submit_sm.
type verdict struct {
	status  pdu.Status
	id      []byte // in the desk's ids
	fault   *Fault
	silent  bool
	receipt *receipt
}

// noFault is the rule for all other numbers.
var noFault Fault

// firstLead is how long a receipt goes before its response.
const firstLead = 500 * time.Millisecond

// desk is what one call of onRequests works with.
type desk struct {
	answers []session.Response
	ids     []byte
	due     []*receipt
	slow    []slowAnswer
}

// slowAnswer is an answer that has its own time.
type slowAnswer struct {
	session.Response
	after time.Duration
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// onRequests takes what an ESME asks for.
func (c *Carrier) onRequests(conn *gatedConn, a *account, s *session.Session, batch []session.Incoming) {
	now := time.Now()
	d := desks.Get().(*desk)
	var last *Fault // what befalls the connection in the end

	c.mu.Lock()
	open := 0
	if c.cfg.Window > 0 {
		open = s.Stats().Unanswered - len(batch)
	}
	for i := range batch {
		in := &batch[i]
		if in.Command != pdu.CmdSubmitSM && in.Command != pdu.CmdDataSM {
			d.answers = append(d.answers, c.other(in))
			continue
		}
		c.counts.Submits++
		v := c.judge(d, a, s, &in.SM, open+i+1, now)
		if v.receipt != nil {
			if d.due == nil {
				d.due = make([]*receipt, 0, len(batch)-i)
			}
			d.due = append(d.due, v.receipt)
		}
		f := v.fault
		if f.Drop || f.Vanish || f.Unbind || f.Stall > 0 || f.Drip > 0 {
			last = f
		}
		switch {
		case f.Drop:
			c.counts.Dropped++
		case v.silent, f.Vanish:
			c.counts.Silenced++
		default:
			if v.status != pdu.StatusOK {
				c.counts.Refused[v.status.String()]++
			}
			r := session.Response{To: in.Reply, Status: v.status, MessageID: v.id}
			after := time.Duration(f.Latency)
			if f.Receipt == "first" && v.status == pdu.StatusOK {
				after += firstLead
			}
			if after > 0 {
				d.slow = append(d.slow, slowAnswer{r, after})
			} else {
				d.answers = append(d.answers, r)
			}
		}
	}
	latency := time.Duration(c.cfg.Latency + c.trouble.Latency)
	if c.cfg.LatencyJitter > 0 {
		latency += rand.N(time.Duration(c.cfg.LatencyJitter))
	}
	if err := c.ledger.flush(); err != nil {
		// What is not recorded must not be acknowledged.
		c.log.Error("ledger", "err", err)
		s.Abort(err)
	}
	c.mu.Unlock()

	if latency == 0 {
		_ = s.Respond(d.answers) // an error means that the session is over
	}
	if last != nil {
		c.befall(conn, s, last) // before the receipts: a dropped connection gets none
	}
	c.schedule(a, d.due, latency == 0, now)
	d.due = nil // the agenda has it
	if latency > 0 && len(d.answers) > 0 {
		answers := d.answers
		c.agenda.at(now.Add(latency), func() { _ = s.Respond(answers) })
		d.answers, d.ids = nil, nil
	}
	for _, r := range d.slow {
		c.agenda.at(now.Add(latency+r.after), func() { _ = s.Respond([]session.Response{r.Response}) })
	}
	if len(d.slow) > 0 {
		d.slow, d.ids = nil, nil
	}
	clear(d.answers)
	d.answers, d.ids = d.answers[:0], d.ids[:0]
	desks.Put(d)
}

// schedule enters the ends of messages; mostly they are all at one time. What is
// due at once is finished at once if the responses are out.
func (c *Carrier) schedule(a *account, due []*receipt, answered bool, now time.Time) {
	for len(due) > 0 {
		n := 1
		for n < len(due) && due[n].due.Equal(due[0].due) {
			n++
		}
		together := due[:n:n]
		if due[0].due.After(now) || !answered {
			c.agenda.at(due[0].due, func() { c.finish(a, together) })
		} else {
			c.finish(a, together)
		}
		due = due[n:]
	}
}

// befall does to the connection what a fault says.
func (c *Carrier) befall(conn *gatedConn, s *session.Session, f *Fault) {
	switch {
	case f.Vanish:
		conn.vanish()
	case f.Drop:
		s.Abort(errTrouble)
	case f.Unbind:
		c.unbind(s)
	case f.Stall > 0:
		conn.stall(time.Duration(f.Stall))
	case f.Drip > 0:
		conn.drip.Store(int64(f.Drip))
	}
}

// judge decides about one submit_sm and enters it. The lock is held.
func (c *Carrier) judge(d *desk, a *account, s *session.Session, p *pdu.SM, waiting int, now time.Time) verdict {
	no := func(status pdu.Status) verdict { return verdict{status: status, fault: &noFault} }
	switch {
	case c.trouble.Silent:
		return verdict{silent: true, fault: &noFault}
	case c.trouble.reject != 0:
		return no(c.trouble.reject)
	case !c.approved(p.Source.Addr):
		return no(pdu.StatusInvalidSource)
	case len(p.Dest.Addr) == 0:
		return no(pdu.StatusInvalidDestination)
	case c.cfg.Window > 0 && waiting > c.cfg.Window:
		return no(pdu.StatusMessageQueueFull)
	}
	rate := c.cfg.Rate
	if t := c.trouble.Throttle; t > 0 && (rate == 0 || t < rate) {
		rate = t
	}
	if rate > 0 && !c.bucket.take(rate, now) {
		return no(pdu.StatusThrottled)
	}
	f := c.rules.find(p.Dest.Addr)
	if f == nil {
		f = &noFault
	}
	v := verdict{status: f.status, silent: f.Silent, fault: f}
	if v.status != pdu.StatusOK || f.Lose {
		return v
	}
	c.counts.Accepted++
	var inReceipt []byte
	d.ids, v.id, inReceipt = c.appendIDs(d.ids, f)
	if c.ledger.size < 0 {
		c.counts.Messages++
		if p.RegisteredDelivery&pdu.RegisteredMask == pdu.RegisteredNone {
			return v // nobody will know of its end
		}
	}
	v.receipt = c.newReceipt(s, p, f, inReceipt, now)
	if c.ledger.size > 0 {
		whole, ok := c.ledger.add(Message{
			Carrier: c.cfg.Name, ID: string(v.id), SystemID: a.SystemID,
			Source: string(p.Source.Addr), Dest: string(p.Dest.Addr),
			Received: now, State: "ENROUTE",
		}, p, c.cfg.Packed)
		if ok {
			c.counts.Messages++
			v.receipt.message = whole.ID
		}
	}
	return v
}

// other answers the requests that are neither submit_sm nor data_sm. The lock
// is held.
func (c *Carrier) other(in *session.Incoming) session.Response {
	r := session.Response{To: in.Reply, Status: pdu.StatusInvalidCommandID}
	switch in.Command {
	case pdu.CmdQuerySM:
		var q pdu.QuerySM
		r.Status = pdu.StatusQueryFailed
		if q.ParseBody(in.Body) != nil {
			break
		}
		if m := c.own(q.MessageID, q.Source.Addr); m != nil {
			resp := &pdu.QuerySMResp{MessageID: []byte(m.ID), MessageState: states[m.State]}
			if !m.StateAt.IsZero() {
				resp.FinalDate = []byte(pdu.AbsoluteTime(m.StateAt))
			}
			r.Status, r.Body = pdu.StatusOK, resp
		}
	case pdu.CmdCancelSM:
		var q pdu.CancelSM
		r.Status = pdu.StatusCancelFailed
		if q.ParseBody(in.Body) != nil {
			break
		}
		if m := c.own(q.MessageID, q.Source.Addr); m != nil && m.State == "ENROUTE" {
			m.State = "DELETED"
			r.Status = pdu.StatusOK
		}
	case pdu.CmdReplaceSM:
		var q pdu.ReplaceSM
		r.Status = pdu.StatusReplaceFailed
		if q.ParseBody(in.Body) != nil {
			break
		}
		if m := c.own(q.MessageID, q.Source.Addr); m != nil && m.State == "ENROUTE" {
			m.Text, _ = readText(&pdu.SM{ShortMessage: q.ShortMessage, DataCoding: m.coding}, c.cfg.Packed)
			r.Status = pdu.StatusOK
		}
	case pdu.CmdSubmitMulti:
		r.Status = pdu.StatusSubmitFailed
	}
	return r
}

// own returns the message with this id that came from source, or nil. The lock
// is held.
func (c *Carrier) own(id, source []byte) *Message {
	if m := c.ledger.find(string(id)); m != nil && m.Source == string(source) {
		return m
	}
	return nil
}
