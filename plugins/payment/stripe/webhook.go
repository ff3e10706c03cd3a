package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	signatureHeader = "Stripe-Signature"
	tolerance       = 5 * time.Minute
)

// HandleWebhook believes of an event that something happened to a payment of ours, when its signature holds and is at most
// five minutes from the time at which it came; then it reads the payment anew. Events of others are taken and say nothing.
func (a *agent) HandleWebhook(ctx context.Context, in *proto.WebhookRequest) (*proto.WebhookResponse, error) {
	acc, fault := a.account(in.Call)
	if fault != nil {
		return reply(http.StatusServiceUnavailable, fault), nil
	}
	if in.Method != http.MethodPost {
		return reply(http.StatusMethodNotAllowed, invalid("method", "an event is a POST")), nil
	}
	if err := verify(acc.webhookSecret, in, hostTime(in.Call)); err != nil {
		return reply(http.StatusUnauthorized, &proto.Error{Class: proto.ErrorClass_SIGNATURE, Code: "bad_signature", Message: err.Error()}), nil
	}
	e, subject, err := parseEvent(in.Body)
	if err == nil && e.Livemode != acc.live {
		err = errors.New("an event of test mode for a live key, or the reverse")
	}
	if err != nil {
		r := reply(http.StatusBadRequest, invalid("body", err.Error()))
		r.Verified = true
		return r, nil
	}
	r := reply(http.StatusOK, nil)
	r.Verified = true
	p, fault := acc.about(ctx, subject)
	switch {
	case fault.GetClass() == proto.ErrorClass_NOT_FOUND, fault == nil && p == nil:
		return r, nil // somebody else's
	case fault != nil:
		// Not verified, for the host to keep it and ask again.
		return reply(http.StatusServiceUnavailable, &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: fault.Code, Message: "the payment could not be read: " + fault.Message}), nil
	}
	r.Notices = []*proto.PaymentNotice{{NoticeId: e.ID, Payment: p, Occurred: unix(e.Created)}}
	return r, nil
}

func reply(status uint32, fault *proto.Error) *proto.WebhookResponse {
	return &proto.WebhookResponse{
		ReplyStatus: status, ReplyHeaders: []*proto.Header{{Name: "Content-Type", Value: "application/json"}},
		ReplyBody: []byte(`{"received":` + strconv.FormatBool(fault == nil) + `}`), Error: fault,
	}
}

// verify checks the one signature header. Its age counts from when the event came, not from now.
func verify(secret string, in *proto.WebhookRequest, came time.Time) error {
	var values []string
	for _, h := range in.Headers {
		if strings.EqualFold(h.Name, signatureHeader) {
			values = append(values, h.Value)
		}
	}
	if len(values) != 1 {
		return errors.New("want one " + signatureHeader + " header")
	}
	if err := webhook.ValidatePayloadIgnoringTolerance(in.Body, values[0], secret); err != nil {
		return errors.New("the signature does not hold")
	}
	for part := range strings.SplitSeq(values[0], ",") {
		if t, ok := strings.CutPrefix(part, "t="); ok {
			unix, err := strconv.ParseInt(t, 10, 64)
			if err != nil || came.Sub(time.Unix(unix, 0)).Abs() > tolerance {
				return errors.New("signed more than five minutes from when it came")
			}
			return nil
		}
	}
	return errors.New("the signature has no time")
}

// subject is what an event is about: a session, or the payment intent of one. Both empty: nothing of ours.
type subject struct{ session, intent string }

func parseEvent(body []byte) (*stripe.Event, subject, error) {
	var e stripe.Event
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || len(e.ID) > 128 || e.Data == nil {
		return nil, subject{}, errors.New("the body is no event")
	}
	kind := string(e.Type)
	var object struct {
		ID            string          `json:"id"`
		PaymentIntent json.RawMessage `json:"payment_intent"`
	}
	if err := json.Unmarshal(e.Data.Raw, &object); err != nil {
		return nil, subject{}, errors.New("the event has no object")
	}
	switch {
	case strings.HasPrefix(kind, "checkout.session."):
		return &e, subject{session: object.ID}, nil
	case strings.HasPrefix(kind, "payment_intent."):
		return &e, subject{intent: object.ID}, nil
	case strings.HasPrefix(kind, "charge."), strings.HasPrefix(kind, "refund."):
		var id string
		_ = json.Unmarshal(object.PaymentIntent, &id) // null, or expanded: of nothing of ours
		return &e, subject{intent: id}, nil
	}
	return &e, subject{}, nil
}

// about reads the payment that an event is about; nil when it is none of ours.
func (acc *account) about(ctx context.Context, s subject) (*proto.Payment, *proto.Error) {
	if s.session == "" && s.intent != "" {
		list := &stripe.CheckoutSessionListParams{PaymentIntent: stripe.String(s.intent)}
		list.Limit = stripe.Int64(1)
		for found, err := range acc.V1CheckoutSessions.List(ctx, list).All(ctx) {
			if err != nil {
				return nil, classify(err, nil, false)
			}
			s.session = found.ID
			break
		}
	}
	if s.session == "" {
		return nil, nil
	}
	p, fault := acc.session(ctx, s.session)
	if fault == nil && !attemptID.MatchString(p.AttemptId) {
		return nil, nil
	}
	return p, fault
}
