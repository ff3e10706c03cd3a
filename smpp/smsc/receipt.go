package smsc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// receipt is one deliver_sm (or data_sm) to an account: a delivery receipt, or a
// message from a phone. Receipts come from and go back to receiptPool.
type receipt struct {
	body      pdu.DeliverSM // its slices are parts of buf; the text is written when due
	buf       []byte
	id        []byte // as written in the receipt, part of buf
	message   string // id of the ledger message that it finishes, "" for none
	due       time.Time
	submitted time.Time
	fault     *Fault
	state     string
	err       string
	copies    int              // receipts to send, 0 when none was asked for
	not       *session.Session // may not take it if another can; nil none
	tries     int

	origin   *Message // from a phone; nil: a delivery receipt
	part, of int      // of origin
}

var receiptPool = sync.Pool{New: func() any { return &receipt{buf: make([]byte, 0, 384)} }}

// free gives r back; nobody may hold it.
func (r *receipt) free() {
	*r = receipt{buf: r.buf[:0]}
	receiptPool.Put(r)
}

// request is how r is sent.
func (r *receipt) request() session.Request {
	if !r.fault.DataSM {
		return session.Request{Body: &r.body, Owner: r}
	}
	p := &r.body
	tlvs, err := pdu.AppendTLV(slices.Clone(p.TLVs), pdu.TagMessagePayload, p.ShortMessage)
	if err != nil {
		panic("BUG: smsc: receipt: " + err.Error()) // a short message is short
	}
	return session.Request{Owner: r, Body: &pdu.DataSM{Source: p.Source, Dest: p.Dest, ESMClass: p.ESMClass, DataCoding: p.DataCoding, TLVs: tlvs}}
}

// keep copies b into buf.
func (r *receipt) keep(b []byte) []byte {
	start := len(r.buf)
	r.buf = append(r.buf, b...)
	return r.buf[start:len(r.buf):len(r.buf)]
}

const (
	receiptTries   = 20              // before it is given up
	receiptPause   = 5 * time.Second // before a refused one is sent again
	receiptDateFmt = "0601021504"    // YYMMDDhhmm
)

var tokyo = time.FixedZone("JST", 9*3600)

// newReceipt prepares the end of one accepted submit_sm. The lock is held.
func (c *Carrier) newReceipt(s *session.Session, p *pdu.SM, f *Fault, id []byte, now time.Time) *receipt {
	r := receiptPool.Get().(*receipt)
	r.submitted, r.fault, r.state, r.err = now, f, f.State, f.Err
	r.due = now.Add(time.Duration(c.cfg.ReceiptDelay + f.ReceiptDelay))
	r.body.Source = pdu.Address{TON: p.Dest.TON, NPI: p.Dest.NPI, Addr: r.keep(p.Dest.Addr)}
	r.body.Dest = pdu.Address{TON: p.Source.TON, NPI: p.Source.NPI, Addr: r.keep(p.Source.Addr)}
	r.body.ESMClass = pdu.ESMClassReceipt
	r.id = r.keep(id)
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
	case "elsewhere":
		r.not = s
	}
	return r
}

// finish brings messages to their end: the phones have them, the receipts go
// out.
func (c *Carrier) finish(a *account, receipts []*receipt) {
	now := time.Now()
	c.mu.Lock()
	for _, r := range receipts {
		if r.message != "" {
			if m := c.ledger.find(r.message); m != nil && m.State == "DELETED" {
				r.state = m.State // canceled in the meantime
			}
			if m, ok := c.ledger.settle(r.message, r.state, now); ok && r.state == "DELIVRD" {
				c.show(m)
			}
		}
		switch {
		case r.copies == 0:
			r.free()
		case c.trouble.NoReceipts:
			c.counts.ReceiptsLost++
			r.free()
		default:
			c.write(r, now)
			copies := r.copies
			for range copies - 1 {
				c.enqueue(a, r.again())
			}
			c.enqueue(a, r)
		}
	}
	if err := c.ledger.flush(); err != nil {
		c.log.Error("ledger", "err", err)
	}
	c.mu.Unlock()
	c.deliver(a)
}

