package payment

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Keyer hashes under a tenant's key; *store.Store is one.
type Keyer interface {
	Keyed(id tenant.ID, purpose, value string) ([16]byte, error)
}

// PayerKey is who pays, as a payment company may know him: 32 hexadecimal digits that say nothing of him and are the same for
// all his claims. Claims belong to one payer when their messages have the same reference (会員情報) of the sender's. Without one a
// claim is a payer of its own: a phone is shared in a family, and its number proves nobody.
func PayerKey(k Keyer, id tenant.ID, reference string, claim ulid.ULID) (string, error) {
	who := "claim " + claim.String()
	if reference != "" {
		who = "reference " + reference
	}
	sum, err := k.Keyed(id, "payer", who)
	if err != nil {
		return "", fmt.Errorf("hash a payer: %w", err)
	}
	return hex.EncodeToString(sum[:]), nil
}

// Payer is the PayerKey of a claim, by the reference of the first message that carries it. Where that has ended it is nobody else's.
func (p *Payments) Payer(ctx context.Context, s *State) (string, error) {
	reference := ""
	if len(s.Messages) > 0 {
		ref := store.Ref{Tenant: s.Ref.Tenant, Kind: store.Message, ID: s.Messages[0]}
		events, err := p.s.Load(ctx, tenant.Only(ref.Tenant), ref)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", fmt.Errorf("load message %s: %w", ref.ID, err)
		}
		st, err := stored.State(events)
		if err != nil {
			return "", err
		}
		if len(st.Head.SMS) > 0 {
			sms, err := stored.SMS(p.s, ref.Tenant, ref.ID, &st.Head)
			if err != nil && !errors.Is(err, store.ErrErased) {
				return "", err
			}
			reference = sms.Reference
		}
	}
	return PayerKey(p.s, s.Ref.Tenant, reference, s.Ref.ID)
}
