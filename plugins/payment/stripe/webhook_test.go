package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85/webhook"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// event is one of Stripe about an object, in test mode.
func event(kind, object string) []byte {
	return fmt.Appendf(nil, `{"id":"evt_1","object":"event","api_version":"2024-01-01","type":%q,"created":%d,"livemode":false,"data":{"object":%s}}`, kind, now.Unix(), object)
}

func signed(body []byte, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
}

func (e *edge) deliver(body []byte, came time.Time, headers ...string) *proto.WebhookResponse {
	e.t.Helper()
	in := &proto.WebhookRequest{Call: e.call(), Method: "POST", Body: body}
	in.Call.Now = timestamppb.New(came)
	for _, h := range headers {
		in.Headers = append(in.Headers, &proto.Header{Name: "stripe-signature", Value: h})
	}
	out, err := e.HandleWebhook(e.t.Context(), in)
	require.NoError(e.t, err)
	return out
}

func TestEventIsAReasonToLook(t *testing.T) {
	e := newEdge(t)
	p := e.create("card")
	e.becomes(p.AgentPaymentId, "complete", paidIntent(7440))
	for kind, object := range map[string]string{
		"checkout.session.completed":               `{"id":"` + p.AgentPaymentId + `","payment_status":"unpaid"}`,
		"checkout.session.async_payment_succeeded": `{"id":"` + p.AgentPaymentId + `"}`,
		"payment_intent.succeeded":                 `{"id":"pi_1","amount_received":1}`,
		"charge.refunded":                          `{"id":"ch_1","payment_intent":"pi_1"}`,
		"charge.dispute.created":                   `{"id":"dp_1","payment_intent":"pi_1"}`,
		"refund.failed":                            `{"id":"re_1","payment_intent":"pi_1"}`,
	} {
		body := event(kind, object)
		out := e.deliver(body, now, signed(body, testSigner, now))
		require.True(t, out.Verified, kind)
		require.Equal(t, uint32(200), out.ReplyStatus, kind)
		require.Len(t, out.Notices, 1, kind)
		n := out.Notices[0]
		require.Equal(t, "evt_1", n.NoticeId)
		require.Equal(t, p.AttemptId, n.Payment.AttemptId)
		require.Equal(t, proto.PaymentState_CONFIRMED, n.Payment.State)
		require.Equal(t, int64(7440), n.Payment.PaidYen, "not what the event says")
	}
}

func TestEventsOfOthersSayNothing(t *testing.T) {
	e := newEdge(t)
	e.sessions["cs_other"] = obj{"id": "cs_other", "object": "checkout.session", "currency": "usd", "status": "complete", "client_reference_id": "order-1"}
	for kind, object := range map[string]string{
		"checkout.session.completed": `{"id":"cs_other"}`, "payment_intent.succeeded": `{"id":"pi_of_others"}`,
		"charge.succeeded": `{"id":"ch_1","payment_intent":null}`, "customer.created": `{"id":"cus_1"}`,
	} {
		body := event(kind, object)
		out := e.deliver(body, now, signed(body, testSigner, now))
		require.True(t, out.Verified, kind)
		require.Equal(t, uint32(200), out.ReplyStatus, kind)
		require.Empty(t, out.Notices, kind)
	}
}

func TestForgedEventIsNotBelieved(t *testing.T) {
	e := newEdge(t)
	body := event("payment_intent.succeeded", `{"id":"pi_1"}`)
	good := signed(body, testSigner, now)
	for name, headers := range map[string][]string{
		"none": nil, "two": {good, good}, "empty": {""}, "other secret": {signed(body, "whsec_other", now)},
		"other body": {signed([]byte("{}"), testSigner, now)}, "too old": {signed(body, testSigner, now.Add(-5*time.Minute-time.Second))},
		"of the future": {signed(body, testSigner, now.Add(5*time.Minute+time.Second))}, "garbage": {"t=x,v1=y"},
	} {
		out := e.deliver(body, now, headers...)
		require.False(t, out.Verified, name)
		require.Equal(t, uint32(401), out.ReplyStatus, name)
		require.Equal(t, proto.ErrorClass_SIGNATURE, out.Error.Class, name)
	}
	require.Empty(t, e.calls("GET /v1/checkout/sessions"), "nobody is asked on a stranger's word")
	// Read long after it came: its age is that when it came.
	require.True(t, e.deliver(body, now, good).Verified)
}

func TestEventThatCannotBeLookedIntoIsKeptByTheHost(t *testing.T) {
	e := newEdge(t)
	p := e.create("card")
	body := event("checkout.session.completed", `{"id":"`+p.AgentPaymentId+`"}`)
	e.refusal = 503
	out := e.deliver(body, now, signed(body, testSigner, now))
	require.False(t, out.Verified)
	require.Equal(t, proto.ErrorClass_UNAVAILABLE, out.Error.Class)
	live := event("checkout.session.completed", `{"id":"x"}`)
	live = []byte(string(live[:len(live)-1]) + `,"livemode":true}`)
	out = e.deliver(live, now, signed(live, testSigner, now))
	require.Equal(t, uint32(400), out.ReplyStatus)
}

func TestConfigurationFaultsNameTheFieldNotTheSecret(t *testing.T) {
	for config, field := range map[string]string{
		`{"secret_key":"pk_test_0123456789","webhook_secret":"whsec_0123456789"}`:                                      "secret_key",
		`{"secret_key":"sk_test_0123456789","webhook_secret":"0123456789"}`:                                            "webhook_secret",
		`{"secret_key":"sk_test_0123456789","webhook_secret":"whsec_0123456789","endpoint":"https://api.example.com"}`: "endpoint",
		`{"secret_key":"sk_live_0123456789","webhook_secret":"whsec_0123456789","endpoint":"http://127.0.0.1:1"}`:      "endpoint",
		`{"secret_key":"sk_live_0123456789","webhook_secret":"whsec_0123456789","colour":"blue"}`:                      "",
	} {
		faults := validateConfig([]byte(config))
		require.NotEmpty(t, faults, config)
		require.Equal(t, field, faults[0].Field, config)
		require.NotContains(t, fmt.Sprint(faults), "0123456789")
	}
	require.Empty(t, validateConfig([]byte(`{"secret_key":"rk_live_0123456789","webhook_secret":"whsec_0123456789"}`)))
}

func FuzzParseEvent(f *testing.F) {
	f.Add(event("payment_intent.succeeded", `{"id":"pi_1"}`))
	f.Add(event("charge.refunded", `{"payment_intent":{"id":"pi_1"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if e, _, err := parseEvent(body); err == nil && e.ID == "" {
			t.Fatal("an event without an id was taken")
		}
	})
}
