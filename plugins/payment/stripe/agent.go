package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stripe/stripe-go/v85"

	"github.com/kakitome/kakitome/plugins/proto"
)

// agent serves proto.PaymentAgent. It is safe for concurrent use.
type agent struct {
	proto.UnimplementedPaymentAgentServer
	http *http.Client

	mu       sync.RWMutex // guards accounts
	accounts map[string]account
}

func newAgent() *agent { return &agent{http: newHTTP(), accounts: map[string]account{}} }

func (a *agent) configure(instance string, data []byte) *proto.Error {
	c, faults := parseConfig(data)
	if len(faults) > 0 {
		return faults[0]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts[instance] = c.use(a.http)
	return nil
}

// account is that of the call's instance.
func (a *agent) account(call *proto.Call) (account, *proto.Error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	acc, ok := a.accounts[call.GetInstance()]
	if !ok {
		return account{}, &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "not_configured", Message: fmt.Sprintf("instance %q is not configured", call.GetInstance())}
	}
	return acc, nil
}

func invalid(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_INVALID, Code: "invalid_request", Field: field, Message: message}
}

// tokyo is where due dates end; Japan has no other time of day.
var tokyo = time.FixedZone("JST", 9*60*60)

// Create makes one hosted Checkout Session. Stripe answers the same idempotency key with the same session for 24 hours.
func (a *agent) Create(ctx context.Context, in *proto.CreateRequest) (*proto.CreateResponse, error) {
	refuse := func(e *proto.Error) (*proto.CreateResponse, error) { return &proto.CreateResponse{Error: e}, nil }
	acc, fault := a.account(in.Call)
	if fault != nil {
		return refuse(fault)
	}
	params, fault := sessionOf(in)
	if fault != nil {
		return refuse(fault)
	}
	params.SetIdempotencyKey("create-" + in.Call.GetIdempotencyKey())
	ctx, sent := tracing(ctx)
	s, err := acc.V1CheckoutSessions.Create(ctx, params)
	if err != nil {
		return refuse(classify(err, sent, true))
	}
	p, err := paymentOf(s, nil)
	if err != nil || p.AttemptId != in.AttemptId || p.Yen != in.Yen {
		return refuse(unclear("the answer is about another payment"))
	}
	return &proto.CreateResponse{Payment: p}, nil
}

// sessionOf refuses what Stripe would refuse, before anything is sent.
func sessionOf(in *proto.CreateRequest) (*stripe.CheckoutSessionCreateParams, *proto.Error) {
	var limits *proto.PaymentMethod
	for _, m := range describe().PaymentMethods {
		if m.Code == in.Method {
			limits = m
		}
	}
	now := hostTime(in.Call)
	switch {
	case limits == nil:
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "unknown_method", Field: "method", Message: "want card or konbini"}
	case !attemptID.MatchString(in.AttemptId):
		return nil, invalid("attempt_id", "want a ULID")
	case in.Yen < limits.MinYen || in.Yen > limits.MaxYen:
		return nil, invalid("yen", fmt.Sprintf("%d; %s takes %d to %d", in.Yen, in.Method, limits.MinYen, limits.MaxYen))
	case !in.Due.IsValid() || !in.Due.AsTime().After(now):
		return nil, invalid("due", "is missing or past")
	case in.ReturnUrl == "":
		return nil, invalid("return_url", "is missing")
	}
	name := in.Description
	if name == "" {
		name = "お支払い"
	}
	due := in.Due.AsTime()
	// The page lives 30 minutes to 24 hours, but not beyond the due date where that is farther than the least. One for stores ends with
	// the day: Stripe counts a number's days from the one on which it is issued there.
	expires := now.Add(24*time.Hour - time.Minute)
	if due.Before(expires) {
		expires = due
	}
	if end := dayEnd(now); in.Method == methodKonbini && end.Before(expires) {
		expires = end
	}
	if least := now.Add(31 * time.Minute); expires.Before(least) {
		expires = least
	}
	p := &stripe.CheckoutSessionCreateParams{
		Mode: stripe.String("payment"), Locale: stripe.String("ja"), ClientReferenceID: stripe.String(in.AttemptId),
		PaymentMethodTypes: []*string{stripe.String(in.Method)}, ExpiresAt: stripe.Int64(expires.Unix()),
		SuccessURL: stripe.String(in.ReturnUrl), CancelURL: stripe.String(in.ReturnUrl),
		LineItems: []*stripe.CheckoutSessionCreateLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionCreateLineItemPriceDataParams{
				Currency: stripe.String("jpy"), UnitAmount: stripe.Int64(in.Yen),
				ProductData: &stripe.CheckoutSessionCreateLineItemPriceDataProductDataParams{Name: stripe.String(name)},
			},
		}},
		PaymentIntentData: &stripe.CheckoutSessionCreatePaymentIntentDataParams{
			Description: stripe.String(in.ClaimNumber), Metadata: map[string]string{"attempt": in.AttemptId},
		},
		Metadata: map[string]string{"attempt": in.AttemptId},
	}
	if in.Method == methodKonbini {
		days, fault := konbiniDays(expires, due)
		if fault != nil {
			return nil, fault
		}
		p.PaymentMethodOptions = &stripe.CheckoutSessionCreatePaymentMethodOptionsParams{
			Konbini: &stripe.CheckoutSessionCreatePaymentMethodOptionsKonbiniParams{ExpiresAfterDays: stripe.Int64(days)},
		}
	}
	return p, nil
}

