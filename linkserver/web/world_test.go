package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/proto"
	paper "github.com/kakitome/kakitome/plugins/render/standard/document"
	standard "github.com/kakitome/kakitome/plugins/render/standard/page"
)

// modules answer over one real gRPC connection: the standard renderer, and an identity module and a payment agent that
// do as they are told.
type modules struct {
	proto.UnimplementedAuthServer
	proto.UnimplementedRenderServer
	proto.UnimplementedPaymentAgentServer
	conn  *grpc.ClientConn
	drawn atomic.Int64 // pages
	plain atomic.Bool  // no page is drawn: the host's own stand in

	mu       sync.Mutex // guards what follows
	codes    int
	payments map[string]*proto.Payment
	returns  map[string]string // attempt → return URL
	voucher  *proto.Voucher    // that Create gives; nil: a number
	fresh    *proto.Voucher    // that RefreshVoucher gives; nil: a refusal
	renewals int
	payers   []string // that Create was told
	gets     int
	away     bool // the page of who identifies cannot be reached
	lost     bool // nobody learns what became of a Create
	finished []*proto.FinishRequest
}

// Begin leads to a page of somebody else.
func (m *modules) Begin(_ context.Context, in *proto.BeginRequest) (*proto.BeginResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return &proto.BeginResponse{Error: &proto.Error{Class: proto.ErrorClass_UNAVAILABLE}}, nil
	}
	to := "https://id.example.jp/authorize?" + url.Values{"state": {in.State}, "redirect_uri": {in.ReturnUrl}}.Encode()
	return &proto.BeginResponse{RedirectUrl: to, Keep: []byte("kept for " + in.State)}, nil
}

// Finish takes the code for the person's id.
func (m *modules) Finish(_ context.Context, in *proto.FinishRequest) (*proto.FinishResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished = append(m.finished, in)
	q, _ := url.ParseQuery(in.Query)
	switch code := q.Get("code"); {
	case m.away:
		return &proto.FinishResponse{Error: &proto.Error{Class: proto.ErrorClass_UNAVAILABLE}}, nil
	case string(in.Keep) != "kept for "+in.State, code == "forged", code == "":
		return &proto.FinishResponse{Error: &proto.Error{Class: proto.ErrorClass_SIGNATURE, Code: "id_token"}}, nil
	default:
		return &proto.FinishResponse{Form: code}, nil
	}
}

func (m *modules) Auth(string) proto.AuthClient     { return proto.NewAuthClient(m.conn) }
func (m *modules) Render(string) proto.RenderClient { return proto.NewRenderClient(m.conn) }
func (m *modules) Payment(string) proto.PaymentAgentClient {
	return proto.NewPaymentAgentClient(m.conn)
}

func (m *modules) Describe(name string) (*proto.DescribeResponse, bool) {
	switch name {
	case "auth/knowledge":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{
			{Name: "birth_date", LabelJa: "生年月日", LabelEn: "Date of birth", MaxLength: 20},
			{Name: "customer_number", LabelJa: "お客様番号", LabelEn: "Customer number", MaxLength: 20},
			{Name: "kana_name", LabelJa: "お名前（カナ）", LabelEn: "Name in katakana", MaxLength: 60},
			{Name: "phone", LabelJa: "携帯電話番号", LabelEn: "Mobile phone number", MaxLength: 20},
		}}, true
	case "auth/otp_sms":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{{Name: "code", Challenge: true}}}, true
	case "auth/oidc":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{{Name: "oidc", LabelJa: "本人確認サービス", LabelEn: "Identity service", MaxLength: 255, Elsewhere: true}}}, true
	case "payment/till":
		return &proto.DescribeResponse{PaymentMethods: []*proto.PaymentMethod{
			{Code: "konbini_number", Kind: proto.MethodKind_KONBINI_NUMBER, LabelJa: "コンビニ（番号）", LabelEn: "Store", Stores: []*proto.Store{{Code: "cvs1", LabelJa: "〇〇マート", LabelEn: "Mart"}}, CancelBlocksPayment: true, Refreshes: true},
			{Code: "card", Kind: proto.MethodKind_CARD, LabelJa: "クレジットカード", LabelEn: "Card", Redirect: true, CancelBlocksPayment: true},
			{Code: "transfer", Kind: proto.MethodKind_BANK_TRANSFER, LabelJa: "銀行振込", LabelEn: "Transfer"},
			{Code: "payer_number", Kind: proto.MethodKind_PAYER_NUMBER, LabelJa: "お客様専用番号", LabelEn: "Own number", CancelBlocksPayment: true},
			{Code: "pay_easy", Kind: proto.MethodKind_PAY_EASY, LabelJa: "ペイジー", LabelEn: "Pay-easy", CancelBlocksPayment: true},
			{Code: "wallet", Kind: proto.MethodKind_WALLET, LabelJa: "ウォレット", LabelEn: "Wallet", Redirect: true, CancelBlocksPayment: true},
			{Code: "account", Kind: proto.MethodKind_ACCOUNT_REGISTRATION, LabelJa: "口座振替のお申し込み", LabelEn: "Direct debit", Redirect: true, CancelBlocksPayment: true},
		}}, true
	}
	return nil, false
}

