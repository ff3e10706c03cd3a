package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

var (
	// ErrPaid: money was received; the page shows the state instead of methods.
	ErrPaid = errors.New("claim has been paid")
	// ErrNotAsked: the claim was withdrawn or settled elsewhere.
	ErrNotAsked = errors.New("claim is no longer asked for")
	// ErrRegistered: an account for direct debit was registered, and the claim is debited from it.
	ErrRegistered = errors.New("an account was registered for the claim")
	// ErrOverdue: the due date has passed.
	ErrOverdue = errors.New("claim is past its due date")
	// ErrNotOffered: this claim or tenant does not take the method, or not at this store, or not this amount.
	ErrNotOffered = errors.New("method is not offered")
	// ErrSettling: it is not known yet whether an earlier attempt reached the agent; the page shows WAITING.
	ErrSettling = errors.New("an earlier attempt is being settled")
	// ErrAmended: another amount is asked for by now than the payer was shown.
	ErrAmended = errors.New("claim asks for another amount than was shown")
	// ErrWarn: a number that was shown could still be paid after it is canceled; ask the payer and set Warned.
	ErrWarn = errors.New("an earlier number may still be paid")
	// ErrUnavailable: the agent could not be asked, or was asked too often; nothing was done and the payer may try again.
	ErrUnavailable = errors.New("payment agent is unavailable")
	// ErrDeclined: the agent refused; the payer may choose again.
	ErrDeclined = errors.New("payment agent refused")
)

// attemptsDay is how often a claim can be begun to be paid in 24 hours. Each is an order with the agent, and stays in the
// claim's stream: somebody who changes the method for ever costs the tenant no more than these. One that never reached its agent counts
// for unaskedFor, and then a fifth: who presses again while an agent is down is not shut out when it is there again.
const (
	attemptsDay = 20
	unaskedFor  = 10 * time.Minute
	unaskedPart = 5
)

// StartOptions say how the payer wants to pay.
type StartOptions struct {
	Method    string
	Store     string    // for methods with stores
	Yen       int64     // that the payer was shown; 0: not checked
	MessageID ulid.ULID // the message whose link was used
	ReturnURL string    // where the agent sends the browser back
	By        string    // as in message.Act; "payer" when empty
	Payer     string    // PAYER_NUMBER, CARD_RECURRING: the payer's key (PayerKey), the same for all claims of his; at most 64 ASCII bytes
	Warned    bool      // the payer was told that an earlier number must not be used any more
}

// Start begins to pay a claim, or returns the attempt that lives already with the same method and store. It waits for the
// agent, but not longer than Config.CreateTimeout, and is not undone when ctx ends: an attempt whose answer was not seen
// comes back with the phase "unknown" and is settled by Run. Of many calls at once one reaches the agent.
//
// A living attempt with another method or store is canceled first. Errors: those above, store.ErrNotFound and others of
// the store. With ErrDeclined and ErrUnavailable the attempt that failed is returned too.
func (p *Payments) Start(ctx context.Context, t *tenant.Tenant, claim ulid.ULID, o StartOptions) (Attempt, error) {
	scope := tenant.Only(t.ID)
	for {
		s, err := p.Claim(ctx, scope, claim)
		if err != nil {
			return Attempt{}, err
		}
		now := p.now()
		start, agent, err := p.offer(t, &s, o, now)
		if err != nil {
			return Attempt{}, err
		}
		live := s.Live()
		if live != nil && !live.Void && live.Method == o.Method && live.Store == start.Store {
			return *live, nil
		}
		if s.begun(now) >= attemptsDay {
			return Attempt{}, fmt.Errorf("%w: %d attempts in a day, or in %s in vain", ErrUnavailable, attemptsDay, unaskedFor)
		}
		if live != nil {
			if err := p.replace(ctx, &s, live, o.Warned); err != nil {
				return Attempt{}, err
			}
			continue
		}
		names := []store.Name{{Space: store.ByAttempt, Key: start.ID.String(), Exclusive: true}}
		lease, err := p.lease(ctx, &s, &start, now)
		if err != nil {
			if again, loadErr := p.Claim(ctx, scope, claim); loadErr == nil && again.Version != s.Version {
				continue // somebody took the last place for this claim
			}
			return Attempt{}, err
		}
		if lease != nil {
			names = append(names, *lease)
		}
		next, err := p.append(ctx, s, now, []store.NewEvent{newEvent(Started, now, start)}, names)
		var taken *store.TakenError
		if conflict(err) || errors.As(err, &taken) {
			continue
		}
		if err != nil {
			return Attempt{}, fmt.Errorf("start attempt of claim %s: %w", claim, err)
		}
		return p.createAndRecord(ctx, &next, next.Attempt(start.ID), order{returnURL: o.ReturnURL, hook: agent.Hook, payer: o.Payer})
	}
}

