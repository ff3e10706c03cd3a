package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Webhooks takes what payment agents tell. *payment.Payments implements it.
type Webhooks interface {
	Webhook(ctx context.Context, r payment.WebhookRequest) payment.Reply
}

// Sheets draws payment sheets by addresses that the sender was given. *sheet.Sheets implements it.
type Sheets interface {
	Open(ctx context.Context, code, name string) (body []byte, filename string, err error)
}

// Options of a Server. Journey, Pages, Webhooks and SessionKey are required.
type Options struct {
	Config     Config
	Journey    *journey.Journey
	Pages      *page.Pages
	Webhooks   Webhooks
	Sheets     Sheets // nil: there are none
	SessionKey []byte // 32 random bytes, kept over restarts: sessions are sealed with it
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	Now        func() time.Time
}

// Server serves one or several listeners.
type Server struct {
	o       Options
	proxies []netip.Prefix
	seal    *seal
	misses  budget
	asks    budget // forms of shared entries
	metrics *metrics
	usual   fasthttp.ResponseHeader // what every answer begins with
	http    *fasthttp.Server
}

// goneAfter is the least time after which an unknown, revoked or ended link is answered: what was looked up to find out
// cannot be told from the time.
const goneAfter = 20 * time.Millisecond

// alikeAfter is the least time after which answers to the questions, and a wish for another code, are answered. A match
// costs more than a mismatch, the making of an SMS; behind this time it cannot be seen.
const alikeAfter = 150 * time.Millisecond

// New checks the options.
func New(o Options) (*Server, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("link server: %w", err)
	}
	if o.Journey == nil || o.Pages == nil || o.Webhooks == nil {
		return nil, errors.New("BUG: link server: a required room is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	seal, err := newSeal(o.SessionKey)
	if err != nil {
		return nil, fmt.Errorf("link server: %w", err)
	}
	proxies, err := o.Config.proxies()
	if err != nil {
		return nil, fmt.Errorf("link server: %w", err)
	}
	s := &Server{
		o: o, proxies: proxies, seal: seal, metrics: newMetrics(o.Metrics),
		misses: budget{limit: o.Config.MissBudget, spent: map[netip.Prefix]*window{}},
		asks:   budget{limit: o.Config.EntryBudget, spent: map[netip.Prefix]*window{}},
	}
	s.usual.SetNoDefaultContentType(true)
	for _, h := range usual {
		s.usual.Set(h[0], h[1])
	}
	s.http = &fasthttp.Server{
		Handler:               s.handle,
		ErrorHandler:          s.unreadable,
		NoDefaultServerHeader: true, NoDefaultContentType: true, CloseOnShutdown: true,
		ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		WriteBufferSize: 16 << 10, // a page goes out in one write
		ReadBufferSize:  32 << 10, MaxRequestBodySize: payment.MaxWebhookBody + 1,
		// A form in parts would be read and written anew: an agent signs the bytes that it sent.
		DisablePreParseMultipartForm: true,
		// Phones hold connections on which they say nothing: these take no buffer, and a stop does not wait for them.
		ReduceMemoryUsage: true,
		Logger:            quiet{o.Log},
	}
	return s, nil
}

// unreadable answers what is no request, or too large a one. A connection on which none comes in time is closed without a word:
// phones open some to have one at hand, and would take what it says for the answer to their next request.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	var slow net.Error
	switch {
	case errors.As(err, &small):
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status = fasthttp.StatusRequestEntityTooLarge
	case errors.As(err, &slow) && slow.Timeout():
		_ = ctx.Conn().Close()
		return
	}
	s.bare(ctx, status)
}

// Serve answers on the listener until ctx ends, then lets requests end, for at most ten seconds. TLS is the listener's.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(idling{l}) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.http.ShutdownWithContext(grace); err != nil {
		return fmt.Errorf("link server: requests were cut off: %w", err)
	}
	_ = l.Close() // when ctx ended at once: Shutdown does not know a listener that Serve did not come to
	return <-ended
}

