package journey

import (
	"context"
	"errors"
	"time"

	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
)

// Standing is what a link is still good for.
type Standing byte

const (
	Gone      Standing = iota // unknown, revoked or past all: the same page
	Expired                   // the sender's contact is shown
	StateOnly                 // the state of its claim is shown, behind identity
	Open
)

// StateFor is how long after its last fact a claim that was paid or issued is shown.
const StateFor = 90 * 24 * time.Hour

// Find finds the link of a token. ask: the store may be asked, else only what is kept is found.
func (j *Journey) Find(ctx context.Context, token string, ask bool) (link.Link, Standing, error) {
	find := func() (link.Link, bool, error) { return j.Links.Get(ctx, token) }
	if !ask {
		find = func() (link.Link, bool, error) { return j.Links.Kept(token) }
	}
	l, ok, err := find()
	if err != nil || !ok {
		return l, Gone, err
	}
	s, err := j.standing(ctx, l)
	return l, s, err
}

func (j *Journey) standing(ctx context.Context, l link.Link) (Standing, error) {
	now := j.Now()
	switch {
	case l.Revoked || j.Directory().Tenants[l.Tenant] == nil:
		return Gone, nil
	case now.Before(l.Expires):
		return Open, nil
	case !l.Claim && now.Before(l.StateUntil):
		return Expired, nil
	case !l.Claim:
		return Gone, nil
	}
	until, err := j.shownUntil(ctx, l)
	switch {
	case err != nil:
		return Gone, err
	case now.Before(until):
		return StateOnly, nil
	case now.Before(l.StateUntil):
		return Expired, nil
	}
	return Gone, nil
}

// shownUntil is how long the claim of an expired link is shown; zero: it has nothing to show.
func (j *Journey) shownUntil(ctx context.Context, l link.Link) (time.Time, error) {
	events, err := j.Store.Load(ctx, tenant.Only(l.Tenant), l.Ref())
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	head, err := headOf(events)
	if err != nil {
		return time.Time{}, err
	}
	claim, err := j.Claims.Claim(ctx, tenant.Only(l.Tenant), head.Claim)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	last := lastFact(&claim)
	if last.IsZero() {
		return time.Time{}, nil
	}
	if until := last.Add(StateFor); until.After(l.StateUntil) {
		return until, nil
	}
	return l.StateUntil, nil
}

// lastFact is the time of the last thing that a payer did or was given; zero: nothing was paid or issued.
func lastFact(c *payment.State) time.Time {
	var last time.Time
	for _, a := range c.Attempts {
		if a.Received == 0 && (a.Voucher == nil || a.Phase == payment.WasCanceled || a.Phase == payment.HasFailed) {
			continue
		}
		for _, at := range []time.Time{a.StartedAt, a.IssuedAt, a.ProvisionalAt, a.ConfirmedAt} {
			if at.After(last) {
				last = at
			}
		}
	}
	if c.Receipt != nil && c.Receipt.Issued.After(last) {
		last = c.Receipt.Issued
	}
	return last
}
