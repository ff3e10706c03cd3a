package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	pb "google.golang.org/protobuf/proto"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
	standard "github.com/kakitome/kakitome/plugins/render/standard/page"
)

// script is what the renderer does instead of drawing.
type script func(*proto.Page) (*proto.RenderPageResponse, error)

// renderer is the standard renderer behind a real gRPC connection, with a script for its faults.
type renderer struct {
	proto.UnimplementedRenderServer
	pages  atomic.Int64
	script atomic.Pointer[script]
	pdf    []byte
	png    []byte
	client proto.RenderClient
}

func (r *renderer) Render(string) proto.RenderClient { return r.client }

func (r *renderer) RenderPage(_ context.Context, in *proto.RenderPageRequest) (*proto.RenderPageResponse, error) {
	r.pages.Add(1)
	if s := r.script.Load(); s != nil {
		return (*s)(in.Page)
	}
	html, refused := standard.Render(in.Page)
	return &proto.RenderPageResponse{Html: html, Error: refused}, nil
}

func (r *renderer) RenderDocument(_ context.Context, in *proto.RenderDocumentRequest) (*proto.RenderDocumentResponse, error) {
	r.pages.Add(1)
	return &proto.RenderDocumentResponse{Pdf: r.pdf, Png: r.png}, nil
}

func serve(t *testing.T) *renderer {
	r := &renderer{pdf: []byte("%PDF-1.7 …")}
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	proto.RegisterRenderServer(g, r)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:renderer", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	r.client = proto.NewRenderClient(conn)
	return r
}

var water = &tenant.Tenant{
	ID: "water", Name: "〇〇県水道局", NameEN: "Water Office", Brand: tenant.Brand{Color: "#005a9c", Phone: "000-000-0000", Hours: "平日 9:00～18:00"},
}

func sample(view proto.View) *proto.Page {
	m := View(water, view, "ja")
	if view == proto.View_LANDING || view == proto.View_GONE {
		return m
	}
	SetContent(m, &message.Content{Page: message.Page{
		Title: "水道料金のお知らせ", Lead: "いつもご利用いただき、ありがとうございます。\nhttps://example.jp/", Closing: "以上、よろしくお願いいたします。",
		Rows: []message.Row{{Item: "お客様番号", Value: "00-0-000000"}},
		Survey: &message.Survey{Lead: "ご希望をお聞かせください。", Items: []message.SurveyItem{
			{Title: "応募", Type: "radio", Choices: []string{"応募する", "辞退する"}, Required: true},
			{Title: "理由", Type: "check", Choices: []string{"時給", "業務内容"}},
			{Title: "ご希望", Type: "text"},
		}},
	}})
	m.Claim = ClaimOf(&message.Claim{Number: "A-1", Amount: 7440, Due: "2026-12-31", Lines: []message.Line{{Name: "水道料金", Quantity: 1, Unit: 7440, Amount: 7440}}})
	m.Methods = []*proto.MethodChoice{{Code: "konbini_barcode", Label: "コンビニ", Stores: []*proto.Store{{Code: "cvs1", LabelJa: "〇〇マート"}}}}
	m.Voucher = &proto.Voucher{PaymentNumber: "1234567890"}
	m.Documents = []*proto.DocumentLink{{Name: "notice.pdf", Title: "お知らせ"}}
	m.ReceiptDocument = "receipt.pdf"
	m.Fields = []*proto.FormField{{Name: "birth_date", Label: "生年月日", Hint: "例）19980101", InputMode: "numeric"}}
	SetMenu(m, []MenuEntry{{Name: "01M80PYPYK9JPV5YF8YH5F691F", Title: "水道料金のお知らせ", Sent: time.Unix(0, 0)}})
	m.CanChangeMethod, m.RedirectHost, m.PhoneMasked, m.Digits, m.ValidMinutes = true, "pay.example.jp", "080-****-9008", 6, 5
	return m
}