// offer checks that the claim may be paid and that the method is offered for it.
func (p *Payments) offer(t *tenant.Tenant, s *State, o StartOptions, now time.Time) (Start, tenant.Agent, error) {
	switch {
	case s.Received > 0:
		return Start{}, tenant.Agent{}, ErrPaid
	case s.WithdrawnBy != nil || s.SettledBy != nil:
		return Start{}, tenant.Agent{}, ErrNotAsked
	case s.Phase == IsRegistered:
		return Start{}, tenant.Agent{}, ErrRegistered
	case now.After(s.Due):
		return Start{}, tenant.Agent{}, ErrOverdue
	case o.Yen != 0 && o.Yen != s.Amount:
		return Start{}, tenant.Agent{}, ErrAmended
	}
	for _, m := range p.Methods(t, s) {
		if m.Code != o.Method {
			continue
		}
		if len(m.Stores) == 0 || m.Kind != proto.MethodKind_KONBINI_NUMBER {
			o.Store = "" // a barcode and a payer's number are taken everywhere
		} else if !slices.ContainsFunc(m.Stores, func(st *proto.Store) bool { return st.Code == o.Store }) {
			return Start{}, tenant.Agent{}, fmt.Errorf("%w: store", ErrNotOffered)
		}
		agent, _ := t.AgentFor(o.Method)
		if o.By == "" {
			o.By = "payer"
		}
		payer := ""
		if m.Kind == proto.MethodKind_CARD_RECURRING {
			payer = o.Payer
		}
		return Start{
			Payer: payer,
			ID:    ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), Agent: agent.Name, Module: agent.Module,
			Method: o.Method, Store: o.Store, Yen: s.Amount, Due: s.Due, Final: m.CancelBlocksPayment,
			Message: o.MessageID, By: o.By,
		}, agent, nil
	}
	return Start{}, tenant.Agent{}, ErrNotOffered
}

// Methods lists what the claim can be paid with now, in the tenant's order: offered by claim and tenant, known to a module
// that is there, and within the limits of the method and its kind. What a single message offers less is for its caller to leave out.
func (p *Payments) Methods(t *tenant.Tenant, s *State) []*proto.PaymentMethod {
	var all []*proto.PaymentMethod
	if p.c.WebhookBase == "" {
		return nil // an agent could not tell of money
	}
	for _, code := range t.Methods() {
		if len(s.Methods) > 0 && !slices.Contains(s.Methods, code) {
			continue
		}
		agent, _ := t.AgentFor(code)
		m, ok := p.method(agent.Module, code)
		if ok && takes(m, s.Amount) && (m.Kind != proto.MethodKind_ACCOUNT_REGISTRATION || s.registered() == nil) {
			all = append(all, m)
		}
	}
	return all
}

func takes(m *proto.PaymentMethod, yen int64) bool {
	most := m.MostYen()
	return yen >= m.MinYen && (most == 0 || yen <= most)
}

// Takes implements intake.Offers.
func (p *Payments) Takes(t *tenant.Tenant, codes []string, yen int64) (most int64, ok bool) {
	asked := false
	for _, code := range t.Methods() {
		if len(codes) > 0 && !slices.Contains(codes, code) {
			continue
		}
		agent, _ := t.AgentFor(code)
		m, known := p.method(agent.Module, code)
		if !known || takes(m, yen) {
			return 0, true
		}
		asked, most = true, max(most, m.MostYen())
	}
	return most, !asked
}

// method is what a module says of a method.
func (p *Payments) method(module, code string) (*proto.PaymentMethod, bool) {
	d, ok := p.opt.Agents.Describe(module)
	if !ok {
		return nil, false
	}
	for _, m := range d.PaymentMethods {
		if m.Code == code {
			return m, true
		}
	}
	return nil, false
}

