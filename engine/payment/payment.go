package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Agents gives the modules of payment agents. plugins/host implements it.
type Agents interface {
	// Payment is the client of a module; its calls fail when the module is not running.
	Payment(module string) proto.PaymentAgentClient
	// Describe is what a module said of itself; false when no such module is there.
	Describe(module string) (*proto.DescribeResponse, bool)
}

// Renders gives the modules that draw documents. plugins/host implements it.
type Renders interface {
	Render(module string) proto.RenderClient
}

// Documents keeps immutable files. engine/document implements it.
type Documents interface {
	Keep(ctx context.Context, id tenant.ID, class, name string, pdf []byte) (string, error)
	Get(ctx context.Context, scope tenant.Scope, id string) (name string, pdf []byte, err error)
}

// Options are what payments work with. All are required unless said otherwise.
type Options struct {
	Store     *store.Store
	Directory func() *tenant.Snapshot
	Agents    Agents
	Renders   Renders
	Documents Documents
	Config    Config

	// NotSent reports whether a failed call surely never reached the module (host.ErrNotSent). Nil: none is sure.
	NotSent    func(error) bool
	Now        func() time.Time      // nil: clock.Now
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics are registered
}

// Payments is safe for concurrent use.
type Payments struct {
	opt     Options
	c       *Config
	s       *store.Store
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	gate    gate
	cancels singleflight.Group // of orders that somebody pressed for, by attempt

	mu    sync.Mutex // guards hooks, pools and registers
	hooks map[string]*hookBudget
	pools map[string]pool // by instance and method
	// registers has the last seen version of each tenant's receipts stream.
	registers map[tenant.ID]int
}

// Class is the class under which money facts, claims and receipts are sealed: kept for seven years.
// WebhookClass is that of raw webhooks.
const (
	Class        = "money"
	WebhookClass = "webhook"
)

// New returns payments over an open store. Run must run for attempts and webhooks to be settled.
func New(o Options) (*Payments, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("payment: %w", err)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.NotSent == nil {
		o.NotSent = func(error) bool { return false }
	}
	p := &Payments{
		opt: o, s: o.Store, now: o.Now, log: o.Log, metrics: newMetrics(o.Registerer),
		hooks: map[string]*hookBudget{}, pools: map[string]pool{}, registers: map[tenant.ID]int{},
	}
	p.c = &p.opt.Config
	p.gate.seen = map[ulid.ULID]passed{}
	return p, nil
}

func claimRef(id tenant.ID, claim ulid.ULID) store.Ref {
	return store.Ref{Tenant: id, Kind: store.Claim, ID: claim}
}

