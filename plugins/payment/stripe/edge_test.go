package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	instance   = "t1/stripe"
	testKey    = "sk_test_0123456789abcdef"
	testSigner = "whsec_0123456789abcdef"
)

var now = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)

type obj = map[string]any

// edge plays Stripe: stripe-mock says of each request whether it is one that the API takes, and what is answered is what the
// test put there, for stripe-mock answers every request with the same fixture.
type edge struct {
	*agent
	t    testing.TB
	mock *server.StubServer
	http *httptest.Server

	mu       sync.Mutex // guards all below
	sessions map[string]obj
	disputes []any
	seen     []call
	before   func(what string) // called before a request is answered
	keys     map[string]string // what the first request with a key was for: Stripe takes it for no other
	lost     bool              // the answer of what changes something does not come
	refusal  int               // status that is answered instead
}

// call is one request as it came.
type call struct {
	what string // "POST /v1/refunds"
	key  string // Idempotency-Key
	form url.Values
}

var loadMock = sync.OnceValue(func() *server.StubServer {
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		panic(err)
	}
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		panic(err)
	}
	s, err := server.NewStubServer(fixtures, spec, false, false)
	if err != nil {
		panic(err)
	}
	return s
})

func newEdge(t testing.TB) *edge {
	e := &edge{t: t, mock: loadMock(), sessions: map[string]obj{}, keys: map[string]string{}, agent: newAgent()}
	e.http = httptest.NewServer(e)
	t.Cleanup(e.http.Close)
	t.Cleanup(e.agent.http.CloseIdleConnections)
	require.Nil(t, e.configure(instance, e.config()))
	return e
}

func (e *edge) config() []byte {
	b, err := json.Marshal(config{SecretKey: testKey, WebhookSecret: testSigner, Endpoint: e.http.URL})
	require.NoError(e.t, err)
	return b
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	// What the API's own description says of the request.
	copied := r.Clone(r.Context())
	copied.Body, copied.RequestURI = io.NopCloser(bytes.NewReader(body)), ""
	judged := httptest.NewRecorder()
	e.mock.HandleRequest(judged, copied)
	if judged.Code != http.StatusOK {
		e.t.Errorf("stripe-mock refuses %s %s: %s", r.Method, r.URL, judged.Body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		e.t.Errorf("form: %v", err)
	}
	what, key := r.Method+" "+r.URL.Path, r.Header.Get("Idempotency-Key")
	if e.before != nil {
		e.before(what)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, call{what, key, form})
	refuse := func(typ string) {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(obj{"error": obj{"type": typ}})
	}
	if key != "" {
		if known, ok := e.keys[key]; ok && known != what {
			refuse("idempotency_error")
			return
		}
		e.keys[key] = what
	}
	if e.refusal != 0 {
		w.WriteHeader(e.refusal)
		json.NewEncoder(w).Encode(obj{"error": obj{"type": "invalid_request_error", "code": "some_code", "message": "repeats " + testKey}})
		return
	}
	answer := e.answer(r, form)
	if answer == nil {
		refuse("invalid_request_error")
		return
	}
	if e.lost && r.Method == http.MethodPost {
		panic(http.ErrAbortHandler)
	}
	json.NewEncoder(w).Encode(answer)
}

// answer is nil where the state does not allow what is asked for.
func (e *edge) answer(r *http.Request, form url.Values) any {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	list := func(all ...any) obj { return obj{"object": "list", "data": append([]any{}, all...), "has_more": false} }
	switch {
	case r.Method == "POST" && r.URL.Path == "/v1/checkout/sessions":
		attempt := form.Get("client_reference_id")
		s := obj{"id": "cs_test_" + strings.Repeat("a", 50) + attempt[len(attempt)-4:], "object": "checkout.session", "client_reference_id": attempt, "currency": "jpy",
			"amount_total": json.Number(form.Get("line_items[0][price_data][unit_amount]")), "status": "open", "url": "https://checkout.stripe.com/c/pay/x"}
		e.sessions[s["id"].(string)] = s
		return s
	case r.Method == "GET" && r.URL.Path == "/v1/checkout/sessions":
		var all []any
		for _, s := range e.sessions {
			if pi := r.URL.Query().Get("payment_intent"); pi != "" && (s["payment_intent"] == nil || s["payment_intent"].(obj)["id"] != pi) {
				continue
			}
			all = append(all, s)
		}
		return list(all...)
	case len(parts) == 4 && parts[3] == "expire" && e.sessions[parts[2]]["status"] != "open":
		return nil
	case len(parts) == 4 && parts[3] == "expire":
		e.sessions[parts[2]]["status"] = "expired"
		return e.sessions[parts[2]]
	case len(parts) == 3 && parts[0] == "checkout":
		return e.sessions[parts[2]]
	case len(parts) == 3 && parts[0] == "payment_intents" && parts[2] == "cancel":
		for _, s := range e.sessions {
			s["payment_intent"].(obj)["status"] = "canceled"
		}
		return obj{"id": parts[1], "object": "payment_intent", "status": "canceled"}
	case r.URL.Path == "/v1/refunds":
		for _, s := range e.sessions {
			charge := s["payment_intent"].(obj)["latest_charge"].(obj)
			yen, _ := json.Number(form.Get("amount")).Int64()
			charge["amount_refunded"] = charge["amount_refunded"].(int64) + yen
			charge["refunds"] = list(obj{"id": "re_1", "object": "refund", "created": now.Unix() + 7200})
		}
		return obj{"id": "re_1", "object": "refund"}
	case r.URL.Path == "/v1/disputes":
		return list(e.disputes...)
	}
	e.t.Errorf("nothing to answer to %s %s", r.Method, r.URL)
	return obj{}
}

// becomes gives the attempt's session a status and a payment intent.
func (e *edge) becomes(session, status string, intent obj) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions[session]["status"], e.sessions[session]["payment_intent"] = status, intent
}

