package payment

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Instance is the name under which an agent's contract is configured in its module.
func Instance(id tenant.ID, agent string) string { return string(id) + "/" + agent }

// outcome is what is known after a call.
type outcome int

const (
	answered outcome = iota // there is a view
	declined                // surely nothing was done
	doubtful                // nobody knows
	absent                  // the agent says that it has no such payment
)

// answer is the reply to Create, Get or Cancel.
type answer struct {
	outcome outcome
	fact    Fact // answered
	class   proto.ErrorClass
	reason  string // else: the class and the agent's own code
}

// passing are the classes of refusals for a reason that passes: surely nothing was done, and it may be asked for again.
var passing = []proto.ErrorClass{proto.ErrorClass_UNAVAILABLE, proto.ErrorClass_RATE_LIMITED, proto.ErrorClass_CONFIG}

// passes reports whether surely nothing was done, for a reason that passes.
func (r *answer) passes() bool { return r.outcome == declined && slices.Contains(passing, r.class) }

// final reports whether asking again would say nothing else: there is an answer, or a refusal that does not pass.
func (r *answer) final() bool {
	return r.outcome == answered || r.outcome == absent || r.outcome == declined && !r.passes()
}

// reasonNotSent is that of a call that never reached the module.
const reasonNotSent = "not_sent"

// unasked reports whether the attempt failed because its agent could not be asked, or was not ready: the agent has nothing of it.
func (a *Attempt) unasked() bool {
	class, _, _ := strings.Cut(a.Reason, ":")
	return a.Phase == HasFailed && (class == reasonNotSent || slices.ContainsFunc(passing, func(c proto.ErrorClass) bool { return class == className(c) }))
}

// read turns a reply into an answer. A gRPC error after the request may have left is doubtful, and so is anything that
// does not say surely that nothing was done.
func (p *Payments) read(a *Attempt, from string, asked time.Time, view *proto.Payment, refusal *proto.Error, err error) answer {
	switch {
	case err != nil && p.opt.NotSent(err):
		return answer{outcome: declined, class: proto.ErrorClass_UNAVAILABLE, reason: reasonNotSent}
	case err != nil:
		return answer{outcome: doubtful, class: proto.ErrorClass_UNKNOWN_OUTCOME, reason: "no_reply"}
	case refusal != nil:
		return refused(refusal)
	case view == nil || view.AttemptId != a.ID.String():
		return answer{outcome: doubtful, class: proto.ErrorClass_INTERNAL, reason: "foreign_reply"}
	}
	v, err := parseView(view)
	if err != nil {
		return answer{outcome: doubtful, class: proto.ErrorClass_INTERNAL, reason: "unreadable_reply"}
	}
	return answer{fact: Fact{Attempt: a.ID, View: v, Seen: seenByAsking(&v, asked), From: from}}
}

func refused(e *proto.Error) answer {
	r := answer{class: e.Class, reason: reasonOf(e)}
	switch e.Class {
	case proto.ErrorClass_NOT_FOUND:
		r.outcome = absent
	case proto.ErrorClass_INVALID, proto.ErrorClass_CONFIG, proto.ErrorClass_DECLINED, proto.ErrorClass_NOT_SUPPORTED,
		proto.ErrorClass_RATE_LIMITED, proto.ErrorClass_UNAVAILABLE:
		r.outcome = declined
	default: // CONFLICT, UNKNOWN_OUTCOME, INTERNAL, SIGNATURE and what a newer module may say
		r.outcome = doubtful
	}
	return r
}

var classNames = map[proto.ErrorClass]string{
	proto.ErrorClass_INVALID: "invalid", proto.ErrorClass_CONFIG: "config", proto.ErrorClass_DECLINED: "declined",
	proto.ErrorClass_NOT_SUPPORTED: "not_supported", proto.ErrorClass_NOT_FOUND: "not_found",
	proto.ErrorClass_CONFLICT: "conflict", proto.ErrorClass_RATE_LIMITED: "rate_limited",
	proto.ErrorClass_UNAVAILABLE: "unavailable", proto.ErrorClass_UNKNOWN_OUTCOME: "unknown_outcome",
	proto.ErrorClass_SIGNATURE: "signature", proto.ErrorClass_INTERNAL: "internal",
}

func className(c proto.ErrorClass) string {
	if n, ok := classNames[c]; ok {
		return n
	}
	return "unknown"
}

func reasonOf(e *proto.Error) string {
	if e.Code == "" {
		return className(e.Class)
	}
	return className(e.Class) + ":" + clip(e.Code, 64)
}