// Claim returns the state of a claim with its content opened. The scope is of one tenant. Errors: store.ErrNotFound and
// those of the store.
func (p *Payments) Claim(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (State, error) {
	id, ok := scope.Tenant()
	if !ok {
		return State{}, fmt.Errorf("load claim %s: %w", claim, store.ErrNotFound)
	}
	s, err := p.load(ctx, scope, claimRef(id, claim))
	if err != nil {
		return State{}, err
	}
	return s, s.Reveal(p.s)
}

// Told records that a message told the payer that the money has come. Once: whoever is later records nothing.
func (p *Payments) Told(ctx context.Context, claim store.Ref, by ulid.ULID) error {
	_, err := p.change(ctx, tenant.Only(claim.Tenant), claim, func(s *State, now time.Time) ([]store.NewEvent, error) {
		if !s.ToldAt.IsZero() {
			return nil, nil
		}
		return []store.NewEvent{newEvent(PayerTold, now, Join{by})}, nil
	})
	return err
}

// LineItems are lines as modules take them.
func LineItems(lines []message.Line) (items []*proto.LineItem) {
	for _, l := range lines {
		items = append(items, &proto.LineItem{Name: strings.ToValidUTF8(l.Name, "\ufffd"), Quantity: l.Quantity, UnitYen: l.Unit, Yen: l.Amount, TaxRate: uint32(l.TaxRate)})
	}
	return items
}

// RateTotals are what lines of an amount come to by their rate, as renderers take them; without lines rate is that of the amount,
// 0: not told. tax is what the claim shows, -1: none.
func RateTotals(lines []message.Line, rate, amount, tax int64) (totals []*proto.RateTotal) {
	of, _ := message.TaxesOf(message.Rated(lines, rate, amount), amount, tax)
	for _, t := range of {
		totals = append(totals, &proto.RateTotal{Rate: uint32(t.Rate), Yen: t.Yen, TaxYen: t.Tax})
	}
	return totals
}

// ByNumber finds a claim by the number that its tenant gave it. The scope is of one tenant.
func (p *Payments) ByNumber(ctx context.Context, scope tenant.Scope, number string) (State, error) {
	ref, _, err := p.s.Lookup(ctx, scope, store.ByClaimNumber, number)
	if err != nil {
		return State{}, fmt.Errorf("find claim by its number: %w", err)
	}
	return p.Claim(ctx, tenant.Only(ref.Tenant), ref.ID)
}

// ByAttempt finds the claim of an attempt: the way back from an agent's page.
func (p *Payments) ByAttempt(ctx context.Context, scope tenant.Scope, attempt ulid.ULID) (State, error) {
	ref, _, err := p.s.Lookup(ctx, scope, store.ByAttempt, attempt.String())
	if err != nil {
		return State{}, fmt.Errorf("find claim by its attempt: %w", err)
	}
	return p.Claim(ctx, tenant.Only(ref.Tenant), ref.ID)
}

func (p *Payments) load(ctx context.Context, scope tenant.Scope, ref store.Ref) (State, error) {
	events, err := p.s.Load(ctx, scope, ref)
	if err != nil {
		return State{}, fmt.Errorf("load claim %s: %w", ref.ID, err)
	}
	return Fold(events)
}

// Reveal opens the sealed content of a claim of the store. Where its retention is over, Erased is set instead.
func (s *State) Reveal(from *store.Store) error {
	if len(s.Sealed) == 0 {
		return nil
	}
	plain, err := from.Open(s.Ref.Tenant, s.Ref.ID.String()+"/content", s.Sealed)
	if errors.Is(err, store.ErrErased) {
		s.Erased = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("open content of claim %s: %w", s.Ref.ID, err)
	}
	return json.Unmarshal(plain, &s.Content)
}

func (p *Payments) seal(id tenant.ID, claim ulid.ULID, now time.Time, c Content) ([]byte, error) {
	if c.Payer == "" && len(c.Lines) == 0 && c.Subject == "" {
		return nil, nil
	}
	box, err := p.s.Seal(id, Class, now, claim.String()+"/content", encode(c))
	if err != nil {
		return nil, fmt.Errorf("seal content of claim %s: %w", claim, err)
	}
	return box, nil
}

// newEvent is an event of the time now.
func newEvent(t Type, now time.Time, data any) store.NewEvent {
	return store.NewEvent{Type: byte(t), At: now, Data: encode(data)}
}

// append commits events on the state that they were decided on, and returns the state after them. The claim's place in
// the queue follows from the new state; more goes into the same transaction.
func (p *Payments) append(ctx context.Context, s State, now time.Time, events []store.NewEvent, names []store.Name, more ...store.Change) (State, error) {
	next, err := s.extend(events)
	if err != nil {
		return s, err
	}
	made, err := p.newNames(ctx, &s, &next)
	if err != nil {
		return s, fmt.Errorf("name attempts and deposits: %w", err)
	}
	held, err := p.holdPlace(ctx, &s, &next, now)
	if err != nil {
		return s, err
	}
	names = slices.Concat(names, made, freedPlaces(&s, &next, now), held)
	change := store.Change{Ref: s.Ref, Expect: s.Version, Events: events, Names: names, Due: &store.Due{}, Final: next.Over()}
	if at, ok := next.next(now, p.c); ok {
		change.Due = &store.Due{Queue: queueSettle, At: at}
	}
	tx := append(store.Tx{change}, more...)
	was, is := s.NeedsAttention(), next.NeedsAttention()
	if was != is {
		alerts, err := p.alertChange(ctx, s.Ref, is, now)
		if err != nil {
			return s, err
		}
		tx = append(tx, alerts)
	}
	if next.Received > 0 {
		days, err := p.dayChanges(ctx, &next, now)
		if err != nil {
			return s, fmt.Errorf("note the day of a payment: %w", err)
		}
		tx = append(tx, days...)
	}
	if err := p.commit(ctx, tx); err != nil {
		return s, err
	}
	p.metrics.count(&s, &next)
	if is && !was {
		p.metrics.alerts.Inc()
		p.log.Warn("claim needs attention", "tenant", s.Ref.Tenant, "claim", s.Ref.ID)
	}
	return next, nil
}

// extend folds events that are not committed yet onto a copy of s.
func (s *State) extend(events []store.NewEvent) (State, error) {
	all := slices.Clone(s.events)
	for i, e := range events {
		all = append(all, store.Event{Ref: s.Ref, Seq: uint32(s.Version + i), Type: e.Type, At: e.At, Data: e.Data})
	}
	next, err := Fold(all)
	next.Content, next.Erased = s.Content, s.Erased
	return next, err
}

// commit commits one transaction.
func (p *Payments) commit(ctx context.Context, tx store.Tx) error {
	errs, err := p.s.Commit(ctx, tx)
	if err != nil {
		return err
	}
	return errs[0]
}

// change appends what decide returns for the newest state, and decides again when somebody else was first. Nothing to
// append is no error.
func (p *Payments) change(ctx context.Context, scope tenant.Scope, ref store.Ref, decide func(s *State, now time.Time) ([]store.NewEvent, error)) (State, error) {
	for {
		s, err := p.load(ctx, scope, ref)
		if err != nil {
			return s, err
		}
		now := p.now()
		events, err := decide(&s, now)
		if err != nil || len(events) == 0 {
			return s, err
		}
		next, err := p.append(ctx, s, now, events, nil)
		if conflict(err) {
			continue
		}
		return next, err
	}
}

func conflict(err error) bool {
	var c *store.ConflictError
	return errors.As(err, &c)
}

// Patch is what a sender states about a claim. Nil and false leave things as they are. JSON is that of the API.
type Patch struct {
	Amount  *int64  `json:"amount,omitempty"`
	Tax     *int64  `json:"tax,omitempty"`
	TaxRate *int64  `json:"tax_rate,omitempty"` // percent, of a claim without lines; 0: none is told
	Due     *string `json:"due,omitempty"`      // YYYY-MM-DD
	Settled bool    `json:"settled,omitempty"`  // 消込: paid elsewhere
	// Remaining, with Settled: what was seen to be still to come of a claim that is partly paid, and is what was paid elsewhere; 0: nothing
	// had come in. Refused where it is another sum by now. nil: all of the claim was paid elsewhere, and what came in besides is too much.
	Remaining *int64 `json:"remaining,omitempty"`
	Withdrawn bool   `json:"withdrawn,omitempty"` // no longer asked for
	Reason    string `json:"reason,omitempty"`    // kept with the fact; at most 200 characters
}

// Patch amends, settles or withdraws a claim. by is as in message.Act. What was issued for it is canceled with the agent
// soon after, but for the account of a claim that is partly paid, of which the due date alone can be amended (Account). Errors:
// store.ErrNotFound; message.Problems, with code "conflict" where the claim's state forbids it.
func (p *Payments) Patch(ctx context.Context, t *tenant.Tenant, number string, patch Patch, by string) (State, error) {
	terms, err := patch.check()
	if err != nil {
		return State{}, err
	}
	scope := tenant.Only(t.ID)
	ref, _, err := p.s.Lookup(ctx, scope, store.ByClaimNumber, number)
	if err != nil {
		return State{}, fmt.Errorf("find claim by its number: %w", err)
	}
	s, err := p.change(ctx, scope, ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		act := message.Act{By: by, Reason: patch.Reason}
		switch {
		case patch.Settled && s.SettledBy != nil || patch.Withdrawn && s.WithdrawnBy != nil:
			return nil, nil // stated before
		case patch.Settled && s.Phase == Paid:
			return nil, refuse("settled", s.Number, "the claim was paid already")
		case patch.Settled:
			said := Settlement{Act: act}
			if remaining, _ := s.Rest(); patch.Remaining != nil && *patch.Remaining != remaining {
				return nil, refuse("remaining", s.Number, "what remains has changed meanwhile")
			} else if patch.Remaining != nil && remaining > 0 {
				if s.Confirmed != s.Received { // it may be taken back
					return nil, refuse("remaining", s.Number, "a part is not confirmed yet")
				}
				said.Had = s.Received
			}
			return []store.NewEvent{newEvent(Settled, now, said)}, nil
		case patch.Withdrawn && s.Received > s.Refunded:
			return nil, refuse("withdrawn", s.Number, "money was received already")
		case patch.Withdrawn:
			return []store.NewEvent{newEvent(Withdrawn, now, act)}, nil
		}
		t := terms(s.Terms, by)
		if t.Amount != s.Amount || t.Tax != s.Tax || t.TaxRate != s.TaxRate {
			if err := s.Reveal(p.s); err != nil {
				return nil, err
			}
		}
		if t.Amount != s.Amount { // the old lines add up to the old amount
			s.Content.Lines = nil
			var err error
			if t.Sealed, err = p.seal(s.Ref.Tenant, s.Ref.ID, now, s.Content); err != nil {
				return nil, err
			}
		}
		if t.TaxRate != 0 && len(s.Content.Lines) > 0 {
			return nil, message.Problems{{Field: "tax_rate", Code: "mismatch", Got: t.TaxRate, Detail: "only without lines: a line states its own"}}
		}
		if _, ok := message.TaxesOf(message.Rated(s.Content.Lines, t.TaxRate, t.Amount), t.Amount, t.Tax); !ok {
			return nil, message.Problems{{Field: "tax", Code: "mismatch", Got: t.Tax, Detail: "the tax of the claim's rates, rounded once for each"}}
		}
		return s.amend(now, t)
	})
	if err != nil {
		return State{}, err
	}
	s.Content = Content{}
	return s, s.Reveal(p.s)
}

