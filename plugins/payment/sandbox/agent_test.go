package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestBarcodeGoesFromScanToConfirmation(t *testing.T) {
	h := newHost(t)
	p := h.create("a1", "konbini_barcode")
	require.Equal(t, proto.PaymentState_AWAITING, p.State)
	require.Regexp(t, `^20\d{15}$`, p.AgentPaymentId)
	require.Regexp(t, `^2\d{13}$`, p.ReceiptNumber)
	require.Regexp(t, `^91908081`+p.AgentPaymentId+`00000\d{6}0007440\d$`, p.Voucher.Barcode)
	require.Len(t, p.Voucher.Stores, 5)

	h.till("/till/pay", obj{"barcode": p.Voucher.Barcode, "store": "konbini_c"})
	n := h.wait(1)[0]
	require.Equal(t, proto.PaymentState_PROVISIONAL, n.Payment.State)
	require.Equal(t, "konbini_c", n.Payment.Store)
	require.Equal(t, int64(7440), n.Payment.PaidYen)
	require.True(t, pb.Equal(n.Payment, h.get("a1")))

	h.till("/till/confirm", obj{"payment_id": p.AgentPaymentId})
	n = h.wait(2)[1]
	require.Equal(t, proto.PaymentState_CONFIRMED, n.Payment.State)
	require.NotNil(t, n.Payment.ConfirmedAt)
	require.True(t, n.Occurred.AsTime().After(n.Payment.ProvisionalAt.AsTime()))
	require.True(t, pb.Equal(n.Payment, h.get("a1")))
	require.Equal(t, []uint32{200, 200}, h.replies)
}

func TestNumberIsOfTheChosenStore(t *testing.T) {
	h := newHost(t)
	p := h.create("a1", "konbini_number")
	require.Regexp(t, `^2\d{11}$`, p.Voucher.PaymentNumber)
	require.Regexp(t, `^\d{6}$`, p.Voucher.ConfirmationNumber)
	require.Equal(t, "konbini_b", p.Voucher.Stores[0].Code)
	require.Equal(t, "wrong_confirmation", h.refused("/till/pay", obj{"number": p.Voucher.PaymentNumber, "confirmation": "1"}))
	h.till("/till/pay", obj{"number": p.Voucher.PaymentNumber, "confirmation": p.Voucher.ConfirmationNumber})
	require.Equal(t, "konbini_b", h.wait(1)[0].Payment.Store)
	require.Equal(t, "paid", h.refused("/till/pay", obj{"number": p.Voucher.PaymentNumber}))
}

func TestCardEndsAsThePayerChose(t *testing.T) {
	for outcome, want := range map[string]proto.PaymentState{
		"approved":  proto.PaymentState_CONFIRMED,
		"declined":  proto.PaymentState_FAILED,
		"abandoned": proto.PaymentState_CANCELED,
	} {
		t.Run(outcome, func(t *testing.T) {
			h := newHost(t)
			p := h.create("a1", "card")
			require.Equal(t, proto.PaymentState_REQUIRES_ACTION, p.State)
			resp, err := http.Get(p.RedirectUrl)
			require.NoError(t, err)
			page, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			require.Contains(t, string(page), "テストカードで支払う")
			require.Equal(t, proto.PaymentState_REQUIRES_ACTION, h.get("a1").State, "looking changes nothing")

			status, _ := h.post(p.RedirectUrl, obj{"outcome": outcome})
			require.Equal(t, 200, status)
			require.Equal(t, want, h.wait(1)[0].Payment.State)
			status, _ = h.post(p.RedirectUrl, obj{"outcome": outcome})
			require.Equal(t, 422, status, "once is enough")
			resp, err = http.Get(p.RedirectUrl)
			require.NoError(t, err)
			page, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			require.Contains(t, string(page), `href="https://example.jp/a/xxxxxxxxxx/return?s=1"`)
		})
	}
}

func TestOneAttemptIsOnePayment(t *testing.T) {
	h := newHost(t)
	req := h.request("a1", "konbini_number")
	var wg sync.WaitGroup
	got := make([]*proto.CreateResponse, 16)
	for i := range got {
		wg.Go(func() {
			out, err := h.Create(t.Context(), req)
			if err == nil {
				got[i] = out
			}
		})
	}
	wg.Wait()
	for _, out := range got {
		require.NotNil(t, out)
		require.Nil(t, out.Error)
		require.True(t, pb.Equal(got[0].Payment, out.Payment))
	}
	require.Equal(t, 1, h.payments())

	req.Yen++
	out, err := h.Create(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_CONFLICT, out.Error.Class)
	require.Equal(t, 1, h.payments())
}

