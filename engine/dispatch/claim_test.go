package dispatch

import (
	"context"
	"sync"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// till says of claims what its streams say: one event is unpaid, more is paid. between happens after each answer.
type till struct {
	r       *rig
	mu      sync.Mutex
	asked   int
	between func()
}

func (c *till) Awaited(ctx context.Context, id tenant.ID, claim ulid.ULID) (store.Change, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ref := store.Ref{Tenant: id, Kind: store.Claim, ID: claim}
	events, err := c.r.store.Load(ctx, tenant.Only(id), ref)
	if err != nil {
		return store.Change{}, false, err
	}
	if c.asked++; c.between != nil {
		c.between()
	}
	return store.Change{Ref: ref, Expect: len(events)}, len(events) == 1, nil
}

func TestFollowUpOfAPaidClaimIsNotSent(t *testing.T) {
	r := newRig(t, smsc.Config{})
	claim := ulid.Make()
	ref := store.Ref{Tenant: "suido", Kind: store.Claim, ID: claim}
	pay := func(n int) { r.commit(store.Change{Ref: ref, Expect: n, Events: []store.NewEvent{{Type: 1}}}) }
	pay(0)
	c := &till{r: r}
	r.claims = c
	follows := func(h *message.Head) { h.Resends, h.Claim = ulid.Make(), claim }
	unpaid := r.accept("+819000012345", "お知らせです。", follows)
	r.start()
	r.eventually(unpaid, message.Arrived)

	// It is paid between the question and the commit of the submission.
	c.mu.Lock()
	c.asked, c.between = 0, sync.OnceFunc(func() { pay(1) })
	c.mu.Unlock()
	paid := r.accept("+819000012346", "お知らせです。", follows)
	s := r.eventually(paid, message.Withdrawn)
	require.Equal(t, ReasonPaid, s.Reason)
	require.Zero(t, s.SubmittingAt)
	require.Equal(t, 2, c.asked, "asked again when the commit lost")
	first := r.accept("+819000012347", "お知らせです。", func(h *message.Head) { h.Claim = claim })
	r.eventually(first, message.Arrived) // what follows nothing up goes as ever
	require.Len(t, r.smsc.Ledger(0), 2)
}