// place is what a path names.
type place struct {
	route string // link, step, stranger, return, document
	token string // with its letter: "a/SQND01gr"
	name  string // of the step or the document
}

// parsePath reads the path of a link; false: it is none, whatever is stored.
func parsePath(path string) (place, bool) {
	if len(path) < 4 || path[0] != '/' || path[1] < 'a' || path[1] > 'z' || path[2] != '/' {
		return place{}, false
	}
	name, rest, more := strings.Cut(path[3:], "/")
	if n := len(name); n < 8 || n > link.MaxToken-2 || strings.ContainsFunc(name, notAlphanumeric) {
		return place{}, false
	}
	p := place{route: "link", token: path[1 : 3+len(name)]}
	step, document, two := strings.Cut(rest, "/")
	switch {
	case !more:
	case !two && step == "return":
		p.route = "return"
	case !two:
		p.route, p.name = "step", step
	case step == "documents" && document != "" && len(document) <= 100 && !strings.Contains(document, "/"):
		p.route, p.name = "document", document
	default:
		return place{}, false
	}
	return p, true
}

func notAlphanumeric(r rune) bool {
	return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	start := clock.Now()
	route := "panic"
	defer func() {
		// fasthttp lets a panic end the program, and with it every session with a carrier. Its value may hold what a
		// recipient typed: it is said only when the runtime raised it.
		if v := recover(); v != nil {
			cause, ok := v.(runtime.Error)
			s.o.Log.Error("link request panicked", "runtime", ok, "err", cause, "stack", string(debug.Stack()))
			ctx.Response.Reset()
			s.bare(ctx, fasthttp.StatusInternalServerError)
		}
		s.metrics.observe(route, ctx.Response.StatusCode(), time.Since(start))
	}()
	route = s.route(ctx)
}

func (s *Server) route(ctx *fasthttp.RequestCtx) string {
	c := s.client(ctx)
	s.usual.CopyTo(&ctx.Response.Header)
	if c.https {
		ctx.Response.Header.Set("Strict-Transport-Security", "max-age=31536000")
	}
	path := string(ctx.Path())
	if hook, ok := strings.CutPrefix(path, "/hooks/"); ok {
		s.hook(ctx, c, hook)
		return "hook"
	}
	get := ctx.IsGet() || ctx.IsHead()
	if path == "/robots.txt" && get {
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString("User-agent: *\nAllow: /s/\nDisallow: /\n")
		return "robots"
	}
	if path == journey.ReturnPath && get {
		s.cameBack(ctx, c)
		return "return"
	}
	if s.entry(ctx, c, path) {
		return "entry"
	}
	if get && s.public(ctx, path) {
		return "public"
	}
	if name, ok := strings.CutPrefix(path, page.LogoPath); ok && get {
		s.logo(ctx, name)
		return "logo"
	}
	if rest, ok := strings.CutPrefix(path, sheet.Path); ok && get && s.o.Sheets != nil {
		s.sheet(ctx, c, rest)
		return "sheet"
	}
	p, ok := parsePath(path)
	if path == "/favicon.ico" && get { // browsers ask for it and complain of a 404
		ctx.Response.Header.Set("Cache-Control", "public, max-age=86400")
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		return "other"
	}
	if !ok && strings.Count(path, "/") < 2 { // /wp-login.php and the like: no link was tried
		s.bare(ctx, fasthttp.StatusNotFound)
		return "other"
	}
	switch {
	case !ok:
		p.route = "link"
	case p.route == "step" && p.name == strangerStep && get:
		p.route = "stranger" // what the step would do
	case p.route == "step" && get && slices.Contains(page.Actions, p.name): // a form that was refused, from the history or a tab that was restored
		ctx.Response.Header.Set("Location", "/"+p.token)
		s.bare(ctx, fasthttp.StatusSeeOther)
		return p.route
	case p.route == "step" && !ctx.IsPost(), p.route != "step" && !get:
		ctx.Response.Header.Set("Allow", map[bool]string{true: "POST", false: "GET, HEAD"}[p.route == "step"])
		s.bare(ctx, fasthttp.StatusMethodNotAllowed)
		return p.route
	}
	s.visit(ctx, c, p)
	return p.route
}

