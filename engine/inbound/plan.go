package inbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// draft is a transaction in the making.
type draft struct {
	in  *Inbound
	now time.Time
	tx  store.Tx

	listed bool // tx lists the number, which is one for all of a unit

	received, incomplete, repeats, stops int // for the metrics, once it is committed
}

// plan makes the transaction of a unit; one without changes has nothing new.
func (in *Inbound) plan(ctx context.Context, u *unit) (*draft, error) {
	d := &draft{in: in, now: in.Now().UTC()}
	if u.key == "" {
		return d, d.alone(ctx, u)
	}
	return d, d.segments(ctx, u)
}

// alone plans a message of one piece.
func (d *draft) alone(ctx context.Context, u *unit) error {
	a := &u.arrivals[0]
	owner, err := d.in.owner(ctx, u.carrier, a.to, a.number, d.now)
	if err != nil {
		return err
	}
	ref := d.newRef(owner)
	text, ok := decode(a.coding, a.payload)
	r := receivedData{origin: originOf(u, &a.piece), Segments: 1, Unreadable: !ok}
	change := store.Change{Ref: ref, Final: true}
	if change.Terms, err = d.terms(owner, &a.piece); err != nil {
		return err
	}
	if err := d.receive(ctx, &change, &r, a.number, a.from, text); err != nil {
		return err
	}
	d.tx = append(d.tx, change)
	return nil
}

// segments plans what came of a message of several. The stream that holds the name takes what fits; what does not begins
// another.
func (d *draft) segments(ctx context.Context, u *unit) error {
	s, err := d.holder(ctx, u.key)
	if err != nil {
		return err
	}
	var change *store.Change // of s, where it gets anything
	done := func() {
		if change != nil {
			d.tx, change = append(d.tx, *change), nil
		}
	}
	var begun store.Ref // the newest stream that was made here
	var before *state
	for i := range u.arrivals {
		a := &u.arrivals[i]
		var digest [16]byte
		if s != nil {
			if digest, err = d.digest(s.ref.Tenant, &a.piece); err != nil {
				return err
			}
		}
		if s != nil && !s.over() && s.assembly.fits(a.part, digest[:]) == fitsAgain {
			continue
		}
		if s == nil || s.over() || s.assembly.fits(a.part, digest[:]) == fitsNot {
			if s != nil && !s.over() { // it will not be completed any more
				if change == nil {
					change = &store.Change{Ref: s.ref, Expect: s.version}
				}
				if err := d.finish(ctx, s, change); err != nil {
					return err
				}
			}
			done()
			before = s
			if s, err = d.begin(ctx, u, &a.piece, before); err != nil {
				return err
			}
			begun = s.ref
			change = &store.Change{Ref: s.ref, Due: &store.Due{Queue: joinQueue, At: d.now.Add(joinFor)}}
			if change.Terms, err = d.terms(s.ref.Tenant, &a.piece); err != nil {
				return err
			}
			if digest, err = d.digest(s.ref.Tenant, &a.piece); err != nil {
				return err
			}
		}
		if change == nil {
			change = &store.Change{Ref: s.ref, Expect: s.version}
		}
		if err := d.add(s, change, u, &a.piece, digest[:]); err != nil {
			return err
		}
		if s.assembly.whole() {
			if err := d.finish(ctx, s, change); err != nil {
				return err
			}
		}
	}
	done()
	for i := range d.tx {
		if d.tx[i].Ref == begun {
			d.tx[i].Names = d.names(u.key, before)
		}
	}
	return nil
}

