package payment

import (
	"encoding/hex"
	"fmt"

	"github.com/oklog/ulid/v2"

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