// visit finds the link and answers for it.
func (s *Server) visit(ctx *fasthttp.RequestCtx, c client, p place) {
	came := clock.Now()
	work := &within{long: s.o.Config.timeout()}
	defer work.end()
	lang := s.lang(ctx, c)
	over := s.misses.over(c.addr, s.o.Now())
	l, standing := link.Link{}, journey.Gone
	if p.token != "" {
		var err error
		if l, standing, err = s.o.Journey.Find(work, p.token, !over); err != nil {
			s.failed(ctx, &journey.Visit{Link: l, Lang: lang}, "find", err)
			return
		}
	}
	if standing == journey.Gone || s.o.Journey.Foreign(string(ctx.Host()), l.Tenant) {
		s.gone(ctx, c, lang, came, over)
		return
	}
	session, known := s.session(ctx, c, l)
	if !known {
		session = journey.NewSession(l.Token, s.o.Now())
	}
	v := &journey.Visit{Link: l, Standing: standing, Session: session, Lang: lang, Agent: string(ctx.UserAgent())}
	switch {
	case ctx.IsHead():
		ctx.SetStatusCode(fasthttp.StatusOK) // the same for whoever asks: a HEAD is nobody's view
		ctx.SetContentType("text/html; charset=utf-8")
	case p.route == "step":
		s.step(ctx, work, c, v, known, p.name)
	case p.route == "stranger":
		screen := s.o.Journey.Stranger(v)
		if screen == nil {
			s.back(ctx, v)
			return
		}
		s.keep(ctx, c, session)
		s.show(ctx, v, screen, 0)
	case p.route == "document":
		s.document(ctx, work, v, p.name)
	case p.route == "return":
		args := ctx.QueryArgs()
		if known && (v.Returned(string(args.Peek("s"))) || v.CameBack(string(args.Peek("state")), string(args.QueryString()))) {
			s.keep(ctx, c, session)
			s.show(ctx, v, s.o.Journey.Returned(v), 0)
			return
		}
		s.back(ctx, v)
	default:
		screen, err := s.o.Journey.Show(work, v)
		if err != nil {
			s.failed(ctx, v, "show", err)
			return
		}
		if v.Standing == journey.Gone { // revoked since the entry was written
			s.gone(ctx, c, lang, came, over)
			return
		}
		// A page that reloads itself is nobody's doing: it must not keep a session alive on a phone that was laid aside.
		if !known || !ctx.QueryArgs().Has("reload") {
			s.keep(ctx, c, session)
		}
		s.show(ctx, v, screen, 0)
	}
}

// gone answers for whatever is not there, always alike.
func (s *Server) gone(ctx *fasthttp.RequestCtx, c client, lang string, came time.Time, over bool) {
	s.metrics.misses.Inc()
	if over {
		s.metrics.limited.Inc()
		ctx.Response.Header.Set("Retry-After", "600")
		s.show(ctx, &journey.Visit{Session: &journey.Session{}}, s.o.Journey.Gone(lang), fasthttp.StatusTooManyRequests)
		return
	}
	s.misses.miss(c.addr, s.o.Now())
	s.show(ctx, &journey.Visit{Session: &journey.Session{}}, s.o.Journey.Gone(lang), 0)
	time.Sleep(goneAfter - time.Since(came))
}

