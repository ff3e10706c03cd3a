package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Bounds of times.
const (
	clockSkew      = 10 * time.Minute // a send_at this far in the past means now
	maxAhead       = 60 * 24 * time.Hour
	defaultValid   = 24 * time.Hour
	defaultOTP     = 5 * time.Minute
	maxValid       = 7 * 24 * time.Hour
	defaultExpires = 30 * 24 * time.Hour
	maxExpires     = 400 * 24 * time.Hour
	stateAfter     = 90 * 24 * time.Hour // a paid claim's state outlives the link
)

// maxSource bounds a text before its {names} are filled in, in characters.
const maxSource = 2000

// plan is one draft on its way.
type plan struct {
	draft    *message.Draft
	res      *Result
	id       ulid.ULID
	now      time.Time
	key      string // hashed idempotency key; empty: none
	digest   []byte // keyed, of the request body
	lookedUp bool   // whether the key is known

	number  carrier.Number
	class   message.Class
	carrier string
	allowed int    // segments that the carrier takes; 0: not known
	profile string // sender profile
	sender  string // its address
	text    textPlan

	occasionOf *message.Occasion // that the draft names as its template; nil: none
	vars       map[string]string // of the occasion: its own and the draft's
	usedVars   map[string]bool   // of the draft, by the occasion's page
	final      string            // the text with the url in
	url        string
	token      string // with its path letter
	length     Length
	sendAt     time.Time // zero: now
	valid      time.Time
	expires    time.Time
	answers    []message.Answer
	guess      *identity.Guess // nil: nothing is asked
	entry      string          // what the recipient is found by at the shared entry; empty: not found there

	onlyAtEntry string  // the draft's field whose text has the shared entry in place of the link; empty: the link stands there
	resend      *Resend // nil: it follows nothing up

	guards   []guard       // against another message like this one
	guardFor time.Duration // how long this one guards; 0: not at all
	taken    []taking      // what it counts against; given back when it does not get in
}

// open reports whether nothing speaks against the draft so far.
func (p *plan) open() bool { return len(p.res.Problems) == 0 && p.res.Err == nil && !p.res.Repeated }

func (p *plan) bad(pr message.Problem)  { p.res.Problems = append(p.res.Problems, pr) }
func (p *plan) warn(pr message.Problem) { p.res.Warnings = append(p.res.Warnings, pr) }

func (p *plan) settle(problem *message.Problem, err error) {
	if err != nil {
		p.res.Err = err
	} else if problem != nil {
		p.bad(*problem)
	}
}

func (p *plan) preview() *Preview {
	return &Preview{Text: p.text.with(p.url), URL: p.url, Length: p.length, Masked: p.number.Masked(), Carrier: p.carrier, Sender: p.sender, SendAt: p.sendAt, ValidUntil: p.valid, LinkExpires: p.expires, Guess: p.guess, Page: p.draft.Page}
}

// check finds all that speaks against a draft by itself, by tenant, carrier and clock.
func (in *Intake) check(t *tenant.Tenant, p *plan) {
	in.occasion(t, p)
	d := p.draft
	p.res.Problems = append(p.res.Problems, d.Check()...)
	p.class, _ = message.ParseClass(d.Class)
	in.checkNumber(t, p)
	if d.WantsLink() {
		in.mint(t, p)
		if p.class == message.OTP {
			p.bad(message.Problem{Field: "class", Code: "mismatch", Detail: "a code is not sent with a page or a claim"})
		}
	}
	if p.resend != nil && p.resend.URL != "" {
		p.url = p.resend.URL
	}
	in.checkTimes(p)
	in.checkRegistered(p)
	if d.WantsSend() {
		in.checkText(t, p)
	} else if d.Text != "" || d.Template != "" {
		p.warn(message.Problem{Field: "text", Code: "unused", Detail: "is ignored: the message is not sent"})
	}
	if d.Claim != nil {
		in.checkMethods(t, p)
	}
	checkChain(t, p)
	checkProducts(t, p)
}

