package dispatch

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// plan is what is to be done with one due message: a change to commit, then requests to send.
type plan struct {
	change   store.Change
	guard    *store.Change // committed with it: of the claim that a follow-up is about
	requests []session.Request
	passed   bool      // nothing is done, nothing written: its campaign is held
	ask      *question // the same for now: whose number it is must be asked first
}

// flight is one message between its submission and the results of all its segments in the air. It is the Owner's.
type flight struct {
	ref     store.Ref
	class   message.Class
	lane    message.Lane
	number  carrier.Number
	parts   int // of the message
	mu      sync.Mutex
	flying  int       // segments without a result
	due     time.Time // when a segment must be tried again; zero: none
	refused bool      // some segment was refused for good
}

// part is the Owner of one request.
type part struct {
	flight           *flight
	n                int // from 1
	attempt          int
	refusals, doubts int // before this attempt
}

// decide looks at a message's state and says what to do now; told is what the lookup module was asked for it, if it was. It
// reads, but changes nothing.
func (f *feed) decide(ctx context.Context, ref store.Ref, stored []store.Event, told *carrier.Result, now time.Time) plan {
	s := &f.state
	if err := dlr.ReadState(s, stored); err != nil || len(stored) == 0 { // its entry stays, for a program that can read it
		f.log.Error("due message cannot be read", "msg", ref.ID, "err", err)
		return plan{change: store.Change{Ref: ref, Expect: store.Any}}
	}
	change := store.Change{Ref: ref, Expect: s.Version, Final: s.Over()}
	clear := func() plan { change.Due = out; return plan{change: change} }
	end := func(typ message.Type, data []byte) plan {
		f.event(&change, typ, now, data)
		change.Final = true
		return clear()
	}
	first := nextPart(s, 0, now)
	if first == 0 {
		if s.RetryAt.After(now) && !s.Over() {
			change.Due = f.due(message.Queue(f.name, s.Head.Lane), s.RetryAt)
			return plan{change: change}
		}
		return clear()
	}
	if !s.Head.ValidUntil.IsZero() && !now.Before(s.Head.ValidUntil) {
		f.metrics.outcome("lapsed")
		return end(message.Lapsed, nil)
	}
	if pl, said := f.heed(s, change, "", now); said {
		return pl
	}
	if at := Release(now, s.Head.Class, s.Head.Window, f.quiet(ref.Tenant), seed(ref)); at.After(now) {
		change.Due = f.due(message.Queue(f.name, s.Head.Lane), at)
		return plan{change: change}
	}
	refuse := func(reason string) plan {
		f.metrics.outcome(reason)
		return end(message.Refused, f.submission(&message.Submission{Part: first, Carrier: f.name, Reason: reason}))
	}
	sms, err := f.open(ref, s.Head.SMS)
	if err != nil {
		f.log.Error("message text cannot be opened", "msg", ref.ID, "err", err)
		return refuse("content_unreadable")
	}
	number, err := carrier.ParseNumber(sms.Number)
	if err != nil {
		return refuse("number_unreadable")
	}
	query := carrier.Query{Number: number, Registered: sms.Registered, Code: s.Head.Lane == message.LaneCode}
	found, ask, hold := f.find(s, query, told)
	switch {
	case ask:
		query.Registered = strings.Clone(query.Registered) // a question outlives the batch
		return plan{change: change, ask: &question{ref: ref, lane: s.Head.Lane, query: query}}
	case hold > 0:
		return f.wait(ref, s, change, first, now, hold)
	case found.Stop != "":
		return refuse(found.Stop)
	case found.Carrier == nil:
		return refuse("unknown_carrier")
	}
	if s.LookedUpAt.IsZero() || found.Carrier.Name != s.Carrier {
		f.event(&change, message.LookedUp, now, f.lookup(message.Lookup{Carrier: found.Carrier.Name, By: found.By}))
	}
	if len(s.Parts) > found.Carrier.Segments() && !s.HalfSent() { // another carrier's were allowed at intake
		return refuse("too_many_segments")
	}
	if found.Carrier.Name != f.name { // the number moved
		change.Due = f.due(message.Queue(found.Carrier.Name, s.Head.Lane), now)
		return plan{change: change}
	}
	if pl, said := f.heed(s, change, f.name, now); said {
		return pl
	}
	source, err := f.sender(f.pump, ref.Tenant, s.Head.Sender)
	if err != nil {
		f.log.Warn("no approved sender", "tenant", ref.Tenant, "msg", ref.ID, "err", err)
		return refuse("no_sender")
	}
	if f.o.DoNotSend != nil {
		switch no, err := f.o.DoNotSend.Refuses(ctx, ref.Tenant, s.Head.Class, number); {
		case err != nil: // looked at again soon
			f.log.Error("do-not-send list cannot be read", "msg", ref.ID, "err", err)
			change.Due = f.due(message.Queue(f.name, s.Head.Lane), now.Add(backOff[0]))
			return plan{change: change}
		case no:
			return refuse("do_not_send")
		}
	}
	var guard *store.Change
	if !s.Head.Resends.IsZero() && !s.Head.Claim.IsZero() && !s.HalfSent() {
		var awaited bool
		if guard, awaited, err = f.awaited(ctx, ref.Tenant, s.Head.Claim); err != nil { // looked at again soon
			f.log.Error("claim of a follow-up cannot be read", "msg", ref.ID, "err", err)
			change.Due = f.due(message.Queue(f.name, s.Head.Lane), now.Add(backOff[0]))
			return plan{change: change}
		}
		if !awaited {
			f.metrics.outcome(ReasonPaid)
			for _, e := range s.Stop(message.Act{By: "engine", Reason: ReasonPaid}, now) {
				f.event(&change, e.Type, e.At, e.Data)
			}
			change.Final = true
			return clear()
		}
	}
	pl := f.record(ref, s, change, submission{source: source, number: number, text: sms.Text, now: now})
	pl.guard = guard
	return pl
}