// What the tenant and its agents name in both languages is in English on an English page, and in Japanese where it is named in that alone.
func TestEnglishPagesAreInEnglish(t *testing.T) {
	both := *water
	both.Brand.Note, both.Brand.NoteEN, both.Brand.HoursEN = "通話料がかかります。", "Calls are charged.", "weekdays 9-18"
	require.Equal(t, "weekdays 9-18", View(&both, proto.View_INFO, "en").Brand.Hours)
	require.Equal(t, "Calls are charged.", View(&both, proto.View_INFO, "en").Brand.Note)
	require.Equal(t, "平日 9:00～18:00", View(&both, proto.View_INFO, "ja").Brand.Hours)
	require.Equal(t, "平日 9:00～18:00", View(water, proto.View_INFO, "en").Brand.Hours)
	stores := []*proto.Store{{Code: "cvs1", LabelJa: "〇〇マート", LabelEn: "Maru Mart"}, {Code: "cvs2", LabelJa: "△△ストア"}, {Code: "cvs3"}}
	for _, view := range []proto.View{proto.View_CHECKOUT, proto.View_VOUCHER} {
		m := sample(view)
		m.Methods[0].Stores, m.Voucher.Stores = stores, stores
		for lang, want := range map[string]string{"ja": "〇〇マート", "en": "Maru Mart"} {
			m.Lang = lang
			h, err := plain(m)
			require.NoError(t, err)
			page := string(h.Append(nil, "/a/x", "f", ""))
			for _, store := range []string{want, "△△ストア", "cvs3"} {
				require.Contains(t, page, store, "%v %s", view, lang)
			}
			require.Equal(t, lang == "ja", strings.Contains(page, "〇〇マート"), "%v %s", view, lang)
		}
	}
}

// What to do with a number is not what to do with an account.
func TestPlainPageSaysWhatToDoWithAVoucher(t *testing.T) {
	number, payer := "店内の端末に次の番号を入力するか、レジで番号をお伝えください", "お客様専用のお支払い番号"
	account, payEasy, barcode, stores := "次の口座へお振込みください", "「税金・料金の払い込み」", "バーコードを表示できません", "次の店舗の番号"
	all := []string{number, payer, account, payEasy, barcode, stores}
	for want, c := range map[string]struct {
		kind    proto.MethodKind
		voucher *proto.Voucher
		heading string
	}{
		number:  {proto.MethodKind_KONBINI_NUMBER, &proto.Voucher{PaymentNumber: "1234567890"}, "お支払い番号のご案内"},
		payer:   {proto.MethodKind_PAYER_NUMBER, &proto.Voucher{PaymentNumber: "7123456789012"}, "お支払い番号のご案内"},
		account: {proto.MethodKind_BANK_TRANSFER, &proto.Voucher{Account: &proto.BankAccount{Bank: "〇〇銀行", Number: "0000001"}}, "お振込先のご案内"},
		payEasy: {proto.MethodKind_PAY_EASY, &proto.Voucher{Institution: "99081", PaymentNumber: "612345", ConfirmationNumber: "1"}, "ペイジーでのお支払い"},
		barcode: {proto.MethodKind_KONBINI_BARCODE, &proto.Voucher{Barcode: "91908081030210019970070917530026123100074406"}, "お支払い番号のご案内"},
		stores:  {proto.MethodKind_KONBINI_NUMBER, &proto.Voucher{Stores: []*proto.Store{{Code: "cvs1", LabelJa: "〇〇マート 123456"}}}, "お支払い番号のご案内"},
	} {
		m := sample(proto.View_VOUCHER)
		m.Title, m.Voucher, m.Methods[0].Kind = "", c.voucher, c.kind
		h, err := plain(m)
		require.NoError(t, err)
		page := string(h.Append(nil, "/a/x", "f", ""))
		require.Contains(t, page, "<h1>"+c.heading+"</h1>")
		for _, words := range all {
			require.Equal(t, words == want, strings.Contains(page, words), "%v: %s", c.kind, words)
		}
	}
}

