package retention

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// lookAgain is when something is looked at again that lives and has no end yet.
const lookAgain = 30 * 24 * time.Hour

// step is how many streams are looked at together.
const step = 256

// each gives the streams of a kind whose head is of a day, some at a time, and what else is to be looked at.
func (r *Retention) each(ctx context.Context, p *pace, d *Day, kind store.Kind, more []store.Ref, fn func(all [][]store.Event) error) error {
	day, err := time.ParseInLocation(time.DateOnly, d.Day, message.Tokyo)
	if err != nil {
		return err
	}
	q := store.Query{Kind: kind, From: day, To: day.AddDate(0, 0, 1).Add(margin), Limit: step}
	scope := tenant.Only(d.Tenant)
	for {
		began := clock.Now()
		refs, err := r.o.Store.Search(ctx, scope, q)
		if err != nil {
			return err
		}
		end := len(refs) < step
		if !end {
			q.Before = refs[len(refs)-1].ID
		} else {
			refs = append(refs, more...)
		}
		for len(refs) > 0 {
			n := min(len(refs), step)
			all, err := r.o.Store.LoadMany(ctx, scope, refs[:n])
			if err != nil {
				return err
			}
			if err := fn(all); err != nil {
				return err
			}
			refs = refs[n:]
		}
		if end {
			return nil
		}
		if err := p.rest(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// keepLiving seals the messages of a day anew that live, and counts the others.
func (r *Retention) keepLiving(ctx context.Context, p *pace, d *Day, kept []store.Ref, dry bool) error {
	return r.each(ctx, p, d, store.Message, kept, func(all [][]store.Event) error {
		var txs []store.Tx
		var refs []store.Ref
		for _, events := range all {
			tx, ref, err := r.look(ctx, d, events)
			if err != nil {
				return err
			}
			if tx != nil {
				txs, refs = append(txs, tx), append(refs, ref)
			}
		}
		d.Kept += len(txs)
		if dry || len(txs) == 0 {
			return nil
		}
		return r.commit(ctx, d, txs, refs)
	})
}

// commit appends what keeps messages. One that somebody else has appended to meanwhile is looked at again.
func (r *Retention) commit(ctx context.Context, d *Day, txs []store.Tx, refs []store.Ref) error {
	for len(txs) > 0 {
		errs, err := r.o.Store.Commit(ctx, txs...)
		if err != nil {
			return fmt.Errorf("keep messages that live: %w", err)
		}
		var again []store.Tx
		var of []store.Ref
		for i, err := range errs {
			var conflict *store.ConflictError
			if err == nil {
				r.metrics.kept.Inc()
				continue
			}
			if !errors.As(err, &conflict) {
				return fmt.Errorf("keep message %s: %w", refs[i].ID, err)
			}
			events, err := r.o.Store.Load(ctx, tenant.Only(d.Tenant), refs[i])
			if err != nil {
				return err
			}
			tx, ref, err := r.look(ctx, d, events)
			if err != nil {
				return err
			}
			if tx != nil {
				again, of = append(again, tx), append(of, ref)
			}
		}
		txs, refs = again, of
	}
	return nil
}

// look decides over one message: nil when it is over, or does not depend on the key of the day.
func (r *Retention) look(ctx context.Context, d *Day, events []store.Event) (store.Tx, store.Ref, error) {
	if len(events) == 0 {
		return nil, store.Ref{}, nil
	}
	ref := events[0].Ref
	st, err := stored.State(events)
	if err != nil {
		return nil, ref, fmt.Errorf("message %s: %w", ref.ID, err)
	}
	under := func(box []byte) bool {
		class, day, ok := r.o.Store.SealedUnder(ref.Tenant, box)
		return ok && class == d.Class && day == d.Day
	}
	if !under(st.Head.SMS) && !under(st.Head.Page) && !under(st.Survey) {
		return nil, ref, nil
	}
	until, err := r.livesUntil(ctx, ref.Tenant, &st)
	if err != nil {
		return nil, ref, err
	}
	if !until.After(r.o.Now()) {
		d.Over++
		return nil, ref, nil
	}
	months := r.o.Config.months(r.o.Directory().Tenants[ref.Tenant], d.Class)
	now, err := time.ParseInLocation(time.DateOnly, d.Day, message.Tokyo)
	if err != nil {
		return nil, ref, err
	}
	k := message.Keeping{Day: dayFor(until, months, now)}
	for _, part := range []struct {
		name string
		from []byte
		to   *[]byte
	}{{"sms", st.Head.SMS, &k.SMS}, {"page", st.Head.Page, &k.Page}, {"answer", st.Survey, &k.Survey}} {
		if len(part.from) == 0 {
			continue
		}
		aad := ref.ID.String() + "/" + part.name
		plain, err := r.o.Store.Open(ref.Tenant, aad, part.from)
		if errors.Is(err, store.ErrErased) {
			continue // sealed a day apart from the rest, when it did not live
		}
		if err != nil {
			return nil, ref, err
		}
		if *part.to, err = r.o.Store.Seal(ref.Tenant, d.Class, k.Day, aad, plain); err != nil {
			return nil, ref, err
		}
	}
	return store.Tx{{
		Ref: ref, Expect: len(events),
		Events: []store.NewEvent{{Type: byte(message.Kept), At: r.o.Now(), Data: message.Encode(&k)}},
		Names:  []store.Name{store.KeptName(ref.ID, d.Class, k.Day.Format(time.DateOnly))},
	}}, ref, nil
}

// livesUntil is how long the content of a message is needed.
func (r *Retention) livesUntil(ctx context.Context, id tenant.ID, st *message.State) (until time.Time, err error) {
	now := r.o.Now()
	if !st.Over() && st.PhaseAt(now) != message.Unknown {
		until = now.Add(lookAgain) // still to be sent, or on its way
	}
	if st.Head.Token == "" || !st.RevokedAt.IsZero() {
		return until, nil
	}
	if st.Head.LinkExpires.After(until) {
		until = st.Head.LinkExpires
	}
	if st.Head.Claim.IsZero() {
		return until, nil
	}
	claim, err := r.o.Claims.Claim(ctx, tenant.Only(id), st.Head.Claim)
	if errors.Is(err, store.ErrNotFound) {
		return until, nil
	}
	if err != nil {
		return until, fmt.Errorf("claim of a message: %w", err)
	}
	shown, noEnd := claim.ShownUntil(st.Head.StateUntil)
	if noEnd {
		shown = now.Add(lookAgain)
	}
	if shown.After(until) {
		until = shown
	}
	return until, nil
}

// awaitClaims lets a day wait while a claim of it may still be paid.
func (r *Retention) awaitClaims(ctx context.Context, p *pace, d *Day) error {
	return r.each(ctx, p, d, store.Claim, nil, func(all [][]store.Event) error {
		for _, events := range all {
			if len(events) == 0 {
				continue
			}
			claim, err := r.o.Claims.Claim(ctx, tenant.Only(d.Tenant), events[0].Ref.ID)
			if err != nil {
				return err
			}
			if until, noEnd := claim.ShownUntil(time.Time{}); noEnd || until.After(r.o.Now()) {
				d.Waits = "a claim of the day may still be paid, or shows that it was"
			}
		}
		return nil
	})
}

// awaitFiles lets a day wait while a link shows one of its files.
func (r *Retention) awaitFiles(ctx context.Context, p *pace, d *Day) error {
	return r.each(ctx, p, d, store.File, nil, func(all [][]store.Event) error {
		for _, events := range all {
			if usedUntil(events).After(r.o.Now()) {
				d.Waits = "the link of a message still shows a file of the day"
			}
		}
		return nil
	})
}

// usedUntil is the end of the last link that shows a file (engine/document, held); none shows one that was removed.
func usedUntil(events []store.Event) (until time.Time) {
	for _, e := range events {
		if bytes.HasPrefix(e.Data, []byte(`{"removed"`)) {
			until = time.Time{}
		}
		var held struct {
			Until time.Time `json:"until"`
		}
		if bytes.HasPrefix(e.Data, []byte(`{"until"`)) && json.Unmarshal(e.Data, &held) == nil && held.Until.After(until) {
			until = held.Until
		}
	}
	return until
}