// nextPart is the first segment behind one that may be submitted now; 0: none. Segments count from 1.
func nextPart(s *message.State, behind int, now time.Time) int {
	for n := behind + 1; n <= len(s.Parts); n++ {
		if s.MaySubmit(n, now) {
			return n
		}
	}
	return 0
}

type submission struct {
	source string
	number carrier.Number
	text   string
	now    time.Time
}

// record plans Submitting for the open segments and the requests that follow its commit.
func (f *feed) record(ref store.Ref, s *message.State, change store.Change, sub submission) plan {
	var err error
	from := len(f.segments)
	f.segments, f.bytes, err = coding.AppendSplit(f.segments, f.bytes, sub.text, coding.Options{Reference: uint16(seed(ref)), MaxParts: longMessage})
	segments := f.segments[from:]
	first := nextPart(s, 0, sub.now)
	if err != nil || len(segments) != len(s.Parts) {
		f.log.Error("text does not fit its segments", "msg", ref.ID, "segments", len(segments), "parts", len(s.Parts), "err", err)
		f.event(&change, message.Refused, sub.now, f.submission(&message.Submission{Part: first, Carrier: f.name, Reason: "text_unencodable"}))
		change.Final, change.Due = true, out
		return plan{change: change}
	}
	f.flights = append(f.flights, flight{ref: ref, class: s.Head.Class, lane: s.Head.Lane, number: sub.number, parts: len(s.Parts)})
	fl := &f.flights[len(f.flights)-1]
	pl := plan{change: change}
	for i := range s.Parts {
		was := &s.Parts[i]
		if !s.MaySubmit(i+1, sub.now) {
			fl.again(was.RetryAt) // it is not due yet, and stays due
			continue
		}
		fl.flying++
		attempt := was.Attempt + 1
		f.event(&pl.change, message.Submitting, sub.now, f.submission(&message.Submission{Part: i + 1, Attempt: attempt, Carrier: f.name}))
		f.parts = append(f.parts, part{flight: fl, n: i + 1, attempt: attempt, refusals: was.Refusals, doubts: was.Doubts})
		f.bodies = append(f.bodies, pdu.SubmitSM{})
		body := &f.bodies[len(f.bodies)-1]
		f.bytes = fillSubmitSM(body, f.bytes, sub, &segments[i], s.Head.ValidUntil)
		f.request(&pl, session.Request{Body: body, Owner: &f.parts[len(f.parts)-1]})
	}
	pl.change.Due = f.due(f.doubts, sub.now)
	return pl
}

