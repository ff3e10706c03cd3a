package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/bind/history"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/smpp/coding"
)

// The rooms declare what they need of each other as small interfaces; here they are tied together.

// codeSender lets engine/identity send codes through engine/intake, which is made after it.
type codeSender struct{ intake *intake.Intake }

func (c *codeSender) SendCode(ctx context.Context, s identity.CodeSMS) (ulid.ULID, error) {
	return c.intake.SendCode(ctx, intake.CodeRequest{
		Tenant: s.Tenant, To: s.To, Registered: s.Registered, Text: s.Text, ForMessage: s.For, ValidUntil: s.Until,
		By: cmp.Or(s.By, "engine"), Sender: s.Profile, Reference: s.Reference, With: s.With,
	})
}

// configureLookup gives the module that is asked about numbers its configuration, which is the operator's.
func configureLookup(ctx context.Context, modules *host.Host, l carrier.Lookup) error {
	if l.Module == "" {
		return nil
	}
	config, err := l.ModuleConfig()
	if err != nil {
		return fmt.Errorf("numbers.lookup.config_file: %w", err)
	}
	return modules.Configure(ctx, l.Module, carrier.LookupInstance, string(tenant.OperatorID), config)
}

// authModules are the names of the configured identity modules, in which questions are looked for in this order.
func authModules(cfg *conf.Config) (names []string) {
	for _, m := range cfg.Modules {
		if strings.HasPrefix(m.Name, "auth/") {
			names = append(names, m.Name)
		}
	}
	return names
}

