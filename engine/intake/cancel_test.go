package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func (r *room) append(t *testing.T, res Result, typ message.Type, data any) {
	t.Helper()
	errs, err := r.Store.Commit(t.Context(), store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: res.ID}, Expect: store.Any, Events: []store.NewEvent{{Type: byte(typ), Data: message.Encode(data)}}}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
}

func TestCanceledMessageLeavesTheQueueAndItsLinkCloses(t *testing.T) {
	r := openRoom(t)
	res := r.accept(t, bill())[0]
	require.ErrorIs(t, r.Cancel(t.Context(), "gasu", res.ID, "key:x"), store.ErrNotFound)
	require.NoError(t, r.Cancel(t.Context(), "mizu", res.ID, "key:erp"))
	require.NoError(t, r.Cancel(t.Context(), "mizu", res.ID, "key:erp"))
	s := r.state(t, res.ID)
	require.Equal(t, message.Withdrawn, s.Phase)
	require.False(t, s.RevokedAt.IsZero())
	require.Equal(t, 3, s.Version)
	require.False(t, s.MaySubmit(1, time.Now()))
	items, err := r.Store.Due(nil, "docomo/notice", store.Cursor{}, time.Now().Add(time.Second), 10)
	require.NoError(t, err)
	require.Empty(t, items)
}

func TestWrittenMessageIsNotCanceledButItsLinkCanBeRevoked(t *testing.T) {
	r := openRoom(t)
	res := r.accept(t, bill())[0]
	r.append(t, res, message.Submitting, message.Submission{Part: 1, Attempt: 1})
	var pe *PhaseError
	require.ErrorAs(t, r.Cancel(t.Context(), "mizu", res.ID, "user:a"), &pe)
	require.Equal(t, message.Sending, pe.Phase)
	require.NoError(t, r.Revoke(t.Context(), "mizu", res.ID, "user:a"))
	require.NoError(t, r.Revoke(t.Context(), "mizu", res.ID, "user:a"))
	require.Equal(t, 3, r.state(t, res.ID).Version)

	d := bill()
	d.Page, d.Text = nil, "お知らせ"
	bare := r.accept(t, d)[0]
	require.ErrorIs(t, r.Revoke(t.Context(), "mizu", bare.ID, "user:a"), ErrNoLink)
}

func TestOneKeyLivesAsLongAsItsMessageIsOpen(t *testing.T) {
	r := openRoom(t)
	d := bill()
	d.Key = "k-1"
	first := r.accept(t, d)[0]
	require.NoError(t, r.Cancel(t.Context(), "mizu", first.ID, "key:erp"))
	again := r.accept(t, d)[0]
	require.True(t, again.Repeated, "within 72 hours the first answer stands, canceled or not")
	_, _, err := r.Store.Lookup(t.Context(), tenant.Only("mizu"), store.ByKey, "k-1")
	require.ErrorIs(t, err, store.ErrNotFound, "the key itself is not stored")
}