// replace ends the attempt that lives, for another one, because somebody presses: the agent is asked about the claim, and ordered to
// cancel the attempt, once a minute each, however often that is. In between it is as it was last known to be.
func (p *Payments) replace(ctx context.Context, s *State, live *Attempt, warned bool) error {
	switch {
	case live.Settling():
		if _, ok := p.gate.pass(s.Ref.ID, p.now()); !ok {
			return ErrSettling
		}
		if next, _, err := p.settle(ctx, s.Ref, live.ID); err != nil {
			return err
		} else if a := next.Attempt(live.ID); a != nil && a.Settling() {
			return ErrSettling
		}
		return nil
	case !live.Final && !warned && !live.Void:
		return ErrWarn
	}
	_, err, _ := p.cancels.Do(live.ID.String(), func() (any, error) {
		return nil, p.cancelPressed(context.WithoutCancel(ctx), s.Ref, live.ID)
	})
	return err
}

// cancelPressed cancels an attempt that is alive still, unless that was tried in vain within the minute.
func (p *Payments) cancelPressed(ctx context.Context, ref store.Ref, attempt ulid.ULID) error {
	s, err := p.load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil {
		return err
	}
	a := s.Attempt(attempt)
	if a == nil || !a.Lives() {
		return nil // who pressed at the same moment was first
	}
	if _, ok := p.gate.pass(attempt, p.now()); !ok {
		return ErrUnavailable
	}
	next, err := p.withdraw(ctx, &s, a, true)
	if err != nil {
		return err
	}
	if a := next.Attempt(attempt); a != nil && a.Lives() {
		return ErrUnavailable // the agent did not cancel it; it lives on
	}
	return nil
}

// Cancel ends the attempt that lives, because the payer wants to choose again. Errors: ErrWarn as in Start, ErrSettling,
// ErrUnavailable, and those of the store. Without a living attempt it does nothing. The agent may answer that money was
// received: the state says so.
func (p *Payments) Cancel(ctx context.Context, scope tenant.Scope, claim ulid.ULID, warned bool) (State, error) {
	s, err := p.Claim(ctx, scope, claim)
	if err != nil {
		return s, err
	}
	live := s.Live()
	if live == nil {
		return s, nil
	}
	if err := p.replace(ctx, &s, live, warned); err != nil {
		return s, err
	}
	return p.Claim(ctx, scope, claim)
}

// withdraw cancels an attempt with its agent and records what it said. An agent that says conflict has probably taken
// money: it is asked, by who presses once a minute.
func (p *Payments) withdraw(ctx context.Context, s *State, a *Attempt, pressed bool) (State, error) {
	r := p.cancel(ctx, s, a)
	if r.class == proto.ErrorClass_CONFLICT {
		ask := !pressed
		if pressed {
			_, ask = p.gate.pass(s.Ref.ID, p.now())
		}
		if ask {
			r = p.get(ctx, s, a)
		}
	}
	switch r.outcome {
	case answered:
		return p.record(ctx, s.Ref, r.fact)
	case absent:
		return p.record(ctx, s.Ref, p.host(a.ID, WasCanceled, r.reason))
	}
	return *s, nil
}

// host is a fact that we state ourselves.
func (p *Payments) host(attempt ulid.ULID, state, reason string) Fact {
	return Fact{Attempt: attempt, View: View{State: state}, Seen: p.now(), From: sourceHost, Reason: reason}
}

// order is what an agent is told of an attempt that is not kept with it.
type order struct {
	returnURL, hook, payer string
	card                   string // charge this registered card
}

func (p *Payments) createAndRecord(ctx context.Context, s *State, a *Attempt, o order) (Attempt, error) {
	r := p.create(ctx, s, a, o)
	ctx = context.WithoutCancel(ctx)
	var next State
	var err error
	switch r.outcome {
	case answered:
		next, err = p.record(ctx, s.Ref, r.fact)
	case declined, absent:
		next, err = p.record(ctx, s.Ref, p.host(a.ID, HasFailed, r.reason))
	default:
		next, err = p.change(ctx, tenant.Only(s.Ref.Tenant), s.Ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
			if now := s.Attempt(a.ID); now == nil || now.Phase != AttemptStarted {
				return nil, nil // a notice was faster
			}
			return []store.NewEvent{newEvent(Unknown, now, Doubt{Attempt: a.ID, Reason: r.reason})}, nil
		})
	}
	if err != nil {
		return *a, fmt.Errorf("record attempt %s: %w", a.ID, err)
	}
	got := *next.Attempt(a.ID)
	if got.Phase != HasFailed {
		return got, nil
	}
	p.log.Warn("payment attempt failed", "tenant", s.Ref.Tenant, "plugin", a.Module, "err", got.Reason)
	if r.passes() {
		return got, ErrUnavailable
	}
	return got, ErrDeclined
}