// konbiniDays is after how many days a number ends, at 23:59:59 JST: 1 to 60, and never behind the due date, though it be issued at the
// last moment of its page.
func konbiniDays(last, due time.Time) (int64, *proto.Error) {
	days := int64(dayEnd(due).Sub(dayEnd(last)) / (24 * time.Hour))
	if days < 1 {
		return 0, &proto.Error{Class: proto.ErrorClass_DECLINED, Code: "due_today", Field: "due", Message: "a number lives at least until the day after its page, and this claim is due before that"}
	}
	return min(days, 60), nil
}

// dayEnd is the last second of a day in Japan.
func dayEnd(t time.Time) time.Time {
	y, m, d := t.In(tokyo).Date()
	return time.Date(y, m, d, 23, 59, 59, 0, tokyo)
}

// attemptID is a ULID: its time says when the session was asked for.
var attemptID = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

// Get tells how the attempt stands. NOT_FOUND means that no session of it was made around the time of its id.
func (a *agent) Get(ctx context.Context, in *proto.GetRequest) (*proto.GetResponse, error) {
	acc, fault := a.account(in.Call)
	if fault != nil {
		return &proto.GetResponse{Error: fault}, nil
	}
	p, fault := acc.find(ctx, in.AttemptId, in.AgentPaymentId)
	return &proto.GetResponse{Payment: p, Error: fault}, nil
}

// aroundTheID is how far Stripe's clock and the host's may be apart, and how long Create may have been on its way.
const aroundTheID = 3 * time.Minute

// mostListed bounds the sessions that are looked through for one whose id was never seen.
const mostListed = 5_000

// find reads the attempt's session, by its id or by listing those of its time.
func (acc *account) find(ctx context.Context, attempt, session string) (*proto.Payment, *proto.Error) {
	if !attemptID.MatchString(attempt) {
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_FOUND, Code: "no_such_payment", Message: "no session can have this attempt_id"}
	}
	if session == "" {
		at := ulid.Time(ulid.MustParse(attempt).Time())
		list := &stripe.CheckoutSessionListParams{CreatedRange: &stripe.RangeQueryParams{
			GreaterThanOrEqual: at.Add(-aroundTheID).Unix(), LesserThanOrEqual: at.Add(aroundTheID).Unix(),
		}}
		list.Limit = stripe.Int64(100)
		n := 0
		for s, err := range acc.V1CheckoutSessions.List(ctx, list).All(ctx) {
			if err != nil {
				return nil, classify(err, nil, false)
			}
			if s.ClientReferenceID == attempt {
				session = s.ID
				break
			}
			if n++; n == mostListed {
				return nil, &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "too_many", Message: "too many sessions around the time of the attempt"}
			}
		}
		if session == "" {
			return nil, &proto.Error{Class: proto.ErrorClass_NOT_FOUND, Code: "no_such_payment", Message: "no session has this attempt_id"}
		}
	}
	p, fault := acc.session(ctx, session)
	if fault == nil && p.AttemptId != attempt {
		return nil, &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "foreign_answer", Message: "the answer is about another payment"}
	}
	return p, fault
}

