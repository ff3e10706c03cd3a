package dispatch

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// ReasonPaid is why a follow-up was canceled: its claim was paid, settled or withdrawn between its acceptance and its turn.
const ReasonPaid = "paid_meanwhile"

// Claims knows whether money is still awaited. engine/followup implements it.
type Claims interface {
	// Awaited reports whether the claim is still to be paid. The guard is committed together with Submitting: when anything
	// happens to the claim between the question and the commit, the commit loses, and the question is asked again.
	Awaited(ctx context.Context, id tenant.ID, claim ulid.ULID) (guard store.Change, awaited bool, err error)
}

// awaited asks about the claim of a message that follows another one up. A message with a claim of which nobody knows is not
// sent.
func (f *feed) awaited(ctx context.Context, id tenant.ID, claim ulid.ULID) (*store.Change, bool, error) {
	if f.o.Claims == nil {
		return nil, false, nil
	}
	guard, awaited, err := f.o.Claims.Awaited(ctx, id, claim)
	return &guard, awaited, err
}