// seenByAsking dates a view that was asked for. Views with money are ordered by the agent's clock, so its own dates come
// first. A 速報取消 has none: it is dated a little back, so that money that is taken again just now, by a clock that is
// late, is not taken for older than it.
func seenByAsking(v *View, asked time.Time) time.Time {
	t := v.ProvisionalAt
	for _, at := range []time.Time{v.ConfirmedAt, v.RefundedAt} {
		if at.After(t) {
			t = at
		}
	}
	switch {
	case !t.IsZero():
		return t
	case v.Revoked:
		return asked.Add(-clockSkew)
	}
	return asked
}

// clockSkew is how far the clocks of agents are believed to be off at most.
const clockSkew = 2 * time.Minute

var states = map[proto.PaymentState]string{
	proto.PaymentState_REQUIRES_ACTION: RequiresAction, proto.PaymentState_AWAITING: Awaiting,
	proto.PaymentState_PROVISIONAL: IsProvisional, proto.PaymentState_CONFIRMED: IsConfirmed,
	proto.PaymentState_FAILED: HasFailed, proto.PaymentState_CANCELED: WasCanceled, proto.PaymentState_EXPIRED: HasExpired,
	proto.PaymentState_REGISTERED: WasRegistered,
}

// parseView reads what a module said. It refuses what no later step could bear: a module may lie.
func parseView(m *proto.Payment) (View, error) {
	state, ok := states[m.State]
	if !ok {
		return View{}, fmt.Errorf("payment state %d is unknown", m.State)
	}
	if m.Yen < 0 || m.PaidYen < 0 || m.Yen > maxYen || m.PaidYen > maxYen {
		return View{}, fmt.Errorf("payment of %d yen, %d paid, is out of range", m.Yen, m.PaidYen)
	}
	if state == WasRegistered && m.PaidYen > 0 {
		return View{}, fmt.Errorf("a registration of %d yen paid", m.PaidYen)
	}
	v := View{
		State: state, Yen: m.Yen, Paid: m.PaidYen, Revoked: m.ProvisionalRevoked,
		ProvisionalAt: timeOf(m.ProvisionalAt), ConfirmedAt: timeOf(m.ConfirmedAt),
		AgentID: clip(m.AgentPaymentId, maxAgentID), ReceiptNumber: clip(m.ReceiptNumber, maxVoucherField),
		Store: clip(m.Store, maxVoucherField), Registration: m.Registration, ChargedBack: m.ChargedBack, Refunded: m.RefundedYen, RefundedAt: timeOf(m.RefundedAt),
	}
	if m.RefundedYen < 0 || m.RefundedYen > maxYen || m.RefundedYen > 0 && (v.RefundedAt.IsZero() || state != IsConfirmed) {
		return View{}, fmt.Errorf("refund of %d yen is out of range, has no time or is of a payment that is not confirmed", m.RefundedYen)
	}
	if len(m.Registration) > maxAgentID || !utf8.ValidString(m.Registration) {
		return View{}, fmt.Errorf("registration of %d bytes: want at most %d, UTF-8", len(m.Registration), maxAgentID)
	}
	if m.RedirectUrl != "" {
		u, err := url.Parse(m.RedirectUrl)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || len(m.RedirectUrl) > maxRedirect || !utf8.ValidString(m.RedirectUrl) {
			return View{}, errors.New("redirect URL is no http or https URL of bearable length")
		}
		v.Redirect = m.RedirectUrl
	}
	if w := m.Voucher; w != nil {
		v.Voucher = &Voucher{
			PaymentNumber: clip(w.PaymentNumber, maxVoucherField), ConfirmationNumber: clip(w.ConfirmationNumber, maxVoucherField),
			Barcode: w.Barcode, Expires: timeOf(w.Expires), Institution: clip(w.Institution, maxVoucherField), ShownUntil: timeOf(w.ShownUntil),
		}
		if b := w.Account; b != nil {
			v.Voucher.Account = &Account{
				Bank: clip(b.Bank, maxVoucherField), Branch: clip(b.Branch, maxVoucherField), Kind: clip(b.Kind, maxVoucherField),
				Number: clip(b.Number, maxVoucherField), Holder: clip(b.Holder, 2*maxVoucherField), Reference: clip(b.Reference, maxVoucherField),
			}
		}
		if w.Barcode != "" && (len(w.Barcode) != barcodeDigits || !digits(w.Barcode)) {
			return View{}, fmt.Errorf("barcode has %d characters, %d digits are expected", len(w.Barcode), barcodeDigits)
		}
		for _, st := range w.Stores[:min(len(w.Stores), maxStores)] {
			v.Voucher.Stores = append(v.Voucher.Stores, Store{Code: clip(st.GetCode(), maxVoucherField), JA: clip(st.GetLabelJa(), maxVoucherField), EN: clip(st.GetLabelEn(), maxVoucherField)})
		}
	}
	return v, nil
}