// check returns what makes the new terms of the old.
func (patch *Patch) check() (func(Terms, string) Terms, error) {
	var ps message.Problems
	amends := patch.Amount != nil || patch.Tax != nil || patch.TaxRate != nil || patch.Due != nil
	if n := btoi(amends) + btoi(patch.Settled) + btoi(patch.Withdrawn); n != 1 {
		ps = append(ps, message.Problem{Field: "settled", Code: "mismatch", Detail: "state one of: amount, tax or due; settled; withdrawn"})
	}
	if patch.Remaining != nil && (!patch.Settled || *patch.Remaining < 0 || *patch.Remaining > message.MaxAmount) {
		ps = append(ps, message.Problem{Field: "remaining", Code: "range", Limit: message.MaxAmount, Got: *patch.Remaining, Detail: "yen that remain, with what is settled"})
	}
	if patch.Amount != nil && (*patch.Amount < 1 || *patch.Amount > message.MaxAmount) {
		ps = append(ps, message.Problem{Field: "amount", Code: "range", Limit: message.MaxAmount, Got: *patch.Amount, Detail: "yen, 1 to 9,999,999"})
	}
	if patch.Tax != nil && (*patch.Tax < 0 || patch.Amount != nil && *patch.Tax > *patch.Amount) {
		ps = append(ps, message.Problem{Field: "tax", Code: "range", Got: *patch.Tax, Detail: "yen, included in the amount"})
	}
	if r := patch.TaxRate; r != nil && *r != 0 && *r != message.StandardRate && *r != message.ReducedRate {
		ps = append(ps, message.Problem{Field: "tax_rate", Code: "unknown", Got: *r, Detail: "percent, one of 10, 8"})
	}
	var due time.Time
	if patch.Due != nil {
		var err error
		if due, err = (&message.Claim{Due: *patch.Due}).DueTime(); err != nil {
			ps = append(ps, message.Problem{Field: "due", Code: "pattern", Value: message.Mask(*patch.Due), Detail: "YYYY-MM-DD"})
		}
	}
	if n := message.Length(patch.Reason); n > 200 {
		ps = append(ps, message.Problem{Field: "reason", Code: "too_long", Limit: 200, Got: int64(n)})
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return func(t Terms, by string) Terms {
		if patch.TaxRate != nil {
			t.TaxRate = *patch.TaxRate
		}
		if patch.Amount != nil && *patch.Amount != t.Amount {
			t.Amount, t.Tax = *patch.Amount, -1 // the old tax is not that of the new amount
		}
		if t.Tax < 0 {
			t.Tax = (&message.Claim{Amount: t.Amount, TaxRate: t.TaxRate}).TaxYen()
		}
		if patch.Tax != nil {
			t.Tax = *patch.Tax
		}
		if patch.Due != nil {
			t.Due = due
		}
		t.By, t.Reason = by, patch.Reason
		return t
	}, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// refuse is the problem of a claim whose state forbids something. The number is the sender's own and not personal.
func refuse(field, number, detail string) error {
	return message.Problems{*conflictProblem(field, number, detail)}
}

func conflictProblem(field, number, detail string) *message.Problem {
	return &message.Problem{Field: field, Code: "conflict", Value: number, Detail: detail}
}

// amend returns the event that changes the terms; none when they are the same.
func (s *State) amend(now time.Time, t Terms) ([]store.NewEvent, error) {
	switch {
	case s.Received > 0 && (s.Account() == nil || t.Amount != s.Amount || t.Tax != s.Tax || t.TaxRate != s.TaxRate):
		return nil, refuse("amount", s.Number, "money was received already")
	case s.SettledBy != nil || s.WithdrawnBy != nil:
		return nil, refuse("amount", s.Number, "the claim was settled or withdrawn")
	case t.Tax > t.Amount:
		return nil, message.Problems{{Field: "tax", Code: "range", Limit: t.Amount, Got: t.Tax, Detail: "yen, included in the amount"}}
	case !t.Due.After(now) && !t.Due.Equal(s.Due):
		return nil, message.Problems{{Field: "due", Code: "past"}}
	case t.Amount == s.Amount && t.Tax == s.Tax && t.TaxRate == s.TaxRate && t.Due.Equal(s.Due):
		return nil, nil
	}
	return []store.NewEvent{newEvent(Amended, now, t)}, nil
}