func (m *modules) Canonical(_ context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	out := &proto.CanonicalResponse{}
	for _, it := range in.Items {
		f := &proto.CanonicalForm{Form: strings.TrimSpace(it.Value)}
		if it.Field == "birth_date" && len(f.Form) != 8 {
			f = &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID}}
		}
		out.Forms = append(out.Forms, f)
	}
	return out, nil
}

func (m *modules) Challenge(_ context.Context, in *proto.ChallengeRequest) (*proto.ChallengeResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codes++
	code := fmt.Sprintf("%0*d", in.Digits, 515150+m.codes)
	return &proto.ChallengeResponse{Answer: code, Text: "「" + code + "」お客様の認証番号です。"}, nil
}

func (m *modules) RenderPage(_ context.Context, in *proto.RenderPageRequest) (*proto.RenderPageResponse, error) {
	m.drawn.Add(1)
	if m.plain.Load() {
		return &proto.RenderPageResponse{Error: &proto.Error{Class: proto.ErrorClass_INTERNAL}}, nil
	}
	b, refused := standard.Render(in.Page)
	return &proto.RenderPageResponse{Html: b, Error: refused}, nil
}

func (m *modules) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest) (*proto.RenderDocumentResponse, error) {
	if in.Form == proto.DocumentForm_PNG {
		b, refused := paper.RenderPNG(in.Document)
		return &proto.RenderDocumentResponse{Png: b, Error: refused}, nil
	}
	return &proto.RenderDocumentResponse{Pdf: smallPDF(in.Document.Kind.String() + in.Document.Lead + in.Document.Closing)}, nil
}

// smallPDF is a whole PDF file.
func smallPDF(title string) []byte {
	return fmt.Appendf(nil, "%%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n%% %s\ntrailer\n<</Root 1 0 R>>\nstartxref\n0\n%%%%EOF\n", title)
}

func (m *modules) Create(_ context.Context, in *proto.CreateRequest) (*proto.CreateResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost {
		return nil, status.Error(codes.DeadlineExceeded, "lost")
	}
	p := &proto.Payment{AttemptId: in.AttemptId, AgentPaymentId: "20261122000000001", ReceiptNumber: "26112200000001", Yen: in.Yen}
	m.payers = append(m.payers, in.Payer)
	if in.Method == "card" || in.Method == "wallet" || in.Method == "account" {
		p.State, p.RedirectUrl = proto.PaymentState_REQUIRES_ACTION, "https://pay.example.jp/p/"+in.AttemptId
	} else {
		p.State, p.Voucher = proto.PaymentState_AWAITING, &proto.Voucher{PaymentNumber: "9988776655", ConfirmationNumber: "4321"}
		if m.voucher != nil {
			p.Voucher = m.voucher
		}
	}
	m.payments[in.AttemptId], m.returns[in.AttemptId] = p, in.ReturnUrl
	return &proto.CreateResponse{Payment: pb.CloneOf(p)}, nil
}

func (m *modules) Get(_ context.Context, in *proto.GetRequest) (*proto.GetResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	if p, ok := m.payments[in.AttemptId]; ok {
		return &proto.GetResponse{Payment: pb.CloneOf(p)}, nil
	}
	return &proto.GetResponse{Error: &proto.Error{Class: proto.ErrorClass_NOT_FOUND}}, nil
}

func (m *modules) Cancel(_ context.Context, in *proto.CancelRequest) (*proto.CancelResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.payments[in.AttemptId]
	p.State = proto.PaymentState_CANCELED
	return &proto.CancelResponse{Payment: pb.CloneOf(p)}, nil
}

// pay makes all payments of the agent stand so.
func (m *modules) pay(w *world, state proto.PaymentState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.payments {
		p.State, p.PaidYen, p.Store = state, p.Yen, "cvs1"
		p.ProvisionalAt = timestamppb.New(w.now())
		if state == proto.PaymentState_CONFIRMED {
			p.ConfirmedAt = timestamppb.New(w.now())
		}
	}
}

