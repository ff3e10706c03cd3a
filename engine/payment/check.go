package payment

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// CheckRegister compares a tenant's register of receipts with the claims: the receipt of each number is that of its claim.
// Other registers are passed over. It is for verifying a store that nobody changes.
func CheckRegister(ctx context.Context, s *store.Store, ref store.Ref, events []store.Event) error {
	if ref != register(ref.Tenant, "receipts") {
		return nil
	}
	for _, e := range events {
		var of attention
		if err := json.Unmarshal(e.Data, &of); err != nil {
			return fmt.Errorf("receipt %s: %w", receiptNumber(int(e.Seq)+1), err)
		}
		claim, err := s.Load(ctx, tenant.Only(ref.Tenant), store.Ref{Tenant: ref.Tenant, Kind: store.Claim, ID: of.Claim})
		if err != nil {
			return fmt.Errorf("receipt %s of claim %s: %w", receiptNumber(int(e.Seq)+1), of.Claim, err)
		}
		st, err := Fold(claim)
		if err != nil {
			return fmt.Errorf("receipt %s of claim %s: %w", receiptNumber(int(e.Seq)+1), of.Claim, err)
		}
		if want := receiptNumber(int(e.Seq) + 1); st.paper(want) == nil {
			return fmt.Errorf("receipt %s is not that of claim %s", want, of.Claim)
		}
	}
	return nil
}