func TestEveryViewPassesTheCheck(t *testing.T) {
	r := serve(t)
	for _, lang := range []string{"ja", "en"} {
		for v := range proto.View_name {
			if v == 0 {
				continue
			}
			m := sample(proto.View(v))
			m.Lang = lang
			log := &bytes.Buffer{}
			p := open(r, log, nil)
			h := p.Page(t.Context(), "water", m)
			require.False(t, h.Plain, "%v: %s", proto.View(v), log)
			require.NotEmpty(t, h.Style)
			own, err := plain(m)
			require.NoError(t, err)
			require.True(t, own.Plain)
			for _, page := range []*HTML{h, own} {
				text := string(page.Append(nil, "/a/SQND01gr", "tok-en_1", ""))
				require.NotContains(t, text, "__LINK__")
				require.NotContains(t, text, "__FORM__")
				require.Contains(t, text, "</html>")
				require.Equal(t, proto.View(v) != proto.View_GONE, strings.Contains(text, `href="/a/SQND01gr?lang=`), "the other language is one press away: %v", proto.View(v))
				require.Equal(t, strings.Count(text, "<form "), strings.Count(text, `name="form" value="tok-en_1"`))
			}
		}
	}
}

// open makes Pages with a log and a registry to look at.
func open(r Renders, log *bytes.Buffer, reg prometheus.Registerer) *Pages {
	if log == nil {
		log = &bytes.Buffer{}
	}
	return New(Options{Renders: r, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: reg, Patience: time.Minute})
}

func TestPageIsDrawnOnceAndFilledForEach(t *testing.T) {
	r := serve(t)
	p := open(r, nil, nil)
	a := p.Page(t.Context(), "water", sample(proto.View_LANDING))
	b := p.Page(t.Context(), "water", sample(proto.View_LANDING))
	require.EqualValues(t, 1, r.pages.Load())
	require.Same(t, a, b)
	one, two := string(a.Append(nil, "/a/one", "F1", "")), string(b.Append(nil, "/a/two", "F2", ""))
	require.Contains(t, one, `action="/a/one/open"`)
	require.Contains(t, one, `value="F1"`)
	require.Contains(t, two, `action="/a/two/open"`)
	require.NotContains(t, two, "F1")

	p.Page(t.Context(), "gas", sample(proto.View_LANDING))
	require.EqualValues(t, 2, r.pages.Load(), "another tenant's page is never shared")
}

