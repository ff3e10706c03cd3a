package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	paysheet "github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/plugins/proto"
	standard "github.com/kakitome/kakitome/plugins/render/standard/page"
)

// room is a console over real rooms; at the edge a scripted payment agent and the standard renderer, over real gRPC.
type room struct {
	*Server
	past *past
	t    testing.TB
	bank *bank
	http *httptest.Server
}

// bank is a payment agent that issues numbers and tells what it is told to tell.
type bank struct {
	proto.UnimplementedPaymentAgentServer
	proto.UnimplementedRenderServer
	mu       sync.Mutex // guards payments
	payments map[string]*proto.Payment
}

func (b *bank) Create(_ context.Context, in *proto.CreateRequest) (*proto.CreateResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.payments) + 1
	p := &proto.Payment{AttemptId: in.AttemptId, AgentPaymentId: fmt.Sprintf("20261122%09d", 10767833+n), ReceiptNumber: fmt.Sprintf("261122%08d", 27393834+n),
		State: proto.PaymentState_AWAITING, Yen: in.Yen, Voucher: &proto.Voucher{Barcode: "91908081030210019970007091753026123100074406", Expires: in.Due}}
	b.payments[in.AttemptId] = p
	return &proto.CreateResponse{Payment: p}, nil
}

func (b *bank) Get(_ context.Context, in *proto.GetRequest) (*proto.GetResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.payments[in.AttemptId]; p != nil {
		return &proto.GetResponse{Payment: p}, nil
	}
	return &proto.GetResponse{Error: &proto.Error{Class: proto.ErrorClass_NOT_FOUND, Code: "no_such_payment"}}, nil
}

func (b *bank) Cancel(_ context.Context, in *proto.CancelRequest) (*proto.CancelResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.payments[in.AttemptId]
	p.State = proto.PaymentState_CANCELED
	return &proto.CancelResponse{Payment: p}, nil
}

func (b *bank) Refund(_ context.Context, in *proto.RefundRequest) (*proto.RefundResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.payments[in.AttemptId]
	p.RefundedYen, p.RefundedAt = p.RefundedYen+in.Yen, in.Call.Now
	return &proto.RefundResponse{Payment: p}, nil
}

// ReadReport reads lines of an attempt and yen: 確報 of now, or transfers where the file's name, their series, says so.
func (b *bank) ReadReport(_ context.Context, in *proto.ReportRequest) (*proto.ReportResponse, error) {
	out := &proto.ReportResponse{}
	for i, line := range strings.Split(strings.TrimSpace(string(in.Body)), "\n") {
		attempt, amount, _ := strings.Cut(line, " ")
		yen, err := strconv.ParseInt(amount, 10, 64)
		if err != nil {
			out.Faults = append(out.Faults, &proto.ReportFault{Line: uint32(i + 1), Message: "paid_yen: want yen, 1 to 9999999"})
			continue
		}
		if strings.HasPrefix(in.Name, "transfers-") {
			out.Rows = append(out.Rows, &proto.ReportRow{Line: uint32(i + 1), AttemptId: attempt, Deposit: &proto.Deposit{Id: fmt.Sprint(in.Name, "/", i), Yen: yen, At: in.Call.Now, Series: in.Name}})
			continue
		}
		b.mu.Lock()
		id := attempt
		if p := b.payments[attempt]; p != nil {
			id = p.AgentPaymentId
		}
		b.mu.Unlock()
		out.Rows = append(out.Rows, &proto.ReportRow{Line: uint32(i + 1), AttemptId: attempt, AgentPaymentId: id, Payment: &proto.Payment{
			State: proto.PaymentState_CONFIRMED, AgentPaymentId: id, Yen: yen, PaidYen: yen, ConfirmedAt: in.Call.Now}})
	}
	return out, nil
}

