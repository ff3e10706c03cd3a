package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestBarcodeOfAScreenIsRenewed(t *testing.T) {
	h := newHost(t)
	h.stop()
	h.showFor = 10 * time.Minute
	h.startTill()
	p := h.create("a1", methodBarcode)
	require.NotNil(t, p.Voucher.ShownUntil)
	renew := func(attempt string) *proto.RefreshVoucherResponse {
		out, err := h.RefreshVoucher(t.Context(), &proto.RefreshVoucherRequest{Call: h.call(instance), AttemptId: attempt})
		require.NoError(t, err)
		return out
	}
	h.till("/faults", obj{"fault": "no_voucher", "times": 1})
	require.Equal(t, proto.ErrorClass_RATE_LIMITED, renew("a1").Error.GetClass())
	next := renew("a1").Payment
	require.Equal(t, p.AgentPaymentId, next.AgentPaymentId)
	require.NotEqual(t, p.Voucher.Barcode, next.Voucher.Barcode)
	require.Equal(t, proto.PaymentState_AWAITING, next.State)
	h.till("/clock", obj{"advance": "11m"})
	require.Equal(t, "stale", h.refused("/till/pay", obj{"barcode": p.Voucher.Barcode}))
	require.Equal(t, "stale", h.refused("/till/pay", obj{"barcode": next.Voucher.Barcode}))
	h.till("/till/pay", obj{"barcode": renew("a1").Payment.Voucher.Barcode})
	require.Equal(t, proto.PaymentState_PROVISIONAL, h.wait(1)[0].Payment.State)
	require.Equal(t, proto.ErrorClass_CONFLICT, renew("a1").Error.GetClass())
	require.Equal(t, proto.ErrorClass_NOT_FOUND, renew("a2").Error.GetClass())
	require.Equal(t, proto.ErrorClass_INVALID, renew("a 1").Error.GetClass())
}