type outbox struct {
	settle func()        // waits for what is on its way here
	full   chan struct{} // not nil: nothing is taken until it is closed
	mu     sync.Mutex
	sent   []identity.CodeSMS
}

func (o *outbox) SendCode(_ context.Context, c identity.CodeSMS) (ulid.ULID, error) {
	if o.full != nil {
		<-o.full
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, c)
	return newID(), nil
}

// code is the one that was sent last.
func (o *outbox) code() string {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == 0 {
		return ""
	}
	return regexp.MustCompile(`[0-9]{6}`).FindString(o.sent[len(o.sent)-1].Text)
}

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// memory is the directory's log.
type memory struct{ events []tenant.Event }

func (m *memory) Append(_ context.Context, expect int, events []tenant.Event) error {
	if expect != len(m.events) {
		return tenant.ErrStale
	}
	m.events = append(m.events, events...)
	return nil
}
func (m *memory) Replay(context.Context) ([]tenant.Event, error) { return m.events, nil }

// world is everything behind one listener, with a clock to turn.
type world struct {
	t        testing.TB
	dir      string
	store    *store.Store
	tenants  *tenant.Directory
	links    *link.Links
	identity *identity.Identity
	payments *payment.Payments
	docs     *document.Documents
	stops    *donotsend.List
	mails    *email.Emails
	modules  *modules
	out      *outbox
	log      *bytes.Buffer
	logMu    *sync.Mutex
	sheets   *sheet.Sheets
	server   *Server
	base     string
	ahead    atomic.Int64
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (w *world) now() time.Time        { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) pass(d time.Duration)  { w.ahead.Add(int64(d)) }
func (w *world) water() *tenant.Tenant { return w.tenants.Now().Tenants["water"] }
func (w *world) logged() string        { w.logMu.Lock(); defer w.logMu.Unlock(); return w.log.String() }
func (w *world) ctx() context.Context  { return w.t.Context() }
func (w *world) must(err error)        { w.t.Helper(); require.NoError(w.t, err) }
func (w *world) path(m *sent) string   { return "/" + m.token }
func (w *world) newBrowser() *browser  { return newBrowser(w.t, w.base) }
func (w *world) version(m *sent) int   { return w.state(m).Version }
func (w *world) opened(m *sent) *browser {
	b := w.newBrowser()
	b.get(w.path(m))
	b.submit("open", nil)
	return b
}

func newWorld(t testing.TB, config Config) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &bytes.Buffer{}, logMu: &sync.Mutex{}, out: &outbox{},
		modules: &modules{payments: map[string]*proto.Payment{}, returns: map[string]string{}}}
	log := slog.New(slog.NewTextHandler(lockedWriter{w.logMu, w.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))

	pipe := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	proto.RegisterAuthServer(g, w.modules)
	proto.RegisterRenderServer(g, w.modules)
	proto.RegisterPaymentAgentServer(g, w.modules)
	go g.Serve(pipe)
	t.Cleanup(g.Stop)
	var err error
	w.modules.conn, err = grpc.NewClient("passthrough:modules", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	w.must(err)
	t.Cleanup(func() { w.modules.conn.Close() })

	key := filepath.Join(w.dir, "master.key")
	w.must(store.NewMasterKey(key))
	w.store, err = store.Open(store.Options{
		Dir: filepath.Join(w.dir, "data"), MasterKey: key, Log: log,
		Pace: 200 * time.Microsecond, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20,
	})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })

	w.tenants, err = tenant.OpenDirectory(t.Context(), &memory{})
	w.must(err)
	w.must(w.tenants.Apply(t.Context(), tenant.Tenant{
		ID: "water", Name: "〇〇県水道局", NameEN: "Water Office", Brand: tenant.Brand{Phone: "000-000-0000"},
		Agents: []tenant.Agent{{Name: "till", Module: "payment/till", Methods: []string{"konbini_number", "card"}}},
	}))

	w.links, err = link.Open(link.Options{Dir: filepath.Join(w.dir, "links"), Record: w.store, Log: log, Now: w.now})
	w.must(err)
	t.Cleanup(func() { w.links.Close() })
	following, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.links.Run(following) })
	t.Cleanup(func() { stop(); running.Wait() })

	w.docs, w.stops = document.New(w.store, w.now), donotsend.New(w.store)
	w.identity = identity.New(identity.Options{Store: w.store, Auths: w.modules, Modules: []string{"auth/knowledge", "auth/otp_sms", "auth/oidc"}, Sender: w.out, Log: log, Now: w.now})
	pay := payment.DefaultConfig()
	pay.WebhookBase = "https://hooks.example.jp/hooks/"
	w.payments, err = payment.New(payment.Options{
		Store: w.store, Directory: w.tenants.Now, Agents: w.modules, Renders: w.modules, Documents: w.docs, Config: pay, Now: w.now, Log: log,
	})
	w.must(err)
	pages := page.New(page.Options{Renders: w.modules, Log: log, Now: w.now, Timeout: 10 * time.Second, Patience: 10 * time.Second})
	relay := email.DefaultConfig()
	relay.Relay, relay.TLS, relay.From = "127.0.0.1:1", email.NoTLS, "no-reply@kk.example.jp" // nobody runs: what is asked for waits
	w.mails, err = email.New(email.Options{Config: relay, Store: w.store, Directory: w.tenants.Now, Claims: w.payments, Sheets: pages, Log: log, Now: w.now})
	w.must(err)
	w.sheets = sheet.New(sheet.Options{Store: w.store, Directory: w.tenants.Now, Claims: w.payments, Pages: pages, LinkHost: "s.example.jp", Now: w.now})
	way := journey.New(journey.Options{
		Store: w.store, Directory: w.tenants.Now, Links: w.links, Identity: w.identity, Claims: w.payments,
		Documents: w.docs, DoNotSend: w.stops, Pages: pages, Mails: w.mails, LinkHost: "sms.example.jp", Log: log, Now: w.now,
	})
	w.out.settle = func() { w.must(way.Settle(context.Background())) }
	t.Cleanup(w.out.settle)
	secret := make([]byte, 32)
	rand.Read(secret)
	w.server, err = New(Options{Config: config, Journey: way, Pages: pages, Webhooks: w.payments, Sheets: w.sheets, SessionKey: secret, Log: log, Now: w.now})
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.base = "http://" + l.Addr().String()
	serving, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(serving, l) }()
	t.Cleanup(func() { end(); require.NoError(t, <-ended) })
	return w
}