// checkChain holds a page or claim to what the tenant's policy has all of them ask. One that follows another up asks what that asked.
func checkChain(t *tenant.Tenant, p *plan) {
	d, chain := p.draft, &t.Policy.Identity
	if !d.WantsLink() || p.resend != nil {
		return
	}
	for _, f := range chain.Fields {
		if d.Identity == nil || !slices.ContainsFunc(d.Identity.Items, func(it message.IdentityItem) bool { return it.Field == f }) {
			p.bad(message.Problem{Field: "identity.items", Code: "required", Value: f, Detail: "every page of this tenant asks for it"})
		}
	}
	if d.Page != nil && d.Page.Addressee != "" && (d.Identity == nil || len(d.Identity.Items) == 0) && !p.asksCode(t) {
		p.bad(message.Problem{Field: "page.addressee", Code: "mismatch", Detail: "a name is shown only behind an identity check: ask something, or a one-time code"})
	}
}

// asksCode reports whether a one-time code is asked for: the message or the tenant's policy wants it.
func (p *plan) asksCode(t *tenant.Tenant) bool {
	d := p.draft
	return d.WantsLink() && (d.Identity != nil && d.Identity.Code || t.Policy.Identity.Code && p.resend == nil)
}

// codeDigits is what the message says of its code's length; 0: nothing.
func (p *plan) codeDigits() int {
	if p.draft.Identity == nil || p.draft.Identity.CodeDigits == nil {
		return 0
	}
	return int(*p.draft.Identity.CodeDigits)
}

func (in *Intake) checkNumber(t *tenant.Tenant, p *plan) {
	d := p.draft
	if strings.TrimSpace(d.To) == "" {
		return // reported
	}
	var err error
	if p.number, err = carrier.ParseNumber(d.To); err != nil {
		var ne *carrier.NumberError
		errors.As(err, &ne)
		p.bad(message.Problem{Field: "to", Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()})
		return
	}
	found, known := in.Carriers.Resolve(p.number)
	if known {
		p.carrier, p.allowed = found.Carrier.Name, found.Carrier.Segments()
	}
	if !d.WantsSend() && !p.asksCode(t) {
		return // nothing goes to the number
	}
	if !known {
		p.bad(message.Problem{Field: "to", Code: "unknown_carrier", Value: p.number.Masked(), Detail: "no carrier is known for this number"})
	}
	profile, ok := t.Sender(d.Sender)
	if d.Sender == "" && p.class == message.OTP {
		if otp, own := t.Sender("otp"); own {
			profile, ok = otp, true
		}
	}
	if !ok {
		p.bad(message.Problem{Field: "sender", Code: "unknown", Value: message.Mask(d.Sender), Detail: "there is no such sender profile"})
		return
	}
	p.profile = profile.Name
	if !known {
		return
	}
	if p.sender, err = carrier.SenderFor(profile, found.Carrier); err != nil {
		var se *carrier.SenderError
		errors.As(err, &se)
		detail := "the sender profile has no address that this carrier approved"
		if se.Address != "" {
			detail = "the carrier does not permit the form of this sender address"
		}
		p.bad(message.Problem{Field: "sender", Code: "unapproved", Value: se.Carrier, Detail: detail})
	}
}