// holder is the message that holds the name; nil: none does.
func (d *draft) holder(ctx context.Context, key string) (*state, error) {
	ref, _, err := d.in.Store.Lookup(ctx, tenant.Operator(), store.BySMSCID, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	events, err := d.in.Store.Load(ctx, tenant.Operator(), ref)
	if err != nil {
		return nil, err
	}
	return fold(events)
}

// names are those of a new stream: the key of the segments, and what lets only one take it from the message before it.
func (d *draft) names(key string, before *state) []store.Name {
	until := d.now.Add(namesFor)
	if before == nil {
		return []store.Name{{Space: store.BySMSCID, Key: key, Until: until, Exclusive: true}}
	}
	return []store.Name{{Space: store.BySMSCID, Key: key, Until: until}, {Space: store.BySMSCID, Key: key + "/" + before.ref.ID.String(), Until: until, Exclusive: true}}
}

func (d *draft) newRef(owner tenant.ID) store.Ref {
	return store.Ref{Tenant: owner, Kind: Kind, ID: ulid.MustNew(ulid.Timestamp(d.now), ulid.DefaultEntropy())}
}

// begin is the state of a new message, without events.
func (d *draft) begin(ctx context.Context, u *unit, p *piece, before *state) (*state, error) {
	owner, err := d.in.owner(ctx, u.carrier, p.to, p.number, d.now)
	if err != nil {
		return nil, err
	}
	s := &state{ref: d.newRef(owner), at: d.now}
	if before != nil && before.ref.Tenant == owner && before.assembly != nil { // digests of another tenant have another key
		s.before = before.ref.ID
	}
	return s, nil
}

// digest tells segments apart without opening them.
func (d *draft) digest(t tenant.ID, p *piece) ([16]byte, error) {
	return d.in.Store.Keyed(t, "segment", string(append([]byte{p.coding}, p.payload...)))
}

func (d *draft) add(s *state, change *store.Change, u *unit, p *piece, digest []byte) error {
	box, err := d.in.Store.Seal(s.ref.Tenant, Class, d.now, s.ref.ID.String()+"/segment", encode(segmentContent{p.from, p.payload}))
	if err != nil {
		return fmt.Errorf("seal a segment: %w", err)
	}
	data := segmentData{origin: originOf(u, p), Total: p.total, Part: p.part, Coding: p.coding, Digest: digest, Sealed: box}
	if s.version == 0 {
		data.Before = s.before
	}
	return appendTo(s, change, segmentArrived, d.now, encode(data))
}

func appendTo(s *state, change *store.Change, typ byte, at time.Time, data []byte) error {
	change.Events = append(change.Events, store.NewEvent{Type: typ, At: at, Data: data})
	return s.apply(typ, data)
}

// finish ends a message with what there is. What the message before it had as well was sent again, and is not told again.
func (d *draft) finish(ctx context.Context, s *state, change *store.Change) error {
	change.Final, change.Due = true, &store.Due{}
	if change.Expect == 0 { // made and ended at once: it never stood in the queue
		change.Due = nil
	}
	if again, err := d.again(ctx, s); err != nil {
		return err
	} else if again {
		d.repeats++
		return appendTo(s, change, repeated, d.now, []byte("{}"))
	}
	from := ""
	for _, seg := range s.segments {
		plain, err := d.in.Store.Open(s.ref.Tenant, s.ref.ID.String()+"/segment", seg.Sealed)
		if err != nil {
			return fmt.Errorf("open a segment: %w", err)
		}
		var c segmentContent
		if err := json.Unmarshal(plain, &c); err != nil {
			return fmt.Errorf("open a segment: %w", err)
		}
		from = c.From
		s.assembly.slots[seg.Part-1].payload = c.Payload
	}
	text, ok := s.assembly.text()
	number, err := carrier.ParseNumber(from)
	if err != nil {
		number = carrier.Number{}
	}
	r := receivedData{origin: s.origin, Segments: len(s.assembly.slots), Missing: s.assembly.missing(), Unreadable: !ok}
	if err := d.receive(ctx, change, &r, number, from, text); err != nil {
		return err
	}
	s.version++
	s.received = &r
	return nil
}

// again reports whether the message before had all of this one's segments.
func (d *draft) again(ctx context.Context, s *state) (bool, error) {
	if s.before.IsZero() {
		return false, nil
	}
	ref := s.ref
	ref.ID = s.before
	events, err := d.in.Store.Load(ctx, tenant.Only(ref.Tenant), ref)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // made in this transaction
	}
	if err != nil {
		return false, err
	}
	before, err := fold(events)
	if err != nil || before.assembly == nil {
		return false, err
	}
	return s.assembly.within(before.assembly), nil
}

// receive adds Received, and lists the number where the text is a stop word.
func (d *draft) receive(ctx context.Context, change *store.Change, r *receivedData, number carrier.Number, from, text string) error {
	owner := change.Ref.Tenant
	if t := d.in.Directory.Now().Tenants[owner]; t != nil && !number.IsZero() && len(r.Missing) == 0 && isStop(&t.Policy, text) {
		r.Stop = true
		d.stops++
		if d.listed {
			return d.keep(change, r, from, text)
		}
		listing, _, err := d.in.DoNotSend.Plan(ctx, owner, donotsend.Addition{Number: number, Reason: donotsend.Stop, By: "phone", At: d.now})
		if err != nil {
			return err
		}
		if listing != nil {
			d.tx, d.listed = append(d.tx, *listing), true
		}
	}
	return d.keep(change, r, from, text)
}

// keep adds Received.
func (d *draft) keep(change *store.Change, r *receivedData, from, text string) (err error) {
	if r.Sealed, err = d.in.Store.Seal(change.Ref.Tenant, Class, d.now, change.Ref.ID.String()+"/text", encode(content{from, text})); err != nil {
		return fmt.Errorf("seal a received message: %w", err)
	}
	change.Events = append(change.Events, store.NewEvent{Type: Received, At: d.now, Data: encode(r)})
	if d.received++; len(r.Missing) > 0 {
		d.incomplete++
	}
	return nil
}

func originOf(u *unit, p *piece) origin {
	return origin{V: 1, Carrier: u.carrier, Bind: u.bind, To: p.to, Masked: p.masked}
}

// terms are what a message is searched by.
func (d *draft) terms(owner tenant.ID, p *piece) ([]store.Term, error) {
	f := intake.Filter{Number: p.number}
	if !p.number.IsZero() {
		f.Last4 = p.number.Last4()
	}
	terms, err := f.Terms(d.in.Store, owner)
	return append(terms, store.Term{Field: fieldReceived, Value: receivedValue}), err
}