func TestLostReplyIsSettledByGet(t *testing.T) {
	h := newHost(t)
	h.till("/faults", obj{"fault": "lost_reply", "times": 1})
	req := h.request("a1", "konbini_barcode")
	out, err := h.Create(t.Context(), req)
	require.NoError(t, err)
	require.Nil(t, out.Payment)
	require.Equal(t, proto.ErrorClass_UNKNOWN_OUTCOME, out.Error.Class)
	p := h.get("a1")
	require.Len(t, p.Voucher.Barcode, 44)
	again, err := h.Create(t.Context(), req)
	require.NoError(t, err)
	require.True(t, pb.Equal(p, again.Payment))
	require.Equal(t, 1, h.payments())
}

func TestSlowReplyIsUnknownNotUnavailable(t *testing.T) {
	h := newHost(t)
	h.till("/faults", obj{"fault": "slow_reply", "times": 1, "delay": "1m"})
	// The module's own deadline, not that of gRPC: the host would see no answer at all.
	a := newAgent()
	a.client.Timeout = 300 * time.Millisecond
	require.Nil(t, a.configure(instance, h.config(testSecret)))
	out, err := a.Create(t.Context(), h.request("a1", "konbini_barcode"))
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNKNOWN_OUTCOME, out.GetError().GetClass())
	require.NotNil(t, h.get("a1").Voucher)
}

func TestServerErrorIsUnclearForWhatChangesOnly(t *testing.T) {
	h := newHost(t)
	h.create("a0", "konbini_barcode")
	h.till("/faults", obj{"fault": "server_error", "times": 3})
	created, err := h.Create(t.Context(), h.request("a1", "konbini_barcode"))
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNKNOWN_OUTCOME, created.Error.Class)
	canceled, err := h.Cancel(t.Context(), &proto.CancelRequest{Call: h.call(instance), AttemptId: "a0"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNKNOWN_OUTCOME, canceled.Error.Class)
	got, err := h.Get(t.Context(), &proto.GetRequest{Call: h.call(instance), AttemptId: "a0"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNAVAILABLE, got.Error.Class)

	got, err = h.Get(t.Context(), &proto.GetRequest{Call: h.call(instance), AttemptId: "a1"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_NOT_FOUND, got.Error.Class)
}

func TestNoConnectionIsUnavailable(t *testing.T) {
	h := newHost(t)
	h.stop()
	created, err := h.Create(t.Context(), h.request("a1", "konbini_barcode"))
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNAVAILABLE, created.Error.Class)
	require.NotContains(t, created.Error.Message, testSecret)
	canceled, err := h.Cancel(t.Context(), &proto.CancelRequest{Call: h.call(instance), AttemptId: "a1"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNAVAILABLE, canceled.Error.Class)
}

func TestAnswerThatIsNotTheCompanysIsNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   proto.ErrorClass
	}{
		"page of a proxy":     {502, "<html>Bad Gateway</html>", proto.ErrorClass_UNKNOWN_OUTCOME},
		"not found of others": {404, "404 page not found", proto.ErrorClass_UNKNOWN_OUTCOME},
		"other JSON API":      {404, `{"error":{"code":"no_route","message":"?"}}`, proto.ErrorClass_CONFIG},
		"unknown state":       {201, `{"payment":{"attempt_id":"a1","payment_id":"1","yen":7440,"state":"teleported"}}`, proto.ErrorClass_UNKNOWN_OUTCOME},
		"another payment":     {201, `{"payment":{"attempt_id":"a2","payment_id":"1","yen":7440,"state":"awaiting"}}`, proto.ErrorClass_UNKNOWN_OUTCOME},
		"another amount":      {201, `{"payment":{"attempt_id":"a1","payment_id":"1","yen":744,"state":"awaiting"}}`, proto.ErrorClass_UNKNOWN_OUTCOME},
		"nothing":             {200, `{}`, proto.ErrorClass_UNKNOWN_OUTCOME},
		"refusal in a 500":    {500, `{"error":{"code":"invalid_request"}}`, proto.ErrorClass_UNKNOWN_OUTCOME},
		"too many":            {429, `{"error":{"code":"rate_limited","message":"slow down"}}`, proto.ErrorClass_RATE_LIMITED},
	} {
		t.Run(name, func(t *testing.T) {
			p, fault := readAnswer(c.status, []byte(c.body))
			if fault == nil { // well formed: Create compares it with what was asked
				require.True(t, p.AttemptId != "a1" || p.Yen != 7440)
				return
			}
			require.Equal(t, c.want, fault.Class)
		})
	}
}

func TestWrongSecretIsTheOperatorsTrouble(t *testing.T) {
	h := newHost(t)
	req := h.request("a1", "card")
	req.Call = h.call("wrong-secret")
	out, err := h.Create(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_CONFIG, out.Error.Class)
	req.Call = h.call("nobody")
	out, err = h.Create(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_CONFIG, out.Error.Class)
	require.Zero(t, h.payments())
}

