package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// agent serves proto.PaymentAgent. It is safe for concurrent use.
type agent struct {
	proto.UnimplementedPaymentAgentServer
	client *http.Client

	mu       sync.RWMutex // guards accounts
	accounts map[string]account
}

func newAgent() *agent {
	return &agent{client: newClient(), accounts: map[string]account{}}
}

func (a *agent) configure(instance string, config []byte) *proto.Error {
	acc, faults := parseConfig(config)
	if len(faults) > 0 {
		return faults[0]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts[instance] = acc
	return nil
}

// account is that of the call's instance.
func (a *agent) account(call *proto.Call) (account, *proto.Error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	acc, ok := a.accounts[call.GetInstance()]
	if !ok {
		return account{}, &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "not_configured",
			Message: fmt.Sprintf("instance %q is not configured", call.GetInstance())}
	}
	return acc, nil
}

// attemptID is what the company accepts; its parts never need escaping in a path.
var attemptID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)

// payerKey is what the company accepts as a payer.
var payerKey = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

func invalid(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_INVALID, Code: "invalid_request", Field: field, Message: message}
}

// Create asks for the payment once. The company knows it by the attempt id: the same request again gives the same
// payment, another one CONFLICT.
func (a *agent) Create(ctx context.Context, in *proto.CreateRequest) (*proto.CreateResponse, error) {
	acc, fault := a.account(in.Call)
	if fault == nil {
		fault = checkCreate(in)
	}
	if fault != nil {
		return &proto.CreateResponse{Error: fault}, nil
	}
	req := createJSON{
		AttemptID: in.AttemptId, Method: in.Method, ClaimNumber: in.ClaimNumber, Yen: in.Yen, TaxYen: in.TaxYen,
		Due: in.Due.AsTime(), Description: in.Description, ReturnURL: in.ReturnUrl, WebhookURL: in.WebhookUrl,
	}
	switch in.Method {
	case methodNumber:
		req.Store = in.Store
	case methodPayer:
		req.Payer = in.Payer
	case methodKept:
		req.CardID = in.Registration
	}
	for _, l := range in.Lines {
		req.Lines = append(req.Lines, lineJSON{l.Name, l.Quantity, l.UnitYen, l.Yen})
	}
	p, fault := a.exchange(ctx, request{acc, hostTime(in.Call), http.MethodPost, "/v1/payments", req})
	switch {
	case fault.GetCode() == "no_card":
		fault.Class = proto.ErrorClass_DECLINED // surely nothing was done
	case fault == nil && (p.AttemptId != in.AttemptId || p.Yen != in.Yen):
		p, fault = nil, unclear("the answer is about another payment")
	}
	return &proto.CreateResponse{Payment: p, Error: fault}, nil
}

