package journey

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// payer is who pays (payment.PayerKey), and by what his messages are found; no terms: only this one is known to be his.
type payer struct {
	key   string
	terms []store.Term
}

func (j *Journey) payer(v *visit) (p payer, err error) {
	sms, err := j.sms(v)
	if err != nil {
		return p, err
	}
	if sms.Reference != "" {
		if p.terms, err = (intake.Filter{Reference: sms.Reference}).Terms(j.Store, v.t.ID); err != nil {
			return p, fmt.Errorf("hash a reference: %w", err)
		}
	}
	p.key, err = payment.PayerKey(j.Store, v.t.ID, sms.Reference, v.state.Head.Claim)
	return p, err
}

// payerMessages and payerClaims bound what is looked through, newest first, and begun with one press.
const (
	payerMessages = 50
	payerClaims   = 10
)

// startOthers makes the payer's other open claims payable by the number that he was just given. What cannot be begun is left
// out: he can still choose the number on its own page.
func (j *Journey) startOthers(ctx context.Context, v *visit, p payer, method string) {
	err := j.eachOther(ctx, v, p, func(claim, of ulid.ULID) {
		_, err := j.Claims.Start(ctx, v.t, claim, payment.StartOptions{Method: method, MessageID: of, Payer: p.key})
		if err != nil {
			j.Log.Warn("other claim of a payer not begun", "tenant", v.t.ID, "claim", claim, "err", err)
		}
	})
	if err != nil {
		j.Log.Warn("other claims of a payer not found", "tenant", v.t.ID, "err", err)
	}
}

// eachOther calls do with the payer's other claims that are open, take the method and have no attempt that lives.
func (j *Journey) eachOther(ctx context.Context, v *visit, p payer, do func(claim, of ulid.ULID)) error {
	if len(p.terms) == 0 {
		return nil
	}
	scope := tenant.Only(v.t.ID)
	refs, err := j.Store.Search(ctx, scope, store.Query{Kind: store.Message, Terms: p.terms, Limit: payerMessages})
	if err != nil {
		return err
	}
	streams, err := j.Store.LoadMany(ctx, scope, refs)
	if err != nil {
		return err
	}
	seen, left := map[ulid.ULID]bool{v.state.Head.Claim: true, {}: true}, payerClaims
	for i, events := range streams {
		if left == 0 {
			return nil
		}
		head, err := headOf(events)
		if err != nil || seen[head.Claim] {
			continue
		}
		seen[head.Claim] = true
		c, err := j.Claims.Claim(ctx, scope, head.Claim)
		if err != nil {
			return err
		}
		if c.PhaseAt(j.Now()) != payment.Unpaid || c.Live() != nil {
			continue
		}
		do(head.Claim, refs[i].ID)
		left--
	}
	return nil
}
