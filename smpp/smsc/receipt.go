package smsc

import (
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// receipt is one deliver_sm to an account: a delivery receipt, or a message
// from a phone.
type receipt struct {
	id        string // as written in the receipt
	message   string // id of the ledger message that it finishes, "" for none
	due       time.Time
	submitted time.Time
	state     string
	err       string
	copies    int // receipts to send, 0 when none was asked for
	tries     int
	body      *pdu.DeliverSM // built when due
	from, to  pdu.Address    // of the deliver_sm
}

const (
	receiptTries   = 20              // before it is given up
	receiptPause   = 5 * time.Second // before a refused one is sent again
	receiptDateFmt = "0601021504"    // YYMMDDhhmm
)

var tokyo = time.FixedZone("JST", 9*3600)

// newReceipt prepares the end of one accepted submit_sm. The lock is held.
func (c *Carrier) newReceipt(p *pdu.SM, f *Fault, now time.Time) *receipt {
	r := &receipt{
		submitted: now, state: f.State, err: f.Err,
		due:  now.Add(time.Duration(c.cfg.ReceiptDelay + f.ReceiptDelay)),
		from: clone(p.Dest), to: clone(p.Source),
	}
	if r.state == "" {
		r.state = "DELIVRD"
	}
	if r.err == "" {
		r.err = "000"
	}
	switch p.RegisteredDelivery & pdu.RegisteredMask { // SMPP 3.4 §5.2.17
	case pdu.RegisteredAll:
		r.copies = 1
	case pdu.RegisteredFailure:
		if r.state != "DELIVRD" {
			r.copies = 1
		}
	}
	switch f.Receipt {
	case "never":
		r.copies = 0
	case "twice":
		r.copies *= 2
	case "first":
		r.due = now
	}
	return r
}

func clone(a pdu.Address) pdu.Address {
	a.Addr = append([]byte(nil), a.Addr...)
	return a
}

// finish brings messages to their end: the phones have them, the receipts go
// out.
func (c *Carrier) finish(a *account, receipts []*receipt) {
	now := time.Now()
	c.mu.Lock()
	for _, r := range receipts {
		if r.message != "" {
			if m, ok := c.ledger.settle(r.message, r.state, now); ok && r.state == "DELIVRD" {
				c.show(m)
			}
		}
		switch {
		case r.copies == 0:
		case c.trouble.NoReceipts:
			c.counts.ReceiptsLost++
		default:
			r.body = c.receiptBody(r, now)
			c.enqueue(a, r)
			for range r.copies - 1 {
				again := *r
				c.enqueue(a, &again)
			}
		}
	}
	if err := c.ledger.flush(); err != nil {
		c.log.Error("ledger", "err", err)
	}
	c.mu.Unlock()
	c.deliver(a)
}

// show gives a message to the watchers. The lock is held.
func (c *Carrier) show(m Message) {
	for ch := range c.watchers {
		select {
		case ch <- m:
		default:
			c.counts.WatchersBehind++
		}
	}
}

// enqueue puts r at the end of the outbox. The lock is held.
func (c *Carrier) enqueue(a *account, r *receipt) {
	if len(a.outbox) >= maxOutbox {
		a.outbox = a.outbox[1:]
		c.counts.ReceiptsLost++
	}
	a.outbox = append(a.outbox, r)
}

// receiptBody builds the deliver_sm of a delivery receipt. The text is that of
// SMPP 3.4 appendix B. SMPP 3.4 §5.3.2.12, §5.3.2.35
func (c *Carrier) receiptBody(r *receipt, now time.Time) *pdu.DeliverSM {
	p := &pdu.DeliverSM{SM: pdu.SM{Source: r.from, Dest: r.to, ESMClass: pdu.ESMClassReceipt}}
	if c.cfg.ReceiptForm != "tlv" {
		t := append(make([]byte, 0, 128), "id:"...)
		t = append(append(t, r.id...), " sub:001 dlvrd:00"...)
		if r.state == "DELIVRD" {
			t = append(t, '1')
		} else {
			t = append(t, '0')
		}
		t = r.submitted.In(tokyo).AppendFormat(append(t, " submit date:"...), receiptDateFmt)
		t = now.In(tokyo).AppendFormat(append(t, " done date:"...), receiptDateFmt)
		t = append(append(t, " stat:"...), r.state...)
		p.ShortMessage = append(append(append(t, " err:"...), r.err...), " text:"...)
	}
	if c.cfg.ReceiptForm != "text" {
		p.TLVs, _ = pdu.AppendTLV(p.TLVs, pdu.TagReceiptedMessageID, r.id+"\x00")
		p.TLVs = p.TLVs.AppendUint8(pdu.TagMessageState, states[r.state])
	}
	return p
}

// deliver sends what is in the outbox, as far as the windows of the account's
// sessions allow.
func (c *Carrier) deliver(a *account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range len(a.sessions) {
		if len(a.outbox) == 0 {
			return
		}
		s := a.sessions[a.turn%len(a.sessions)]
		a.turn++
		if s.Bind().Mode == pdu.CmdBindTransmitter {
			continue
		}
		batch := make([]session.Request, min(len(a.outbox), 1000))
		for i := range batch {
			batch[i] = session.Request{Body: a.outbox[i].body, Owner: a.outbox[i]}
		}
		n, err := s.TrySubmit(batch)
		var field *pdu.FieldError
		if errors.As(err, &field) { // cannot be written at all, such as a long source
			c.log.Warn("receipt cannot be encoded", "err", err)
			c.counts.ReceiptsLost++
			a.outbox = append(a.outbox[:n], a.outbox[n+1:]...)
		}
		c.counts.ReceiptsSent += uint64(n)
		a.outbox = a.outbox[n:]
	}
}

// onResults takes the answers of an ESME to deliver_sm.
func (c *Carrier) onResults(s *session.Session, batch []session.Result) {
	now := time.Now()
	c.mu.Lock()
	a := c.accounts[s.PeerSystemID()]
	for i := range batch {
		res := &batch[i]
		r := res.Owner.(*receipt)
		if res.Outcome == session.Answered && res.Status == pdu.StatusOK {
			c.counts.Receipts++
			continue
		}
		if res.Late {
			continue // it is on its way again
		}
		if res.Outcome != session.NotSent {
			c.counts.ReceiptsRefused++
			r.tries++
		}
		switch {
		case r.tries >= receiptTries:
			c.counts.ReceiptsLost++
		case res.Outcome == session.Answered:
			c.agenda.at(now.Add(receiptPause), func() {
				c.mu.Lock()
				c.enqueue(a, r)
				c.mu.Unlock()
				c.deliver(a)
			})
		default: // another session may take it at once
			c.enqueue(a, r)
		}
	}
	c.mu.Unlock()
	c.deliver(a)
}

// Origin is a message from a phone to a sender's address.
type Origin struct {
	SystemID string `json:"system_id"` // account that gets it; "" the only or first by name
	From     string `json:"from"`      // phone
	To       string `json:"to"`        // sender address, such as a short code
	Text     string `json:"text"`
}

// Originate delivers a message from a phone (MO), in as many deliver_sm as its
// text needs.
func (c *Carrier) Originate(o Origin) error {
	c.mu.Lock()
	if o.SystemID == "" {
		o.SystemID = c.cfg.Accounts[0].SystemID
	}
	a := c.accounts[o.SystemID]
	c.lastID++
	ref := uint16(c.lastID)
	c.mu.Unlock()
	if a == nil {
		return fmt.Errorf("system_id %q: no such account", o.SystemID)
	}
	segments, err := coding.Split(o.Text, coding.Options{Reference: ref})
	if err != nil {
		return fmt.Errorf("text: %w", err)
	}
	var all []*receipt
	for _, seg := range segments {
		p := &pdu.DeliverSM{SM: pdu.SM{
			Source:   pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte(o.From)},
			Dest:     pdu.Address{Addr: []byte(o.To)},
			ESMClass: seg.ESMClass(), DataCoding: seg.Alphabet.DataCoding(), ShortMessage: seg.Data,
		}}
		if _, err := pdu.Append(nil, 1, pdu.StatusOK, p); err != nil {
			return err
		}
		all = append(all, &receipt{body: p})
	}
	c.mu.Lock()
	c.counts.Originated++
	for _, r := range all {
		c.enqueue(a, r)
	}
	c.mu.Unlock()
	c.deliver(a)
	return nil
}