const (
	maxYen        = 1_000_000_000_000
	barcodeDigits = 44
)

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil || !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// clip shortens s to at most n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "")
	}
	return strings.ToValidUTF8(s[:n], "")
}

func (p *Payments) call(t tenant.ID, agent, key string, now time.Time) *proto.Call {
	return &proto.Call{Tenant: string(t), Instance: Instance(t, agent), IdempotencyKey: key, Now: timestamppb.New(now)}
}

// detached gives a call its own time: a browser that goes away must not leave a payment in doubt.
func detached(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

func (p *Payments) create(ctx context.Context, s *State, a *Attempt, o order) answer {
	ctx, cancel := detached(ctx, p.c.CreateTimeout)
	defer cancel()
	now := p.now()
	req := &proto.CreateRequest{
		Call:      p.call(s.Ref.Tenant, a.Agent, a.ID.String(), now),
		AttemptId: a.ID.String(), Method: a.Method, ClaimNumber: s.Number, Yen: a.Yen, TaxYen: s.Tax,
		Due: timestamppb.New(a.Due), Store: a.Store, Place: a.Place, ReturnUrl: o.returnURL, WebhookUrl: p.c.WebhookBase + o.hook,
	}
	if card := o.card; card != "" {
		req.Registration, req.ReturnUrl = card, ""
	}
	if p.MethodKind(a.Module, a.Method) == proto.MethodKind_PAYER_NUMBER {
		req.Payer = o.payer
	}
	if t := p.opt.Directory().Tenants[s.Ref.Tenant]; t != nil {
		req.Description = t.Name // what the payer reads at the agent: who asks
	}
	req.Lines = LineItems(s.Content.Lines)
	start := clock.Now()
	resp, err := p.opt.Agents.Payment(a.Module).Create(ctx, req)
	r := p.read(a, sourceCreate, now, resp.GetPayment(), resp.GetError(), err)
	p.metrics.called("create", r, time.Since(start))
	return r
}

func (p *Payments) get(ctx context.Context, s *State, a *Attempt) answer {
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	now, start := p.now(), clock.Now()
	resp, err := p.opt.Agents.Payment(a.Module).Get(ctx, &proto.GetRequest{
		Call: p.call(s.Ref.Tenant, a.Agent, a.ID.String(), now), AttemptId: a.ID.String(), AgentPaymentId: a.AgentID, Place: a.Place,
	})
	r := p.read(a, sourceGet, now, resp.GetPayment(), resp.GetError(), err)
	p.metrics.called("get", r, time.Since(start))
	return r
}

// renew asks for another thing to be shown of the same payment.
func (p *Payments) renew(ctx context.Context, s *State, a *Attempt) answer {
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	now, start := p.now(), clock.Now()
	resp, err := p.opt.Agents.Payment(a.Module).RefreshVoucher(ctx, &proto.RefreshVoucherRequest{
		Call: p.call(s.Ref.Tenant, a.Agent, a.ID.String(), now), AttemptId: a.ID.String(), AgentPaymentId: a.AgentID, Place: a.Place,
	})
	r := p.read(a, sourceRenew, now, resp.GetPayment(), resp.GetError(), err)
	p.metrics.called("refresh_voucher", r, time.Since(start))
	return r
}

func (p *Payments) refund(ctx context.Context, s *State, a *Attempt, r Refund) answer {
	ctx, cancel := detached(ctx, p.c.CreateTimeout)
	defer cancel()
	now, start := p.now(), clock.Now()
	resp, err := p.opt.Agents.Payment(a.Module).Refund(ctx, &proto.RefundRequest{
		Call: p.call(s.Ref.Tenant, a.Agent, r.ID.String(), now), AttemptId: a.ID.String(), Yen: r.Yen, AgentPaymentId: a.AgentID,
	})
	out := p.read(a, sourceRefund, now, resp.GetPayment(), resp.GetError(), err)
	p.metrics.called("refund", out, time.Since(start))
	return out
}

func (p *Payments) cancel(ctx context.Context, s *State, a *Attempt) answer {
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	now, start := p.now(), clock.Now()
	resp, err := p.opt.Agents.Payment(a.Module).Cancel(ctx, &proto.CancelRequest{
		Call: p.call(s.Ref.Tenant, a.Agent, "c-"+a.ID.String(), now), AttemptId: a.ID.String(), AgentPaymentId: a.AgentID, Place: a.Place,
	})
	r := p.read(a, sourceCancel, now, resp.GetPayment(), resp.GetError(), err)
	p.metrics.called("cancel", r, time.Since(start))
	return r
}