func TestStyleHashIsThatOfTheStyle(t *testing.T) {
	r := serve(t)
	h := open(r, nil, nil).Page(t.Context(), "water", sample(proto.View_INFO))
	text := string(h.Append(nil, "/a/x", "f", ""))
	_, rest, _ := strings.Cut(text, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	require.Equal(t, "sha256-"+base64.StdEncoding.EncodeToString(sum[:]), h.Style)
}

func TestTextsCannotBringPlaceholders(t *testing.T) {
	r := serve(t)
	m := View(water, proto.View_INFO, "ja")
	SetContent(m, &message.Content{Page: message.Page{Title: "__FORM__", Lead: "https://example.com/?__FORM__ __LINK__\xff"}})
	for _, renders := range []Renders{r, &renderer{}} {
		h := open(renders, nil, nil).Page(t.Context(), "water", m)
		require.NotContains(t, string(h.Append(nil, "/a/secret", "tokentoken", "")), "tokentoken")
	}
}

// Senders, payers and modules write much of a page; the two placeholders may stand in any of it, also overlapping, so
// that what is left of one makes another.
func TestPlaceholdersInAnyTextAreShownAndNeverFilled(t *testing.T) {
	r := serve(t)
	text := "___LINK___ __FORM__FORM__ __LINK__LINK__"
	for v := range proto.View_name {
		if v == 0 {
			continue
		}
		m := sample(proto.View(v))
		if m.Claim == nil { // LANDING, GONE
			continue
		}
		m.Claim.Number, m.Claim.Lines[0].Name, m.Claim.PaidAtStore, m.Claim.ReceiptNumber = text, text, text, text
		m.Documents[0].Title, m.Methods[0].Label, m.Fields[0].Label, m.Fields[0].Hint = text, text, text, text
		m.Voucher.PaymentNumber, m.RedirectHost, m.Message, m.PhoneMasked = text, text, text, text
		m.Brand.Note, m.Title, m.Lead, m.Entries[0].Title = text, text, text, text
		before := pb.CloneOf(m)
		for name, renders := range map[string]Renders{"renderer": r, "plain": &renderer{}} {
			h := open(renders, nil, nil).Page(t.Context(), "water", m)
			require.Equal(t, name == "plain", h.Plain, "%v", proto.View(v))
			page := string(h.Append(nil, "/a/secret", "tokentoken", ""))
			require.Equal(t, strings.Count(page, "<form "), strings.Count(page, "tokentoken"), "%s %v", name, proto.View(v))
			require.NotContains(t, page, "_/a/secret")
		}
		require.True(t, pb.Equal(before, m), "the caller's page is left as it is")
	}
}

func TestPlainPageThatCannotBeDrawnIsAFault(t *testing.T) {
	m := sample(proto.View_INFO)
	m.Lead = strings.Repeat("\"", MaxHTML/4)
	log := &bytes.Buffer{}
	h := open(&renderer{}, log, nil).Page(t.Context(), "water", m)
	require.True(t, h.Plain)
	page := string(h.Append(nil, "/a/x", "f", ""))
	require.Contains(t, page, "ただいま画面を表示できません")
	require.Contains(t, page, "000-000-0000", "whom to ask is said")
	require.Contains(t, log.String(), "plain page refused")
}

func TestDeadRendererNeverKeepsTheLandingPageWaiting(t *testing.T) {
	r := serve(t)
	reg := prometheus.NewRegistry()
	log := &bytes.Buffer{}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	p := New(Options{Renders: r, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: reg, Timeout: 300 * time.Millisecond, Patience: time.Minute, Now: func() time.Time { return now }})
	hang := make(chan struct{})
	defer close(hang)
	hangs := script(func(*proto.Page) (*proto.RenderPageResponse, error) { <-hang; return nil, errors.New("late") })
	r.script.Store(&hangs)
	for range 20 {
		h := p.Page(t.Context(), "water", sample(proto.View_LANDING))
		require.True(t, h.Plain)
		require.Contains(t, string(h.Append(nil, "/a/x", "f", "")), `action="/a/x/open"`)
	}
	require.EqualValues(t, 1, r.pages.Load(), "a renderer that hangs is not asked for each page")
	require.Equal(t, 1, strings.Count(log.String(), "plain page shown"))
	var counted dto.Metric
	require.NoError(t, p.metrics.plain.WithLabelValues(isDown).Write(&counted))
	require.Equal(t, 20.0, counted.GetCounter().GetValue())

	now = now.Add(retryIn)
	r.script.Store(nil)
	require.True(t, p.Page(t.Context(), "water", sample(proto.View_LANDING)).Plain)
	p.Renewed()
	require.EqualValues(t, 2, r.pages.Load(), "it is asked again")
	require.False(t, p.Page(t.Context(), "water", sample(proto.View_LANDING)).Plain)
	require.False(t, p.Page(t.Context(), "water", sample(proto.View_GONE)).Plain, "it has answered: other pages are drawn as before")
}

// hanging is a renderer that does not answer while it hangs, and else after a while.
type hanging struct {
	proto.RenderClient
	hangs atomic.Bool
	takes time.Duration
	asked atomic.Int64
}

func (h *hanging) RenderPage(ctx context.Context, in *proto.RenderPageRequest, _ ...grpc.CallOption) (*proto.RenderPageResponse, error) {
	if h.asked.Add(1); h.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(h.takes)
	html, refused := standard.Render(in.Page)
	return &proto.RenderPageResponse{Html: html, Error: refused}, nil
}

// Once a renderer hangs, nobody waits for it until it has answered: neither who comes when it is asked again, nor for another page.
func TestNobodyWaitsForARendererThatHangs(t *testing.T) {
	for name, own := range map[string]bool{"the standard one": false, "a tenant's own": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := &hanging{}, &hanging{}
				o := Options{Renders: two{standard: &renderer{client: bad}}, Now: time.Now}
				if own {
					o.Renders, o.ModuleOf = two{standard: &renderer{client: good}, own: &renderer{client: bad}}, func(tenant.ID) string { return "render/own" }
				}
				p := New(o)
				defer p.Renewed()
				took := func(view proto.View) (time.Duration, *HTML) {
					start := time.Now()
					h := p.Page(t.Context(), "water", sample(view))
					return time.Since(start), h
				}
				bad.hangs.Store(true)
				d, h := took(proto.View_LANDING)
				require.Equal(t, patience(p, own), d, "the first has no more")
				require.Equal(t, !own, h.Plain)
				d, _ = took(proto.View_INFO)
				require.Equal(t, p.o.Timeout, d, "who is identified finds out")
				views := []proto.View{proto.View_LANDING, proto.View_GONE, proto.View_IDENTIFY, proto.View_CODE, proto.View_INFO}
				for i := range 20 {
					time.Sleep(p.o.Timeout + retryIn)
					for range 2 {
						d, h = took(views[i%len(views)])
						require.Zero(t, d)
						require.Equal(t, !own, h.Plain)
					}
				}
				synctest.Wait()
				require.EqualValues(t, 22, bad.asked.Load(), "it is asked, by one at a time")
				p.Renewed()
				bad.hangs.Store(false)
				time.Sleep(retryIn)
				took(proto.View_LANDING)
				p.Renewed()
				asked := bad.asked.Load()
				for _, v := range []proto.View{proto.View_LANDING, proto.View_LOCKED} {
					_, h = took(v)
					require.False(t, h.Plain)
				}
				require.Equal(t, asked+1, bad.asked.Load(), "the landing page was drawn behind, another is drawn by it again")
			})
		})
	}
}

