package main

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func (h *host) page(p *proto.Payment, outcome string) {
	h.t.Helper()
	u, err := url.Parse(p.RedirectUrl)
	require.NoError(h.t, err)
	h.till(u.Path, obj{"outcome": outcome})
}

func TestPayerNumberIsTheSameForAllBillsOfAPayer(t *testing.T) {
	h := newHost(t)
	bill := func(attempt, payer string) *proto.Payment {
		in := h.request(attempt, methodPayer)
		in.Payer = payer
		out, err := h.Create(t.Context(), in)
		require.NoError(t, err)
		require.Nil(t, out.Error)
		return out.Payment
	}
	first, second, other := bill("a1", "p1"), bill("a2", "p1"), bill("a3", "p2")
	number := first.Voucher.PaymentNumber
	require.Len(t, number, 13)
	require.Equal(t, number, second.Voucher.PaymentNumber)
	require.NotEqual(t, number, other.Voucher.PaymentNumber)
	require.Len(t, h.till("/till/look", obj{"number": number})["payments"], 2)
	require.Equal(t, "choose", h.refused("/till/pay", obj{"number": number}))
	h.till("/till/pay", obj{"number": number, "payment_id": second.AgentPaymentId})
	n := h.wait(1)
	require.Equal(t, "a2", n[0].Payment.AttemptId, "the money is that bill's")
	require.Equal(t, proto.PaymentState_PROVISIONAL, h.get("a2").State)
	require.Equal(t, proto.PaymentState_AWAITING, h.get("a1").State)

	in := h.request("a4", methodPayer)
	out, err := h.Create(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, "payer", out.Error.Field)
}

func TestPayEasyIsPaidAtABank(t *testing.T) {
	h := newHost(t)
	v := h.create("a1", methodPayEasy).Voucher
	require.Len(t, v.Institution, 5)
	require.NotEmpty(t, v.ConfirmationNumber)
	at := obj{"number": v.PaymentNumber, "institution": v.Institution, "confirmation": v.ConfirmationNumber}
	require.Equal(t, "wrong_confirmation", h.refused("/till/pay", obj{"number": v.PaymentNumber, "institution": v.Institution}))
	h.till("/till/pay", at)
	require.Equal(t, "bank", h.wait(1)[0].Payment.Store)
	require.Equal(t, proto.PaymentState_PROVISIONAL, h.get("a1").State)
	require.Equal(t, "paid", h.refused("/till/pay", at))
}

func TestPagesOfTheCompanyEndAsThePayerChose(t *testing.T) {
	h := newHost(t)
	notices := 0
	for _, method := range []string{methodKept, methodWallet, methodAccount} {
		for outcome, want := range map[string]proto.PaymentState{
			"approved": proto.PaymentState_CONFIRMED, "declined": proto.PaymentState_FAILED, "abandoned": proto.PaymentState_CANCELED,
		} {
			if method == methodAccount && outcome == "approved" {
				want = proto.PaymentState_REGISTERED
			}
			attempt := method + "." + outcome
			p := h.create(attempt, method)
			require.Equal(t, proto.PaymentState_REQUIRES_ACTION, p.State)
			h.page(p, outcome)
			notices++
			h.wait(notices)
			p = h.get(attempt)
			require.Equal(t, want, p.State, attempt)
			require.Equal(t, want == proto.PaymentState_CONFIRMED, p.PaidYen == 7440, attempt)
		}
	}
	out, err := h.Cancel(t.Context(), &proto.CancelRequest{Call: h.call(instance), AttemptId: methodAccount + ".approved"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_CONFLICT, out.Error.Class, "what is registered stays so")
}