// configureIdentity gives identity modules their configurations, which are the operator's.
func configureIdentity(ctx context.Context, modules *host.Host, all []identity.Instance) error {
	var errs []error
	for i := range all {
		in := &all[i]
		config, err := in.Config()
		if err == nil {
			err = modules.Configure(ctx, in.Module, in.Name(), in.Tenant, config)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("identity[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// plannedClaims lets engine/intake plan claims with engine/payment.
type plannedClaims struct{ payments *payment.Payments }

func (p plannedClaims) Plan(ctx context.Context, t *tenant.Tenant, msg ulid.ULID, c *message.Claim, subject string) (ulid.ULID, []store.Change, *message.Problem, error) {
	planned, problem, err := p.payments.Plan(ctx, t, msg, c, subject)
	return planned.ID, planned.Changes, problem, err
}

// toldLinks lets engine/intake tell linkserver/link.
type toldLinks struct {
	links *link.Links
	log   *slog.Logger
}

func (t toldLinks) Put(links []intake.Link) {
	told := make([]link.Link, 0, len(links))
	for _, l := range links {
		if k, ok := link.Of(store.Ref{Tenant: l.Tenant, Kind: store.Message, ID: l.Message}, l.Head); ok {
			told = append(told, k)
		}
	}
	if err := t.links.Put(told); err != nil {
		t.log.Warn("links will be asked for in the store", "count", len(told), "err", err)
	}
}

// labelled names carriers for pages that anybody can see.
func labelled(carriers *carrier.Table) func(name, lang string) string {
	return func(name, lang string) string {
		if c, ok := carriers.Carrier(name); ok {
			return c.Label(lang)
		}
		return name
	}
}

// watched are the binds of now for their history.
func watched(d *dispatch.Dispatcher) func() []history.Bind {
	return func() []history.Bind {
		var all []history.Bind
		for _, b := range d.Binds() {
			all = append(all, b)
		}
		return all
	}
}

// receivingStore is the store for engine/dispatch: what its matchers get from phones goes to engine/inbound.
type receivingStore struct {
	*store.Store
	dlr.Phones
}

// meter measures texts as dispatch will cut them.
type meter struct{}

func (meter) Measure(text string) (intake.Length, error) {
	m, err := coding.Measure(text, coding.Options{})
	if err != nil {
		return intake.Length{}, err
	}
	l := intake.Length{Units: m.Units, Parts: m.Parts, Alone: 70, Part: 67}
	switch m.Alphabet {
	case coding.GSM7:
		l.Alone, l.Part = 160, 153
	case coding.Latin1:
		l.Alone, l.Part = 140, 134
	}
	return l, nil
}

// apiClaims shows engine/payment's claims through engine/api.
type apiClaims struct{ payments *payment.Payments }

func (a apiClaims) Find(ctx context.Context, id tenant.ID, claims []ulid.ULID, timeline bool) ([]api.Claim, error) {
	found := make([]api.Claim, len(claims))
	for i, c := range claims {
		if c.IsZero() {
			continue
		}
		s, err := a.payments.Claim(ctx, tenant.Only(id), c)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[i] = apiClaim(&s, timeline)
	}
	return found, nil
}

func (a apiClaims) Get(ctx context.Context, id tenant.ID, number string) (api.Claim, error) {
	s, err := a.payments.ByNumber(ctx, tenant.Only(id), number)
	if err != nil {
		return api.Claim{}, err
	}
	return apiClaim(&s, true), nil
}

func (a apiClaims) Alerts(ctx context.Context, id tenant.ID, limit int) ([]api.Claim, error) {
	states, err := a.payments.Alerts(ctx, tenant.Only(id), limit)
	claims := make([]api.Claim, len(states))
	for i := range states {
		claims[i] = apiClaim(&states[i], false)
	}
	return claims, err
}

func (a apiClaims) Receipt(ctx context.Context, t *tenant.Tenant, number, paper, lang, by string) (pdf []byte, name string, problem *message.Problem, err error) {
	s, err := a.payments.ByNumber(ctx, tenant.Only(t.ID), number)
	if err != nil {
		return nil, "", nil, err
	}
	pdf, name, err = a.payments.Receipt(ctx, t, s.Ref.ID, payment.ReceiptOptions{Number: paper, Lang: lang, By: by})
	if errors.Is(err, payment.ErrNotConfirmed) {
		return nil, "", &message.Problem{Field: "status", Code: "conflict", Detail: "there is no receipt before the payment is confirmed"}, nil
	}
	return pdf, name, nil, err
}

func (a apiClaims) Change(ctx context.Context, t *tenant.Tenant, number string, c api.ClaimChange, by string) (api.Claim, *message.Problem, error) {
	patch := payment.Patch{Reason: c.Reason}
	switch c.Action {
	case "amend":
		patch.Amount, patch.Tax, patch.TaxRate = c.Amount, c.Tax, c.TaxRate
		if c.Due != "" {
			patch.Due = &c.Due
		}
	case "settle":
		patch.Settled, patch.Remaining = true, c.Remaining
	case "withdraw":
		patch.Withdrawn = true
	}
	var s payment.State
	var err error
	switch c.Action {
	case "charge":
		s, err = a.payments.Charge(ctx, t, number, payment.ChargeOptions{Card: c.Card, Key: c.Key, Act: message.Act{By: by, Reason: c.Reason}})
	case "refund":
		o := payment.RefundOptions{Key: c.Key, Act: message.Act{By: by, Reason: c.Reason}}
		if c.Amount != nil {
			o.Yen = *c.Amount
		}
		if c.Attempt != "" {
			if o.Attempt, err = ulid.ParseStrict(c.Attempt); err != nil {
				return api.Claim{}, nil, fmt.Errorf("attempt of a refund: %w", err)
			}
		}
		s, err = a.payments.Refund(ctx, t, number, o)
	case "resolve":
		if s, err = a.payments.ByNumber(ctx, tenant.Only(t.ID), number); err == nil {
			s, err = a.payments.Resolve(ctx, tenant.Only(t.ID), s.Ref.ID, *c.Version, message.Act{By: by, Reason: c.Reason})
		}
	default:
		s, err = a.payments.Patch(ctx, t, number, patch, by)
	}
	var problems message.Problems
	if errors.As(err, &problems) && len(problems) > 0 {
		return api.Claim{}, &problems[0], nil
	}
	if err != nil {
		return api.Claim{}, nil, err
	}
	return apiClaim(&s, true), nil, nil
}

// resends is engine/followup for the API.
type resends struct{ followUps *followup.FollowUps }

func (r resends) Resend(ctx context.Context, t *tenant.Tenant, id ulid.ULID, o api.ResendOrder, by string) (intake.Result, error) {
	return r.followUps.Resend(ctx, t, id, followup.Order{Key: o.Key, Text: o.Text, Template: o.Template, Class: message.Class(o.Class), Sender: o.Sender, Due: o.Due, By: by})
}

// apiClaim is a claim in the API's form.
func apiClaim(s *payment.State, timeline bool) api.Claim {
	j := s.JSON(clock.Now())
	c := api.Claim{Number: j.Number, Amount: j.Amount, Tax: j.Tax, TaxRate: j.TaxRate, Due: j.Due, Status: string(j.State), Provisional: j.Received - j.Confirmed,
		Confirmed: j.Confirmed, Refunded: j.Refunded, Remaining: j.Remaining, Overpaid: j.Overpaid, Receipt: j.Receipt, Receipts: apiReceipts(j.Receipts), Version: s.Version, CreatedAt: j.Created}
	for _, al := range j.Alerts {
		if al.Open {
			c.Alerts = append(c.Alerts, al.Code)
		}
	}
	if n := len(j.Attempts); n > 0 {
		c.Method = j.Attempts[n-1].Method
	}
	if a := s.Current(); a != nil && a.Received > 0 {
		c.Method, c.PaidAt, c.ConfirmedAt = a.Method, moment(s.PaidAt()), moment(a.ConfirmedAt)
	}
	c.RegisteredAt = moment(s.RegisteredAt())
	if timeline {
		c.Timeline = claimTimeline(s, &j)
	}
	return c
}

// moment is a time of the API; nil: not yet.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func apiReceipts(all []payment.ReceiptJSON) (out []api.Receipt) {
	for _, r := range all {
		out = append(out, api.Receipt{Number: r.Number, IssuedAt: r.Issued, Refunded: r.Refunded, Corrects: r.Corrects, Copies: r.Copies})
	}
	return out
}

// claimTimeline lists what happened to a claim, oldest first.
func claimTimeline(s *payment.State, j *payment.JSON) []api.Entry {
	entries := []api.Entry{{At: j.Created, Of: "claim", Event: "made"}}
	for _, st := range s.Statements {
		e := api.Entry{At: st.At, Of: "claim", Event: st.Type.String(), Detail: map[string]string{"by": st.By}}
		if st.Reason != "" {
			e.Detail["reason"] = st.Reason
		}
		entries = append(entries, e)
	}
	if !s.ToldAt.IsZero() {
		entries = append(entries, api.Entry{At: s.ToldAt, Of: "claim", Event: payment.PayerTold.String(), Detail: map[string]string{"message": s.ToldBy.String()}})
	}
	if !s.OverdueAt.IsZero() {
		entries = append(entries, api.Entry{At: s.OverdueAt, Of: "claim", Event: payment.WentOverdue.String()})
	}
	for _, r := range s.Receipts {
		entries = append(entries, api.Entry{At: r.Issued, Of: "claim", Event: payment.ReceiptIssued.String(), Detail: map[string]string{"receipt": r.Number}})
	}
	for _, at := range j.Attempts {
		add := func(when time.Time, event string) {
			if !when.IsZero() {
				detail := map[string]string{"method": at.Method, "attempt": at.ID.String()}
				if at.AgentID != "" {
					detail["agent_payment_id"] = at.AgentID
				}
				if at.AgentReceipt != "" {
					detail["agent_receipt_number"] = at.AgentReceipt
				}
				entries = append(entries, api.Entry{At: when, Of: "claim", Event: event, Detail: detail})
			}
		}
		add(at.StartedAt, "started")
		add(at.IssuedAt, "issued")
		add(at.ProvisionalAt, "provisional")
		add(at.ConfirmedAt, "confirmed")
		add(at.EndedAt, at.State)
		add(at.RefundedAt, payment.Refunded.String())
	}
	slices.SortStableFunc(entries, func(a, b api.Entry) int { return a.At.Compare(b.At) })
	return entries
}
