package api

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// postMessage takes one message.
func (s *Server) postMessage(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	dry, ok := c.Query(ctx, "dry_run")
	if !ok {
		return
	}
	dryRun, err := strconv.ParseBool(dry["dry_run"])
	if err != nil && dry["dry_run"] != "" {
		c.Refuse(ctx, BadRequest, message.Problem{Field: "dry_run", Code: "pattern"})
		return
	}
	if !s.allow(c.Tenant, 1) {
		c.Refuse(ctx, TooMany)
		return
	}
	var d message.Draft
	if !c.ReadJSON(ctx, s.Config.MaxBody, &d) {
		return
	}
	if d.Key, ok = c.IdempotencyKey(ctx, d.Key); !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	results, err := s.Intake.Accept(work, intake.Request{Tenant: c.Tenant.ID, Via: message.ViaAPI, By: c.By(), DryRun: dryRun, Drafts: []message.Draft{d}})
	if err != nil {
		c.Fail(ctx, "accept message", err)
		return
	}
	r := &results[0]
	if p := r.Preview; dryRun && !r.Repeated && r.Err == nil && len(r.Problems) == 0 {
		c.Answer(ctx, fasthttp.StatusOK, Preview{
			To: p.Masked, Text: p.Text, URL: p.URL, Units: p.Length.Units, Parts: p.Length.Parts, Carrier: p.Carrier, Sender: p.Sender,
			SendAt: some(p.SendAt), ValidUntil: some(p.ValidUntil), LinkExpiresAt: some(p.LinkExpires), Warnings: fieldProblems(c.Lang, r.Warnings),
		})
		return
	}
	c.answerAccepted(ctx, r)
}

// answerAccepted answers for one message: that it is on disk, or why not.
func (c *Caller) answerAccepted(ctx *fasthttp.RequestCtx, r *intake.Result) {
	switch {
	case r.Err != nil:
		c.Fail(ctx, "accept message", r.Err)
	case len(r.Problems) > 0:
		c.refuseProblems(ctx, r.Problems)
	default:
		if r.Repeated {
			ctx.Response.Header.Set("Idempotency-Replayed", "true")
		}
		ctx.Response.Header.Set("Location", "/v1/messages/"+r.ID.String())
		c.Answer(ctx, fasthttp.StatusAccepted, accepted(c.Lang, r))
	}
}

// Fail answers what a room below could not do.
func (c *Caller) Fail(ctx *fasthttp.RequestCtx, doing string, err error) {
	code := storeCode(err)
	if code == Unavailable {
		ctx.Response.Header.Set("Retry-After", "5")
	}
	var limit *intake.LimitError
	if errors.As(err, &limit) {
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(int(limit.RetryAfter/time.Second)+1))
	}
	ctx.SetUserValue(failure{}, errors.Join(errors.New(doing), err)) // logged at the door
	c.Refuse(ctx, code, storeProblems(err)...)
}

// failure is the key under which a handler leaves the error behind a 5xx.
type failure struct{}

// Query reads the known parameters, each at most once; others are refused by name.
func (c *Caller) Query(ctx *fasthttp.RequestCtx, known ...string) (map[string]string, bool) {
	values := map[string]string{}
	var ps message.Problems
	for k, v := range ctx.QueryArgs().All() {
		name := string(k)
		switch _, twice := values[name]; {
		case !slices.Contains(known, name):
			detail := "there is no such parameter"
			if name == "number" {
				detail = "a number does not belong into a URL; use POST /v1/messages:search"
			}
			ps = append(ps, message.Problem{Field: clip(name), Code: "unknown", Detail: detail})
		case twice:
			ps = append(ps, message.Problem{Field: name, Code: "too_many", Limit: 1, Got: 2})
		}
		values[name] = string(v)
	}
	if len(ps) > 0 {
		c.Refuse(ctx, BadRequest, ps...)
		return nil, false
	}
	return values, true
}

// find resolves an id or a 17-digit number to a stream of the tenant.
func (s *Server) find(ctx *fasthttp.RequestCtx, c *Caller, id string) (store.Ref, bool) {
	work, cancel := s.work()
	defer cancel()
	ref := store.Ref{Tenant: c.Tenant.ID, Kind: store.Message}
	if len(id) == 17 {
		found, _, err := s.Store.Lookup(work, tenant.Only(c.Tenant.ID), store.ByNo, id)
		if err != nil {
			c.Fail(ctx, "look up message number", err)
			return ref, false
		}
		return found, true
	}
	var err error
	if ref.ID, err = ulid.ParseStrict(id); err != nil {
		c.Refuse(ctx, NotFound)
		return ref, false
	}
	return ref, true
}

