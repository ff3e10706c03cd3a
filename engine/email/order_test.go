package email

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

func TestSenderOrdersAMail(t *testing.T) {
	r := newRig(t, false)
	order := func(address string) error {
		return r.Order(t.Context(), r.tenant(), Order{Message: r.message, Address: address, Lang: "ja", By: "key:erp"})
	}
	require.ErrorIs(t, order(""), ErrAddress, "the message carries none")
	require.ErrorIs(t, order("taro"), ErrAddress)
	require.NoError(t, order(typed))
	require.Equal(t, 1, r.work())
	_, text, _ := read(t, r.relay.got()[0].data)
	require.Contains(t, text, "お支払いに必要な番号をお送りします")
	require.NotContains(t, text, "お客様のご依頼により", "nobody asked for it")
	require.Contains(t, text, "203191764545")
	m := r.state().Mails
	require.Len(t, m, 1)
	require.True(t, m[0].Sent)
	require.Equal(t, "key:erp", m[0].By)

	require.NoError(t, r.ask(typed, "ja"), "the recipient's wish counts beside it")
	require.NoError(t, order("hanako@example.jp"))
	for range 10 {
		r.pass(onceIn)
		if err := order("jiro@example.jp"); err != nil {
			require.ErrorIs(t, err, ErrUsedUp)
		}
	}
	require.Len(t, r.state().Mails, r.o.Config.PerMessage)

	unknown := r.message
	unknown.ID = ulid.ULID{15: 1}
	require.ErrorIs(t, r.Order(t.Context(), r.tenant(), Order{Message: unknown, Address: typed}), store.ErrNotFound)
	r.claims.state.Attempts[0].Phase = payment.IsProvisional
	require.ErrorIs(t, order(typed), ErrNoNumber)
	r.claims.state.Attempts[0].Phase = payment.Awaiting
	r.pass(60 * 24 * time.Hour)
	require.ErrorIs(t, order(typed), ErrNoNumber, "past the due date")
	require.ErrorIs(t, (*Emails)(nil).Order(t.Context(), r.tenant(), Order{}), ErrNoRelay)
}

func TestSendersOrderGoesToTheAddressOfTheMessage(t *testing.T) {
	r := newRig(t, false)
	id := ulid.ULID{15: 3}
	ref := store.Ref{Tenant: "water", Kind: store.Message, ID: id}
	box, err := r.o.Store.Seal("water", string(message.Billing), r.now(), id.String()+"/page", message.Encode(&message.Content{Email: "hanako@example.jp"}))
	require.NoError(t, err)
	head := &message.Head{V: 1, No: "20261128000000002", Class: message.Billing, Masked: "080-****-9008", Claim: ulid.ULID{15: 9}, Page: box}
	require.NoError(t, commit(t.Context(), r.o.Store, store.Tx{{Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), At: r.now(), Data: message.Encode(head)}}}}))
	require.NoError(t, r.Order(t.Context(), r.tenant(), Order{Message: ref, Lang: "en", By: "user:hanako"}))
	require.Equal(t, 1, r.work())
	require.Equal(t, "hanako@example.jp", r.relay.got()[0].to)
}