// again returns a copy that shares the bytes of r and is never given back.
func (r *receipt) again() *receipt {
	twin := *r
	twin.buf = nil
	r.buf = nil // nor are these
	return &twin
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

// enqueue puts r at the end of the outbox, or gives it to another session than
// that which must not have it. The lock is held.
func (c *Carrier) enqueue(a *account, r *receipt) {
	if r.not != nil {
		for _, s := range a.sessions {
			if s == r.not || s.Bind().Mode == pdu.CmdBindTransmitter {
				continue
			}
			if n, _ := s.TrySubmit([]session.Request{r.request()}); n == 1 {
				c.counts.ReceiptsSent++
				return
			}
		}
	}
	if a.outbox.len() >= maxOutbox {
		a.outbox.drop(1)
		c.counts.ReceiptsLost++
	}
	a.outbox.add(r)
}

// write puts text and TLVs into a delivery receipt. The text is that of SMPP
// 3.4 appendix B, or what the carrier or the fault makes of it. The lock is
// held. SMPP 3.4 §5.3.2.12, §5.3.2.35, appendix B
func (c *Carrier) write(r *receipt, now time.Time) {
	form := r.fault.ReceiptForm
	if form == "" {
		form = c.cfg.ReceiptForm
	}
	start := len(r.buf)
	t := r.buf
	switch {
	case r.fault.ReceiptText != "":
		t = append(t, strings.NewReplacer("{id}", string(r.id), "{stat}", r.state, "{err}", r.err).Replace(r.fault.ReceiptText)...)
	case form == "tlv":
	case form == "short":
		t = append(append(append(t, "id:"...), r.id...), " stat:"...)
		t = append(t, r.state...)
	case form == "malformed": // breaks off in the middle
		t = append(append(append(t, "id="...), r.id...), " sub:0x1 submit date:9999999999 stat:"...)
		t = append(t, r.state[:3]...)
	default:
		t = append(append(append(t, "id:"...), r.id...), " sub:001 dlvrd:00"...)
		if r.state == "DELIVRD" {
			t = append(t, '1')
		} else {
			t = append(t, '0')
		}
		t = append(append(t, " submit date:"...), c.minutes.of(r.submitted)...)
		t = append(append(t, " done date:"...), c.minutes.of(now)...)
		t = append(append(t, " stat:"...), r.state...)
		t = append(append(append(t, " err:"...), r.err...), " text:"...)
	}
	r.buf = t
	r.body.ShortMessage = t[start:min(len(t), start+pdu.MaxShortMessage):len(t)]
	if form == "text" || form == "short" || form == "malformed" || r.fault.ReceiptText != "" {
		return
	}
	start = len(r.buf)
	tlvs := pdu.TLVs(r.buf)
	tlvs = append(tlvs.AppendUint16(pdu.TagReceiptedMessageID, 0)[:start+2], byte((len(r.id)+1)>>8), byte(len(r.id)+1))
	tlvs = append(append(tlvs, r.id...), 0)
	r.buf = tlvs.AppendUint8(pdu.TagMessageState, states[r.state])
	r.body.TLVs = pdu.TLVs(r.buf[start:len(r.buf):len(r.buf)])
}

// minutes writes times to the minute, and keeps what it wrote last.
type minutes struct {
	minute int64
	text   []byte
}

func (m *minutes) of(t time.Time) []byte {
	if minute := t.Unix() / 60; minute != m.minute {
		m.minute, m.text = minute, t.In(tokyo).AppendFormat(m.text[:0], receiptDateFmt)
	}
	return m.text
}

// deliver sends what is in the outbox, as far as the windows of the account's
// sessions allow.
func (c *Carrier) deliver(a *account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range len(a.sessions) {
		if a.outbox.len() == 0 {
			return
		}
		s := a.sessions[a.turn%len(a.sessions)]
		a.turn++
		if s.Bind().Mode == pdu.CmdBindTransmitter {
			continue
		}
		c.batch = c.batch[:0]
		for _, r := range a.outbox.first(s.Room()) {
			c.batch = append(c.batch, r.request())
		}
		n, err := s.TrySubmit(c.batch)
		var field *pdu.FieldError
		if errors.As(err, &field) { // cannot be written at all, such as a long source
			c.log.Warn("receipt cannot be encoded", "err", err)
			c.counts.ReceiptsLost++
			a.outbox.drop(1) // with the n below: those that went, and this one
		}
		c.counts.ReceiptsSent += uint64(n)
		a.outbox.drop(n)
	}
}

// onResults takes the answers of an ESME to deliver_sm and data_sm.
func (c *Carrier) onResults(a *account, batch []session.Result) {
	now := time.Now()
	c.mu.Lock()
	for i := range batch {
		res := &batch[i]
		r := res.Owner.(*receipt)
		if res.Late {
			continue // it is on its way again
		}
		if res.Outcome == session.Answered && res.Status == pdu.StatusOK {
			c.counts.Receipts++
			if r.origin != nil {
				c.ledger.log(line{Event: "taken", Part: r.part, Of: r.of, Message: *r.origin})
			}
			if r.buf != nil && r.tries == 0 { // one that was sent again may be held by a late answer
				r.free()
			}
			continue
		}
		if res.Outcome != session.NotSent {
			c.counts.ReceiptsRefused++
			if res.Outcome == session.Answered {
				c.counts.DeliverRefused[res.Status.String()]++
			}
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
	if err := c.ledger.flush(); err != nil {
		c.log.Error("ledger", "err", err)
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
	number := c.lastID
	c.mu.Unlock()
	if a == nil {
		return fmt.Errorf("system_id %q: no such account", o.SystemID)
	}
	segments, err := coding.Split(o.Text, coding.Options{Reference: uint16(number)})
	if err != nil {
		return fmt.Errorf("text: %w", err)
	}
	m := &Message{Carrier: c.cfg.Name, ID: strconv.FormatUint(number, 10), SystemID: o.SystemID, Source: o.From, Dest: o.To, Text: o.Text, Received: time.Now()}
	var all []*receipt
	for i, seg := range segments {
		r := &receipt{fault: &noFault, origin: m, part: i + 1, of: len(segments), body: pdu.DeliverSM{SM: pdu.SM{
			Source: pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte(o.From)},
			Dest:   pdu.Address{Addr: []byte(o.To)},
		}}}
		if err := seg.Put(&r.body.SM); err != nil {
			return err
		}
		if _, err := pdu.Append(nil, 1, pdu.StatusOK, &r.body); err != nil {
			return err
		}
		all = append(all, r)
	}
	c.mu.Lock()
	c.counts.Originated++
	c.ledger.log(line{Event: "phone", Of: len(segments), Message: *m})
	if err := c.ledger.flush(); err != nil {
		c.mu.Unlock()
		return err
	}
	for _, r := range all {
		c.enqueue(a, r)
	}
	c.mu.Unlock()
	c.deliver(a)
	return nil
}