// fillSubmitSM makes body the request for one segment; its octets are appended to buf, which it returns. SMPP 3.4 §4.4.1
func fillSubmitSM(body *pdu.SubmitSM, buf []byte, sub submission, seg *coding.Segment, validUntil time.Time) []byte {
	source := len(buf)
	buf = append(buf, sub.source...)
	dest := len(buf)
	buf = sub.number.AppendE164(buf)
	validity := len(buf)
	if !validUntil.IsZero() {
		if longer, err := pdu.AppendRelativeTime(buf, max(validUntil.Sub(sub.now), time.Minute)); err == nil {
			buf = longer
		}
	}
	body.SM = pdu.SM{
		Source:             pdu.Address{TON: sourceType(sub.source), NPI: 1, Addr: buf[source:dest:dest]},
		Dest:               pdu.Address{TON: 1, NPI: 1, Addr: buf[dest:validity:validity]}, // international, ISDN
		ESMClass:           seg.ESMClass(),
		ValidityPeriod:     buf[validity:len(buf):len(buf)],
		RegisteredDelivery: 1, // final receipt. SMPP 3.4 §5.2.17
		DataCoding:         seg.Alphabet.DataCoding(),
		ShortMessage:       seg.Data,
	}
	return buf
}

// sourceType gives the type of number that goes with the form of a sender. Domestic numbers are sent as national (2),
// short codes as network specific (3). SMPP 3.4 §5.2.5
func sourceType(a string) byte {
	if len(a) < 10 || strings.HasPrefix(a, "0005") {
		return 3
	}
	return 2
}

// open decrypts the text of a message; it is good until the next one.
func (f *feed) open(ref store.Ref, box []byte) (*message.SMS, error) {
	aad := len(f.bytes)
	f.bytes = append(f.bytes, "00000000000000000000000000"+stored.PlaceSMS...)
	at := len(f.bytes)
	if err := ref.ID.MarshalTextTo(f.bytes[aad : at-len(stored.PlaceSMS)]); err != nil {
		return nil, err
	}
	var err error
	if f.bytes, err = f.o.Store.AppendOpen(f.bytes, ref.Tenant, f.bytes[aad:at], box); err != nil {
		return nil, err
	}
	f.sms = message.SMS{}
	if err := message.Decode(f.bytes[at:], &f.sms); err != nil {
		return nil, fmt.Errorf("read the sealed text: %w", err)
	}
	return &f.sms, nil
}

// senderOf is the approved address of a tenant's profile for a carrier.
func senderOf(t *tenant.Tenant, id tenant.ID, name string, c *carrier.Carrier, carrierName string) (string, error) {
	if t == nil {
		return "", fmt.Errorf("there is no tenant %q", id)
	}
	profile, ok := t.Sender(name)
	if !ok {
		return "", fmt.Errorf("there is no sender profile %q", name)
	}
	if c == nil {
		return "", fmt.Errorf("there is no carrier %q any more", carrierName)
	}
	return carrier.SenderFor(profile, c)
}

// quiet is the operator's quiet hours and the tenant's.
func (p *pump) quiet(id tenant.ID) []tenant.Quiet {
	common := p.set.Load().config.Quiet
	own := p.o.Directory.Now().Tenants[id]
	if own == nil || len(own.Policy.Quiet) == 0 {
		return common
	}
	return slices.Concat(common, own.Policy.Quiet)
}

// seed derives a small number from a message's id that spreads over messages and stays the same for one.
func seed(ref store.Ref) uint32 {
	h := fnv.New32a()
	h.Write(ref.ID[:])
	return h.Sum32()
}
