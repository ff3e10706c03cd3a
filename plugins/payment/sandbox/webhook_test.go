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

const goodBody = `{"notice_id":"n2","event":"confirmed","occurred":"2026-11-22T09:03:15Z","merchant":"kakitome",` +
	`"payment":{"attempt_id":"a1","payment_id":"20261122000000001","receipt_number":"26112200000001","state":"confirmed",` +
	`"yen":7440,"paid_yen":7440,"provisional_revoked":false,"confirmed_at":"2026-11-22T09:03:15Z"}}`

var signedAt = time.Unix(1_795_338_195, 0)

func signature(t time.Time, body string) string {
	return fmt.Sprintf("t=%d,v1=%s", t.Unix(), sign(testSecret, fmt.Appendf(nil, "%d.", t.Unix()), []byte(body)))
}

func deliver(t *testing.T, now time.Time, body string, headers ...string) *proto.WebhookResponse {
	a := newAgent()
	require.Nil(t, a.configure(instance, []byte(`{"endpoint":"http://127.0.0.1:1","merchant":"kakitome","secret":"`+testSecret+`"}`)))
	in := &proto.WebhookRequest{Call: &proto.Call{Tenant: "t1", Instance: instance, Now: timestamppb.New(now)}, Method: "POST", Body: []byte(body)}
	for _, h := range headers {
		in.Headers = append(in.Headers, &proto.Header{Name: "x-sandbox-signature", Value: h})
	}
	out, err := a.HandleWebhook(t.Context(), in)
	require.NoError(t, err)
	return out
}

func TestSignedNoticeIsBelieved(t *testing.T) {
	out := deliver(t, signedAt, goodBody, signature(signedAt, goodBody))
	require.True(t, out.Verified)
	require.Nil(t, out.Error)
	require.Equal(t, uint32(200), out.ReplyStatus)
	require.Equal(t, `{"received":true}`, string(out.ReplyBody))
	require.Equal(t, "n2", out.Notices[0].NoticeId)
	require.Equal(t, proto.PaymentState_CONFIRMED, out.Notices[0].Payment.State)
}

func TestClockMayDifferByFiveMinutes(t *testing.T) {
	for off, verified := range map[time.Duration]bool{
		5 * time.Minute: true, -5 * time.Minute: true, 5*time.Minute + time.Second: false, -5*time.Minute - time.Second: false,
	} {
		out := deliver(t, signedAt.Add(off), goodBody, signature(signedAt, goodBody))
		require.Equal(t, verified, out.Verified, off)
	}
}

func TestForgedNoticeIsNotBelieved(t *testing.T) {
	good := signature(signedAt, goodBody)
	for name, headers := range map[string][]string{
		"none":          nil,
		"two":           {good, good},
		"other secret":  {fmt.Sprintf("t=%d,v1=%s", signedAt.Unix(), sign("other", fmt.Appendf(nil, "%d.", signedAt.Unix()), []byte(goodBody)))},
		"other time":    {strings.Replace(good, "t=1", "t=2", 1)},
		"padded time":   {strings.Replace(good, "t=", "t=0", 1)},
		"second time":   {good + ",t=1"},
		"upper case":    {strings.ToUpper(good)},
		"no signature":  {fmt.Sprintf("t=%d", signedAt.Unix())},
		"empty":         {""},
		"half of it":    {good[:len(good)-1]},
		"too many ones": {good + strings.Repeat(",v1="+strings.Repeat("0", 64), 5)},
	} {
		out := deliver(t, signedAt, goodBody, headers...)
		require.False(t, out.Verified, name)
		require.Empty(t, out.Notices, name)
		require.Equal(t, uint32(401), out.ReplyStatus, name)
		require.Equal(t, proto.ErrorClass_SIGNATURE, out.Error.Class, name)
	}
	out := deliver(t, signedAt, strings.Replace(goodBody, "7440", "1", 1), good)
	require.False(t, out.Verified)
}

func TestSecretInChangeIsAccepted(t *testing.T) {
	out := deliver(t, signedAt, goodBody, signature(signedAt, goodBody)+",v1="+strings.Repeat("0", 64))
	require.True(t, out.Verified)
}

func TestSignedNonsenseIsAnsweredWith400(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON":       "received",
		"no id":          strings.Replace(goodBody, `"n2"`, `""`, 1),
		"other merchant": strings.Replace(goodBody, "kakitome", "somebody", 1),
		"no time":        strings.Replace(goodBody, `"occurred":"2026-11-22T09:03:15Z",`, "", 1),
		"odd state":      strings.Replace(goodBody, `"state":"confirmed"`, `"state":"lost"`, 1),
		"no payment":     `{"notice_id":"n2","occurred":"2026-11-22T09:03:15Z","merchant":"kakitome"}`,
	} {
		out := deliver(t, signedAt, body, signature(signedAt, body))
		require.True(t, out.Verified, name)
		require.Empty(t, out.Notices, name)
		require.Equal(t, uint32(400), out.ReplyStatus, name)
		require.Equal(t, proto.ErrorClass_INVALID, out.Error.Class, name)
	}
}

func TestConfigurationFaultsNameTheFieldNotTheSecret(t *testing.T) {
	require.Empty(t, validateConfig([]byte(`{"endpoint":"http://127.0.0.1:7070","merchant":"kakitome","secret":"0123456789abcdef"}`)))
	require.Empty(t, validateConfig([]byte(`{"endpoint":"https://pay.example.jp/","merchant":"kakitome","secret":"0123456789abcdef"}`)))
	for config, field := range map[string]string{
		`{"endpoint":"ftp://x","merchant":"kakitome","secret":"0123456789abcdef"}`:                        "endpoint",
		`{"endpoint":"http://pay.example.jp","merchant":"kakitome","secret":"0123456789abcdef"}`:          "endpoint",
		`{"endpoint":"https://u:hunter2@pay.example.jp","merchant":"kakitome","secret":"0123456789abcd"}`: "endpoint",
		`{"endpoint":"https://pay.example.jp/v1","merchant":"kakitome","secret":"0123456789abcdef"}`:      "endpoint",
		`{"endpoint":"https://pay.example.jp","merchant":"","secret":"0123456789abcdef"}`:                 "merchant",
		`{"endpoint":"https://pay.example.jp","merchant":"kakitome","secret":"hunter2"}`:                  "secret",
		`{"endpoint":"https://pay.example.jp","merchant":"kakitome","secret":4711}`:                       "secret",
		`{"secret":"hunter2hunter2hunter2","colour":"blue"}`:                                              "",
		`"hunter2"`:          "",
		`{"secret":"hunter2`: "",
	} {
		faults := validateConfig([]byte(config))
		require.NotEmpty(t, faults, config)
		require.Equal(t, field, faults[0].Field, config)
		require.Equal(t, proto.ErrorClass_CONFIG, faults[0].Class)
		for _, f := range faults {
			require.NotContains(t, f.Message, "hunter2")
			require.NotContains(t, f.Message, "4711")
		}
	}
	require.Len(t, validateConfig([]byte(`{}`)), 3, "every fault is reported")
}