func (s *Server) getMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	q, ok := c.Query(ctx, "unmask", "answers")
	if !ok {
		return
	}
	if ref, ok := s.find(ctx, c, id); ok {
		s.showMessage(ctx, c, ref, q)
	}
}

// showMessage answers with one message as it is now. What q asks for beyond that is audited.
func (s *Server) showMessage(ctx *fasthttp.RequestCtx, c *Caller, ref store.Ref, q map[string]string) {
	work, cancel := s.work()
	defer cancel()
	events, st, ok := s.load(work, ctx, c, ref)
	if !ok {
		return
	}
	unmask := q["unmask"] == "1"
	if unmask {
		if err := c.Record(work, s.audit, "message.unmask", ref.ID.String(), ""); err != nil {
			c.Fail(ctx, "unmask message", err)
			return
		}
	}
	m, err := s.view(c, ref.ID, &st, unmask)
	if err == nil && q["answers"] == "1" && !st.AnsweredAt.IsZero() {
		if err = c.Record(work, s.audit, "message.answers", ref.ID.String(), ""); err == nil {
			m.Answers, err = s.surveyAnswers(c.Tenant.ID, ref.ID, &st)
		}
	}
	if err == nil {
		m.Timeline, err = timeline(events)
	}
	if err == nil && !st.Head.Claim.IsZero() {
		err = s.addClaims(&m, c, st.Head.Claim)
	}
	if err != nil {
		c.Fail(ctx, "show message", err)
		return
	}
	c.Answer(ctx, fasthttp.StatusOK, m)
}

// load reads a message that was found. Where it cannot, that is answered, and ok is false.
func (s *Server) load(work context.Context, ctx *fasthttp.RequestCtx, c *Caller, ref store.Ref) (events []store.Event, st message.State, ok bool) {
	events, err := s.Store.Load(work, tenant.Only(c.Tenant.ID), ref)
	if err != nil {
		c.Fail(ctx, "load message", err)
		return nil, st, false
	}
	if st, err = stored.State(events); err != nil {
		c.Fail(ctx, "read message", err)
		return nil, st, false
	}
	return events, st, true
}

// addClaims puts the claim's state into a message, and its events into the timeline, by time.
func (s *Server) addClaims(m *Message, c *Caller, id ulid.ULID) error {
	work, cancel := s.work()
	defer cancel()
	claims, err := s.Claims.Find(work, c.Tenant.ID, []ulid.ULID{id}, true)
	if err != nil || len(claims) == 0 || claims[0].Number == "" {
		return err
	}
	cl := claims[0]
	m.Timeline = append(m.Timeline, cl.Timeline...)
	slices.SortStableFunc(m.Timeline, func(a, b Entry) int { return a.At.Compare(b.At) })
	cl.Timeline = nil
	m.Claim = &cl
	return nil
}

