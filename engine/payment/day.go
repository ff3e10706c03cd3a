package payment

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The money of a day of an agent is found by streams of kind store.Register, each of one event, with a term: ours lead from the
// day to an attempt (settled) and are committed with the fact that put money there; theirs are what a report told (reported).
// Ours are hints: the claim decides how much it is and whether the day still holds.
const (
	fieldOurs   = 1
	fieldTheirs = 2
)

// settled leads to an attempt.
type settled struct {
	Claim   ulid.ULID `json:"claim"`
	Attempt ulid.ULID `json:"attempt"`
}

func dayTerm(field byte, agent, day string) []store.Term {
	return []store.Term{{Field: field, Value: agent + "/" + day}}
}

// registerOf is a stream of kind store.Register whose id follows from its name.
func registerOf(id tenant.ID, name string) store.Ref {
	sum := sha256.Sum256([]byte(name))
	ref := store.Ref{Tenant: id, Kind: store.Register}
	copy(ref.ID[:], sum[:])
	return ref
}

// sum is one amount that an agent should have told of: what its views say of a payment, or one deposit.
type sum struct {
	deposit   string // its id; empty: the payment
	yen       int64
	at        time.Time
	confirmed bool
}

// sums are the amounts of an attempt that stand.
func (a *Attempt) sums() (all []sum) {
	told := a.Received
	for _, d := range a.deposits {
		told -= d.Yen
		all = append(all, sum{deposit: d.ID, yen: d.Yen, at: d.Paid, confirmed: true})
	}
	if told <= 0 {
		return all
	}
	s := sum{yen: told, at: a.money.View.ProvisionalAt, confirmed: a.money.level() == 3}
	if s.confirmed {
		s.at = a.confirmedAt
	} else if s.at.IsZero() {
		s.at = a.money.Seen
	}
	return append(all, s)
}

// dayChanges lead from the days on which money stands in the next state to its attempts, where nothing does yet.
func (p *Payments) dayChanges(ctx context.Context, next *State, now time.Time) (changes []store.Change, err error) {
	for _, a := range next.Attempts {
		var days []string
		for _, s := range a.sums() {
			if day := message.Day(s.at); !slices.Contains(days, day) {
				days = append(days, day)
			}
		}
		for _, day := range days {
			ref := registerOf(next.Ref.Tenant, "payment/settled/"+a.ID.String()+"/"+day)
			_, err := p.s.LoadFrom(ctx, tenant.Only(next.Ref.Tenant), ref, 1<<31)
			if err == nil {
				continue
			}
			if !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			changes = append(changes, store.Change{Ref: ref, Terms: dayTerm(fieldOurs, a.Agent, day),
				Events: []store.NewEvent{{Type: 1, At: now, Data: encode(settled{next.Ref.ID, a.ID})}}})
		}
	}
	return changes, nil
}
