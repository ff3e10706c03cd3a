package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	callTimeout = 20 * time.Second // where the host's deadline is later, or missing
	maxReply    = 1 << 20
)

func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment, // the host's way out to declared hosts
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       30 * time.Second,
			ResponseHeaderTimeout: callTimeout,
		},
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is one request to the company.
type request struct {
	account
	now          time.Time // the host's clock
	method, path string
	body         any // nil: none
}

// exchange sends one signed request, once, and reads a payment from the answer.
func (a *agent) exchange(ctx context.Context, r request) (*proto.Payment, *proto.Error) {
	var raw []byte
	if r.body != nil {
		var err error
		if raw, err = json.Marshal(r.body); err != nil {
			return nil, &proto.Error{Class: proto.ErrorClass_INTERNAL, Code: "encode", Message: err.Error()}
		}
	}
	// From the moment a connection is in hand, bytes may have reached the company.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, r.method, r.Endpoint+r.path, bytes.NewReader(raw))
	if err != nil {
		return nil, &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "bad_endpoint", Message: "endpoint is no URL", Field: "endpoint"}
	}
	now := strconv.FormatInt(r.now.Unix(), 10)
	req.Header.Set("X-Sandbox-Merchant", r.Merchant)
	req.Header.Set("X-Sandbox-Timestamp", now)
	req.Header.Set("X-Sandbox-Signature", sign(r.Secret, []byte(r.method+"\n"+r.path+"\n"+now+"\n"), raw))
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		if !connected.Load() {
			return nil, &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "no_connection", Message: "company not reached: " + reason(err)}
		}
		return nil, settle(r.method, unclear("no answer: "+reason(err)))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, settle(r.method, unclear("answer cut off: "+reason(err)))
	}
	p, fault := readAnswer(resp.StatusCode, answer)
	return p, settle(r.method, fault)
}

// readAnswer believes a refusal only when the company words it as such: any other 4xx or 5xx may come from something in
// between, after the work was done.
func readAnswer(status int, answer []byte) (*proto.Payment, *proto.Error) {
	var got struct {
		Payment *paymentJSON `json:"payment"`
		Error   *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Field   string `json:"field"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return nil, unclear(fmt.Sprintf("answer %d is not the company's", status))
	}
	if status/100 == 2 && got.Payment != nil {
		p, err := got.Payment.payment()
		if err != nil {
			return nil, unclear(fmt.Sprintf("answer %d: %v", status, err))
		}
		return p, nil
	}
	class, ok := refusals[status]
	if got.Error == nil || got.Error.Code == "" || !ok {
		return nil, unclear(fmt.Sprintf("answer %d", status))
	}
	if class == proto.ErrorClass_NOT_FOUND && got.Error.Code != "payment_not_found" {
		class = proto.ErrorClass_CONFIG // the endpoint is something else's
	}
	return nil, &proto.Error{Class: class, Code: got.Error.Code, Message: got.Error.Message, Field: got.Error.Field}
}

// refusals are the answers by which the company says that it did nothing.
var refusals = map[int]proto.ErrorClass{
	http.StatusBadRequest:            proto.ErrorClass_INVALID,
	http.StatusUnauthorized:          proto.ErrorClass_CONFIG,
	http.StatusForbidden:             proto.ErrorClass_CONFIG,
	http.StatusNotFound:              proto.ErrorClass_NOT_FOUND,
	http.StatusConflict:              proto.ErrorClass_CONFLICT,
	http.StatusRequestEntityTooLarge: proto.ErrorClass_INVALID,
	http.StatusTooManyRequests:       proto.ErrorClass_RATE_LIMITED,
}

func unclear(message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_UNKNOWN_OUTCOME, Code: "no_answer", Message: message}
}

// settle makes an unclear answer to a mere question one that may be asked again.
func settle(method string, fault *proto.Error) *proto.Error {
	if fault.GetClass() == proto.ErrorClass_UNKNOWN_OUTCOME && method == http.MethodGet {
		fault.Class = proto.ErrorClass_UNAVAILABLE
	}
	return fault
}

// reason is the innermost error, without the URL.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// sign is the hex HMAC-SHA256 of the parts.
func sign(secret string, parts ...[]byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, p := range parts {
		mac.Write(p)
	}
	return hex.EncodeToString(mac.Sum(nil))
}