// session reads one session with all that a full view needs.
func (acc *account) session(ctx context.Context, id string) (*proto.Payment, *proto.Error) {
	params := &stripe.CheckoutSessionRetrieveParams{}
	for _, part := range []string{"payment_intent", "payment_intent.latest_charge", "payment_intent.latest_charge.refunds"} {
		params.AddExpand(part)
	}
	s, err := acc.V1CheckoutSessions.Retrieve(ctx, id, params)
	if err != nil {
		return nil, classify(err, nil, false)
	}
	var disputes []*stripe.Dispute
	if pi := s.PaymentIntent; pi != nil && pi.LatestCharge != nil && pi.LatestCharge.Disputed {
		for d, err := range acc.V1Disputes.List(ctx, &stripe.DisputeListParams{PaymentIntent: stripe.String(pi.ID)}).All(ctx) {
			if err != nil {
				return nil, classify(err, nil, false)
			}
			disputes = append(disputes, d)
		}
	}
	p, err := paymentOf(s, disputes)
	if errors.Is(err, errNotOurs) {
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_FOUND, Code: "foreign", Message: err.Error()}
	}
	if err != nil {
		return nil, &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "unreadable", Message: err.Error()}
	}
	return p, nil
}

// Cancel expires a page that is open, or cancels a number that is not paid; CONFLICT when it is neither. Each try is a request of its
// own: with the host's key Stripe would answer the next one with what it said of this one, or refuse it where the page has become a
// number meanwhile. Canceled twice is canceled once.
func (a *agent) Cancel(ctx context.Context, in *proto.CancelRequest) (*proto.CancelResponse, error) {
	refuse := func(e *proto.Error) (*proto.CancelResponse, error) { return &proto.CancelResponse{Error: e}, nil }
	acc, fault := a.account(in.Call)
	if fault != nil {
		return refuse(fault)
	}
	p, fault := acc.find(ctx, in.AttemptId, in.AgentPaymentId)
	if fault != nil {
		return refuse(fault)
	}
	traced, sent := tracing(ctx)
	var err error
	switch p.State {
	case proto.PaymentState_REQUIRES_ACTION:
		_, err = acc.V1CheckoutSessions.Expire(traced, p.AgentPaymentId, nil)
	case proto.PaymentState_AWAITING:
		_, err = acc.V1PaymentIntents.Cancel(traced, p.ReceiptNumber, nil)
	case proto.PaymentState_CONFIRMED:
		return refuse(&proto.Error{Class: proto.ErrorClass_CONFLICT, Code: "paid", Message: "it was paid"})
	default:
		return &proto.CancelResponse{Payment: p}, nil // it has ended
	}
	if err != nil {
		return refuse(conflicting(classify(err, sent, true)))
	}
	if p, fault = acc.session(ctx, p.AgentPaymentId); fault != nil {
		return refuse(unclear("canceled, but not seen"))
	}
	if p.State == proto.PaymentState_EXPIRED {
		p.State = proto.PaymentState_CANCELED // by us
	}
	return &proto.CancelResponse{Payment: p}, nil
}

// conflicting says of a refusal that the state does not allow it: money may have come in between.
func conflicting(e *proto.Error) *proto.Error {
	if e.Class == proto.ErrorClass_INVALID {
		e.Class = proto.ErrorClass_CONFLICT
	}
	return e
}

// Refund gives money of a card back, once per idempotency key.
func (a *agent) Refund(ctx context.Context, in *proto.RefundRequest) (*proto.RefundResponse, error) {
	refuse := func(e *proto.Error) (*proto.RefundResponse, error) { return &proto.RefundResponse{Error: e}, nil }
	acc, fault := a.account(in.Call)
	if fault != nil {
		return refuse(fault)
	}
	p, fault := acc.find(ctx, in.AttemptId, in.AgentPaymentId)
	switch {
	case fault != nil:
		return refuse(fault)
	case p.State != proto.PaymentState_CONFIRMED:
		return refuse(&proto.Error{Class: proto.ErrorClass_DECLINED, Code: "not_paid", Message: "it is not paid"})
	case in.Yen < 1 || in.Yen > p.PaidYen-p.RefundedYen:
		return refuse(invalid("yen", fmt.Sprintf("%d; %d is left", in.Yen, p.PaidYen-p.RefundedYen)))
	}
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(p.ReceiptNumber), Amount: stripe.Int64(in.Yen), Reason: stripe.String("requested_by_customer"),
	}
	params.SetIdempotencyKey("refund-" + in.Call.GetIdempotencyKey())
	traced, sent := tracing(ctx)
	if _, err := acc.V1Refunds.Create(traced, params); err != nil {
		return refuse(classify(err, sent, true))
	}
	if p, fault = acc.session(ctx, p.AgentPaymentId); fault != nil {
		return refuse(unclear("refunded, but not seen"))
	}
	return &proto.RefundResponse{Payment: p}, nil
}

// hostTime is the host's clock; a call without it gets the machine's.
func hostTime(call *proto.Call) time.Time {
	if now := call.GetNow(); now.IsValid() {
		return now.AsTime()
	}
	return time.Now()
}