func (b *bank) RenderPage(_ context.Context, in *proto.RenderPageRequest) (*proto.RenderPageResponse, error) {
	html, refused := standard.Render(in.Page)
	return &proto.RenderPageResponse{Html: html, Error: refused}, nil
}

func (b *bank) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest) (*proto.RenderDocumentResponse, error) {
	if in.Form == proto.DocumentForm_PNG {
		var out bytes.Buffer
		err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 10, 10)))
		return &proto.RenderDocumentResponse{Png: out.Bytes()}, err
	}
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCreationDate(in.Document.Created.AsTime())
	f.SetModificationDate(in.Document.Created.AsTime())
	f.SetCompression(false)
	f.AddPage()
	f.SetFont("Helvetica", "", 10)
	f.Cell(40, 10, in.Document.GetReceipt().GetNumber())
	f.Cell(40, 10, in.Document.GetIssuer().GetPhone())
	var out bytes.Buffer
	err := f.Output(&out)
	return &proto.RenderDocumentResponse{Pdf: out.Bytes()}, err
}

// half is a renderer that draws the first pages and the notice, and no PDF.
type half struct{ proto.RenderClient }

func (half) RenderDocument(context.Context, *proto.RenderDocumentRequest, ...grpc.CallOption) (*proto.RenderDocumentResponse, error) {
	return &proto.RenderDocumentResponse{Error: &proto.Error{Class: proto.ErrorClass_INTERNAL, Code: "font"}}, nil
}

// asker takes what is typed as it is, and always makes the same code.
type asker struct{ proto.UnimplementedAuthServer }

func (asker) Canonical(_ context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	out := &proto.CanonicalResponse{}
	for _, it := range in.Items {
		out.Forms = append(out.Forms, &proto.CanonicalForm{Form: it.Value})
	}
	return out, nil
}

func (asker) Challenge(context.Context, *proto.ChallengeRequest) (*proto.ChallengeResponse, error) {
	return &proto.ChallengeResponse{Answer: "123456", Text: "「123456」お客様の認証番号です。"}, nil
}

// edge finds the modules, makes answers of items and takes links.
type edge struct {
	payment proto.PaymentAgentClient
	render  proto.RenderClient
	auth    proto.AuthClient
	store   *store.Store
}

func (e *edge) Payment(string) proto.PaymentAgentClient { return e.payment }
func (e *edge) Auth(string) proto.AuthClient            { return e.auth }
func (e *edge) Render(module string) proto.RenderClient {
	switch module {
	case "render/dead":
		return nil
	case "render/half":
		return half{e.render}
	}
	return e.render
}

func (e *edge) Describe(module string) (*proto.DescribeResponse, bool) {
	switch module {
	case "auth/knowledge":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{{Name: "birth_date", OneIn: 15_000}, {Name: "kana_name", OneIn: 2_000}, {Name: "postcode", OneIn: 20}, {Name: "free"}}}, true
	case "auth/otp_sms":
		return &proto.DescribeResponse{AuthFields: []*proto.AuthField{{Name: "code", Challenge: true}}}, true
	}
	return &proto.DescribeResponse{PaymentMethods: []*proto.PaymentMethod{
		{Code: "konbini_barcode", Kind: proto.MethodKind_KONBINI_BARCODE, LabelJa: "コンビニ支払（バーコード）", LabelEn: "Convenience store (barcode)", MinYen: 1, MaxYen: 300_000},
		{Code: "card", Kind: proto.MethodKind_CARD, LabelJa: "クレジットカード", LabelEn: "Credit card", MinYen: 1, MaxYen: 9_999_999, Refunds: true},
	}, Reports: true}, module == "payment/sandbox"
}
func (e *edge) Put([]intake.Link) {}
func (e *edge) SendCode(context.Context, identity.CodeSMS) (ulid.ULID, error) {
	return ulid.Make(), nil
}