// Whoever sees the first page of a link waits for no module longer than the patience: another page stands in, and what the module draws
// is there for who comes next. One that only is slow has not failed.
func TestLandingPageStandsInForOneThatIsLate(t *testing.T) {
	for name, own := range map[string]bool{"the standard one": false, "a tenant's own": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow, good, log := &hanging{takes: 700 * time.Millisecond}, &hanging{}, &bytes.Buffer{}
				o := Options{Renders: two{standard: &renderer{client: slow}}, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil))}
				if own {
					o.Renders, o.ModuleOf = two{standard: &renderer{client: good}, own: &renderer{client: slow}}, func(tenant.ID) string { return "render/own" }
				}
				p := New(o)
				draw := func(view proto.View) (h *HTML, d time.Duration) {
					start := time.Now()
					h = p.Page(t.Context(), "water", sample(view))
					return h, time.Since(start)
				}
				var together sync.WaitGroup
				for range 3 {
					together.Go(func() {
						_, d := draw(proto.View_LANDING)
						assert.Equal(t, patience(p, own), d)
					})
				}
				together.Wait()
				first, d := draw(proto.View_LANDING)
				require.Zero(t, d, "who comes while it draws does not wait again")
				require.Equal(t, !own, first.Plain)
				if own {
					require.EqualValues(t, 1, good.asked.Load())
				}
				time.Sleep(slow.takes)
				next, d := draw(proto.View_LANDING)
				require.Zero(t, d)
				require.NotSame(t, first, next)
				require.False(t, next.Plain)
				require.EqualValues(t, 1, slow.asked.Load(), "all shared what one asked for")
				next, d = draw(proto.View_INFO)
				require.Equal(t, slow.takes, d, "a page of somebody who is identified is drawn once: it is waited for")
				require.False(t, next.Plain)
				require.Empty(t, log.String(), "nothing failed")
				var m dto.Metric
				counted := p.metrics.plain
				if own {
					counted = p.metrics.standIn
				}
				require.NoError(t, counted.WithLabelValues(isLate).Write(&m))
				require.Equal(t, 4.0, m.GetCounter().GetValue())
				p.Renewed()
			})
		})
	}
}

// patience is how long a first visitor waits for the module that is late: another may be asked after it.
func patience(p *Pages, own bool) time.Duration {
	if own {
		return p.o.Patience / 2
	}
	return p.o.Patience
}