func (in *Intake) checkTimes(p *plan) {
	d, start := p.draft, p.now
	if d.SendAt != nil {
		at := d.SendAt.UTC()
		switch {
		case at.Before(p.now.Add(-clockSkew)):
			p.bad(message.Problem{Field: "send_at", Code: "past"})
		case at.After(p.now.Add(maxAhead)):
			p.bad(message.Problem{Field: "send_at", Code: "range", Detail: "at most 60 days ahead"})
		case at.After(p.now):
			p.sendAt, start = at, at
		}
	}
	if d.WantsSend() {
		p.valid = start.Add(defaultValid)
		if p.class == message.OTP {
			p.valid = start.Add(defaultOTP)
		}
		if d.ValidUntil != nil {
			p.valid = d.ValidUntil.UTC()
			switch {
			case !p.valid.After(p.now):
				p.bad(message.Problem{Field: "valid_until", Code: "past", Detail: "must be in the future"})
			case p.valid.After(start.Add(maxValid)):
				p.bad(message.Problem{Field: "valid_until", Code: "range", Detail: "at most 7 days after send_at"})
			}
		}
		if w := d.Window; w != nil && !opens(w, start, p.valid) {
			p.bad(message.Problem{Field: "window", Code: "range", Detail: "never opens before valid_until"})
		}
	}
	if d.WantsLink() {
		checkExpiry(p, start)
	}
}

// checkRegistered looks at the day since which the number must not have changed hands.
func (in *Intake) checkRegistered(p *plan) {
	r := p.draft.Recipient
	if r == nil || r.RegisteredOn == "" {
		return
	}
	if r.RegisteredOn > message.Day(p.now) { // what is no day is reported
		p.bad(message.Problem{Field: "recipient.registered_on", Code: "range", Detail: "must not be in the future"})
	}
	if !in.Carriers.Asks() {
		p.warn(message.Problem{Field: "recipient.registered_on", Code: "unused", Detail: "nobody is asked whether the number changed hands"})
	}
}

// checkExpiry sets when the link ends: as asked, else 30 days on, else when the claim is due if that is later.
func checkExpiry(p *plan, start time.Time) {
	d := p.draft
	var due time.Time
	if d.Claim != nil {
		due, _ = d.Claim.DueTime() // a wrong one is reported
		if !due.IsZero() && due.Before(p.now) {
			p.warn(message.Problem{Field: "claim.due", Code: "past", Detail: "the day has passed"})
		}
	}
	latest := start.Add(maxExpires)
	p.expires = start.Add(defaultExpires)
	if due.After(p.expires) {
		p.expires = due.UTC()
		if p.expires.After(latest) {
			p.expires = latest
		}
	}
	if d.Link != nil && d.Link.ExpiresAt != nil {
		p.expires = d.Link.ExpiresAt.UTC()
		switch {
		case !p.expires.After(start):
			p.bad(message.Problem{Field: "link.expires_at", Code: "past", Detail: "must be later than send_at"})
		case p.expires.After(latest):
			p.bad(message.Problem{Field: "link.expires_at", Code: "range", Detail: "at most 400 days after send_at"})
		}
	}
	if due.After(p.expires) {
		p.warn(message.Problem{Field: "link.expires_at", Code: "mismatch", Detail: "the link ends before the claim is due"})
	}
}

// opens reports whether the window is open at some moment from start to before end.
func opens(w *message.Window, start, end time.Time) bool {
	from, err1 := time.Parse("15:04", w.From)
	to, err2 := time.Parse("15:04", w.To)
	if err1 != nil || err2 != nil || !from.Before(to) {
		return true // reported by Draft.Check
	}
	local := start.In(message.Tokyo)
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, message.Tokyo)
	clock := func(t time.Time) time.Duration {
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	next := midnight.Add(clock(from))
	switch {
	case !start.Before(midnight.Add(clock(to))):
		next = next.Add(24 * time.Hour)
	case start.After(next):
		next = start
	}
	return next.Before(end)
}