func (e *edge) Enroll(_ context.Context, t *tenant.Tenant, ids []ulid.ULID, items [][]message.IdentityItem) ([][]message.Answer, []message.Problems, error) {
	answers, problems := make([][]message.Answer, len(ids)), make([]message.Problems, len(ids))
	for i := range ids {
		for j, it := range items[i] {
			if it.Value == "壊" {
				problems[i] = append(problems[i], message.Problem{Field: fmt.Sprintf("identity.items[%d].value", j), Code: "pattern"})
				continue
			}
			sum, err := e.store.Keyed(t.ID, "identity/"+ids[i].String()+"/"+it.Field, it.Value)
			if err != nil {
				return nil, nil, err
			}
			answers[i] = append(answers[i], message.Answer{Field: it.Field, Label: it.Label, Hash: sum[:], OneIn: 1_000_000})
		}
	}
	return answers, problems, nil
}

// plans gives intake the real claims.
type plans struct{ p *payment.Payments }

func (p plans) Plan(ctx context.Context, t *tenant.Tenant, msg ulid.ULID, c *message.Claim, subject string) (ulid.ULID, []store.Change, *message.Problem, error) {
	planned, problem, err := p.p.Plan(ctx, t, msg, c, subject)
	return planned.ID, planned.Changes, problem, err
}

const testPassword = "correct horse battery"

// testHash is a hash of the test password that costs little; hashes as they are stored are tested in admin/signin.
func testHash() string {
	salt := []byte("sixteen bytes ..")
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=64,t=1,p=1$%s$%s", argon2.Version, enc(salt), enc(argon2.IDKey([]byte(testPassword), salt, 1, 64, 1, 32)))
}

func shop(id tenant.ID, name string) tenant.Tenant {
	return tenant.Tenant{
		ID: id, Name: name, Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000", Hours: "平日 9:00～18:00"},
		Issuer: tenant.Issuer{Address: "東京都〇〇区1-2-3", Registration: "T9234567890123"},
		Senders: []tenant.SenderProfile{
			{Name: "default", Addresses: map[string]string{"docomo": "0312345678", "au": "0312345678", "softbank": "21234", "rakuten": "0312345678"}},
			{Name: "collection", Addresses: map[string]string{"docomo": "0570000001"}},
		},
		Templates: []tenant.Template{{Name: "bill", Text: "{name}様 〇〇県水道局からお支払いに関するお知らせです。{url}"}},
		Policy:    tenant.Policy{OptionalTOTP: true},
		Agents:    []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"konbini_barcode", "card"}}},
	}
}