// own reports whether a form was shown to this browser; false: it was answered that it was not.
func (s *Server) own(ctx *fasthttp.RequestCtx, v *journey.Visit, known bool) bool {
	site := string(ctx.Request.Header.Peek("Sec-Fetch-Site"))
	foreign := site != "" && site != "same-origin" && site != "none"
	if known && !foreign && s.seal.formHolds(v.Session, ctx.PostArgs().Peek("form")) {
		return true
	}
	s.metrics.refused.Inc()
	message := "画面を開いてから時間が経過したか、ブラウザのCookieが無効になっています。Cookieを有効にして、もう一度お試しください。"
	if v.Lang == "en" {
		message = "This page was open for too long, or cookies are disabled. Please allow cookies and try again."
	}
	s.show(ctx, v, s.o.Journey.Fault(v, message), fasthttp.StatusForbidden)
	return false
}

// step does one POST.
func (s *Server) step(ctx *fasthttp.RequestCtx, work context.Context, c client, v *journey.Visit, known bool, name string) {
	if !s.own(ctx, v, known) {
		return
	}
	came := clock.Now()
	args := ctx.PostArgs()
	next, err := s.act(work, v, name, args)
	if name == "identify" || name == "identified" || name == "resend" {
		time.Sleep(alikeAfter - time.Since(came))
	}
	switch {
	case errors.Is(err, errNoStep):
		s.bare(ctx, fasthttp.StatusNotFound)
		return
	case err != nil:
		s.failed(ctx, v, name, err)
		return
	}
	if name == "state" && ctx.QueryArgs().Has("reload") { // the page's own doing: see visit
		ctx.Response.Header.Set("Location", "/"+v.Link.Token+"?reload")
		s.bare(ctx, fasthttp.StatusSeeOther)
		return
	}
	s.keep(ctx, c, v.Session)
	switch {
	case next.Screen != nil:
		s.show(ctx, v, next.Screen, fasthttp.StatusUnprocessableEntity)
	case next.URL != "":
		if next.State != "" {
			s.remember(ctx, c, next.State, v.Link.Token)
		}
		s.leave(ctx, v, next.URL)
	default:
		s.back(ctx, v)
	}
}

// strangerStep has a page of its own before it, at its address.
const strangerStep = "stranger"

var errNoStep = errors.New("there is no such step")

func (s *Server) act(work context.Context, v *journey.Visit, name string, args *fasthttp.Args) (journey.Next, error) {
	j := s.o.Journey
	one := func(key string) string { return string(args.Peek(key)) }
	switch name {
	case "open":
		return j.Open(work, v)
	case "identify":
		return j.Identify(work, v, one)
	case "code":
		return j.Code(work, v, one("code"))
	case "identified":
		return j.Identified(work, v)
	case "resend":
		return j.Resend(work, v)
	case "again":
		return j.Again(work, v)
	case "answer":
		typed := map[string][]string{}
		for key, value := range args.All() {
			if k := string(key); k != "form" && len(typed[k]) < maxValues {
				typed[k] = append(typed[k], string(value))
			}
		}
		return j.Answer(work, v, typed)
	case "checkout":
		return j.Checkout(work, v, one("method"))
	case "pay":
		return j.Pay(work, v, one("method"), one("store"))
	case "redirect":
		return j.Redirect(work, v)
	case "promise":
		return j.Promise(work, v, one("promise"))
	case "content", "menu":
		return j.Turn(v, name == "content")
	case strangerStep:
		return j.Disown(work, v)
	case "mail":
		return j.Mail(work, v, one("address"))
	case "state":
		return j.State(work, v)
	case "cancel":
		return j.Cancel(work, v)
	}
	return journey.Next{}, errNoStep
}

// maxValues is more than a survey item has choices.
const maxValues = 64

// back leads to the link, where the truth is shown.
func (s *Server) back(ctx *fasthttp.RequestCtx, v *journey.Visit) {
	ctx.Response.Header.Set("Location", "/"+v.Link.Token)
	s.bare(ctx, fasthttp.StatusSeeOther)
}