// checkCreate refuses what the company would refuse, before anything is sent.
func checkCreate(in *proto.CreateRequest) *proto.Error {
	if !attemptID.MatchString(in.AttemptId) {
		return invalid("attempt_id", "want 1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit")
	}
	methods := describe().PaymentMethods
	i := slices.IndexFunc(methods, func(m *proto.PaymentMethod) bool { return m.Code == in.Method })
	if i < 0 {
		return &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "unknown_method", Field: "method",
			Message: fmt.Sprintf("method %q is none of Describe's", in.Method)}
	}
	m := methods[i]
	knownStore := slices.ContainsFunc(m.Stores, func(s *proto.Store) bool { return s.Code == in.Store })
	switch {
	case in.Yen < m.MinYen || in.Yen > m.MaxYen:
		return invalid("yen", fmt.Sprintf("%d; %s takes %d to %d", in.Yen, m.Code, m.MinYen, m.MaxYen))
	case in.TaxYen < -1 || in.TaxYen > in.Yen:
		return invalid("tax_yen", fmt.Sprintf("%d; want -1, or 0 to the amount", in.TaxYen))
	case in.Due == nil || !in.Due.IsValid():
		return invalid("due", "is missing")
	case in.Call.GetNow() != nil && !in.Due.AsTime().After(in.Call.Now.AsTime()):
		return invalid("due", "is past")
	case in.Method == methodNumber && !knownStore:
		return invalid("store", fmt.Sprintf("%q; konbini_number needs one of konbini_a to konbini_e", in.Store))
	case in.Method == methodPayer && !payerKey.MatchString(in.Payer):
		return invalid("payer", "payer_number needs 1 to 64 letters and digits")
	case in.Registration != "" && !m.Charges:
		return invalid("registration", "only with "+methodKept)
	case m.Redirect && in.Registration == "" && !webURL(in.ReturnUrl):
		return invalid("return_url", in.Method+" needs an http or https URL to come back to")
	case !webURL(in.WebhookUrl):
		return invalid("webhook_url", "want an http or https URL")
	}
	return nil
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Refund gives money of a card payment back. The refund's key is the company's too: the same one is one refund.
func (a *agent) Refund(ctx context.Context, in *proto.RefundRequest) (*proto.RefundResponse, error) {
	acc, fault := a.account(in.Call)
	switch {
	case fault != nil:
	case !attemptID.MatchString(in.AttemptId):
		fault = invalid("attempt_id", "want 1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit")
	case in.Yen < 1:
		fault = invalid("yen", "want at least 1")
	}
	if fault != nil {
		return &proto.RefundResponse{Error: fault}, nil
	}
	p, fault := a.exchange(ctx, request{acc, hostTime(in.Call), http.MethodPost, "/v1/payments/" + in.AttemptId + "/refund", refundJSON{in.Call.GetIdempotencyKey(), in.Yen}})
	switch {
	case fault.GetCode() == "not_captured":
		fault.Class = proto.ErrorClass_DECLINED // surely nothing was done
	case fault == nil && p.AttemptId != in.AttemptId:
		p, fault = nil, unclear("the answer is about another payment")
	}
	return &proto.RefundResponse{Payment: p, Error: fault}, nil
}

// Get tells how the attempt stands. NOT_FOUND means that the company has never heard of it.
func (a *agent) Get(ctx context.Context, in *proto.GetRequest) (*proto.GetResponse, error) {
	p, fault := a.about(ctx, in.Call, http.MethodGet, in.AttemptId, "")
	return &proto.GetResponse{Payment: p, Error: fault}, nil
}

// Cancel withdraws the attempt; CONFLICT when money was taken.
func (a *agent) Cancel(ctx context.Context, in *proto.CancelRequest) (*proto.CancelResponse, error) {
	p, fault := a.about(ctx, in.Call, http.MethodPost, in.AttemptId, "/cancel")
	return &proto.CancelResponse{Payment: p, Error: fault}, nil
}

// RefreshVoucher asks for another barcode of the attempt, to be shown from now on.
func (a *agent) RefreshVoucher(ctx context.Context, in *proto.RefreshVoucherRequest) (*proto.RefreshVoucherResponse, error) {
	p, fault := a.about(ctx, in.Call, http.MethodPost, in.AttemptId, "/voucher")
	return &proto.RefreshVoucherResponse{Payment: p, Error: fault}, nil
}

// about exchanges something on one attempt.
func (a *agent) about(ctx context.Context, call *proto.Call, method, attempt, verb string) (*proto.Payment, *proto.Error) {
	acc, fault := a.account(call)
	if fault != nil {
		return nil, fault
	}
	if !attemptID.MatchString(attempt) {
		return nil, invalid("attempt_id", "want 1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit")
	}
	p, fault := a.exchange(ctx, request{acc, hostTime(call), method, "/v1/payments/" + attempt + verb, nil})
	if fault == nil && p.AttemptId != attempt {
		return nil, settle(method, unclear("the answer is about another payment"))
	}
	return p, fault
}

// hostTime is the host's clock; a call without it gets the machine's.
func hostTime(call *proto.Call) time.Time {
	if now := call.GetNow(); now.IsValid() {
		return now.AsTime()
	}
	return time.Now()
}

// ---------- the company's JSON ----------

type createJSON struct {
	AttemptID   string     `json:"attempt_id"`
	Method      string     `json:"method"`
	ClaimNumber string     `json:"claim_number,omitempty"`
	Yen         int64      `json:"yen"`
	TaxYen      int64      `json:"tax_yen"`
	Due         time.Time  `json:"due"`
	Description string     `json:"description,omitempty"`
	Lines       []lineJSON `json:"lines,omitempty"`
	Store       string     `json:"store,omitempty"`
	Payer       string     `json:"payer,omitempty"`
	ReturnURL   string     `json:"return_url,omitempty"`
	CardID      string     `json:"card_id,omitempty"`
	WebhookURL  string     `json:"webhook_url"`
}

