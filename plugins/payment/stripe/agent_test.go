package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestCardGoesFromThePageToTheMoney(t *testing.T) {
	e := newEdge(t)
	p := e.create("card")
	require.Equal(t, proto.PaymentState_REQUIRES_ACTION, p.State)
	require.Equal(t, "https://checkout.stripe.com/c/pay/x", p.RedirectUrl)
	c := e.calls("POST /v1/checkout/sessions")[0]
	require.Equal(t, "create-"+p.AttemptId, c.key)
	for field, want := range map[string]string{
		"mode": "payment", "client_reference_id": p.AttemptId, "line_items[0][price_data][currency]": "jpy",
		"line_items[0][price_data][unit_amount]": "7440", "payment_method_types[0]": "card", "locale": "ja",
		"success_url": "https://link.example.jp/a/xxxxxxxxxx/return?s=1", "payment_intent_data[metadata][attempt]": p.AttemptId,
	} {
		require.Equal(t, want, c.form.Get(field), field)
	}
	e.becomes(p.AgentPaymentId, "complete", paidIntent(7440))
	p = e.get(p)
	require.Equal(t, proto.PaymentState_CONFIRMED, p.State)
	require.Equal(t, int64(7440), p.PaidYen)
	require.Equal(t, now.Unix()+60, p.ConfirmedAt.Seconds)
	require.Equal(t, "pi_1", p.ReceiptNumber)
}

func TestKonbiniShowsTheNumberOfEachStore(t *testing.T) {
	e := newEdge(t)
	p := e.create("konbini")
	require.Equal(t, "7", e.calls("POST /v1/checkout/sessions")[0].form.Get("payment_method_options[konbini][expires_after_days]"))
	e.becomes(p.AgentPaymentId, "complete", numberIntent())
	p = e.get(p)
	require.Equal(t, proto.PaymentState_AWAITING, p.State)
	require.Equal(t, "ファミリーマート 123456-0120000000", p.Voucher.Stores[0].LabelJa)
	require.Equal(t, "Lawson 222222", p.Voucher.Stores[1].LabelEn)
	require.Equal(t, now.Unix()+99, p.Voucher.Expires.Seconds)
	for _, s := range p.Voucher.Stores {
		require.LessOrEqual(t, len(s.LabelJa), 64, "the host cuts what is longer")
	}

	out, err := e.Cancel(t.Context(), &proto.CancelRequest{Call: e.call(), AttemptId: p.AttemptId, AgentPaymentId: p.AgentPaymentId})
	require.NoError(t, err)
	require.Equal(t, proto.PaymentState_CANCELED, out.Payment.State)
	require.Len(t, e.calls("POST /v1/payment_intents/pi_1/cancel"), 1)
}

// Stripe counts the days of a number from the day on which the payer has it issued, which may be the last of the page.
func TestNumberNeverLivesBeyondTheDueDate(t *testing.T) {
	jst := func(s string) time.Time {
		at, err := time.ParseInLocation(time.DateTime, s, tokyo)
		require.NoError(t, err)
		return at
	}
	for _, c := range []struct {
		now, due string
		page     string // its end
		days     int64  // 0: refused
	}{
		{"2026-11-28 12:00:00", "2026-11-28 23:59:59", "", 0},
		{"2026-11-28 00:00:00", "2026-11-29 23:59:59", "2026-11-28 23:59:00", 1},
		{"2026-12-01 20:00:00", "2026-12-05 23:59:59", "2026-12-01 23:59:59", 4},
		{"2026-12-01 23:28:59", "2026-12-05 23:59:59", "2026-12-01 23:59:59", 4},
		{"2026-12-01 23:29:00", "2026-12-05 23:59:59", "2026-12-02 00:00:00", 3},
		{"2026-11-28 23:59:59", "2026-11-30 23:59:59", "2026-11-29 00:30:59", 1},
		{"2026-11-28 23:59:59", "2026-11-29 23:59:59", "", 0},
		{"2026-12-30 09:00:00", "2027-01-02 23:59:59", "2026-12-30 23:59:59", 3},
		{"2026-11-28 12:00:00", "2027-11-28 23:59:59", "2026-11-28 23:59:59", 60},
	} {
		e := newEdge(t)
		in := e.request("konbini")
		in.Call.Now, in.Due = timestamppb.New(jst(c.now)), timestamppb.New(jst(c.due))
		out, err := e.Create(t.Context(), in)
		require.NoError(t, err)
		if c.days == 0 {
			require.Equal(t, proto.ErrorClass_DECLINED, out.Error.GetClass(), c)
			require.Empty(t, e.calls("POST /v1/checkout/sessions"))
			continue
		}
		require.Nil(t, out.Error, c)
		form := e.calls("POST /v1/checkout/sessions")[0].form
		require.Equal(t, fmt.Sprint(jst(c.page).Unix()), form.Get("expires_at"), c)
		require.Equal(t, fmt.Sprint(c.days), form.Get("payment_method_options[konbini][expires_after_days]"), c)
		require.False(t, dayEnd(jst(c.page)).AddDate(0, 0, int(c.days)).After(jst(c.due)), c)
	}
}

