package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Budgets of one webhook, checked before anything is stored.
const (
	MaxWebhookBody    = 64 << 10
	MaxWebhookHeaders = 16 << 10 // names and values
	MaxWebhookQuery   = 4 << 10

	maxUnread = 16 << 20 // bytes for each hook, and as many more in an hour

	noticeRetry    = 30 * time.Second
	noticeMost     = time.Hour
	noticePatience = 7 * 24 * time.Hour
	noticeNameTerm = 400 * 24 * time.Hour
)

// Header is one header line.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// WebhookRequest is what came to a hook. The caller reads at most MaxWebhookBody+1 bytes of the body.
type WebhookRequest struct {
	Hook    string // the last element of the path
	Method  string
	Query   string
	Headers []Header
	Body    []byte
	Remote  string // address that it came from
}

// Reply is what the agent is answered.
type Reply struct {
	Status  int
	Headers []Header
	Body    []byte
}

// raw is the sealed part of a stored webhook.
type raw struct {
	Method  string   `json:"method"`
	Query   string   `json:"query,omitempty"`
	Headers []Header `json:"headers"`
	Body    []byte   `json:"body"`

	// at is when it came. The module is told this time whenever it is asked: the signatures of agents hold for minutes, and a
	// webhook that waited for a module must not be refused for having waited.
	at time.Time
	// from is the name of the source that it came from, where that is to be kept once it verifies.
	from *store.Name
}

// Events of a stream of kind store.Notice.
const (
	noticeReceived  = 1 // received
	noticeApplied   = 2 // verified, read, and its facts are in the claims
	noticeRefused   = 3 // not verified
	noticeAbandoned = 4 // not readable within noticePatience
)

type received struct {
	V      int    `json:"v"` // 1
	Agent  string `json:"agent"`
	Module string `json:"module"`
	Sealed []byte `json:"sealed"` // raw, aad "<stream id>/webhook"
}

// Webhook takes one request of an agent: budgets, then durable, then read. It never fails: Reply says what to answer.
func (p *Payments) Webhook(ctx context.Context, r WebhookRequest) Reply {
	reply, outcome := p.webhook(context.WithoutCancel(ctx), &r)
	p.metrics.webhooks.WithLabelValues(outcome).Inc()
	return reply
}

func (p *Payments) webhook(ctx context.Context, r *WebhookRequest) (Reply, string) {
	t, agent, ok := p.opt.Directory().Hook(r.Hook)
	if !ok || r.Hook == "" {
		return Reply{Status: 404}, "unknown_hook"
	}
	size := 0
	for _, h := range r.Headers {
		size += len(h.Name) + len(h.Value)
	}
	if len(r.Body) > MaxWebhookBody || len(r.Query) > MaxWebhookQuery || size > MaxWebhookHeaders {
		return Reply{Status: 413}, "too_large"
	}
	budget := p.budget(r.Hook)
	now := p.now()
	src := p.source(ctx, budget, t.ID, agent.Name, r.Remote)
	if !budget.allows(src, now) {
		return Reply{Status: 429, Headers: []Header{{"Retry-After", "10"}}}, "too_many"
	}
	n := raw{Method: r.Method, Query: r.Query, Headers: r.Headers, Body: r.Body, at: now, from: src.named(now)}
	if budget.unverified.TokensAt(now) < 1 || budget.unread.TokensAt(now) < float64(size+len(r.Body)) {
		// Somebody who knows the path sends what does not verify, or very much came while the module was down: nothing is
		// kept any more before it verifies. An agent that is answered 503 comes again.
		resp, err := p.readWebhook(ctx, t.ID, agent.Name, agent.Module, &n)
		if err != nil {
			return Reply{Status: 503}, "delayed"
		}
		if !resp.Verified {
			src.judge(false, now)
			return p.unverified(t.ID, agent.Name, resp)
		}
	}
	ref, err := p.keep(ctx, t.ID, agent, &n)
	if err != nil {
		p.log.Error("store webhook", "tenant", t.ID, "plugin", agent.Module, "err", err)
		return Reply{Status: 503, Headers: []Header{{"Retry-After", "10"}}}, "delayed"
	}
	resp, err := p.applyNotice(ctx, ref, agent.Name, agent.Module, &n)
	if err != nil { // it stays in the queue
		budget.unread.AllowN(now, size+len(r.Body))
		p.log.Error("apply webhook", "tenant", t.ID, "plugin", agent.Module, "err", err)
		return Reply{Status: 503, Headers: []Header{{"Retry-After", "30"}}}, "delayed"
	}
	src.judge(resp.Verified, now)
	if !resp.Verified {
		budget.unverified.AllowN(now, 1)
		return p.unverified(t.ID, agent.Name, resp)
	}
	return reply(resp, 200), "applied"
}