type refundJSON struct {
	Key string `json:"key"`
	Yen int64  `json:"yen"`
}

type lineJSON struct {
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
	UnitYen  int64  `json:"unit_yen"`
	Yen      int64  `json:"yen"`
}

type paymentJSON struct {
	AttemptID          string     `json:"attempt_id"`
	PaymentID          string     `json:"payment_id"`
	ReceiptNumber      string     `json:"receipt_number"`
	State              string     `json:"state"`
	Yen                int64      `json:"yen"`
	PaidYen            int64      `json:"paid_yen"`
	ProvisionalRevoked bool       `json:"provisional_revoked"`
	ProvisionalAt      *time.Time `json:"provisional_at"`
	ConfirmedAt        *time.Time `json:"confirmed_at"`
	RedirectURL        string     `json:"redirect_url"`
	Voucher            *struct {
		PaymentNumber      string `json:"payment_number"`
		ConfirmationNumber string `json:"confirmation_number"`
		Barcode            string `json:"barcode"`
		Institution        string `json:"institution"`
		Stores             []struct {
			Code    string `json:"code"`
			LabelJA string `json:"label_ja"`
			LabelEN string `json:"label_en"`
		} `json:"stores"`
		Expires    time.Time  `json:"expires"`
		ShownUntil *time.Time `json:"shown_until"`
	} `json:"voucher"`
	Store       string     `json:"store"`
	CardID      string     `json:"card_id"`
	RefundedYen int64      `json:"refunded_yen"`
	RefundedAt  *time.Time `json:"refunded_at"`
}

var states = map[string]proto.PaymentState{
	"requires_action": proto.PaymentState_REQUIRES_ACTION,
	"awaiting":        proto.PaymentState_AWAITING,
	"provisional":     proto.PaymentState_PROVISIONAL,
	"confirmed":       proto.PaymentState_CONFIRMED,
	"failed":          proto.PaymentState_FAILED,
	"canceled":        proto.PaymentState_CANCELED,
	"expired":         proto.PaymentState_EXPIRED,
	"registered":      proto.PaymentState_REGISTERED,
}

// payment translates; an error means that the company said what it never says.
func (p *paymentJSON) payment() (*proto.Payment, error) {
	state, ok := states[p.State]
	switch {
	case !ok:
		return nil, fmt.Errorf("state %q is unknown", p.State)
	case p.AttemptID == "" || p.PaymentID == "":
		return nil, fmt.Errorf("payment without ids")
	case p.Yen < 1 || p.PaidYen < 0:
		return nil, fmt.Errorf("amounts %d and %d are out of range", p.Yen, p.PaidYen)
	case p.RedirectURL != "" && !webURL(p.RedirectURL):
		return nil, fmt.Errorf("redirect_url is no http or https URL")
	}
	out := &proto.Payment{
		AttemptId: p.AttemptID, AgentPaymentId: p.PaymentID, ReceiptNumber: p.ReceiptNumber, State: state,
		Yen: p.Yen, PaidYen: p.PaidYen, ProvisionalRevoked: p.ProvisionalRevoked,
		ProvisionalAt: stamp(p.ProvisionalAt), ConfirmedAt: stamp(p.ConfirmedAt),
		RedirectUrl: p.RedirectURL, Store: p.Store, Registration: p.CardID, RefundedYen: p.RefundedYen, RefundedAt: stamp(p.RefundedAt),
	}
	if v := p.Voucher; v != nil {
		out.Voucher = &proto.Voucher{PaymentNumber: v.PaymentNumber, ConfirmationNumber: v.ConfirmationNumber,
			Barcode: v.Barcode, Institution: v.Institution, Expires: stamp(&v.Expires), ShownUntil: stamp(v.ShownUntil)}
		for _, s := range v.Stores {
			out.Voucher.Stores = append(out.Voucher.Stores, &proto.Store{Code: s.Code, LabelJa: s.LabelJA, LabelEn: s.LabelEN})
		}
	}
	return out, nil
}

func stamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil || t.IsZero() {
		return nil
	}
	return timestamppb.New(*t)
}
