package payment

import (
	"errors"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// registering is a rig whose first claim was paid with a card that is registered; the bank charges it.
func registering(t *testing.T) *rig {
	r := newRig(t)
	r.mods.methods = append(r.mods.methods[:len(r.mods.methods):len(r.mods.methods)], &proto.PaymentMethod{Code: "kept", Kind: proto.MethodKind_CARD_RECURRING,
		LabelJa: "カード登録", LabelEn: "Card", MinYen: 1, MaxYen: 50_000, Redirect: true, CancelBlocksPayment: true, Charges: true})
	r.tenant.Agents[0].Methods = append(r.tenant.Agents[0].Methods, "kept")
	a, err := r.Start(t.Context(), r.tenant, r.claim("A-1", 1000), StartOptions{Method: "kept", Payer: "taro", ReturnURL: "https://link.example.jp/r", MessageID: ulid.Make()})
	require.NoError(t, err)
	n := r.told("n1", a, proto.PaymentState_CONFIRMED, 1000, time.Hour)
	n.Payment.Registration = "card-1"
	require.Equal(t, 200, r.hook(n).Status)
	return r
}

func (r *rig) charge(number string, change ...func(*ChargeOptions)) (State, error) {
	o := ChargeOptions{Card: "A-1", Payer: "taro", Act: message.Act{By: "key:k1"}}
	for _, f := range change {
		f(&o)
	}
	return r.Charge(r.t.Context(), r.tenant, number, o)
}

func TestRegisteredCardIsChargedByOrder(t *testing.T) {
	r := registering(t)
	claim := r.claim("B-1", 2000)
	key := func(o *ChargeOptions) { o.Key = "march" }
	s, err := r.charge("B-1", key)
	require.NoError(t, err)
	require.Equal(t, Paid, s.Phase)
	require.Equal(t, "card-1", r.bank.last.Registration)
	require.Empty(t, r.bank.last.ReturnUrl)
	require.Equal(t, "key:k1", s.Attempts[0].By)
	before := r.bank.count(&r.bank.creates)
	s, err = r.charge("B-1", key)
	require.NoError(t, err, "the same key is the same charge")
	require.Equal(t, Paid, s.Phase)
	_, err = r.charge("B-1")
	requireConflict(t, err, "charge", "money was received already")
	require.Equal(t, before, r.bank.count(&r.bank.creates))
	require.Empty(t, r.state(claim).Alerts)
	require.Len(t, r.state(claim).Attempts, 1)

	// A lost answer is settled by asking.
	lost := r.claim("B-2", 3000)
	r.bank.set(func() { r.bank.lost = func() error { return status.Error(codes.Unavailable, "reset") } })
	s, err = r.charge("B-2", key)
	require.NoError(t, err)
	require.Equal(t, InProgress, s.Phase)
	r.bank.set(func() { r.bank.lost = nil })
	_, err = r.charge("B-2", func(o *ChargeOptions) { o.Key = "again" })
	requireConflict(t, err, "charge", "money was received already")
	require.Equal(t, Paid, r.state(lost).Phase)
	require.Len(t, r.state(lost).Attempts, 1)
}

func TestChargeIsRefusedClearly(t *testing.T) {
	r := registering(t)
	r.claim("B-1", 2000)
	r.claim("B-2", 60_000)
	withdrawn := r.claim("B-3", 2000)
	_, err := r.Patch(t.Context(), r.tenant, "B-3", Patch{Withdrawn: true}, "user:hanako")
	require.NoError(t, err)
	number := r.claim("B-4", 2000)
	r.mustStart(number, "konbini_barcode")
	for name, c := range map[string]struct {
		claim         string
		change        func(*ChargeOptions)
		field, detail string
	}{
		"no such claim":    {"B-1", func(o *ChargeOptions) { o.Card = "X-1" }, "card", "no card is registered with this claim"},
		"no card":          {"B-1", func(o *ChargeOptions) { o.Card = "B-2" }, "card", "no card is registered with this claim"},
		"another customer": {"B-1", func(o *ChargeOptions) { o.Payer = "jiro" }, "card", "the card was registered by another customer: the messages of both claims need the same reference"},
		"nobody":           {"B-1", func(o *ChargeOptions) { o.Payer = "" }, "card", "the card was registered by another customer: the messages of both claims need the same reference"},
		"withdrawn":        {"B-3", func(*ChargeOptions) {}, "charge", "the claim was settled or withdrawn"},
		"a number is out":  {"B-4", func(*ChargeOptions) {}, "charge", "a number is out that may still be paid"},
		"paid":             {"A-1", func(*ChargeOptions) {}, "charge", "money was received already"},
	} {
		_, err := r.charge(c.claim, c.change)
		requireConflict(t, err, c.field, c.detail)
		require.Error(t, err, name)
	}
	_, err = r.charge("B-2")
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, [3]any{"range", int64(50_000), int64(60_000)}, [3]any{ps[0].Code, ps[0].Limit, ps[0].Got})
	_, err = r.charge("B-1", func(o *ChargeOptions) { o.Key = "two words" })
	require.ErrorAs(t, err, &ps)
	require.Empty(t, r.state(withdrawn).Attempts)

	r.bank.set(func() { r.bank.refusal = &proto.Error{Class: proto.ErrorClass_DECLINED, Code: "card_declined"} })
	key := func(o *ChargeOptions) { o.Key = "k" }
	_, err = r.charge("B-1", key)
	requireConflict(t, err, "charge", "the payment agent refused: declined:card_declined")
	r.bank.set(func() { r.bank.refusal = nil })
	_, err = r.charge("B-1", key)
	requireConflict(t, err, "charge", "the payment agent refused this charge; order it anew with another key")
	s, err := r.charge("B-1", func(o *ChargeOptions) { o.Key = "k2" })
	require.NoError(t, err)
	require.Equal(t, Paid, s.Phase)
	_, err = parseView(&proto.Payment{State: proto.PaymentState_CONFIRMED, Registration: string(make([]byte, 200))})
	require.Error(t, err)
}

func requireConflict(t *testing.T, err error, field, detail string) {
	t.Helper()
	var ps message.Problems
	require.True(t, errors.As(err, &ps), "%v", err)
	require.Equal(t, [3]string{field, "conflict", detail}, [3]string{ps[0].Field, ps[0].Code, ps[0].Detail})
}
