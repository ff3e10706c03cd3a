package intake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// guard is a name that a message holds for a while against another like it. Like one another are messages to the same number
// with the same text before the link is put in, the same claim, or the same reference.
//
// The name is exclusive, so of two at the same time one gets in, and it ends with the policy's time, also over a restart. A
// message that came to nothing (canceled, refused, lapsed, undelivered) does not stand in the way of the next: that takes
// the name over, together with an exclusive one of its own that ends in the first one's id, so that only one does.
type guard struct {
	field string
	key   string
	over  ulid.ULID // the holder that came to nothing; zero: none
}

const guardPrefix = "duplicate/"

// guardKey is the length of a guard's key without the holder that is taken over.
const guardKey = len(guardPrefix) + 32

func isGuard(key string) bool { return strings.HasPrefix(key, guardPrefix) && len(key) >= guardKey }

// guard finds the names that the message holds. It does nothing the second time.
func (in *Intake) guard(t *tenant.Tenant, r *Request, p *plan) error {
	if p.guards != nil || !p.draft.WantsSend() || r.Via == message.ViaEngine || r.Via == message.ViaCanary {
		return nil
	}
	if p.guardFor = t.Policy.DuplicateFor(string(p.class)); p.guardFor == 0 {
		return nil
	}
	add := func(field, kind, value string) error {
		if value == "" {
			return nil
		}
		sum, err := in.Store.Keyed(t.ID, "duplicate", kind+"\x00"+p.number.E164()+"\x00"+value)
		p.guards = append(p.guards, guard{field: field, key: guardPrefix + hex.EncodeToString(sum[:])})
		return err
	}
	claim := ""
	if p.draft.Claim != nil {
		claim = p.draft.Claim.Number
	}
	return errors.Join(add("text", "text", p.text.with(urlMark)), add("claim.number", "claim", claim), add("reference", "reference", strings.TrimSpace(p.draft.Reference)))
}

func (p *plan) guardNames() (names []store.Name) {
	if len(p.guards) == 0 {
		return nil
	}
	until := p.now.Add(p.guardFor)
	for _, g := range p.guards {
		names = append(names, store.Name{Space: store.ByKey, Key: g.key, Until: until, Exclusive: g.over.IsZero()})
		if !g.over.IsZero() {
			names = append(names, store.Name{Space: store.ByKey, Key: g.key + "/" + g.over.String(), Until: until, Exclusive: true})
		}
	}
	return names
}

// alike decides what a held guard means: a duplicate, or, when its holder came to nothing, true: plan again.
func (in *Intake) alike(ctx context.Context, t *tenant.Tenant, p *plan, taken *store.TakenError) bool {
	i := slices.IndexFunc(p.guards, func(g guard) bool { return g.key == taken.Key[:guardKey] })
	if i < 0 {
		p.res.Err = fmt.Errorf("BUG: message %s lost a guard that it did not want: %w", p.id, taken)
		return false
	}
	switch nothing, err := in.cameToNothing(ctx, t, taken.Holder); {
	case err != nil:
		p.res.Err = err
	case nothing:
		p.guards[i].over = taken.Holder.ID
		return true
	default:
		p.duplicate(p.guards[i].field, taken.Holder.ID)
	}
	return false
}

func (p *plan) duplicate(field string, first ulid.ULID) {
	p.bad(message.Problem{Field: field, Code: "duplicate", Value: first.String(), Limit: int64(p.guardFor / time.Minute), Detail: "a message like this one was accepted for the number a short time ago"})
}

// cameToNothing reports whether nobody got the message, nor will.
func (in *Intake) cameToNothing(ctx context.Context, t *tenant.Tenant, ref store.Ref) (bool, error) {
	events, err := in.Store.Load(ctx, tenant.Only(t.ID), ref)
	if err != nil {
		return false, fmt.Errorf("load message %s, which may be a duplicate's first: %w", ref.ID, err)
	}
	s, err := stored.State(events)
	if err != nil {
		return false, err
	}
	switch s.Phase {
	case message.Withdrawn, message.Rejected, message.Expired, message.NotDelivered:
		return true, nil
	}
	return false, nil
}

// findDuplicate looks for a message like this one without taking anything, for a preview.
func (in *Intake) findDuplicate(ctx context.Context, t *tenant.Tenant, r *Request, p *plan) error {
	if err := in.guard(t, r, p); err != nil {
		return err
	}
	for _, g := range p.guards {
		holder, _, err := in.Store.Lookup(ctx, tenant.Only(t.ID), store.ByKey, g.key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if nothing, err := in.cameToNothing(ctx, t, holder); err != nil {
			return err
		} else if !nothing {
			p.duplicate(g.field, holder.ID)
			break
		}
	}
	return nil
}

// refusedNumber asks the do-not-send list.
func (in *Intake) refusedNumber(ctx context.Context, t *tenant.Tenant, p *plan) (*message.Problem, error) {
	if in.DoNotSend == nil || !p.draft.WantsSend() || p.number.IsZero() {
		return nil, nil
	}
	no, err := in.DoNotSend.Refuses(ctx, t.ID, p.class, p.number)
	if err != nil || !no {
		return nil, err
	}
	return &message.Problem{Field: "to", Code: "do_not_send", Value: p.number.Masked(), Detail: "the number is on the do-not-send list"}, nil
}