// openRoom opens a room with two tenants and a user of each role: "<role>@<tenant>", and "operator".
func openRoom(t testing.TB) *room {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Pace: -1,
		Log: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	directory, err := tenant.OpenDirectory(t.Context(), st.DirectoryLog())
	require.NoError(t, err)
	set := func(login string, id tenant.ID, role tenant.Role, name string) {
		require.NoError(t, directory.AddUser(t.Context(), tenant.User{Login: login, Tenant: id, Name: name, Role: role, Password: testHash()}))
	}
	for id, name := range map[tenant.ID]string{"mizu": "〇〇県水道局", "gasu": "〇〇ガス株式会社"} {
		require.NoError(t, directory.Apply(t.Context(), shop(id, name)))
		set("admin@"+string(id), id, tenant.RoleAdmin, "書留 花子")
		set("sender@"+string(id), id, tenant.RoleSender, "書留 太郎")
		set("viewer@"+string(id), id, tenant.RoleViewer, "書留 次郎")
	}
	set("operator", tenant.OperatorID, tenant.RoleOperator, "運用 担当")
	carriers, err := carrier.Open(carrier.Box("../conf/data/ranges.csv"))
	require.NoError(t, err)

	b := &bank{payments: map[string]*proto.Payment{}}
	lis := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	proto.RegisterPaymentAgentServer(g, b)
	proto.RegisterRenderServer(g, b)
	proto.RegisterAuthServer(g, asker{})
	go g.Serve(lis)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///edge", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	e := &edge{payment: proto.NewPaymentAgentClient(conn), render: proto.NewRenderClient(conn), auth: proto.NewAuthClient(conn), store: st}

	quiet := slog.New(slog.DiscardHandler)
	documents := document.New(st, nil)
	pay := payment.DefaultConfig()
	pay.WebhookBase = "https://pay.example.jp/hooks/"
	payments, err := payment.New(payment.Options{Store: st, Directory: directory.Now, Agents: e, Renders: e, Documents: documents, Config: pay, Log: quiet})
	require.NoError(t, err)
	in, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: st, Tenants: directory, Carriers: carriers,
		Identity: e, Claims: plans{payments}, Offers: payments, Documents: documents, Links: e, Log: quiet})
	require.NoError(t, err)
	uploads, err := campaign.New(campaign.Options{Store: st, Tenants: directory, Carriers: carriers, Intake: in, Log: quiet})
	require.NoError(t, err)
	followUps, err := followup.Open(followup.Options{Dir: t.TempDir(), Store: st, Directory: directory.Now, Intake: in, Claims: payments, Log: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, followUps.Close()) })
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	wg.Go(func() { _ = uploads.Run(ctx) })
	wg.Go(func() { _ = followUps.Run(ctx) })
	callbacks, err := callback.New(callback.Options{Store: st, Directory: directory, Poster: echo{}, Log: quiet})
	require.NoError(t, err)
	stopped := donotsend.New(st)
	received := inbound.New(inbound.Options{Store: st, Directory: directory, DoNotSend: stopped, Log: quiet})
	r2 := &past{reload: func() ([]string, error) { return nil, nil }}
	certificates, err := certificate.New(certificate.Options{Config: certificate.DefaultConfig(), Dir: t.TempDir(), Store: st, Directory: directory.Now, Renders: e})
	require.NoError(t, err)
	pages := page.New(page.Options{Renders: e, Log: quiet, Patience: time.Minute})
	mail := email.DefaultConfig()
	mail.Relay, mail.From = "relay.example.jp:587", "no-reply@example.jp" // nothing is sent: Run does not run
	mails, err := email.New(email.Options{Config: mail, Store: st, Directory: directory.Now, Claims: payments, Sheets: pages, Log: quiet})
	require.NoError(t, err)
	s, err := New(Options{
		Mails:  mails,
		Sheets: paysheet.New(paysheet.Options{Store: st, Directory: directory.Now, Claims: payments, Pages: pages, LinkHost: "s.example.jp"}),
		Store:  st, Directory: directory, Intake: in, Payments: payments, Campaigns: uploads, FollowUps: followUps, Callbacks: callbacks, Inbound: received, DoNotSend: stopped, Pages: pages,
		Identity:  identity.New(identity.Options{Store: st, Auths: e, Sender: e, LinkHost: "s.example.jp", Log: quiet}),
		Documents: documents, Certificates: certificates, Audit: audit.New(st), Carriers: carriers, SessionKey: []byte(strings.Repeat("k", 32)), LinkBase: "https://s.example.jp", Simulated: true, Log: quiet,
		Binds: func() []bind.Status {
			now := time.Now().Add(-3 * time.Hour)
			return []bind.Status{{Name: "docomo-1", Carrier: "docomo", State: bind.Bound, Since: now, Window: 50, Rate: 250}, {Name: "docomo-2", Carrier: "docomo", State: bind.Bound, Since: now},
				{Name: "au-1", Carrier: "au", State: bind.Bound, Since: now}, {Name: "softbank-1", Carrier: "softbank", State: bind.Waiting, Why: "dial: connection refused", Since: now}}
		},
		Dispatch: lines{}, History: r2, Try: tryByScript,
		Reload: func() ([]string, error) { return r2.reload() },
		Modules: func() []host.Status {
			return []host.Status{{Module: "payment/sandbox", State: host.Running, Version: "1.0.0", Since: time.Now()}, {Module: "auth/knowledge", State: host.Running, Version: "1.0.0", Since: time.Now()}}
		},
	})
	require.NoError(t, err)
	wg.Go(func() { s.follow(ctx) })
	r := &room{Server: s, t: t, bank: b, past: r2}
	r.http = httptest.NewServer(s.Handler())
	t.Cleanup(func() { s.once.Do(func() { close(s.closing) }); r.http.Close() })
	return r
}

