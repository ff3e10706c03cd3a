package payment

import (
	"fmt"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/store"
)

// Claims are read together, each once, also when there are more than one batch has.
func TestReconcilerReadsClaimsTogether(t *testing.T) {
	r := newRig(t)
	var ids []ulid.ULID
	var changes []store.Change
	for i := range reconcileBatch + 3 {
		planned, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), draft(fmt.Sprint("A-", i), 1000), "")
		require.NoError(t, err)
		require.Nil(t, problem)
		ids, changes = append(ids, planned.ID), append(changes, planned.Changes...)
	}
	require.NoError(t, r.commit(t.Context(), changes))
	rec := &reconciler{p: r.Payments, id: "acme", claims: map[ulid.ULID]*State{}}
	require.NoError(t, rec.load(t.Context(), append(ids, ids...)))
	require.Len(t, rec.claims, len(ids))
	for i, id := range ids {
		require.Equal(t, fmt.Sprint("A-", i), rec.claims[id].Number)
	}
	first := rec.claims[ids[0]]
	require.NoError(t, rec.load(t.Context(), ids))
	require.Same(t, first, rec.claims[ids[0]], "what is there is not read again")
	require.ErrorIs(t, rec.load(t.Context(), []ulid.ULID{ulid.Make()}), store.ErrNotFound)
}
