package followup

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

// paid appends to a message's claim an attempt by transfer, and what came of it.
func (r *room) paid(msg ulid.ULID, came func(attempt ulid.ULID) (payment.Type, any)) {
	r.t.Helper()
	claim, now := r.claim(r.state(msg).Head.Claim), time.Now()
	start := payment.Start{ID: ulid.Make(), Agent: "bank", Module: "payment/banktransfer", Method: "bank_transfer", Yen: claim.Amount, Due: claim.Due}
	change := store.Change{Ref: claim.Ref, Expect: store.Any}
	add := func(typ payment.Type, data any) {
		b, err := json.Marshal(data)
		require.NoError(r.t, err)
		change.Events = append(change.Events, store.NewEvent{Type: byte(typ), At: now, Data: b})
	}
	add(payment.Started, start)
	add(payment.Issued, payment.Fact{Attempt: start.ID, View: payment.View{State: payment.Awaiting, Voucher: &payment.Voucher{Account: &payment.Account{Number: "1234567"}}}, Seen: now, From: "create"})
	add(came(start.ID))
	errs, err := r.Store.Commit(r.t.Context(), store.Tx{change})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

// TestRestOfAClaimIsAskedFor: a part came to an account, a part came and the rest was settled elsewhere, and a store took too little.
func TestRestOfAClaimIsAskedFor(t *testing.T) {
	r := open(t)
	r.run()
	part, settled, short := r.bill(nil), r.bill(nil), r.bill(nil)
	transferred := func(attempt ulid.ULID) (payment.Type, any) {
		return payment.Deposited, payment.Deposit{Attempt: attempt, ID: "d1", Yen: 4000, Paid: time.Now()}
	}
	r.paid(part, transferred)
	r.paid(settled, transferred)
	require.Equal(t, payment.PartlyPaid, r.claim(r.state(settled).Head.Claim).Phase)
	r.settle("W-2", 3440)
	r.paid(short, func(attempt ulid.ULID) (payment.Type, any) {
		return payment.Confirmed, payment.Fact{Attempt: attempt, View: payment.View{State: payment.IsConfirmed, Yen: 7440, Paid: 4000, ConfirmedAt: time.Now()}, Seen: time.Now(), From: "notice"}
	})
	for id, phase := range map[ulid.ULID]payment.Phase{part: payment.PartlyPaid, settled: payment.SettledElse, short: payment.PartlyPaid} {
		require.Equal(t, phase, r.claim(r.state(id).Head.Claim).Phase)
		r.happen(id, submitted, delivered)
	}
	r.told()
	require.Equal(t, []string{"C-1"}, r.listed(Unopened), "nobody is asked for what there is no way to pay")
	for id, why := range map[ulid.ULID]string{settled: "nothing is to be paid any more", short: "there is no account for the rest"} {
		_, still, err := r.Awaited(t.Context(), mizu, r.state(id).Head.Claim)
		require.NoError(t, err)
		require.False(t, still)
		res, err := r.Resend(t.Context(), r.tenants.Now().Tenants[mizu], id, Order{By: "key:erp"})
		require.NoError(t, err)
		require.Equal(t, why, res.Problems[0].Detail)
		require.NotContains(t, res.Problems[0].Text("ja"), res.Problems[0].Detail, "it has Japanese words")
	}

	run := r.order(Order{List: Unopened, Template: "remind", Due: message.Day(time.Now().AddDate(0, 0, 25))})
	require.Empty(t, run.Refused)
	require.EqualValues(t, 1, run.Sent)
	require.Contains(t, r.text(r.state(part).ResentTo), "3440円")
	claim := r.claim(r.state(part).Head.Claim)
	require.Equal(t, message.Day(time.Now().AddDate(0, 0, 25)), message.Day(claim.Due))
	require.Equal(t, payment.PartPaid, claim.Live().Phase, "the account stays")
	require.False(t, claim.Live().Void)
	_, still, err := r.Awaited(t.Context(), mizu, claim.Ref.ID)
	require.NoError(t, err)
	require.True(t, still)
}
