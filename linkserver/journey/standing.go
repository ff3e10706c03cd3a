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
	Stopped                   // whoever has it said that it is for somebody else
	Expired                   // the sender's contact is shown
	StateOnly                 // the state of its claim is shown, behind identity
	Open
)

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
	case l.Disowned && now.Before(l.StateUntil):
		return Stopped, nil
	case l.Disowned:
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
	last := claim.LastFact()
	if last.IsZero() {
		return time.Time{}, nil
	}
	if until := last.Add(payment.ShowFor); until.After(l.StateUntil) {
		return until, nil
	}
	return l.StateUntil, nil
}