// record appends facts that say something new.
func (p *Payments) record(ctx context.Context, ref store.Ref, facts ...Fact) (State, error) {
	return p.change(ctx, tenant.Only(ref.Tenant), ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		var events []store.NewEvent
		for i := range facts {
			e := newEvent(facts[i].Type(), now, facts[i])
			was, err := s.extend(events)
			if err != nil {
				return nil, err
			}
			with, err := s.extend(append(slices.Clip(events), e))
			if err != nil {
				return nil, err
			}
			if was.learns(&with, &facts[i]) {
				events = append(events, e)
			}
		}
		return events, nil
	})
}

// learns reports whether the state with the fact says more than the one without. A view that was asked for and only
// repeats what is known is not kept for its later time.
func (s *State) learns(with *State, f *Fact) bool {
	a, b := s.Attempt(f.Attempt), with.Attempt(f.Attempt)
	if a == nil || b == nil {
		return false
	}
	same := func(x, y *Fact) bool {
		return x == y || x != nil && y != nil && x.View.key() == y.View.key() && (f.From == sourceGet || x.Seen.Equal(y.Seen))
	}
	return !same(a.registered, b.registered) || !same(a.open, b.open) || !same(a.end, b.end) || !same(a.money, b.money) || !same(a.back, b.back) || !same(a.took, b.took) ||
		!a.confirmed.Equal(b.confirmed) || !a.confirmedAt.Equal(b.confirmedAt) ||
		f.From != sourceGet && !a.lastRevoked.Equal(b.lastRevoked) || !a.shown.until().Equal(b.shown.until()) ||
		a.wasCanceled != b.wasCanceled || a.wasExpired != b.wasExpired || a.Phase != b.Phase
}

// settle asks the agent about one attempt and records what it says; heard is false while it gives no answer that counts.
func (p *Payments) settle(ctx context.Context, ref store.Ref, attempt ulid.ULID) (s State, heard bool, err error) {
	if s, err = p.load(ctx, tenant.Only(ref.Tenant), ref); err != nil {
		return s, false, err
	}
	a := s.Attempt(attempt)
	if a == nil {
		return s, true, nil
	}
	r := p.get(ctx, &s, a)
	switch {
	case r.outcome == answered:
		s, err = p.record(ctx, ref, r.fact)
	case r.outcome == absent && a.Settling() && p.now().Sub(a.StartedAt) >= p.c.Patience:
		// Not at once: a request of ours may still be on its way.
		s, err = p.record(ctx, ref, p.host(attempt, HasFailed, r.reason))
	}
	return s, r.final(), err
}

// vainMost is how often another thing to show is asked for, in vain, before the question is again how the payment stands.
const vainMost = 2

// Refresh asks the agent about the claim's current attempt, at most once a minute, and returns the state after it. Where what the
// payer has on the screen must be gone within that minute, or is past its time, the question is for another one of the same payment;
// an agent that has none leaves the old one, which VoucherOf no longer shows, and is asked the next time how the payment stands: after
// two refusals for a reason that passes, or one for another. Without anything to ask it is Claim.
func (p *Payments) Refresh(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (State, error) {
	s, err := p.Claim(ctx, scope, claim)
	if err != nil {
		return s, err
	}
	a := s.Current()
	if a == nil || !a.Lives() && a.Phase != IsProvisional {
		return s, nil
	}
	vain, ok := p.gate.pass(claim, p.now())
	if !ok {
		return s, nil
	}
	if vain < vainMost && p.renews(a) && a.Stale(p.now().Add(gateInterval)) && VoucherOf(a, time.Time{}) != nil {
		if r := p.renew(ctx, &s, a); r.outcome == answered {
			_, err = p.record(ctx, s.Ref, r.fact)
		} else {
			if vain++; !r.passes() {
				vain = vainMost
			}
			p.gate.vain(claim, vain)
			p.log.Warn("nothing else to show of a payment", "tenant", s.Ref.Tenant, "plugin", a.Module, "err", r.reason)
		}
	} else {
		_, _, err = p.settle(ctx, s.Ref, a.ID)
	}
	if err != nil {
		return s, err
	}
	return p.Claim(ctx, scope, claim)
}