func (p *Payments) unverified(id tenant.ID, agent string, resp *proto.WebhookResponse) (Reply, string) {
	p.log.Warn("webhook did not verify", "tenant", id, "agent", agent)
	return reply(resp, 401), "unverified"
}

// keep seals the raw request and commits it.
func (p *Payments) keep(ctx context.Context, id tenant.ID, agent tenant.Agent, n *raw) (store.Ref, error) {
	ref := store.Ref{Tenant: id, Kind: store.Notice, ID: ulid.MustNew(ulid.Timestamp(n.at), ulid.DefaultEntropy())}
	box, err := p.s.Seal(id, WebhookClass, n.at, ref.ID.String()+"/webhook", encode(n))
	if err != nil {
		return ref, err
	}
	data := encode(received{V: 1, Agent: agent.Name, Module: agent.Module, Sealed: box})
	return ref, p.commit(ctx, store.Tx{{
		Ref:    ref,
		Events: []store.NewEvent{{Type: noticeReceived, At: n.at, Data: data}},
		Due:    &store.Due{Queue: queueNotice, At: n.at.Add(noticeRetry)},
	}})
}

// readWebhook lets the module verify and read the request. An error means that it could not; it may be asked again.
func (p *Payments) readWebhook(ctx context.Context, id tenant.ID, agent, module string, n *raw) (*proto.WebhookResponse, error) {
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	req := &proto.WebhookRequest{
		Call:   p.call(id, agent, "", n.at),
		Method: n.Method, Query: n.Query, Body: n.Body,
	}
	for _, h := range n.Headers {
		req.Headers = append(req.Headers, &proto.Header{Name: h.Name, Value: h.Value})
	}
	resp, err := p.opt.Agents.Payment(module).HandleWebhook(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("read webhook: %w", err)
	}
	if e := resp.Error; e != nil && e.Class != proto.ErrorClass_SIGNATURE && !resp.Verified && e.Class != proto.ErrorClass_INVALID {
		return nil, fmt.Errorf("read webhook: %s", reasonOf(e))
	}
	return resp, nil
}

// applyNotice reads a stored webhook, appends what it says, and takes it out of the queue.
func (p *Payments) applyNotice(ctx context.Context, ref store.Ref, agent, module string, n *raw) (*proto.WebhookResponse, error) {
	resp, err := p.readWebhook(ctx, ref.Tenant, agent, module, n)
	if err != nil {
		return nil, err
	}
	if !resp.Verified {
		return resp, p.endNotice(ctx, ref, noticeRefused, nil)
	}
	for _, pn := range resp.Notices {
		if err := p.applyPayment(ctx, ref.Tenant, agent, pn, n.at); err != nil {
			return nil, err
		}
	}
	return resp, p.endNotice(ctx, ref, noticeApplied, n.from)
}

func (p *Payments) endNotice(ctx context.Context, ref store.Ref, how byte, from *store.Name) error {
	c := store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: how, At: p.now()}}, Due: &store.Due{}, Final: true}
	if from != nil {
		c.Names = []store.Name{*from}
	}
	return p.commit(ctx, store.Tx{c})
}

// applyPayment appends one notice, that came at a time, to the claim that it is about. What is not ours is counted, logged
// and left alone.
func (p *Payments) applyPayment(ctx context.Context, id tenant.ID, agent string, n *proto.PaymentNotice, at time.Time) error {
	foreign := func(why string) error {
		p.metrics.webhooks.WithLabelValues("foreign").Inc()
		p.log.Error("notice of a payment that is not ours", "tenant", id, "agent", agent, "err", why)
		return nil
	}
	attempt, err := ulid.ParseStrict(n.GetPayment().GetAttemptId())
	if err != nil {
		return foreign("no attempt id")
	}
	view, err := parseView(n.Payment)
	if err != nil {
		return foreign(err.Error())
	}
	scope := tenant.Only(id)
	ref, _, err := p.s.Lookup(ctx, scope, store.ByAttempt, attempt.String())
	if errors.Is(err, store.ErrNotFound) {
		return foreign("unknown attempt")
	}
	if err != nil {
		return fmt.Errorf("find attempt: %w", err)
	}
	seen := timeOf(n.Occurred)
	if seen.IsZero() {
		seen = seenByAsking(&view, at)
	}
	fact := Fact{Attempt: attempt, View: view, Seen: seen, From: sourceNotice, Notice: clip(n.NoticeId, 128)}
	for {
		s, err := p.load(ctx, scope, ref)
		if err != nil {
			return err
		}
		if a := s.Attempt(attempt); a == nil || a.Agent != agent {
			return foreign("attempt of another agent")
		}
		err = p.appendNotice(ctx, &s, fact, agent)
		if !conflict(err) {
			return err
		}
	}
}