func TestHowAPageEnds(t *testing.T) {
	pi := func(status, method string) obj {
		return obj{"id": "pi_1", "object": "payment_intent", "status": status, "payment_method_types": []string{method}}
	}
	for _, c := range []struct {
		name, status string
		intent       obj
		want         proto.PaymentState
	}{
		{"left alone", "expired", nil, proto.PaymentState_EXPIRED},
		{"declined", "complete", pi("requires_payment_method", "card"), proto.PaymentState_FAILED},
		{"number not paid in time", "complete", pi("requires_payment_method", "konbini"), proto.PaymentState_EXPIRED},
		{"canceled", "complete", pi("canceled", "card"), proto.PaymentState_CANCELED},
		{"being processed", "complete", pi("processing", "card"), proto.PaymentState_REQUIRES_ACTION},
	} {
		e := newEdge(t)
		p := e.create("card")
		e.becomes(p.AgentPaymentId, c.status, c.intent)
		p = e.get(p)
		require.Equal(t, c.want, p.State, c.name)
		require.Empty(t, p.RedirectUrl, c.name)
	}
}

func TestLostReplyIsFoundByTheAttemptAlone(t *testing.T) {
	e := newEdge(t)
	e.lost = true
	in := e.request("card")
	out, err := e.Create(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNKNOWN_OUTCOME, out.Error.Class)
	require.Len(t, e.calls("POST /v1/checkout/sessions"), 1, "nothing is tried again")
	e.lost = false
	p := e.get(&proto.Payment{AttemptId: in.AttemptId})
	require.Equal(t, proto.PaymentState_REQUIRES_ACTION, p.State)

	got, err := e.Get(t.Context(), &proto.GetRequest{Call: e.call(), AttemptId: e.request("card").AttemptId})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_NOT_FOUND, got.Error.Class, "it was never asked for")
}

func TestWhatStripeRefuses(t *testing.T) {
	for status, want := range map[int]proto.ErrorClass{
		400: proto.ErrorClass_INVALID, 401: proto.ErrorClass_CONFIG, 402: proto.ErrorClass_DECLINED, 403: proto.ErrorClass_CONFIG,
		409: proto.ErrorClass_CONFLICT, 429: proto.ErrorClass_RATE_LIMITED, 500: proto.ErrorClass_UNKNOWN_OUTCOME, 503: proto.ErrorClass_UNKNOWN_OUTCOME,
	} {
		e := newEdge(t)
		e.refusal = status
		out, err := e.Create(t.Context(), e.request("card"))
		require.NoError(t, err)
		require.Equal(t, want, out.Error.GetClass(), status)
		require.NotContains(t, out.String(), testKey)
	}
	e := newEdge(t)
	e.http.Close()
	out, err := e.Create(t.Context(), e.request("card"))
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_UNAVAILABLE, out.Error.Class, "no connection: surely nothing was done")
}

