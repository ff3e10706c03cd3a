package main

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	signatureHeader    = "X-Sandbox-Signature"
	signatureTolerance = 5 * time.Minute
	maxSignatures      = 5 // in one header, while a secret is changed
)

// HandleWebhook believes a notice when its signature holds and is at most five minutes from the host's clock. What it
// does not believe it answers with 401, so that the company tries again; what is signed but cannot be read, with 400.
func (a *agent) HandleWebhook(_ context.Context, in *proto.WebhookRequest) (*proto.WebhookResponse, error) {
	acc, fault := a.account(in.Call)
	if fault != nil {
		return reply(http.StatusServiceUnavailable, `{"error":"not configured"}`, fault), nil
	}
	if in.Method != http.MethodPost {
		return reply(http.StatusMethodNotAllowed, `{"error":"want POST"}`,
			invalid("method", "a notice is a POST")), nil
	}
	if err := verify(acc.Secret, in.Headers, in.Body, hostTime(in.Call)); err != nil {
		return reply(http.StatusUnauthorized, `{"error":"signature"}`,
			&proto.Error{Class: proto.ErrorClass_SIGNATURE, Code: "bad_signature", Message: err.Error()}), nil
	}
	n, err := parseNotice(in.Body, acc.Merchant)
	if err != nil {
		r := reply(http.StatusBadRequest, `{"error":"unreadable"}`, invalid("body", err.Error()))
		r.Verified = true
		return r, nil
	}
	r := reply(http.StatusOK, `{"received":true}`, nil)
	r.Verified, r.Notices = true, []*proto.PaymentNotice{n}
	return r, nil
}

func reply(status uint32, body string, fault *proto.Error) *proto.WebhookResponse {
	return &proto.WebhookResponse{
		ReplyStatus:  status,
		ReplyHeaders: []*proto.Header{{Name: "Content-Type", Value: "application/json"}},
		ReplyBody:    []byte(body),
		Error:        fault,
	}
}

// verify checks the one signature header against the body.
func verify(secret string, headers []*proto.Header, body []byte, now time.Time) error {
	value, found := "", 0
	for _, h := range headers {
		if strings.EqualFold(h.Name, signatureHeader) {
			value = h.Value
			found++
		}
	}
	if found != 1 {
		return fmt.Errorf("%d %s headers; want 1", found, signatureHeader)
	}
	unix, signatures, err := parseSignature(value)
	if err != nil {
		return err
	}
	want := []byte(sign(secret, []byte(strconv.FormatInt(unix, 10)+"."), body))
	holds := false
	for _, s := range signatures {
		if hmac.Equal(want, []byte(s)) {
			holds = true
		}
	}
	if !holds {
		return errors.New("signature does not hold")
	}
	if off := now.Sub(time.Unix(unix, 0)); off.Abs() > signatureTolerance {
		return fmt.Errorf("signed %d s from now; want at most %d", int64(off.Seconds()), int64(signatureTolerance.Seconds()))
	}
	return nil
}

// parseSignature reads t=<unix>,v1=<64 hex digits>[,v1=…]. Parts of other names are left for later versions.
func parseSignature(value string) (unix int64, signatures []string, err error) {
	seen := false
	for part := range strings.SplitSeq(value, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return 0, nil, errors.New("signature header: want name=value parts")
		}
		switch name {
		case "t":
			// The digits themselves are signed: only their one plain form is taken.
			if unix, err = strconv.ParseInt(v, 10, 64); err != nil || unix < 0 || strconv.FormatInt(unix, 10) != v || seen {
				return 0, nil, errors.New("signature header: want one t in unix seconds")
			}
			seen = true
		case "v1":
			if len(v) != 64 || len(signatures) == maxSignatures {
				return 0, nil, fmt.Errorf("signature header: want 1 to %d v1 of 64 hex digits", maxSignatures)
			}
			signatures = append(signatures, v)
		}
	}
	if !seen || len(signatures) == 0 {
		return 0, nil, errors.New("signature header: t or v1 is missing")
	}
	return unix, signatures, nil
}

// parseNotice reads the body of a notice to the merchant.
func parseNotice(body []byte, merchant string) (*proto.PaymentNotice, error) {
	var n struct {
		NoticeID string       `json:"notice_id"`
		Occurred time.Time    `json:"occurred"`
		Merchant string       `json:"merchant"`
		Payment  *paymentJSON `json:"payment"`
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, fmt.Errorf("notice is not JSON of the company: %w", err)
	}
	switch {
	case n.NoticeID == "" || len(n.NoticeID) > 64:
		return nil, errors.New("notice_id: want 1 to 64 bytes")
	case n.Occurred.IsZero():
		return nil, errors.New("occurred is missing")
	case n.Merchant != merchant:
		return nil, errors.New("merchant is not the configured one")
	case n.Payment == nil:
		return nil, errors.New("payment is missing")
	}
	p, err := n.Payment.payment()
	if err != nil {
		return nil, fmt.Errorf("payment: %w", err)
	}
	return &proto.PaymentNotice{NoticeId: n.NoticeID, Payment: p, Occurred: stamp(&n.Occurred)}, nil
}