// appendNotice appends a fact with its notice's id as a name. One that says nothing new is not kept.
func (p *Payments) appendNotice(ctx context.Context, s *State, fact Fact, agent string) error {
	now := p.now()
	events := []store.NewEvent{newEvent(fact.Type(), now, fact)}
	next, err := s.extend(events)
	if err != nil {
		return err
	}
	if !s.learns(&next, &fact) {
		return nil
	}
	var names []store.Name
	if fact.Notice != "" {
		sum := sha256.Sum256([]byte(agent + "\n" + fact.Notice))
		names = []store.Name{{
			Space: store.ByNoticeID, Key: string(s.Ref.Tenant) + "/" + hex.EncodeToString(sum[:]),
			Until: now.Add(noticeNameTerm), Exclusive: true,
		}}
	}
	_, err = p.append(ctx, *s, now, events, names)
	var taken *store.TakenError
	if errors.As(err, &taken) {
		// The agent used one notice id for two claims. Money counts more than its ids.
		p.metrics.webhooks.WithLabelValues("reused").Inc()
		p.log.Error("notice id was used for another claim", "tenant", s.Ref.Tenant, "agent", agent)
		_, err = p.append(ctx, *s, now, events, nil)
	}
	return err
}

// retryNotice applies a webhook that was stored and, for whatever reason, not applied.
func (p *Payments) retryNotice(ctx context.Context, ref store.Ref) error {
	events, err := p.s.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(events, func(e store.Event) bool { return e.Type != noticeReceived }) {
		return p.commit(ctx, store.Tx{{Ref: ref, Expect: store.Any, Due: &store.Due{}, Final: true}})
	}
	head := events[0]
	var rec received
	if err := json.Unmarshal(head.Data, &rec); err != nil {
		return fmt.Errorf("webhook %s: %w", ref.ID, err)
	}
	plain, err := p.s.Open(ref.Tenant, ref.ID.String()+"/webhook", rec.Sealed)
	if err != nil {
		return fmt.Errorf("open webhook %s: %w", ref.ID, err)
	}
	n := raw{at: head.At}
	if err := json.Unmarshal(plain, &n); err != nil {
		return fmt.Errorf("webhook %s: %w", ref.ID, err)
	}
	resp, err := p.applyNotice(ctx, ref, rec.Agent, rec.Module, &n)
	now := p.now()
	switch {
	case err == nil && resp.Verified:
		p.metrics.webhooks.WithLabelValues("applied").Inc()
		return nil
	case err == nil:
		p.metrics.webhooks.WithLabelValues("unverified").Inc()
		return nil
	case now.Sub(head.At) > noticePatience:
		p.metrics.webhooks.WithLabelValues("abandoned").Inc()
		p.log.Error("webhook given up", "tenant", ref.Tenant, "plugin", rec.Module, "err", err)
		return p.endNotice(ctx, ref, noticeAbandoned, nil)
	}
	p.log.Warn("apply webhook", "tenant", ref.Tenant, "plugin", rec.Module, "err", err)
	return p.commit(ctx, store.Tx{{
		Ref: ref, Expect: store.Any, Due: &store.Due{Queue: queueNotice, At: backOff(now, head.At, noticeRetry, noticeMost)},
	}})
}

// reply is what the module wants the agent to be answered, within what a host may send: no headers but the content's type,
// no status that is none.
func reply(resp *proto.WebhookResponse, status int) Reply {
	r := Reply{Status: status}
	if resp.ReplyStatus >= 200 && resp.ReplyStatus <= 599 {
		r.Status = int(resp.ReplyStatus)
	}
	if len(resp.ReplyBody) > MaxWebhookBody {
		return r
	}
	for _, h := range resp.ReplyHeaders {
		if strings.EqualFold(h.Name, "Content-Type") && len(h.Value) <= 128 && !strings.ContainsAny(h.Value, "\r\n") && !strings.Contains(strings.ToLower(h.Value), "html") {
			r.Headers = append(r.Headers, Header{"Content-Type", h.Value})
			break
		}
	}
	if r.Headers == nil && len(resp.ReplyBody) > 0 {
		r.Headers = []Header{{"Content-Type", "text/plain; charset=utf-8"}}
	}
	r.Body = resp.ReplyBody
	return r
}