func TestNothingIsSentThatStripeWouldRefuse(t *testing.T) {
	e := newEdge(t)
	for name, change := range map[string]func(*proto.CreateRequest){
		"method": func(r *proto.CreateRequest) { r.Method = "paypal" }, "too little": func(r *proto.CreateRequest) { r.Yen = 49 },
		"too much for a shop": func(r *proto.CreateRequest) { r.Method, r.Yen = "konbini", 300_001 },
		"due":                 func(r *proto.CreateRequest) { r.Due = timestamppb.New(now) }, "return": func(r *proto.CreateRequest) { r.ReturnUrl = "" },
		"attempt": func(r *proto.CreateRequest) { r.AttemptId = "x" },
	} {
		in := e.request("card")
		change(in)
		out, err := e.Create(t.Context(), in)
		require.NoError(t, err)
		require.NotNil(t, out.Error, name)
	}
	require.Empty(t, e.calls("POST /v1/checkout/sessions"))
}

func TestRefundOnceAKeyAndOnlyWhatIsLeft(t *testing.T) {
	e := newEdge(t)
	p := e.create("card")
	refund := func(yen int64) *proto.RefundResponse {
		out, err := e.Refund(t.Context(), &proto.RefundRequest{Call: e.call(), AttemptId: p.AttemptId, AgentPaymentId: p.AgentPaymentId, Yen: yen})
		require.NoError(t, err)
		return out
	}
	require.Equal(t, "not_paid", refund(1).Error.Code)
	e.becomes(p.AgentPaymentId, "complete", paidIntent(7440))
	out := refund(440)
	require.Nil(t, out.Error)
	require.Equal(t, int64(440), out.Payment.RefundedYen)
	require.Equal(t, now.Unix()+7200, out.Payment.RefundedAt.Seconds)
	c := e.calls("POST /v1/refunds")[0]
	require.Equal(t, "refund-k1", c.key)
	require.Equal(t, "pi_1", c.form.Get("payment_intent"))
	require.Equal(t, proto.ErrorClass_INVALID, refund(7001).Error.Class)
	require.Len(t, e.calls("POST /v1/refunds"), 1)
}

func TestDisputeTakesTheMoneyUntilItIsWon(t *testing.T) {
	e := newEdge(t)
	p := e.create("card")
	intent := paidIntent(7440)
	intent["latest_charge"].(obj)["disputed"] = true
	e.becomes(p.AgentPaymentId, "complete", intent)
	for status, back := range map[string]int64{"needs_response": 7440, "under_review": 7440, "lost": 7440, "won": 0, "warning_closed": 0} {
		e.disputes = []any{obj{"id": "dp_1", "object": "dispute", "status": status, "amount": 7440, "created": now.Unix() + 9000}}
		got := e.get(p)
		require.Equal(t, back, got.RefundedYen, status)
		require.Equal(t, back > 0, got.ChargedBack, status)
	}
}

func TestCanceledPageIsExpired(t *testing.T) {
	e := newEdge(t)
	p := e.create("card")
	cancel := func() *proto.CancelResponse {
		out, err := e.Cancel(t.Context(), &proto.CancelRequest{Call: e.call(), AttemptId: p.AttemptId, AgentPaymentId: p.AgentPaymentId})
		require.NoError(t, err)
		return out
	}
	require.Equal(t, proto.PaymentState_CANCELED, cancel().Payment.State)
	e.becomes(p.AgentPaymentId, "complete", paidIntent(7440))
	require.Equal(t, proto.ErrorClass_CONFLICT, cancel().Error.Class)
}

// The page becomes a number while it is being canceled: the next try cancels that.
func TestNumberThatWasIssuedMeanwhileIsCanceledByTheNextTry(t *testing.T) {
	e := newEdge(t)
	p := e.create("konbini")
	e.before = func(what string) {
		if strings.HasSuffix(what, "/expire") {
			e.becomes(p.AgentPaymentId, "complete", numberIntent())
		}
	}
	cancel := func() *proto.CancelResponse {
		out, err := e.Cancel(t.Context(), &proto.CancelRequest{Call: e.call(), AttemptId: p.AttemptId, AgentPaymentId: p.AgentPaymentId})
		require.NoError(t, err)
		return out
	}
	require.Equal(t, proto.ErrorClass_CONFLICT, cancel().Error.GetClass())
	out := cancel()
	require.Nil(t, out.Error)
	require.Equal(t, proto.PaymentState_CANCELED, out.Payment.State)
	require.Equal(t, proto.PaymentState_CANCELED, cancel().Payment.State, "it has ended")
}