func (r *room) tenant(id tenant.ID) *tenant.Tenant { return r.Directory.Now().Tenants[id] }

// accept takes messages as if they had come by API.
func (r *room) accept(id tenant.ID, via message.Via, drafts ...message.Draft) []intake.Result {
	r.t.Helper()
	results, err := r.Intake.Accept(context.Background(), intake.Request{Tenant: id, Via: via, By: "user:sender@" + string(id), Drafts: drafts})
	require.NoError(r.t, err)
	for _, res := range results {
		require.Empty(r.t, res.Problems)
		require.NoError(r.t, res.Err)
	}
	return results
}

// happen appends events to a message.
func (r *room) happen(id tenant.ID, msg ulid.ULID, events ...store.NewEvent) {
	r.t.Helper()
	errs, err := r.Store.Commit(context.Background(), store.Tx{{Ref: store.Ref{Tenant: id, Kind: store.Message, ID: msg}, Expect: store.Any, Events: events}})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

func (r *room) state(id tenant.ID, msg string) message.State {
	r.t.Helper()
	events, err := r.Store.Load(context.Background(), tenant.Only(id), store.Ref{Tenant: id, Kind: store.Message, ID: ulid.MustParse(msg)})
	require.NoError(r.t, err)
	st, err := stored.State(events)
	require.NoError(r.t, err)
	return st
}

func event(t message.Type, data any) store.NewEvent {
	if data == nil {
		return store.NewEvent{Type: byte(t)}
	}
	return store.NewEvent{Type: byte(t), Data: message.Encode(data)}
}

// browser is somebody at the console.
type browser struct {
	t    testing.TB
	base string
	*http.Client
	csrf string
	was  string // what the last form of settings was made from
}

func (r *room) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{t: r.t, base: r.http.URL, Client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

var (
	csrfPattern = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	wasPattern  = regexp.MustCompile(`name="was" value="([^"]+)"`)
)

// enter gives a browser that is signed in.
func (r *room) enter(login string) *browser {
	b := r.browser()
	s, err := r.door.Password(context.Background(), login, testPassword, netip.MustParseAddr("127.0.0.1"))
	require.NoError(r.t, err)
	u, _ := url.Parse(r.http.URL)
	b.Jar.SetCookies(u, []*http.Cookie{{Name: cookieName, Value: r.door.Cookie(s), Path: "/"}})
	b.csrf = r.door.CSRF(s)
	return b
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(req *http.Request) answered {
	b.t.Helper()
	resp, err := b.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	if m := csrfPattern.FindSubmatch(body); m != nil {
		b.csrf = string(m[1])
	}
	if m := wasPattern.FindSubmatch(body); m != nil {
		b.was = string(m[1])
	}
	return answered{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(path string) answered {
	b.t.Helper()
	req, err := http.NewRequest("GET", b.base+path, nil)
	require.NoError(b.t, err)
	return b.do(req)
}

// post posts a form with the token of the page that was seen last, and follows one redirect.
func (b *browser) post(path string, kv ...string) answered {
	b.t.Helper()
	f := url.Values{"csrf": {b.csrf}}
	for i := 0; i < len(kv); i += 2 {
		f.Add(kv[i], kv[i+1])
	}
	req, err := http.NewRequest("POST", b.base+path, strings.NewReader(f.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}