func TestBadRequestIsRefusedBeforeItIsSent(t *testing.T) {
	h := newHost(t)
	h.stop()
	for field, spoil := range map[string]func(*proto.CreateRequest){
		"attempt_id":  func(r *proto.CreateRequest) { r.AttemptId = "../a" },
		"yen":         func(r *proto.CreateRequest) { r.Yen = 300_001 },
		"tax_yen":     func(r *proto.CreateRequest) { r.TaxYen = 7441 },
		"due":         func(r *proto.CreateRequest) { r.Due = timestamppb.New(time.Now().Add(-time.Minute)) },
		"store":       func(r *proto.CreateRequest) { r.Store = "konbini_z" },
		"webhook_url": func(r *proto.CreateRequest) { r.WebhookUrl = "ftp://example.jp" },
	} {
		req := h.request("a1", "konbini_number")
		spoil(req)
		out, err := h.Create(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, proto.ErrorClass_INVALID, out.Error.Class, field)
		require.Equal(t, field, out.Error.Field)
	}
	req := h.request("a1", "bank")
	out, err := h.Create(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_NOT_SUPPORTED, out.Error.Class)
	req = h.request("a1", "card")
	req.ReturnUrl = ""
	out, err = h.Create(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "return_url", out.Error.Field)
}

func TestCanceledNumberIsRefusedCanceledSlipIsNot(t *testing.T) {
	h := newHost(t)
	number, slip := h.create("a1", "konbini_number"), h.create("a2", "konbini_barcode")
	for _, attempt := range []string{"a1", "a1", "a2"} {
		out, err := h.Cancel(t.Context(), &proto.CancelRequest{Call: h.call(instance), AttemptId: attempt})
		require.NoError(t, err)
		require.Nil(t, out.Error)
		require.Equal(t, proto.PaymentState_CANCELED, out.Payment.State)
	}
	require.Equal(t, "canceled", h.refused("/till/pay", obj{"number": number.Voucher.PaymentNumber}))
	h.till("/till/pay", obj{"barcode": slip.Voucher.Barcode})
	require.Equal(t, proto.PaymentState_PROVISIONAL, h.wait(1)[0].Payment.State)

	h.till("/faults", obj{"fault": "pay_after_cancel", "times": 1})
	h.till("/till/pay", obj{"number": number.Voucher.PaymentNumber})
	require.Equal(t, proto.PaymentState_PROVISIONAL, h.wait(2)[1].Payment.State)
	out, err := h.Cancel(t.Context(), &proto.CancelRequest{Call: h.call(instance), AttemptId: "a1"})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_CONFLICT, out.Error.Class)
	require.Equal(t, "already_paid", out.Error.Code)
}

func TestPastDueIsExpiredAndRefused(t *testing.T) {
	h := newHost(t)
	number, slip, card := h.create("a1", "konbini_number"), h.create("a2", "konbini_barcode"), h.create("a3", "card")
	h.till("/clock", obj{"advance": "264h"})
	require.Equal(t, proto.PaymentState_EXPIRED, h.get("a1").State)
	require.Equal(t, proto.PaymentState_EXPIRED, h.get("a2").State)
	require.Equal(t, "expired", h.refused("/till/pay", obj{"number": number.Voucher.PaymentNumber}))
	require.Equal(t, "expired", h.refused("/till/pay", obj{"barcode": slip.Voucher.Barcode}))
	status, _ := h.post(card.RedirectUrl, obj{"outcome": "approved"})
	require.Equal(t, 422, status)
	h.till("/faults", obj{"fault": "pay_after_expiry", "times": 2})
	h.till("/till/pay", obj{"barcode": slip.Voucher.Barcode})
	status, _ = h.post(card.RedirectUrl, obj{"outcome": "approved"})
	require.Equal(t, 200, status)
	got := h.wait(2)
	states := []proto.PaymentState{got[0].Payment.State, got[1].Payment.State}
	slices.Sort(states)
	require.Equal(t, []proto.PaymentState{proto.PaymentState_PROVISIONAL, proto.PaymentState_CONFIRMED}, states)
}

func TestRevocationLeavesTheBillUnpaid(t *testing.T) {
	h := newHost(t)
	p := h.create("a1", "konbini_barcode")
	h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
	h.till("/till/revoke", obj{"payment_id": p.AgentPaymentId})
	n := h.wait(2)[1].Payment
	require.Equal(t, proto.PaymentState_AWAITING, n.State)
	require.True(t, n.ProvisionalRevoked)
	require.Zero(t, n.PaidYen)
	require.Equal(t, "not_open", h.refused("/till/confirm", obj{"payment_id": p.AgentPaymentId}))
	h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
	n = h.wait(3)[2].Payment
	require.Equal(t, proto.PaymentState_PROVISIONAL, n.State)
	require.False(t, n.ProvisionalRevoked)
}