func (in *Intake) checkText(t *tenant.Tenant, p *plan) {
	d, field, source, strict := p.draft, "text", p.draft.Text, false
	if d.Template != "" {
		field, strict = "template", true
		var ok bool
		if source, ok = t.Template(d.Template); p.occasionOf != nil {
			source = p.occasionOf.Text
		} else if !ok {
			p.bad(message.Problem{Field: field, Code: "unknown", Value: message.Mask(d.Template), Detail: "there is no such template"})
			return
		}
	}
	if source == "" {
		return // reported
	}
	if n := message.Length(source); n > maxSource {
		p.bad(message.Problem{Field: field, Code: "too_long", Limit: maxSource, Got: int64(n)})
		return
	}
	for name, v := range d.Vars {
		if n := message.Length(v); n > message.MaxText {
			p.bad(message.Problem{Field: "vars." + message.Mask(name), Code: "too_long", Limit: message.MaxText, Got: int64(n)})
			return
		}
	}
	var missing, unused []string
	if p.occasionOf != nil {
		missing, unused = p.text.expand(source, p.vars, strict)
		unused = p.unusedVars(unused)
	} else {
		missing, unused = p.text.expand(source, d.Vars, strict)
	}
	for _, name := range missing {
		p.bad(message.Problem{Field: "vars." + name, Code: "required", Detail: "the template needs it"})
	}
	for _, name := range unused {
		p.warn(message.Problem{Field: "vars." + message.Mask(name), Code: "unused", Detail: "the template does not use it"})
	}
	if r, found := p.text.unwanted(); found {
		p.bad(message.Problem{Field: field, Code: "pattern", Detail: fmt.Sprintf("holds the character %U", r)})
		return
	}
	atEntry := in.checkEntry(t, p, field)
	switch urls := p.text.urls(); {
	case urls > 1:
		p.bad(message.Problem{Field: field, Code: "too_many", Limit: 1, Got: int64(urls), Detail: "{url} may stand once"})
		return
	case urls == 1 && p.url == "":
		p.bad(message.Problem{Field: field, Code: "mismatch", Detail: "there is no page or claim to link to"})
		return
	case urls == 0 && atEntry:
		p.onlyAtEntry = field
	case urls == 0 && p.url != "":
		p.text.append(" ", urlMark)
	}
	if p.url != "" && p.text.linksElsewhere() && !(atEntry && in.onlyEntry(t, p)) {
		p.warn(message.Problem{Field: field, Code: "mismatch", Detail: "holds another URL beside the link"})
	}
	in.checkLength(t, p, field)
}

func (in *Intake) checkLength(t *tenant.Tenant, p *plan, field string) {
	p.final = p.text.with(p.url)
	length, err := in.Meter.Measure(p.final)
	if err != nil {
		p.bad(message.Problem{Field: field, Code: "pattern"})
		return
	}
	p.length = length
	allowed := t.Policy.Segments()
	if p.allowed > 0 {
		allowed = min(allowed, p.allowed)
	}
	if length.Parts > allowed {
		p.bad(message.Problem{Field: field, Code: "too_long", Limit: int64(length.Capacity(allowed)), Got: int64(length.Units), Detail: "counted as SMS does, with the link in"})
	} else if n := message.Length(p.final); n > message.MaxText {
		p.bad(message.Problem{Field: field, Code: "too_long", Limit: message.MaxText, Got: int64(n)})
	}
}

func (in *Intake) checkMethods(t *tenant.Tenant, p *plan) {
	has, cl := t.Methods(), p.draft.Claim
	if len(has) == 0 {
		p.warn(message.Problem{Field: "claim.methods", Code: "unknown", Detail: "the tenant has no payment method"})
	}
	known := true
	for i, m := range cl.Methods {
		if !slices.Contains(has, m) {
			known = false
			p.bad(message.Problem{Field: fmt.Sprintf("claim.methods[%d]", i), Code: "unknown", Value: message.Mask(m), Detail: "the tenant has no such payment method"})
		}
	}
	if in.Offers == nil || !known || len(has) == 0 {
		return
	}
	if most, ok := in.Offers.Takes(t, cl.Methods, cl.Amount); !ok {
		p.warn(message.Problem{Field: "claim.amount", Code: message.CodeUnpayable, Limit: most, Got: cl.Amount})
	}
}