func paidIntent(yen int64) obj {
	return obj{"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount_received": yen, "payment_method_types": []string{"card"},
		"latest_charge": obj{"id": "ch_1", "object": "charge", "created": now.Unix() + 60, "amount_refunded": int64(0)}}
}

// numberIntent is of numbers that were issued.
func numberIntent() obj {
	return obj{"id": "pi_1", "object": "payment_intent", "status": "requires_action", "payment_method_types": []string{"konbini"},
		"next_action": obj{"type": "konbini_display_details", "konbini_display_details": obj{"expires_at": now.Unix() + 99, "stores": obj{
			"familymart": obj{"payment_code": "123456", "confirmation_number": "0120000000"}, "lawson": obj{"payment_code": "222222"},
		}}}}
}

func (e *edge) calls(what string) (all []call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.seen {
		if c.what == what {
			all = append(all, c)
		}
	}
	return all
}

func (e *edge) request(method string) *proto.CreateRequest {
	id := ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
	return &proto.CreateRequest{
		Call:      &proto.Call{Tenant: "t1", Instance: instance, IdempotencyKey: id, Now: timestamppb.New(now)},
		AttemptId: id, Method: method, ClaimNumber: "A-1", Yen: 7440, TaxYen: 676, Description: "〇〇県水道局",
		Due:       timestamppb.New(time.Date(2026, 12, 5, 14, 59, 59, 0, time.UTC)),
		ReturnUrl: "https://link.example.jp/a/xxxxxxxxxx/return?s=1", WebhookUrl: "https://pay.example.jp/hooks/x",
	}
}

func (e *edge) create(method string) *proto.Payment {
	e.t.Helper()
	out, err := e.Create(e.t.Context(), e.request(method))
	require.NoError(e.t, err)
	require.Nil(e.t, out.Error)
	return out.Payment
}

func (e *edge) call() *proto.Call {
	return &proto.Call{Tenant: "t1", Instance: instance, IdempotencyKey: "k1", Now: timestamppb.New(now)}
}

func (e *edge) get(p *proto.Payment) *proto.Payment {
	e.t.Helper()
	out, err := e.Get(e.t.Context(), &proto.GetRequest{Call: e.call(), AttemptId: p.AttemptId, AgentPaymentId: p.AgentPaymentId})
	require.NoError(e.t, err)
	require.Nil(e.t, out.Error)
	return out.Payment
}
