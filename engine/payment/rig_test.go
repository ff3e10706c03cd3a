package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// bank is a payment agent that fails by script.
type bank struct {
	proto.UnimplementedPaymentAgentServer

	mu       sync.Mutex // guards all below
	payments map[string]*proto.Payment
	creates  int
	gets     int
	cancels  int
	// before is called at the beginning of each call, without the lock; what it returns ends the call there.
	before func(call string) error
	// lost is called after Create has done its work; what it returns is seen instead of the answer.
	lost func() error
	// refusal is what Create answers instead.
	refusal *proto.Error
	hooks   int
	refunds int
	places  []string
	pools   int
	last    *proto.CreateRequest
	// showFor is how long a barcode may be shown; 0: until it expires.
	showFor  time.Duration
	renewals int
	// busy is what Get answers instead.
	busy *proto.Error
	// refunded are the keys of refunds that were done.
	refunded map[string]bool
}

const quarantine = 90 * 24 * time.Hour

func (b *bank) Pool(context.Context, *proto.PoolRequest) (*proto.PoolResponse, error) {
	if err := b.hook("pool"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools++
	return &proto.PoolResponse{Places: b.places, Quarantine: durationpb.New(quarantine)}, nil
}

func (b *bank) hook(call string) error {
	b.mu.Lock()
	before := b.before
	b.mu.Unlock()
	if before != nil {
		return before(call)
	}
	return nil
}

func (b *bank) Create(_ context.Context, in *proto.CreateRequest) (*proto.CreateResponse, error) {
	b.mu.Lock()
	b.creates++
	b.last = in
	b.mu.Unlock()
	if err := b.hook("create"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusal != nil {
		return &proto.CreateResponse{Error: b.refusal}, nil
	}
	if b.payments[in.AttemptId] != nil {
		return &proto.CreateResponse{Error: &proto.Error{Class: proto.ErrorClass_CONFLICT, Code: "duplicate"}}, nil
	}
	p := &proto.Payment{
		AttemptId: in.AttemptId, AgentPaymentId: "20261122000000001", ReceiptNumber: "26112200000001",
		State: proto.PaymentState_AWAITING, Yen: in.Yen,
	}
	if in.Registration != "" {
		p.State, p.PaidYen, p.ConfirmedAt, p.Registration = proto.PaymentState_CONFIRMED, in.Yen, in.Call.Now, in.Registration
	} else if in.Method == "card" || in.Method == "kept" {
		p.State, p.RedirectUrl = proto.PaymentState_REQUIRES_ACTION, "https://agent.example.com/pay/x"
	} else {
		p.Voucher = &proto.Voucher{Barcode: "91908081030210019970007091753026123100074406", Expires: in.Due}
		if b.showFor > 0 {
			p.Voucher.ShownUntil = timestamppb.New(in.Call.Now.AsTime().Add(b.showFor))
		}
	}
	if in.Place != "" {
		p.AgentPaymentId = in.Place
		p.Voucher = &proto.Voucher{Account: &proto.BankAccount{Bank: "〇〇銀行", Branch: "振込専用", Kind: "普通", Number: in.Place, Holder: "〇〇"}}
	}
	b.payments[in.AttemptId] = p
	if b.lost != nil {
		if err := b.lost(); err != nil {
			return nil, err
		}
	}
	return &proto.CreateResponse{Payment: p}, nil
}

var notFound = &proto.Error{Class: proto.ErrorClass_NOT_FOUND, Code: "no_such_payment"}

func (b *bank) Get(_ context.Context, in *proto.GetRequest) (*proto.GetResponse, error) {
	if err := b.hook("get"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gets++
	if b.busy != nil {
		return &proto.GetResponse{Error: b.busy}, nil
	}
	if p := b.payments[in.AttemptId]; p != nil {
		return &proto.GetResponse{Payment: p}, nil
	}
	return &proto.GetResponse{Error: notFound}, nil
}

func (b *bank) Cancel(_ context.Context, in *proto.CancelRequest) (*proto.CancelResponse, error) {
	if err := b.hook("cancel"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancels++
	p := b.payments[in.AttemptId]
	switch {
	case p == nil:
		return &proto.CancelResponse{Error: notFound}, nil
	case p.PaidYen > 0:
		return &proto.CancelResponse{Error: &proto.Error{Class: proto.ErrorClass_CONFLICT, Code: "already_paid"}}, nil
	}
	p.State = proto.PaymentState_CANCELED
	return &proto.CancelResponse{Payment: p}, nil
}

func (b *bank) Refund(_ context.Context, in *proto.RefundRequest) (*proto.RefundResponse, error) {
	if err := b.hook("refund"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.refunds++
	if b.refusal != nil {
		b.mu.Unlock()
		return &proto.RefundResponse{Error: b.refusal}, nil
	}
	p := b.payments[in.AttemptId]
	if !b.refunded[in.Call.IdempotencyKey] {
		p.RefundedYen, p.RefundedAt = p.RefundedYen+in.Yen, in.Call.Now
		b.refunded[in.Call.IdempotencyKey] = true
	}
	b.mu.Unlock()
	if err := b.hook("refunded"); err != nil {
		return nil, err
	}
	return &proto.RefundResponse{Payment: p}, nil
}

const goodSignature = "s3cret"

// HandleWebhook reads JSON notices under a header with the signature.
func (b *bank) HandleWebhook(_ context.Context, in *proto.WebhookRequest) (*proto.WebhookResponse, error) {
	if err := b.hook("webhook"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.hooks++
	b.mu.Unlock()
	for _, h := range in.Headers { // as agents do, a signature holds for some minutes
		if signed, err := strconv.ParseInt(h.Value, 10, 64); h.Name == "X-Time" && (err != nil || in.Call.Now.AsTime().Sub(time.Unix(signed, 0)).Abs() > 5*time.Minute) {
			return &proto.WebhookResponse{ReplyStatus: 401, Error: &proto.Error{Class: proto.ErrorClass_SIGNATURE}}, nil
		}
	}
	for _, h := range in.Headers {
		if h.Name == "X-Signature" && h.Value == goodSignature {
			resp := &proto.WebhookResponse{Verified: true, ReplyStatus: 200, ReplyBody: []byte("OK")}
			var all []json.RawMessage
			if err := json.Unmarshal(in.Body, &all); err != nil {
				return &proto.WebhookResponse{ReplyStatus: 400, Error: &proto.Error{Class: proto.ErrorClass_INVALID}}, nil
			}
			for _, n := range all {
				pn := new(proto.PaymentNotice)
				if err := protojson.Unmarshal(n, pn); err != nil {
					return &proto.WebhookResponse{ReplyStatus: 400, Error: &proto.Error{Class: proto.ErrorClass_INVALID}}, nil
				}
				resp.Notices = append(resp.Notices, pn)
			}
			return resp, nil
		}
	}
	return &proto.WebhookResponse{ReplyStatus: 401, Error: &proto.Error{Class: proto.ErrorClass_SIGNATURE}}, nil
}

// count reads a counter of the bank.
func (b *bank) count(n *int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *n
}

func (b *bank) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// pen draws receipts.
type pen struct {
	proto.UnimplementedRenderServer
	mu   sync.Mutex // guards docs and fail
	docs []*proto.Document
	fail error
}

func (r *pen) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest) (*proto.RenderDocumentResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	r.docs = append(r.docs, in.Document)
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCreationDate(in.Document.Created.AsTime())
	f.SetModificationDate(in.Document.Created.AsTime())
	f.AddPage()
	f.SetFont("Helvetica", "", 10)
	f.Cell(10, 10, in.Document.Receipt.Number)
	var b bytes.Buffer
	err := f.Output(&b)
	return &proto.RenderDocumentResponse{Pdf: b.Bytes()}, err
}

// plugins gives the clients of modules that run in this process, over real gRPC.
type plugins struct {
	payment proto.PaymentAgentClient
	render  proto.RenderClient
	methods []*proto.PaymentMethod
}

func (m *plugins) Payment(string) proto.PaymentAgentClient { return m.payment }
func (m *plugins) Render(string) proto.RenderClient        { return m.render }
func (m *plugins) Describe(module string) (*proto.DescribeResponse, bool) {
	return &proto.DescribeResponse{PaymentMethods: m.methods, Reports: true}, module == "payment/sandbox"
}

var sandboxMethods = []*proto.PaymentMethod{
	{Code: "konbini_barcode", Kind: proto.MethodKind_KONBINI_BARCODE, LabelJa: "コンビニ支払（バーコード）", LabelEn: "Convenience store (barcode)", MinYen: 1, MaxYen: 300_000},
	{Code: "konbini_number", Kind: proto.MethodKind_KONBINI_NUMBER, LabelJa: "コンビニ支払（番号）", LabelEn: "Convenience store (number)", MinYen: 1, MaxYen: 300_000,
		Stores: []*proto.Store{{Code: "konbini_a", LabelJa: "コンビニA"}, {Code: "konbini_b", LabelJa: "コンビニB"}}},
	{Code: "card", Kind: proto.MethodKind_CARD, LabelJa: "クレジットカード", LabelEn: "Credit card", MinYen: 1, MaxYen: 9_999_999, Redirect: true, CancelBlocksPayment: true, Refunds: true},
}

// rig is payments over a real store and a real gRPC connection to a scripted agent, on a clock of its own.
type rig struct {
	*Payments
	t      testing.TB
	bank   *bank
	pen    *pen
	mods   *plugins
	tenant *tenant.Tenant
	dir    string
	reg    *prometheus.Registry

	mu    sync.Mutex // guards clock, and tenant while it is changed
	clock time.Time
}

const testHook = "0123456789abcdef0123456789abcdef"

func newRig(t testing.TB) *rig {
	r := &rig{t: t, bank: &bank{payments: map[string]*proto.Payment{}, refunded: map[string]bool{}}, pen: &pen{}, dir: t.TempDir(), clock: day0}
	r.tenant = &tenant.Tenant{
		ID: "acme", Name: "〇〇株式会社", Brand: tenant.Brand{Phone: "0120-000-000"},
		Issuer: tenant.Issuer{Address: "東京都〇〇区1-2-3", Registration: "T9234567890123"},
		Agents: []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Hook: testHook, Methods: []string{"konbini_barcode", "konbini_number", "card"}}},
	}
	lis := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	proto.RegisterPaymentAgentServer(server, r.bank)
	proto.RegisterRenderServer(server, r.pen)
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///bank", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	r.mods = &plugins{payment: proto.NewPaymentAgentClient(conn), render: proto.NewRenderClient(conn), methods: sandboxMethods}
	require.NoError(t, store.NewMasterKey(filepath.Join(r.dir, "master.key")))
	r.open()
	t.Cleanup(func() { r.s.Close() })
	return r
}

func (r *rig) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

// errNotSent is what a host says of a call that never left.
var errNotSent = status.Error(codes.FailedPrecondition, "not sent")

func (r *rig) open() {
	s, err := store.Open(store.Options{
		Dir: filepath.Join(r.dir, "data"), MasterKey: filepath.Join(r.dir, "master.key"),
		Log: slog.New(slog.DiscardHandler), Pace: -1, MinFree: 1, Now: r.time,
	})
	require.NoError(r.t, err)
	c := DefaultConfig()
	c.WebhookBase = "https://pay.example.jp/hooks/"
	c.CreateTimeout, c.CallTimeout = 5*time.Second, 5*time.Second
	r.reg = prometheus.NewRegistry()
	r.Payments, err = New(Options{
		Store: s, Agents: r.mods, Renders: r.mods, Documents: document.New(s, r.time), Config: c, Now: r.time,
		Directory: r.snapshot, Log: slog.New(slog.DiscardHandler), Registerer: r.reg,
		NotSent: func(err error) bool { return status.Code(err) == codes.FailedPrecondition },
	})
	require.NoError(r.t, err)
}

// change changes the tenant's definition.
func (r *rig) change(f func(*tenant.Tenant)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := *r.tenant
	f(&t)
	r.tenant = &t
}

// snapshot is a directory with the rig's tenant, made the way it is made in life.
func (r *rig) snapshot() *tenant.Snapshot {
	r.mu.Lock()
	data, err := json.Marshal(r.tenant)
	r.mu.Unlock()
	require.NoError(r.t, err)
	d, err := tenant.OpenDirectory(context.Background(), memoryLog{{Type: tenant.TenantApplied, At: day0, Data: data}})
	require.NoError(r.t, err)
	return d.Now()
}

type memoryLog []tenant.Event

func (l memoryLog) Append(context.Context, int, []tenant.Event) error { return errors.New("closed") }
func (l memoryLog) Replay(context.Context) ([]tenant.Event, error)    { return l, nil }

// crash ends the program: nothing that is not on disk survives.
func (r *rig) crash() {
	r.t.Helper()
	require.NoError(r.t, r.s.Close())
	r.open()
}

var scope = tenant.Only("acme")

func draft(number string, amount int64) *message.Claim {
	tax := amount / 11
	return &message.Claim{
		Number: number, Amount: amount, Tax: &tax, Due: "2026-12-31", Payer: "書留 太郎",
		Lines: []message.Line{{Name: "〇〇利用料", Quantity: 1, Unit: amount, Amount: amount}},
	}
}

// claim plans a claim and commits it, as intake does.
func (r *rig) claim(number string, amount int64) ulid.ULID {
	r.t.Helper()
	return r.plan(draft(number, amount), "")
}

func (r *rig) start(claim ulid.ULID, method string) (Attempt, error) {
	return r.Start(r.t.Context(), r.tenant, claim, StartOptions{Method: method, Store: "konbini_a", ReturnURL: "https://link.example.jp/a/xxxxxxxxxx/return", MessageID: ulid.Make()})
}

func (r *rig) mustStart(claim ulid.ULID, method string) Attempt {
	r.t.Helper()
	a, err := r.start(claim, method)
	require.NoError(r.t, err)
	return a
}

func (r *rig) state(claim ulid.ULID) *State {
	r.t.Helper()
	s, err := r.Claim(r.t.Context(), scope, claim)
	require.NoError(r.t, err)
	return &s
}

// events lists the types of a claim's events.
func (r *rig) events(claim ulid.ULID) (types []string) {
	r.t.Helper()
	events, err := r.s.Load(r.t.Context(), scope, claimRef("acme", claim))
	require.NoError(r.t, err)
	for _, e := range events {
		types = append(types, Type(e.Type).String())
	}
	return types
}

// visit looks at whatever is due in the queue of claims, once.
func (r *rig) visitDue() (n int) {
	r.t.Helper()
	items, err := r.s.Due(nil, queueSettle, store.Cursor{}, r.time(), 100)
	require.NoError(r.t, err)
	for _, it := range items {
		require.NoError(r.t, r.visit(r.t.Context(), it.Ref))
	}
	return len(items)
}

// told is a notice of the agent: what happened to a payment, some time after it was made.
func (r *rig) told(id string, a Attempt, state proto.PaymentState, paid int64, at time.Duration) *proto.PaymentNotice {
	n := &proto.PaymentNotice{NoticeId: id, Occurred: timestamppb.New(day0.Add(at)), Payment: &proto.Payment{
		AttemptId: a.ID.String(), AgentPaymentId: "20261122000000001", ReceiptNumber: "26112200000001", State: state, Yen: a.Yen, PaidYen: paid,
	}}
	if paid > 0 {
		n.Payment.ProvisionalAt, n.Payment.Store = timestamppb.New(day0.Add(time.Hour)), "konbini_a"
	}
	if state == proto.PaymentState_CONFIRMED {
		n.Payment.ConfirmedAt = n.Occurred
	}
	return n
}

// hook sends notices to the tenant's webhook, signed.
func (r *rig) hook(notices ...*proto.PaymentNotice) Reply {
	r.t.Helper()
	return r.Webhook(r.t.Context(), r.request(goodSignature, notices...))
}

func (r *rig) request(signature string, notices ...*proto.PaymentNotice) WebhookRequest {
	r.t.Helper()
	all := make([]json.RawMessage, len(notices))
	for i, n := range notices {
		b, err := protojson.Marshal(n)
		require.NoError(r.t, err)
		all[i] = b
	}
	body, err := json.Marshal(all)
	require.NoError(r.t, err)
	return WebhookRequest{Hook: testHook, Method: "POST", Body: body, Headers: []Header{
		{"X-Time", strconv.FormatInt(r.time().Unix(), 10)}, {"X-Signature", signature}, {"Content-Type", "application/json"},
	}}
}