func TestRevocationAfterConfirmationIsAFault(t *testing.T) {
	h := newHost(t)
	p := h.create("a1", "konbini_barcode")
	h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
	h.till("/till/confirm", obj{"all": true})
	require.Equal(t, "confirmed", h.refused("/till/revoke", obj{"payment_id": p.AgentPaymentId}))
	h.till("/faults", obj{"fault": "revoke_confirmed", "times": 1})
	h.till("/till/revoke", obj{"payment_id": p.AgentPaymentId})
	n := h.wait(3)
	require.True(t, n[2].Payment.ProvisionalRevoked)
	require.True(t, n[2].Occurred.AsTime().After(n[1].Occurred.AsTime()))
	require.Zero(t, n[2].Payment.PaidYen)
}

func TestPaidTwiceShowsTwiceTheMoney(t *testing.T) {
	h := newHost(t)
	p := h.create("a1", "konbini_barcode")
	h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
	h.till("/till/confirm", obj{"all": true})
	h.till("/faults", obj{"fault": "pay_twice", "times": 1})
	h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
	n := h.wait(3)[2].Payment
	require.Equal(t, proto.PaymentState_CONFIRMED, n.State)
	require.Equal(t, int64(14_880), n.PaidYen)
	require.Equal(t, "paid", h.refused("/till/pay", obj{"barcode": p.Voucher.Barcode}))
}

func TestFaultyNoticesAllArrive(t *testing.T) {
	for _, c := range []struct {
		fault obj
		want  []proto.PaymentState // as they come
	}{
		{obj{"fault": "duplicate_notice", "times": 1}, []proto.PaymentState{proto.PaymentState_PROVISIONAL, proto.PaymentState_PROVISIONAL, proto.PaymentState_CONFIRMED}},
		{obj{"fault": "out_of_order", "times": 2}, []proto.PaymentState{proto.PaymentState_CONFIRMED, proto.PaymentState_PROVISIONAL}},
		{obj{"fault": "late_notice", "times": 1, "delay": "400ms"}, []proto.PaymentState{proto.PaymentState_CONFIRMED, proto.PaymentState_PROVISIONAL}},
		{obj{"fault": "forged_signature", "times": 1}, []proto.PaymentState{proto.PaymentState_PROVISIONAL, proto.PaymentState_CONFIRMED}},
	} {
		t.Run(c.fault["fault"].(string), func(t *testing.T) {
			h := newHost(t)
			p := h.create("a1", "konbini_barcode")
			h.till("/faults", c.fault)
			h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
			h.till("/till/confirm", obj{"all": true})
			got := h.wait(len(c.want))
			var states []proto.PaymentState
			ids := map[string]bool{}
			for _, n := range got {
				states = append(states, n.Payment.State)
				ids[n.NoticeId] = true
			}
			require.Equal(t, c.want, states)
			require.Len(t, ids, 2)
			latest := slices.MaxFunc(got, func(a, b *proto.PaymentNotice) int {
				return a.Occurred.AsTime().Compare(b.Occurred.AsTime())
			})
			require.True(t, pb.Equal(latest.Payment, h.get("a1")), "the latest by time of occurrence is the truth")
			if c.fault["fault"] == "forged_signature" {
				require.Equal(t, uint32(401), h.replies[0])
			}
		})
	}
}

func TestRestartOfTheCompanyLosesNothing(t *testing.T) {
	h := newHost(t)
	h.setDoor(true)
	before := map[string]*proto.Payment{}
	for i := range 5 {
		id := fmt.Sprintf("a%d", i)
		p := h.create(id, "konbini_barcode")
		h.till("/till/pay", obj{"barcode": p.Voucher.Barcode})
		before[id] = h.get(id)
	}
	card := h.create("card", "card")
	h.stop()
	h.setDoor(false)
	h.startTill()
	for id, p := range before {
		require.True(t, pb.Equal(p, h.getRetrying(id)), id)
	}
	for _, n := range h.wait(5) {
		require.Equal(t, proto.PaymentState_PROVISIONAL, n.Payment.State)
	}
	status, _ := h.post(card.RedirectUrl, obj{"outcome": "approved"})
	require.Equal(t, 200, status)
	require.Equal(t, proto.PaymentState_CONFIRMED, h.wait(6)[5].Payment.State)
	again, err := h.Create(t.Context(), h.request("a0", "konbini_barcode"))
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_CONFLICT, again.Error.Class, "the due date differs: another request")
}

// getRetrying asks as the host does: again while the company is not available.
func (h *host) getRetrying(attempt string) *proto.Payment {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		out, err := h.Get(ctx, &proto.GetRequest{Call: h.call(instance), AttemptId: attempt})
		require.NoError(h.t, err)
		if out.Error.GetClass() != proto.ErrorClass_UNAVAILABLE {
			return out.Payment
		}
	}
	return nil
}