// failed logs what went wrong, without the link, and shows that nothing was lost.
func (s *Server) failed(ctx *fasthttp.RequestCtx, v *journey.Visit, step string, err error) {
	s.o.Log.Error("link request failed", "tenant", v.Link.Tenant, "msg", v.Link.Message, "step", step, "err", err)
	ctx.Response.Header.Set("Retry-After", "5")
	if v.Session == nil {
		v.Session = &journey.Session{}
	}
	s.show(ctx, v, s.o.Journey.Fault(v, ""), fasthttp.StatusServiceUnavailable)
}

// show draws a screen. status 0: that of its view.
func (s *Server) show(ctx *fasthttp.RequestCtx, v *journey.Visit, screen *journey.Screen, status int) {
	if status == 0 {
		switch screen.Page.View {
		case proto.View_GONE:
			status = fasthttp.StatusNotFound
		case proto.View_EXPIRED_VIEW, proto.View_STOPPED:
			status = fasthttp.StatusGone
		default:
			status = fasthttp.StatusOK
		}
	}

	form := ""
	if v.Session.Token != "" {
		form = s.seal.formToken(v.Session)
	}
	s.draw(ctx, screen, status, "/"+v.Link.Token, form)
}

func (s *Server) document(ctx *fasthttp.RequestCtx, work context.Context, v *journey.Visit, name string) {
	pdf, filename, err := s.o.Journey.Document(work, v, name)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrErased):
		s.back(ctx, v) // without a session: to the landing page
		return
	case err != nil:
		s.failed(ctx, v, "document", err)
		return
	}
	ctx.Response.Header.Set("Content-Security-Policy", filePolicy(string(ctx.UserAgent()), "'none'"))
	ctx.SetContentType("application/pdf")
	ctx.Response.Header.Set("Content-Disposition", "inline; filename*=UTF-8''"+url.PathEscape(filename))
	ctx.Response.SetBodyRaw(pdf)
}

// logo serves a tenant's logo: it is public, named by its content and never changes.
func (s *Server) logo(ctx *fasthttp.RequestCtx, name string) {
	l, ok := s.o.Journey.Directory().Logo(name)
	if !ok {
		s.bare(ctx, fasthttp.StatusNotFound)
		return
	}
	ctx.Response.Header.Set("Cache-Control", "public, max-age=31536000, immutable")
	ctx.SetContentType("image/png")
	ctx.Response.SetBodyRaw(l.PNG)
}

func (s *Server) hook(ctx *fasthttp.RequestCtx, c client, path string) {
	work, cancel := context.WithTimeout(context.Background(), s.o.Config.timeout())
	defer cancel()
	r := payment.WebhookRequest{
		Hook: path, Method: string(ctx.Method()), Query: string(ctx.URI().QueryString()),
		Body: append([]byte(nil), ctx.PostBody()...), Remote: c.addr.String(),
	}
	for k, v := range ctx.Request.Header.All() {
		r.Headers = append(r.Headers, payment.Header{Name: string(k), Value: string(v)})
	}
	reply := s.o.Webhooks.Webhook(work, r)
	for _, h := range reply.Headers {
		switch strings.ToLower(h.Name) {
		case "content-type":
			ctx.SetContentType(h.Value)
		case "content-length", "transfer-encoding", "connection", "set-cookie", "location", "date", "server":
		default:
			ctx.Response.Header.Set(h.Name, h.Value)
		}
	}
	ctx.SetStatusCode(reply.Status)
	ctx.SetBody(reply.Body)
}

// bare is an answer without a page.
func (s *Server) bare(ctx *fasthttp.RequestCtx, status int) {
	ctx.Response.SetBodyRaw(nil)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetStatusCode(status)
	if status >= 400 {
		ctx.SetBodyString(fasthttp.StatusMessage(status) + "\n")
	}
}

// usual are the headers of every answer, unless it says otherwise.
var usual = [][2]string{
	{"Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"Cache-Control", "no-store"},
	{"X-Robots-Tag", "noindex, nofollow, noarchive"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
}

// quiet passes on what the HTTP server says, at a level that is off by default: it is about connections, not about us.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("link server connection", "err", fmt.Sprintf(format, args...))
}
