package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// record is what one message's transaction is made of. The records of a chunk lie in one piece of memory: a message costs a
// few allocations instead of dozens. A record that is used again is zeroed.
type record struct {
	head    message.Head
	sms     message.SMS
	content message.Content
	tx      [1]store.Change
	event   [1]store.NewEvent
	due     store.Due
	names   [4]store.Name
	terms   [10]store.Term
}

// writer has room for the encodings of a chunk.
type writer struct {
	left  int    // messages that are still to come, at most
	plain []byte // what is about to be sealed
	data  []byte // the events' data, one behind the other
}

// dataRoom bounds the room for events' data that is taken at once.
const dataRoom = 32 << 10

// event gives the stored form of a head. It belongs to the transaction.
func (w *writer) event(h *message.Head) []byte {
	if need := 384 + len(h.SMS) + len(h.Page); cap(w.data)-len(w.data) < need {
		w.data = make([]byte, 0, max(min(dataRoom, need*w.left), need))
	}
	w.left--
	at := len(w.data)
	w.data = message.Append(w.data, h)
	return w.data[at:len(w.data):len(w.data)]
}

// subject is what the draft's claim is for: the title of its page.
func subject(d *message.Draft) string {
	if d.Page == nil {
		return ""
	}
	return d.Page.Title
}

// build makes the transaction of one message in rec.
func (in *Intake) build(ctx context.Context, t *tenant.Tenant, r *Request, p *plan, rec *record, w *writer) (store.Tx, *message.Problem, error) {
	d, head, number := p.draft, &rec.head, p.number.E164()
	*head = message.Head{
		V: 1, No: in.Store.NextNo(p.now), Class: p.class, Via: r.Via, Lane: message.LaneOf(p.class, r.Via, r.Batch),
		By: r.By, For: r.purpose, Campaign: r.Campaign, Sender: p.profile, Carrier: p.carrier, Masked: p.number.Masked(),
		Token: p.token, URL: p.url, LinkExpires: p.expires, Answers: p.answers, SendAt: p.sendAt,
	}
	rec.sms = message.SMS{Number: number, Reference: d.Reference}
	if d.Recipient != nil {
		rec.sms.Registered = d.Recipient.RegisteredOn
	}
	if d.WantsSend() {
		head.Parts, head.Window, head.ValidUntil = p.length.Parts, d.Window, p.valid
		rec.sms.Text = p.final
	}
	if d.WantsLink() {
		head.StateUntil = p.expires
		head.Code, head.CodeDigits = p.asksCode(t), p.codeDigits()
		head.Survey = d.Page != nil && d.Page.Survey != nil
	}
	if d.Page != nil {
		rec.content.Page = *d.Page
	}
	tx := store.Tx(rec.tx[:])
	if p.resend != nil {
		var problem *message.Problem
		var err error
		if tx, problem, err = p.follow(ctx, head, tx); problem != nil || err != nil {
			return nil, problem, err
		}
	}
	if d.Claim != nil {
		if p.resend == nil {
			id, changes, problem, err := in.Claims.Plan(ctx, t, p.id, d.Claim, subject(d))
			if problem != nil || err != nil {
				return nil, problem, err
			}
			head.Claim, tx = id, append(tx, changes...)
		}
		head.StateUntil, rec.content.Methods = p.expires.Add(stateAfter), d.Claim.Methods
		rec.content.Promises = d.Claim.Promises
		if d.Recipient != nil {
			rec.content.Email = d.Recipient.Email
		}
	}
	if r.with != nil {
		tx = append(tx, r.with(p.id)...)
	}
	certified := in.Commits != nil && in.Commits.Certifies(p.class)
	var err error
	w.plain = w.plain[:0]
	if d.WantsLink() {
		if certified { // its certificate shows the very bytes to people
			w.plain, err = json.Marshal(&rec.content)
		} else {
			w.plain = message.Append(w.plain, &rec.content)
		}
		if err == nil {
			head.Page, err = in.seal(t, p, w, stored.PlacePage)
		}
	}
	if certified {
		in.Commits.Commit(head, &rec.sms, w.plain)
	}
	w.plain = message.Append(w.plain[:0], &rec.sms)
	if err == nil {
		head.SMS, err = in.seal(t, p, w, stored.PlaceSMS)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("seal message: %w", err)
	}
	filter := Filter{Number: p.number, Last4: number[len(number)-4:], Reference: d.Reference, Class: p.class, Via: r.Via, Campaign: r.Campaign, Carrier: p.carrier, Claim: head.Claim}
	terms, err := filter.appendTerms(rec.terms[:0], in.Store, t.ID, number)
	if err != nil {
		return nil, nil, err
	}
	if t.Policy.CountsSender(p.profile) {
		terms = append(terms, store.Term{Field: FieldSender, Value: p.profile})
	}
	if p.entry != "" {
		terms = append(terms, store.Term{Field: FieldEntry, Value: p.entry})
	}
	if d.Page != nil {
		for _, a := range d.Page.Documents {
			terms = append(terms, store.Term{Field: document.MessageField, Value: a.ID})
		}
	}
	if err := in.guard(t, r, p); err != nil {
		return nil, nil, err
	}
	rec.event[0] = store.NewEvent{Type: byte(message.Accepted), Data: w.event(head)}
	tx[0] = store.Change{
		Ref:    store.Ref{Tenant: t.ID, Kind: store.Message, ID: p.id},
		Events: rec.event[:],
		Names:  p.names(rec.names[:0], head),
		Terms:  terms,
		Due:    rec.dueOf(p.now),
	}
	return tx, nil, nil
}

// seal encrypts what is in w.plain as a part of the message; place is its end of the aad.
func (in *Intake) seal(t *tenant.Tenant, p *plan, w *writer, place string) ([]byte, error) {
	var aad [ulid.EncodedSize + 8]byte
	_ = p.id.MarshalTextTo(aad[:ulid.EncodedSize]) // fails for another size only
	n := copy(aad[ulid.EncodedSize:], place)
	return in.Store.Seal(t.ID, string(p.class), p.now, string(aad[:ulid.EncodedSize+n]), w.plain)
}

func (p *plan) names(names []store.Name, h *message.Head) []store.Name {
	names = append(names, store.Name{Space: store.ByNo, Key: h.No})
	if h.Token != "" {
		names = append(names, store.Name{Space: store.ByToken, Key: h.Token, Exclusive: true})
	}
	if p.key != "" {
		names = append(names, store.Name{Space: store.ByKey, Key: p.key, Value: p.digest, Until: p.now.Add(keyLife), WhileOpen: true, Exclusive: true})
	}
	return append(names, p.guardNames()...)
}

// dueOf is the message's place in its queue; nil when it is not sent.
func (rec *record) dueOf(now time.Time) *store.Due {
	h := &rec.head
	if h.Parts == 0 {
		return nil
	}
	at := h.SendAt
	if at.IsZero() {
		at = now
	}
	rec.due = store.Due{Queue: message.Queue(h.Carrier, h.Lane), At: at}
	return &rec.due
}
