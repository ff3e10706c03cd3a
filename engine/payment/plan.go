package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Planned is what has to be committed together with the message that carries a claim.
type Planned struct {
	ID      ulid.ULID // of the claim
	Changes []store.Change
}

// Plan decides what a message with a claim that passed message.Draft.Check does: make a claim, join the one with this
// number, or amend it. The subject is the title of its page. It commits nothing. The caller commits Changes in one transaction with the message; when that is
// refused with *store.TakenError of space ByClaimNumber or *store.ConflictError of a claim, somebody else was first with
// the same number: plan again. A problem has the code "conflict" (HTTP 409) and names the number.
func (p *Payments) Plan(ctx context.Context, t *tenant.Tenant, messageID ulid.ULID, c *message.Claim, subject string) (Planned, *message.Problem, error) {
	now := p.now()
	due, err := c.DueTime()
	if err != nil {
		return Planned{}, &message.Problem{Field: "claim.due", Code: "pattern", Value: message.Mask(c.Due), Detail: "YYYY-MM-DD"}, nil
	}
	for i, m := range c.Methods {
		if !slices.Contains(t.Methods(), m) {
			return Planned{}, &message.Problem{Field: fmt.Sprintf("claim.methods[%d]", i), Code: "unknown", Value: m}, nil
		}
	}
	terms := Terms{Amount: c.Amount, Tax: c.TaxYen(), TaxRate: c.TaxRate, Due: due, Methods: c.Methods, Debit: c.Debit}
	content := Content{Payer: c.Payer, Lines: c.Lines, Subject: subject}
	ref, _, err := p.s.Lookup(ctx, tenant.Only(t.ID), store.ByClaimNumber, c.Number)
	if errors.Is(err, store.ErrNotFound) {
		return p.planNew(t, messageID, c.Number, terms, content, now)
	}
	if err != nil {
		return Planned{}, nil, fmt.Errorf("find claim by its number: %w", err)
	}
	s, err := p.load(ctx, tenant.Only(t.ID), ref)
	if err != nil {
		return Planned{}, nil, err
	}
	return p.planKnown(ctx, &s, messageID, c, terms, content, now)
}

func (p *Payments) planNew(t *tenant.Tenant, messageID ulid.ULID, number string, terms Terms, content Content, now time.Time) (Planned, *message.Problem, error) {
	if !terms.Due.After(now) {
		return Planned{}, &message.Problem{Field: "claim.due", Code: "past"}, nil
	}
	id := ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy())
	var err error
	if terms.Sealed, err = p.seal(t.ID, id, now, content); err != nil {
		return Planned{}, nil, err
	}
	return Planned{ID: id, Changes: []store.Change{{
		Ref: claimRef(t.ID, id),
		Events: []store.NewEvent{
			newEvent(Made, now, Head{V: recordFormatOfClaims, Number: number, Terms: terms}),
			newEvent(Joined, now, Join{messageID}),
		},
		Names: []store.Name{{Space: store.ByClaimNumber, Key: number, Exclusive: true}},
		Due:   &store.Due{Queue: queueSettle, At: terms.Due.Add(lapseAfter)},
	}}}, nil, nil
}

func (p *Payments) planKnown(ctx context.Context, s *State, messageID ulid.ULID, c *message.Claim, terms Terms, content Content, now time.Time) (Planned, *message.Problem, error) {
	join := newEvent(Joined, now, Join{messageID})
	planned := Planned{ID: s.Ref.ID}
	switch {
	case s.WithdrawnBy != nil || s.SettledBy != nil:
		return Planned{}, conflictProblem("claim.number", c.Number, "the claim was settled or withdrawn"), nil
	case !c.Amend && terms.Amount != s.Amount:
		p := conflictProblem("claim.amount", c.Number, "the number is in use for another amount")
		p.Limit, p.Got = s.Amount, terms.Amount
		return Planned{}, p, nil
	case !c.Amend && !terms.Due.Equal(s.Due):
		return Planned{}, conflictProblem("claim.due", c.Number, "the number is in use with another due date"), nil
	case !c.Amend || terms.Amount == s.Amount && terms.Tax == s.Tax && terms.TaxRate == s.TaxRate && terms.Due.Equal(s.Due):
		planned.Changes = []store.Change{{Ref: s.Ref, Expect: store.Any, Events: []store.NewEvent{join}}}
		return planned, nil, nil
	}
	var err error
	if s.Received > 0 { // money came for what was asked: of that the due date alone changes
		due := terms.Due
		amount, tax, rate := terms.Amount, terms.Tax, terms.TaxRate
		terms = s.Terms
		terms.Due, terms.Amount, terms.Tax, terms.TaxRate, terms.Reason = due, amount, tax, rate, ""
	} else if terms.Sealed, err = p.seal(s.Ref.Tenant, s.Ref.ID, now, content); err != nil {
		return Planned{}, nil, err
	}
	terms.By = "engine"
	planned.Changes, err = p.amended(ctx, s, terms, now)
	var ps message.Problems
	if errors.As(err, &ps) {
		ps[0].Field = "claim." + ps[0].Field
		return Planned{}, &ps[0], nil
	}
	if err != nil {
		return Planned{}, nil, err
	}
	planned.Changes[0].Events = append(planned.Changes[0].Events, join)
	return planned, nil, nil
}
