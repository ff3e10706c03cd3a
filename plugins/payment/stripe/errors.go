package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/stripe/stripe-go/v85"

	"github.com/kakitome/kakitome/plugins/proto"
)

// tracing says whether a connection was in hand: from then on bytes may have reached Stripe.
func tracing(ctx context.Context) (context.Context, *atomic.Bool) {
	var sent atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}), &sent
}

func unclear(message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_UNKNOWN_OUTCOME, Code: "no_answer", Message: message}
}

// classify says what an error of a call that changes something, or of a mere question, means. Stripe's own words are not
// passed on: they repeat what was sent.
func classify(err error, sent *atomic.Bool, changes bool) *proto.Error {
	var e *stripe.Error
	doubt := proto.ErrorClass_UNAVAILABLE
	if changes {
		doubt = proto.ErrorClass_UNKNOWN_OUTCOME
	}
	if !errors.As(err, &e) {
		if sent != nil && !sent.Load() {
			return &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "no_connection", Message: "Stripe was not reached"}
		}
		return &proto.Error{Class: doubt, Code: "no_answer", Message: "no answer"}
	}
	out := &proto.Error{Code: string(e.Code), Message: "Stripe answered " + http.StatusText(e.HTTPStatusCode), Field: e.Param}
	if e.RequestID != "" {
		out.Message += ", request " + e.RequestID
	}
	if out.Code == "" {
		out.Code = string(e.Type)
	}
	switch s := e.HTTPStatusCode; {
	case e.Type == stripe.ErrorTypeIdempotency:
		out.Class = proto.ErrorClass_CONFLICT // the key was used for another request, or one with it is on its way
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		out.Class = proto.ErrorClass_CONFIG
	case s == http.StatusPaymentRequired || e.Type == stripe.ErrorTypeCard:
		out.Class = proto.ErrorClass_DECLINED
	case s == http.StatusTooManyRequests:
		out.Class = proto.ErrorClass_RATE_LIMITED
	case s == http.StatusNotFound && !changes:
		out.Class = proto.ErrorClass_NOT_FOUND
	case s == http.StatusConflict:
		out.Class = proto.ErrorClass_CONFLICT
	case s >= 400 && s < 500:
		out.Class = proto.ErrorClass_INVALID
	default: // after a 5xx the work may have been done
		out.Class = doubt
	}
	return out
}