// With both modules hanging, each of the two has its half of the patience; pages that are under way are bounded, and all have ended soon.
func TestPagesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &hanging{}
		bad.hangs.Store(true)
		p := New(Options{Renders: &renderer{client: bad}, Now: time.Now, ModuleOf: func(tenant.ID) string { return "render/own" }})
		start := time.Now()
		require.True(t, p.Page(t.Context(), "water", sample(proto.View_LANDING)).Plain)
		require.Equal(t, p.o.Patience, time.Since(start))
		var all sync.WaitGroup
		for i := range 3 * maxFlights {
			all.Go(func() {
				m := sample(proto.View_LANDING)
				m.Lead = fmt.Sprint(i)
				assert.True(t, p.Page(t.Context(), "water", m).Plain)
			})
		}
		all.Wait()
		require.LessOrEqual(t, time.Since(start), 2*p.o.Patience)
		require.LessOrEqual(t, bad.asked.Load(), int64(2*maxFlights), "of two modules")
		p.Renewed()
		require.LessOrEqual(t, time.Since(start), 2*p.o.Timeout+2*p.o.Patience)
		require.Empty(t, p.flights)
	})
}

// panicking is a renderer whose answer makes the host panic.
type panicking struct{ proto.RenderClient }

func (panicking) RenderPage(context.Context, *proto.RenderPageRequest, ...grpc.CallOption) (*proto.RenderPageResponse, error) {
	panic("山田 太郎")
}

// What is drawn behind an answer ends alone when it panics: who waits for it gets another page, and the log says nothing of what it was.
func TestPanicBehindAPageEndsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &bytes.Buffer{}
		p := New(Options{Renders: &renderer{client: panicking{}}, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now})
		start := time.Now()
		for range 2 {
			require.True(t, p.Page(t.Context(), "water", sample(proto.View_LANDING)).Plain)
		}
		require.Zero(t, time.Since(start))
		p.Renewed()
		require.Empty(t, p.flights)
		require.Contains(t, log.String(), "panicked")
		require.NotContains(t, log.String(), "山田")
	})
}

// One tenant's module that hangs takes no place from another's pages.
func TestModuleThatHangsLeavesOthersTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &hanging{}
		bad.hangs.Store(true)
		p := New(Options{Renders: two{standard: &renderer{client: &hanging{}}, own: &renderer{client: bad}}, Now: time.Now,
			ModuleOf: func(id tenant.ID) string { return map[tenant.ID]string{"water": "render/own"}[id] }})
		var all sync.WaitGroup
		for i := range 2 * maxFlights {
			all.Go(func() {
				m := sample(proto.View_LANDING)
				m.Lead = fmt.Sprint(i)
				p.Page(t.Context(), "water", m)
			})
		}
		synctest.Wait()
		require.EqualValues(t, maxFlights, bad.asked.Load())
		start := time.Now()
		require.False(t, p.Page(t.Context(), "gas", sample(proto.View_LANDING)).Plain)
		require.Zero(t, time.Since(start))
		all.Wait()
		p.Renewed()
	})
}

// What is drawn ahead is there for the first who asks, and takes what it says.
func TestKeptPageIsThereForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &hanging{takes: 700 * time.Millisecond}
		p := New(Options{Renders: &renderer{client: slow}, Now: time.Now})
		model := NewModel(sample(proto.View_LANDING))
		took := p.Keep("water", model)
		require.Equal(t, p.cache.bytes(), took)
		require.Equal(t, took, p.Keep("water", model))
		require.EqualValues(t, 1, slow.asked.Load())
		start := time.Now()
		require.False(t, p.Draw(t.Context(), "water", model).Plain)
		require.Zero(t, time.Since(start))
		slow.hangs.Store(true)
		require.Zero(t, p.Keep("gas", model))
		start = time.Now()
		require.Zero(t, p.Keep("power", model), "a module that failed is not waited for again and again")
		require.Zero(t, time.Since(start))
	})
}

