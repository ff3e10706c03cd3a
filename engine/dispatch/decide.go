package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// plan is what is to be done with one due message: a change to commit, then requests to send.
type plan struct {
	change   store.Change
	requests []session.Request
	passed   bool      // nothing is done, nothing written: its campaign is held
	ask      *question // the same for now: whose number it is must be asked first
}

// flight is one message between its submission and the results of all its segments in the air. It is the Owner's.
type flight struct {
	ref     store.Ref
	class   message.Class
	lane    message.Lane
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
func (p *pump) decide(ctx context.Context, ref store.Ref, stored []store.Event, told *carrier.Result, now time.Time) plan {
	s, err := message.Fold(dlr.Events(stored))
	if err != nil || len(stored) == 0 { // its entry stays, for a program that can read it
		p.log.Error("due message cannot be read", "msg", ref.ID, "err", err)
		return plan{change: store.Change{Ref: ref, Expect: store.Any}}
	}
	change := store.Change{Ref: ref, Expect: s.Version, Final: s.Over()}
	clear := func() plan { change.Due = &store.Due{}; return plan{change: change} }
	end := func(typ message.Type, data any) plan {
		change.Events = append(change.Events, store.NewEvent{Type: byte(typ), At: now, Data: message.Encode(data)})
		change.Final = true
		return clear()
	}
	open := openParts(&s, now)
	if len(open) == 0 {
		if s.RetryAt.After(now) && !s.Over() {
			change.Due = &store.Due{Queue: message.Queue(p.name, s.Head.Lane), At: s.RetryAt}
			return plan{change: change}
		}
		return clear()
	}
	if !s.Head.ValidUntil.IsZero() && !now.Before(s.Head.ValidUntil) {
		p.metrics.outcome("lapsed")
		return end(message.Lapsed, nil)
	}
	if pl, said := p.heed(&s, change, "", now); said {
		return pl
	}
	if at := Release(now, s.Head.Class, s.Head.Window, p.quiet(ref.Tenant), seed(ref)); at.After(now) {
		change.Due = &store.Due{Queue: message.Queue(p.name, s.Head.Lane), At: at}
		return plan{change: change}
	}
	refuse := func(reason string) plan {
		p.metrics.outcome(reason)
		return end(message.Refused, message.Submission{Part: open[0], Carrier: p.name, Reason: reason})
	}
	sms, err := p.open(ref, s.Head)
	if err != nil {
		p.log.Error("message text cannot be opened", "msg", ref.ID, "err", err)
		return refuse("content_unreadable")
	}
	number, err := carrier.ParseNumber(sms.Number)
	if err != nil {
		return refuse("number_unreadable")
	}
	query := carrier.Query{Number: number, Registered: sms.Registered, Code: s.Head.Lane == message.LaneCode}
	found, ask, hold := p.find(&s, query, told)
	switch {
	case ask:
		return plan{change: change, ask: &question{ref: ref, lane: s.Head.Lane, query: query}}
	case hold > 0:
		return p.wait(ref, &s, change, open[0], now, hold)
	case found.Stop != "":
		return refuse(found.Stop)
	case found.Carrier == nil:
		return refuse("unknown_carrier")
	}
	if s.LookedUpAt.IsZero() || found.Carrier.Name != s.Carrier {
		change.Events = append(change.Events, store.NewEvent{Type: byte(message.LookedUp), At: now, Data: message.Encode(message.Lookup{Carrier: found.Carrier.Name, By: found.By})})
	}
	if found.Carrier.Name != p.name { // the number moved
		change.Due = &store.Due{Queue: message.Queue(found.Carrier.Name, s.Head.Lane), At: now}
		return plan{change: change}
	}
	if pl, said := p.heed(&s, change, p.name, now); said {
		return pl
	}
	source, err := p.sender(ref, s.Head.Sender)
	if err != nil {
		p.log.Warn("no approved sender", "tenant", ref.Tenant, "msg", ref.ID, "err", err)
		return refuse("no_sender")
	}
	if p.o.DoNotSend != nil {
		switch no, err := p.o.DoNotSend.Refuses(ctx, ref.Tenant, s.Head.Class, number); {
		case err != nil: // looked at again soon
			p.log.Error("do-not-send list cannot be read", "msg", ref.ID, "err", err)
			change.Due = &store.Due{Queue: message.Queue(p.name, s.Head.Lane), At: now.Add(backOff[0])}
			return plan{change: change}
		case no:
			return refuse("do_not_send")
		}
	}
	return p.record(ref, &s, change, open, submission{source: source, number: number, text: sms.Text, now: now})
}

// openParts lists the segments that may be submitted now.
func openParts(s *message.State, now time.Time) []int {
	var open []int
	for i := range s.Parts {
		if s.MaySubmit(i+1, now) {
			open = append(open, i+1)
		}
	}
	return open
}

type submission struct {
	source string
	number carrier.Number
	text   string
	now    time.Time
}

// record plans Submitting for the open segments and the requests that follow its commit.
func (p *pump) record(ref store.Ref, s *message.State, change store.Change, open []int, sub submission) plan {
	segments, err := coding.Split(sub.text, coding.Options{Reference: uint16(seed(ref)), MaxParts: 10})
	if err != nil || len(segments) != len(s.Parts) {
		p.log.Error("text does not fit its segments", "msg", ref.ID, "segments", len(segments), "parts", len(s.Parts), "err", err)
		change.Events = append(change.Events, store.NewEvent{Type: byte(message.Refused), At: sub.now,
			Data: message.Encode(message.Submission{Part: open[0], Carrier: p.name, Reason: "text_unencodable"})})
		change.Final, change.Due = true, &store.Due{}
		return plan{change: change}
	}
	f := &flight{ref: ref, class: s.Head.Class, lane: s.Head.Lane, parts: len(s.Parts), flying: len(open)}
	for i := range s.Parts {
		if !slices.Contains(open, i+1) {
			f.again(s.Parts[i].RetryAt) // it is not due yet, and stays due
		}
	}
	pl := plan{change: change}
	for _, n := range open {
		was := s.Parts[n-1]
		attempt := was.Attempt + 1
		pl.change.Events = append(pl.change.Events, store.NewEvent{Type: byte(message.Submitting), At: sub.now,
			Data: message.Encode(message.Submission{Part: n, Attempt: attempt, Carrier: p.name})})
		pl.requests = append(pl.requests, session.Request{Body: submitSM(sub, &segments[n-1], s.Head.ValidUntil), Owner: &part{flight: f, n: n, attempt: attempt, refusals: was.Refusals, doubts: was.Doubts}})
	}
	pl.change.Due = &store.Due{Queue: doubtQueue(p.name), At: sub.now}
	return pl
}

// submitSM is the request for one segment. SMPP 3.4 §4.4.1
func submitSM(sub submission, seg *coding.Segment, validUntil time.Time) *pdu.SubmitSM {
	body := &pdu.SubmitSM{SM: pdu.SM{
		Source:             sourceAddress(sub.source),
		Dest:               pdu.Address{TON: 1, NPI: 1, Addr: []byte(strings.TrimPrefix(sub.number.E164(), "+"))}, // international, ISDN
		ESMClass:           seg.ESMClass(),
		RegisteredDelivery: 1, // final receipt. SMPP 3.4 §5.2.17
		DataCoding:         seg.Alphabet.DataCoding(),
		ShortMessage:       seg.Data,
	}}
	if left := validUntil.Sub(sub.now); !validUntil.IsZero() {
		if v, err := pdu.RelativeTime(max(left, time.Minute)); err == nil {
			body.ValidityPeriod = []byte(v)
		}
	}
	return body
}

// sourceAddress gives the type of number that goes with the form of a sender. Domestic numbers are sent as national (2),
// short codes as network specific (3). SMPP 3.4 §5.2.5
func sourceAddress(a string) pdu.Address {
	ton := byte(2)
	if len(a) < 10 || strings.HasPrefix(a, "0005") {
		ton = 3
	}
	return pdu.Address{TON: ton, NPI: 1, Addr: []byte(a)}
}

func (p *pump) open(ref store.Ref, h message.Head) (message.SMS, error) {
	var sms message.SMS
	plain, err := p.o.Store.Open(ref.Tenant, ref.ID.String()+"/sms", h.SMS)
	if err != nil {
		return sms, err
	}
	if err := json.Unmarshal(plain, &sms); err != nil {
		return sms, fmt.Errorf("read the sealed text: %w", err)
	}
	return sms, nil
}

// sender is the approved address of the message's profile for this carrier, as the directory has it now.
func (p *pump) sender(ref store.Ref, name string) (string, error) {
	t := p.o.Directory.Now().Tenants[ref.Tenant]
	if t == nil {
		return "", fmt.Errorf("there is no tenant %q", ref.Tenant)
	}
	profile, ok := t.Sender(name)
	if !ok {
		return "", fmt.Errorf("there is no sender profile %q", name)
	}
	c := p.set.Load().carrier
	if c == nil {
		return "", fmt.Errorf("there is no carrier %q any more", p.name)
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
