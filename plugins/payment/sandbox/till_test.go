package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/till/company"
)

const (
	testMerchant = "kakitome"
	testSecret   = "secret-shared-with-the-company"
	instance     = "sandbox-main"
	patience     = 30 * time.Second
)

// host stands where the Kakitome host stands: the module behind gRPC, a webhook door that asks the module, and the
// company itself, which can be stopped and started again.
type host struct {
	proto.PaymentAgentClient
	t       *testing.T
	dir     string
	address string        // of the company
	base    string        // URL of the company
	stop    func()        // of the company
	showFor time.Duration // barcodes of the company

	door    *httptest.Server
	mu      sync.Mutex
	closed  bool // the door answers 503
	replies []uint32
	notices []*proto.PaymentNotice // verified, as they came
	arrived chan struct{}
}

func newHost(t *testing.T) *host {
	h := &host{t: t, dir: t.TempDir(), address: "127.0.0.1:0", arrived: make(chan struct{}, 1000)}
	h.startTill()
	t.Cleanup(func() { h.stop() })

	a := newAgent()
	t.Cleanup(a.client.CloseIdleConnections)
	g := grpc.NewServer()
	proto.RegisterPaymentAgentServer(g, a)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		g.Stop()
		require.NoError(t, <-served)
	})
	h.PaymentAgentClient = proto.NewPaymentAgentClient(conn)
	require.Nil(t, a.configure(instance, h.config(testSecret)))
	require.Nil(t, a.configure("wrong-secret", h.config("not-the-secret-of-the-company")))

	h.door = httptest.NewServer(http.HandlerFunc(h.webhook))
	t.Cleanup(h.door.Close)
	return h
}

func (h *host) config(secret string) []byte {
	b, err := json.Marshal(map[string]string{"endpoint": h.base, "merchant": testMerchant, "secret": secret})
	require.NoError(h.t, err)
	return b
}

// startTill opens the company at its address, with the books that it left.
func (h *host) startTill() {
	lis, err := net.Listen("tcp", h.address)
	require.NoError(h.t, err)
	h.address = lis.Addr().String()
	h.base = "http://" + h.address
	c, err := company.Open(company.Options{
		Directory: h.dir, PublicURL: h.base, CompanyCode: "908081", RetryMin: 20 * time.Millisecond, ShowFor: h.showFor,
		Merchants: []company.Merchant{{ID: testMerchant, Name: "〇〇県水道局", Secret: testSecret}},
		Log:       slog.New(slog.DiscardHandler),
	})
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: c.Handler(), BaseContext: func(net.Listener) context.Context { return ctx }}
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	wg.Go(func() { server.Serve(lis) })
	h.stop = sync.OnceFunc(func() {
		cancel()
		server.Close()
		wg.Wait()
		require.NoError(h.t, c.Close())
	})
}

// webhook is the host's door: what comes goes to the module, what the module says goes back.
func (h *host) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	in := &proto.WebhookRequest{Call: h.call(instance), Method: r.Method, Query: r.URL.RawQuery, Body: body}
	for name, values := range r.Header {
		for _, v := range values {
			in.Headers = append(in.Headers, &proto.Header{Name: name, Value: v})
		}
	}
	out, err := h.HandleWebhook(r.Context(), in)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	h.mu.Lock()
	h.replies = append(h.replies, out.ReplyStatus)
	if out.Verified {
		h.notices = append(h.notices, out.Notices...)
	}
	h.mu.Unlock()
	w.WriteHeader(int(out.ReplyStatus))
	w.Write(out.ReplyBody)
	if out.Verified {
		h.arrived <- struct{}{}
	}
}

// wait gives the verified notices once there are n.
func (h *host) wait(n int) []*proto.PaymentNotice {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		got := append([]*proto.PaymentNotice(nil), h.notices...)
		h.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-h.arrived:
		case <-deadline:
			require.FailNow(h.t, "notices missing", "want %d, have %d", n, len(got))
		}
	}
}

func (h *host) setDoor(closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = closed
}

func (h *host) call(instance string) *proto.Call {
	return &proto.Call{Tenant: "t1", Instance: instance, IdempotencyKey: "k", Now: timestamppb.Now()}
}

// request is a bill of 7,440 yen, due in ten days.
func (h *host) request(attempt, method string) *proto.CreateRequest {
	return &proto.CreateRequest{
		Call: h.call(instance), AttemptId: attempt, Method: method, ClaimNumber: "20190621012403167",
		Yen: 7440, TaxYen: 551, Due: timestamppb.New(time.Now().Add(10 * 24 * time.Hour)),
		Description: "水道料金", Lines: []*proto.LineItem{{Name: "水道料金", Quantity: 1, UnitYen: 7440, Yen: 7440}},
		Store: "konbini_b", ReturnUrl: "https://example.jp/a/xxxxxxxxxx/return?s=1", WebhookUrl: h.door.URL + "/hook/secret",
	}
}

func (h *host) create(attempt, method string) *proto.Payment {
	h.t.Helper()
	out, err := h.Create(h.t.Context(), h.request(attempt, method))
	require.NoError(h.t, err)
	require.Nil(h.t, out.Error)
	return out.Payment
}

func (h *host) get(attempt string) *proto.Payment {
	h.t.Helper()
	out, err := h.Get(h.t.Context(), &proto.GetRequest{Call: h.call(instance), AttemptId: attempt})
	require.NoError(h.t, err)
	require.Nil(h.t, out.Error)
	return out.Payment
}

// post sends JSON to the company as a script would; it gives the status and the answer.
func (h *host) post(url string, in any) (int, map[string]any) {
	h.t.Helper()
	b, err := json.Marshal(in)
	require.NoError(h.t, err)
	resp, err := http.Post(url, "application/json", bytes.NewReader(b))
	require.NoError(h.t, err)
	defer resp.Body.Close()
	var out map[string]any
	require.NoError(h.t, json.NewDecoder(resp.Body).Decode(&out))
	return resp.StatusCode, out
}

// till does something at the company and expects it to be done.
func (h *host) till(path string, in any) map[string]any {
	h.t.Helper()
	status, out := h.post(h.base+path, in)
	require.Equal(h.t, http.StatusOK, status, "%s: %v", path, out)
	return out
}

// refused does something at the company and gives the code by which it is refused.
func (h *host) refused(path string, in any) string {
	h.t.Helper()
	status, out := h.post(h.base+path, in)
	require.GreaterOrEqual(h.t, status, 400, "%s: %v", path, out)
	return out["error"].(map[string]any)["code"].(string)
}

type obj = map[string]any

// payments counts what the company has in its books.
func (h *host) payments() int {
	h.t.Helper()
	resp, err := http.Get(h.base + "/till/payments?limit=1000")
	require.NoError(h.t, err)
	defer resp.Body.Close()
	var out struct{ Payments []json.RawMessage }
	require.NoError(h.t, json.NewDecoder(resp.Body).Decode(&out))
	return len(out.Payments)
}