// What was drawn once is shown for as long as it is asked for, also when the renderer hangs or draws what the host refuses; what a
// renderer that was exchanged draws, the next one sees.
func TestStalePageNeverWaitsForTheRenderer(t *testing.T) {
	r := serve(t)
	log, now := &bytes.Buffer{}, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	p := New(Options{Renders: r, Log: slog.New(slog.NewTextHandler(log, nil)), Timeout: 300 * time.Millisecond, Patience: time.Minute, Now: func() time.Time { return now }})
	first := p.Page(t.Context(), "water", sample(proto.View_LANDING))
	hang := make(chan struct{})
	hangs := script(func(*proto.Page) (*proto.RenderPageResponse, error) { <-hang; return nil, errors.New("late") })
	hostile := script(func(*proto.Page) (*proto.RenderPageResponse, error) {
		return &proto.RenderPageResponse{Html: []byte(around(`<script>x</script>`))}, nil
	})
	for _, fault := range []*script{&hangs, &hostile} {
		r.script.Store(fault)
		now = now.Add(keepFor)
		asked := r.pages.Load()
		for range 20 {
			require.Same(t, first, p.Page(t.Context(), "water", sample(proto.View_LANDING)))
		}
		p.Renewed()
		require.Same(t, first, p.Page(t.Context(), "water", sample(proto.View_LANDING)))
		require.Equal(t, asked+1, r.pages.Load(), "one asks for all")
	}
	close(hang)
	require.Equal(t, 2, strings.Count(log.String(), "page drawn before shown"), "each fault is said as what it does")
	require.NotContains(t, log.String(), "plain page shown")
	other := script(func(m *proto.Page) (*proto.RenderPageResponse, error) {
		html, refused := standard.Render(m)
		return &proto.RenderPageResponse{Html: bytes.Replace(html, []byte("<main"), []byte(`<main data-version="2"`), 1), Error: refused}, nil
	})
	r.script.Store(&other)
	now = now.Add(retryIn)
	require.Same(t, first, p.Page(t.Context(), "water", sample(proto.View_LANDING)))
	p.Renewed()
	require.Contains(t, string(p.Page(t.Context(), "water", sample(proto.View_LANDING)).Append(nil, "/a/x", "f", "")), `data-version="2"`)
}

// A landing page is the same for all links: when each ends is the host's to write.
func TestUntilIsFilledForEachLink(t *testing.T) {
	r := serve(t)
	p := open(r, nil, nil)
	m := sample(proto.View_LANDING)
	m.UntilMark = true
	one, two := p.Page(t.Context(), "water", m).Append(nil, "/a/one", "f", "12月1日 09:00"), p.Page(t.Context(), "water", m).Append(nil, "/a/two", "f", "12月2日 10:30")
	require.EqualValues(t, 1, r.pages.Load())
	require.Contains(t, string(one), "12月1日 09:00")
	require.Contains(t, string(two), "12月2日 10:30")
	for name, body := range map[string]string{"an attribute": `<p title="__UNTIL__">x</p>`, "spelled otherwise": `<p>__UNT&#73;L__</p>`} {
		_, err := check([]byte(around(body)))
		require.ErrorContains(t, err, untilMark, name)
	}
	m = sample(proto.View_LANDING)
	m.Lead = "until __UNTIL__"
	require.NotContains(t, string(p.Page(t.Context(), "water", m).Append(nil, "/a/x", "f", "12月1日 09:00")), "12月1日", "the words of a sender are no placeholder")
}

func TestMissingRendererGivesThePlainPage(t *testing.T) {
	r := &renderer{}
	require.True(t, open(r, nil, nil).Page(t.Context(), "water", sample(proto.View_LANDING)).Plain)
	_, err := open(r, nil, nil).Document(t.Context(), "water", Notice(water, &message.Content{}, nil, "ja", time.Unix(0, 0)))
	require.ErrorIs(t, err, errDown)
}

func TestRefusedPageIsPlainAndSaysWhy(t *testing.T) {
	r := serve(t)
	log := &bytes.Buffer{}
	hostile := script(func(*proto.Page) (*proto.RenderPageResponse, error) {
		return &proto.RenderPageResponse{Html: []byte(around(`<script>alert("08011112222")</script>`))}, nil
	})
	r.script.Store(&hostile)
	h := open(r, log, nil).Page(t.Context(), "water", sample(proto.View_INFO))
	require.True(t, h.Plain)
	require.Contains(t, log.String(), "element <script> is not allowed")
	require.NotContains(t, log.String(), "08011112222")
}

func TestDocumentMustBeAPDF(t *testing.T) {
	r := serve(t)
	p := open(r, nil, nil)
	d := Notice(water, &message.Content{Page: message.Page{Title: "お知らせ"}}, nil, "ja", time.Unix(0, 0))
	r.pdf = []byte("<html>")
	_, err := p.Document(t.Context(), "water", d)
	require.ErrorContains(t, err, "no PDF")
	r.pdf = []byte("%PDF-1.7")
	for range 3 {
		pdf, err := p.Document(t.Context(), "water", d)
		require.NoError(t, err)
		require.Equal(t, "%PDF-1.7", string(pdf))
	}
	require.EqualValues(t, 2, r.pages.Load(), "a document is kept, a failure is not")
}