// deleteMessage stops a message that was not sent, and closes its link in any case.
func (s *Server) deleteMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	ref, ok := s.find(ctx, c, id)
	if !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	record := func(action string) error { return c.Record(work, s.audit, action, ref.ID.String(), "") }
	err := record("message.cancel")
	if err == nil {
		err = s.Intake.Cancel(work, c.Tenant.ID, ref.ID, c.By())
	}
	var late *intake.PhaseError
	if errors.As(err, &late) {
		if err = record("message.revoke"); err == nil {
			err = s.Intake.Revoke(work, c.Tenant.ID, ref.ID, c.By())
		}
		if errors.Is(err, intake.ErrNoLink) {
			c.Refuse(ctx, Conflict, message.Problem{Field: "status", Code: "conflict", Value: string(late.Phase), Detail: "it was sent, and has no link to revoke"})
			return
		}
	}
	if err != nil {
		c.Fail(ctx, "cancel message", err)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// Search is the body of POST /v1/messages:search and, but for number, the query of GET /v1/messages.
type Search struct {
	Number    string     `json:"number,omitempty"` // as people write it
	Last4     string     `json:"last4,omitempty"`
	Reference string     `json:"reference,omitempty"`
	Status    string     `json:"status,omitempty"`
	Class     string     `json:"class,omitempty"`
	Via       string     `json:"via,omitempty"`
	Campaign  string     `json:"campaign,omitempty"`
	Carrier   string     `json:"carrier,omitempty"`
	Claim     string     `json:"claim,omitempty"` // number of the claim that it is about
	From      *time.Time `json:"from,omitempty"`  // accepted at or after
	To        *time.Time `json:"to,omitempty"`    // accepted before
	Cursor    string     `json:"cursor,omitempty"`
	Limit     int        `json:"limit,omitempty"` // 1 to 100, default 50
}

// List is a page of messages, newest first. With Next there may be more, even when the page is short: at most maxScan
// messages are looked at for one page.
type List struct {
	Items []Message `json:"items"`
	Next  string    `json:"next,omitempty"`
}

const maxScan = 2000

func (s *Server) listMessages(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	q, ok := c.Query(ctx, "last4", "reference", "status", "class", "via", "campaign", "carrier", "claim", "from", "to", "cursor", "limit")
	if !ok {
		return
	}
	sr := Search{Last4: q["last4"], Reference: q["reference"], Status: q["status"], Class: q["class"], Via: q["via"], Campaign: q["campaign"], Carrier: q["carrier"], Claim: q["claim"], Cursor: q["cursor"]}
	var ps message.Problems
	when := func(name string) *time.Time {
		if q[name] == "" {
			return nil
		}
		t, err := time.Parse(time.RFC3339, q[name])
		if err != nil {
			ps = append(ps, message.Problem{Field: name, Code: "pattern", Detail: rfc3339})
		}
		return &t
	}
	sr.From, sr.To = when("from"), when("to")
	if v := q["limit"]; v != "" {
		var err error
		if sr.Limit, err = strconv.Atoi(v); err != nil || sr.Limit == 0 {
			sr.Limit = -1
		}
	}
	if len(ps) > 0 {
		c.Refuse(ctx, BadRequest, ps...)
		return
	}
	s.search(ctx, c, sr, BadRequest)
}

func (s *Server) searchMessages(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	var sr Search
	if c.ReadJSON(ctx, s.Config.MaxBody, &sr) {
		s.search(ctx, c, sr, Invalid)
	}
}

var last4Pattern = regexp.MustCompile(`^[0-9]{4}$`)

// filter checks a search.
func (sr *Search) filter() (f intake.Filter, q store.Query, ps message.Problems) {
	bad := func(field, code, detail string) {
		ps = append(ps, message.Problem{Field: field, Code: code, Detail: detail})
	}
	if sr.Number != "" {
		n, err := carrier.ParseNumber(sr.Number)
		var ne *carrier.NumberError
		if errors.As(err, &ne) {
			bad("number", string(ne.Reason), ne.Reason.Text())
		}
		f.Number = n
	}
	if f.Last4 = sr.Last4; f.Last4 != "" && !last4Pattern.MatchString(f.Last4) {
		bad("last4", "pattern", "")
	}
	if f.Reference = sr.Reference; message.Length(f.Reference) > message.MaxReference {
		ps = append(ps, message.Problem{Field: "reference", Code: "too_long", Limit: message.MaxReference, Got: int64(message.Length(f.Reference))})
	}
	if sr.Status != "" && !slices.Contains(message.Phases, message.Phase(sr.Status)) {
		bad("status", "unknown", "")
	}
	if sr.Class != "" {
		var err error
		if f.Class, err = message.ParseClass(sr.Class); err != nil {
			bad("class", "unknown", "one of notice, billing, collection, otp, legal_notice, ad")
		}
	}
	if f.Via = message.Via(sr.Via); f.Via != "" && !slices.Contains(message.Vias, f.Via) {
		bad("via", "unknown", "one of api, console, file, engine")
	}
	id := func(field, v string) (u ulid.ULID) {
		if v != "" {
			var err error
			if u, err = ulid.ParseStrict(v); err != nil {
				bad(field, "pattern", "")
			}
		}
		return u
	}
	f.Campaign = id("campaign", sr.Campaign)
	if f.Carrier = sr.Carrier; len(f.Carrier) > 16 {
		bad("carrier", "unknown", "")
	}
	if sr.Claim != "" && !claimNumber.MatchString(sr.Claim) {
		bad("claim", "pattern", "1 to 40 of A-Z, a-z, 0-9 and -")
	}
	q = store.Query{Kind: store.Message, Before: id("cursor", sr.Cursor)}
	if sr.From != nil {
		q.From = *sr.From
	}
	if sr.To != nil {
		q.To = *sr.To
	}
	if sr.Limit < 0 || sr.Limit > 100 {
		ps = append(ps, message.Problem{Field: "limit", Code: "range", Limit: 100, Got: int64(sr.Limit), Detail: "1 to 100"})
	}
	if sr.Limit == 0 {
		sr.Limit = 50
	}
	return f, q, ps
}

func (s *Server) search(ctx *fasthttp.RequestCtx, c *Caller, sr Search, wrong Code) {
	f, q, ps := sr.filter()
	if len(ps) > 0 {
		c.Refuse(ctx, wrong, ps...)
		return
	}
	if sr.Claim != "" {
		work, cancel := s.work()
		defer cancel()
		claim, _, err := s.Store.Lookup(work, tenant.Only(c.Tenant.ID), store.ByClaimNumber, sr.Claim)
		if errors.Is(err, store.ErrNotFound) {
			c.Answer(ctx, fasthttp.StatusOK, List{Items: []Message{}})
			return
		}
		if err != nil {
			c.Fail(ctx, "search messages", err)
			return
		}
		f.Claim = claim.ID
	}
	terms, err := f.Terms(s.Store, c.Tenant.ID)
	if err != nil {
		c.Fail(ctx, "search messages", err)
		return
	}
	q.Terms = terms
	list, err := s.page(c, q, sr)
	if errors.Is(err, store.ErrNotFound) && sr.Cursor != "" {
		c.Refuse(ctx, wrong, message.Problem{Field: "cursor", Code: "unknown"})
		return
	}
	if err != nil {
		c.Fail(ctx, "search messages", err)
		return
	}
	c.Answer(ctx, fasthttp.StatusOK, list)
}

// page reads streams, newest first, until it has as many as asked for or has looked at maxScan.
func (s *Server) page(c *Caller, q store.Query, sr Search) (List, error) {
	work, cancel := s.work()
	defer cancel()
	scope, list, now := tenant.Only(c.Tenant.ID), List{Items: []Message{}}, clock.Now()
	var claims []ulid.ULID // of the items, zero where there is none
	for scanned := 0; scanned < maxScan; {
		q.Limit = sr.Limit - len(list.Items) + 1
		if sr.Status != "" {
			q.Limit = 200
		}
		refs, err := s.Store.Search(work, scope, q)
		if err != nil {
			return list, err
		}
		all, err := s.Store.LoadMany(work, scope, refs)
		if err != nil {
			return list, err
		}
		for i, ref := range refs {
			if len(list.Items) == sr.Limit {
				list.Next = q.Before.String()
				return list, s.claimsOf(c, list.Items, claims)
			}
			q.Before = ref.ID
			if len(all[i]) == 0 {
				continue // erased meanwhile
			}
			st, err := stored.State(all[i])
			if err != nil {
				return list, err
			}
			if sr.Status != "" && string(st.PhaseAt(now)) != sr.Status {
				continue
			}
			m, err := s.view(c, ref.ID, &st, false)
			if err != nil {
				return list, err
			}
			list.Items, claims = append(list.Items, m), append(claims, st.Head.Claim)
		}
		if scanned += len(refs); len(refs) < q.Limit {
			return list, s.claimsOf(c, list.Items, claims)
		}
	}
	list.Next = q.Before.String()
	return list, s.claimsOf(c, list.Items, claims)
}

// claimsOf fills in the claims of a page with one question.
func (s *Server) claimsOf(c *Caller, items []Message, ids []ulid.ULID) error {
	var asked []ulid.ULID
	var at []int
	for i, id := range ids {
		if !id.IsZero() {
			asked, at = append(asked, id), append(at, i)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	work, cancel := s.work()
	defer cancel()
	claims, err := s.Claims.Find(work, c.Tenant.ID, asked, false)
	if err != nil {
		return err
	}
	for i, cl := range claims {
		if i < len(at) && cl.Number != "" {
			items[at[i]].Claim = &cl
		}
	}
	return nil
}