// draft says what a message has.
type draft struct {
	items            []message.IdentityItem
	code             bool
	page             message.Page
	claim            *message.Claim
	expires          time.Duration // default an hour
	until            time.Duration // default two hours
	parts            int
	class            message.Class // default notice
	after            *sent         // follows it up, with its questions
	number           string        // default ownNumber
	promises         bool
	email, reference string
	person           identity.Person // by whom it is found at the shared entry; default nobody
}

type sent struct {
	ref   store.Ref
	token string
	head  *message.Head
}

const ownNumber = "+818012349008"

var questions = []message.IdentityItem{{Field: "birth_date", Value: "19980101"}, {Field: "customer_number", Value: "C-778899"}}

func rightAnswers() url.Values {
	return url.Values{"birth_date": {"19980101"}, "customer_number": {"C-778899"}}
}

// send accepts a message as engine/intake does.
func (w *world) send(d draft) *sent {
	w.t.Helper()
	if d.expires == 0 {
		d.expires = time.Hour
	}
	if d.class == "" {
		d.class = message.Notice
	}
	if d.until == 0 {
		d.until = 2 * time.Hour
	}
	if d.number == "" {
		d.number = ownNumber
	}
	if d.page.Title == "" {
		d.page.Title = "水道料金のお知らせ"
	}
	now := w.now()
	ref := store.Ref{Tenant: "water", Kind: store.Message, ID: newID()}
	answers, problems, err := w.identity.Enroll(w.ctx(), w.water(), []ulid.ULID{ref.ID}, [][]message.IdentityItem{d.items})
	w.must(err)
	require.Empty(w.t, problems[0])
	seal := func(part string, v any) []byte {
		box, err := w.store.Seal("water", string(d.class), now, ref.ID.String()+"/"+part, message.Encode(v))
		w.must(err)
		return box
	}
	token := "a/" + rand.Text()[:10]
	h := &message.Head{
		V: 1, No: w.store.NextNo(now), Class: d.class, Parts: d.parts, Masked: "080-****-9008", Token: token, URL: w.base + "/" + token,
		LinkExpires: now.Add(d.expires), StateUntil: now.Add(d.until), Answers: answers[0], Code: d.code, Survey: d.page.Survey != nil,
		SMS: seal("sms", message.SMS{Number: d.number, Text: "x", Reference: d.reference}), Page: seal("page", message.Content{Page: d.page, Promises: d.promises, Email: d.email}),
	}
	if d.after != nil {
		h.Resends, h.Answers, h.Answering = d.after.ref.ID, d.after.head.Answers, d.after.ref.ID
	}
	tx := store.Tx{}
	if d.claim != nil {
		planned, problem, err := w.payments.Plan(w.ctx(), w.water(), ref.ID, d.claim, "")
		w.must(err)
		require.Nil(w.t, problem)
		h.Claim = planned.ID
		tx = append(tx, planned.Changes...)
	}
	tx = append(tx, store.Change{
		Ref: ref, Events: []store.NewEvent{{Type: byte(message.Accepted), At: now, Data: message.Encode(h)}},
		Names: []store.Name{{Space: store.ByToken, Key: token, Exclusive: true}}, Terms: w.terms(d),
	})
	w.commit(tx)
	return &sent{ref, token, h}
}

