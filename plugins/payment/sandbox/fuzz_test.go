package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func FuzzSignatureHeader(f *testing.F) {
	f.Add(signature(signedAt, goodBody))
	f.Add("t=1,v1=,v1=")
	f.Add("t=-1, v1=0 ,x")
	f.Fuzz(func(t *testing.T, value string) {
		unix, signatures, err := parseSignature(value)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, unix, int64(0))
		require.NotEmpty(t, signatures)
		require.LessOrEqual(t, len(signatures), maxSignatures)
	})
}

func FuzzNotice(f *testing.F) {
	f.Add([]byte(goodBody))
	f.Add([]byte(`{"notice_id":"n1","occurred":"2026-11-22T09:03:15Z","merchant":"kakitome","payment":{"voucher":{}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := parseNotice(body, testMerchant)
		if err != nil {
			return
		}
		require.NotEmpty(t, n.NoticeId)
		require.NotEmpty(t, n.Payment.AttemptId)
		require.NotEqual(t, proto.PaymentState_PAYMENT_STATE_UNSPECIFIED, n.Payment.State)
		require.Positive(t, n.Payment.Yen)
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(201, []byte(`{"payment":{"attempt_id":"a1","payment_id":"1","yen":7440,"state":"awaiting"}}`))
	f.Add(409, []byte(`{"error":{"code":"duplicate_attempt"}}`))
	f.Fuzz(func(t *testing.T, status int, answer []byte) {
		p, fault := readAnswer(status, answer)
		require.True(t, (p == nil) != (fault == nil), "a payment or a refusal")
	})
}