func TestCacheStaysWithinItsBytes(t *testing.T) {
	c := newCache(10 * (entryOverhead + 100))
	now := time.Unix(0, 0)
	for i := range 100 {
		c.put(digest{byte(i)}, i, 100, now.Add(time.Minute))
		c.get(digest{0}, now) // the first one is used all the time
	}
	require.LessOrEqual(t, c.bytes(), c.limit)
	_, ok, _ := c.get(digest{0}, now)
	require.True(t, ok)
	_, ok, _ = c.get(digest{50}, now)
	require.False(t, ok)
	_, ok, stale := c.get(digest{99}, now.Add(time.Minute))
	require.True(t, ok)
	require.True(t, stale, "an entry is stale from its time on")
	_, _, stale = c.get(digest{99}, now.Add(time.Minute))
	require.False(t, stale, "which is told once")
	require.True(t, c.stay(digest{99}, now.Add(2*time.Minute)))
	require.False(t, c.stay(digest{50}, now.Add(2*time.Minute)))
	c.put(digest{200}, 0, int(c.limit), now.Add(time.Minute))
	_, ok, _ = c.get(digest{200}, now)
	require.False(t, ok, "what is larger than the whole cache is not kept")
}

func TestDraftIsMarkedAsPreview(t *testing.T) {
	r := serve(t)
	d := &message.Draft{Page: &message.Page{Title: "見本"}, Claim: &message.Claim{Number: "A-1", Amount: 100, Due: "2026-12-31"}}
	h := open(r, nil, nil).Draft(t.Context(), water, d, nil, "ja")
	text := string(h.Append(nil, "/preview", "", ""))
	require.Contains(t, text, "プレビュー")
	require.Contains(t, text, "100円")
	require.NotContains(t, text, "メニューへ戻る")
	menus := *water
	menus.Policy.ClaimMenu = true
	h = open(r, nil, nil).Draft(t.Context(), &menus, d, nil, "ja")
	require.Contains(t, string(h.Append(nil, "/preview", "", "")), "メニューへ戻る", "there is a menu before it")
}

func BenchmarkKeptLandingPage(b *testing.B) {
	p := New(Options{Renders: &renderer{}})
	m := View(water, proto.View_LANDING, "ja")
	kept, err := plain(m)
	require.NoError(b, err)
	p.cache.put(p.key(renderOf, p.o.Module, "water", NewModel(m).sum), kept, kept.Len(), time.Now().Add(time.Hour))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = p.Page(context.Background(), "water", View(water, proto.View_LANDING, "ja")).Append(dst[:0], "/a/SQND01gr", "0123456789012345678901", "")
	}
}

// Whom a message is not for finds the way to say so on every page, whatever a renderer draws.
func TestPageWithoutTheWayOutIsRefused(t *testing.T) {
	r := serve(t)
	p := open(r, nil, nil)
	for _, view := range strangerViews {
		m := sample(view)
		m.MayDisown = true
		require.Contains(t, string(p.Page(t.Context(), "water", m).Append(nil, "/a/SQND01gr", "x", "")), "/a/SQND01gr/stranger", view)
	}
	without := script(func(m *proto.Page) (*proto.RenderPageResponse, error) {
		m.MayDisown = false
		html, refused := standard.Render(m)
		return &proto.RenderPageResponse{Html: html, Error: refused}, nil
	})
	r.script.Store(&without)
	p = open(r, nil, nil)
	for _, view := range strangerViews {
		m := sample(view)
		require.False(t, p.Page(t.Context(), "water", m).Plain, view)
		m.MayDisown = true
		h := p.Page(t.Context(), "water", m)
		require.True(t, h.Plain, view)
		require.Contains(t, string(h.Append(nil, "/a/SQND01gr", "x", "")), "/a/SQND01gr/stranger", view)
	}
}