// terms are those that engine/intake gives a message.
func (w *world) terms(d draft) []store.Term {
	number, err := carrier.ParseNumber(d.number)
	w.must(err)
	terms, err := intake.Filter{Number: number, Reference: d.reference}.Terms(w.store, "water")
	w.must(err)
	if d.person != (identity.Person{}) {
		keys, err := w.identity.EntryKeys(w.ctx(), w.water(), []identity.Person{d.person})
		w.must(err)
		terms = append(terms, store.Term{Field: intake.FieldEntry, Value: keys[0]})
	}
	return terms
}

func (w *world) commit(tx store.Tx) {
	w.t.Helper()
	errs, err := w.store.Commit(w.ctx(), tx)
	w.must(errors.Join(append(errs, err)...))
}

func (w *world) state(m *sent) message.State {
	w.t.Helper()
	var s message.State
	for _, e := range w.events(m) {
		w.must(s.Apply(message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}))
	}
	return s
}

func (w *world) events(m *sent) []store.Event {
	w.t.Helper()
	events, err := w.store.Load(w.ctx(), tenant.Only("water"), m.ref)
	w.must(err)
	return events
}

func (w *world) count(m *sent, typ message.Type) int {
	n := 0
	for _, e := range w.events(m) {
		if message.Type(e.Type) == typ {
			n++
		}
	}
	return n
}

// browser keeps cookies and the page that it shows.
type browser struct {
	t      testing.TB
	base   string
	client *http.Client
	header http.Header
	shown  shown
}

type shown struct {
	status int
	header http.Header
	body   string
	path   string
}

func newBrowser(t testing.TB, base string) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, base: base, client: &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: transport},
		header: http.Header{"User-Agent": {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"}, "Accept-Language": {"ja"}}}
}

func (b *browser) do(req *http.Request) shown {
	b.t.Helper()
	for k, v := range b.header {
		req.Header[k] = v
	}
	res, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	b.shown = shown{res.StatusCode, res.Header, string(body), res.Request.URL.Path}
	return b.shown
}

func (b *browser) get(path string) shown {
	b.t.Helper()
	req, err := http.NewRequest("GET", b.base+path, nil)
	require.NoError(b.t, err)
	return b.do(req)
}

// says expects each of the words on the page.
func (b *browser) says(words ...string) {
	b.t.Helper()
	for _, w := range words {
		require.Contains(b.t, b.shown.body, w)
	}
}

var (
	formPattern  = regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">(.*?)</form>`)
	tokenPattern = regexp.MustCompile(`name="form" value="([^"]+)"`)
)

// form finds a form of the page that is shown.
func (b *browser) form(step string) (action, token string) {
	for _, f := range formPattern.FindAllStringSubmatch(b.shown.body, -1) {
		if strings.HasSuffix(f[1], "/"+step) {
			return f[1], html.UnescapeString(tokenPattern.FindStringSubmatch(f[2])[1])
		}
	}
	b.t.Helper()
	b.t.Fatalf("no form %s on the page:\n%s", step, b.shown.body)
	return "", ""
}

// submit presses the button of a form, and shows what follows.
func (b *browser) submit(step string, values url.Values) shown {
	b.t.Helper()
	action, token := b.form(step)
	all := url.Values{"form": {token}}
	for k, v := range values {
		all[k] = v
	}
	return b.post(action, all)
}

// leads is where the page that is shown goes on to by itself.
func (b *browser) leads() string {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, b.shown.status)
	to, ok := strings.CutPrefix(b.shown.header.Get("Refresh"), "0; url=")
	require.True(b.t, ok, "it stays: %s", b.shown.body)
	link := regexp.MustCompile(`<a href="([^"]+)">`).FindStringSubmatch(b.shown.body)
	require.Equal(b.t, to, html.UnescapeString(link[1]), "where the browser does not go on by itself")
	sum := sha256.Sum256([]byte(regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(b.shown.body)[1]))
	require.Contains(b.t, b.shown.header.Get("Content-Security-Policy"), "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; form-action 'none';")
	return to
}

func (b *browser) post(path string, values url.Values) shown {
	b.t.Helper()
	req, err := http.NewRequest("POST", b.base+path, strings.NewReader(values.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}
