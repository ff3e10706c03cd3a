package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"golang.org/x/time/rate"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Claims knows and changes claims. engine/payment implements it, adapted by the root.
type Claims interface {
	// Find returns claims by id, in order, without timelines unless timeline is set; a zero Claim where there is none.
	Find(ctx context.Context, id tenant.ID, claims []ulid.ULID, timeline bool) ([]Claim, error)
	// Get returns the claim of the tenant's number with its timeline, or store.ErrNotFound.
	Get(ctx context.Context, id tenant.ID, number string) (Claim, error)
	// Alerts returns the claims with open alerts (要対応), those with the latest first, at most limit, without timelines.
	Alerts(ctx context.Context, id tenant.ID, limit int) ([]Claim, error)
	// Change states a fact about a claim and returns the claim as it is then. A problem says why it cannot be: code
	// "conflict" where the claim's state forbids it.
	Change(ctx context.Context, t *tenant.Tenant, number string, c ClaimChange, by string) (Claim, *message.Problem, error)
	// Receipt returns a receipt of the claim as a PDF, and a name for it: that of the number, or, without one, the one that holds, which
	// is issued in the language when there is none yet. A problem says why there is none; store.ErrNotFound, store.ErrErased.
	Receipt(ctx context.Context, t *tenant.Tenant, number, paper, lang, by string) (pdf []byte, name string, problem *message.Problem, err error)
}

// Resends sends one message again. engine/followup does it, adapted by the root.
type Resends interface {
	// Resend gives the first answer to a known key. Errors: store.ErrNotFound, message.Problems of the order, and those of intake.
	Resend(ctx context.Context, t *tenant.Tenant, id ulid.ULID, o ResendOrder, by string) (intake.Result, error)
}

// Handler answers a request that has passed the door.
type Handler func(ctx *fasthttp.RequestCtx, c *Caller)

// Options are the rooms that the API stands on. Extra, Log and Registry may be nil.
type Options struct {
	Config   Config
	Tenants  *tenant.Directory
	Intake   *intake.Intake
	Store    *store.Store
	Claims   Claims
	Resends  Resends
	Unlocks  Unlocks
	Readmits Readmits
	Mails    Mails
	// Documents keeps uploaded PDFs.
	Documents Documents
	// Extra are further handlers of other rooms by path: "/v1/uploads" takes that path and all below it. They get every
	// method and read their own body (Caller.Body, Caller.ReadJSON).
	Extra    map[string]Handler
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Caller is who makes a request, after the door.
type Caller struct {
	Tenant  *tenant.Tenant
	Key     string // name of the API key
	KeyID   string
	Address netip.Addr // the client's
	Lang    string     // ja, en
	Request string     // id of the request, as in the X-Request-Id of the answer
	server  *Server
}

// Allow takes n messages from the tenant's rate; false: there are too many in this second.
func (c *Caller) Allow(n int) bool { return c.server.allow(c.Tenant, n) }

// IdempotencyKey is that of the header Idempotency-Key, with which the body's must agree, or the body's; false: they differ, and the
// request was refused. Whether it is well formed is not looked at.
func (c *Caller) IdempotencyKey(ctx *fasthttp.RequestCtx, body string) (string, bool) {
	key := string(ctx.Request.Header.Peek("Idempotency-Key"))
	if key != "" && body != "" && key != body {
		c.Refuse(ctx, Invalid, message.Problem{Field: "key", Code: "mismatch", Detail: "the Idempotency-Key header says another"})
		return "", false
	}
	return cmp.Or(key, body), true
}

// By names the caller in records.
func (c *Caller) By() string { return "key:" + c.Key }

// Record puts into the tenant's audit log what the caller does to what.
func (c *Caller) Record(ctx context.Context, log *audit.Log, action, target, detail string) error {
	return log.Record(ctx, c.Tenant.ID, audit.Entry{By: "key:" + c.KeyID, From: c.Address.String(), Action: action, Target: target, Detail: detail})
}

// Server is the API. Safe for concurrent use.
type Server struct {
	Options
	proxies Proxies
	metrics *metrics
	audit   *audit.Log
	http    *fasthttp.Server

	mu     sync.Mutex // guards limits
	limits map[tenant.ID]*limit
}

type limit struct {
	perSec int
	*rate.Limiter
}

// New checks the options.
func New(o Options) (*Server, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Tenants == nil || o.Intake == nil || o.Store == nil || o.Claims == nil || o.Documents == nil {
		return nil, errors.New("BUG: api: a required room is missing")
	}
	o.Config = o.Config.withDefaults()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	proxies, err := NewProxies(o.Config.TrustedProxies, o.Config.ForwardedHeader)
	if err != nil {
		return nil, err
	}
	s := &Server{Options: o, proxies: proxies, audit: audit.New(o.Store), metrics: newMetrics(o.Registry), limits: map[tenant.ID]*limit{}}
	s.http = &fasthttp.Server{
		Handler: s.serve, ErrorHandler: s.broken, HeaderReceived: s.patience,
		Name: "kakitome", NoDefaultServerHeader: true, NoDefaultContentType: true, NoDefaultDate: false,
		StreamRequestBody: true, MaxRequestBodySize: 16 << 10, DisablePreParseMultipartForm: true,
		ReadTimeout: o.Config.ReadTimeout, WriteTimeout: o.Config.WriteTimeout, IdleTimeout: o.Config.IdleTimeout,
		ReadBufferSize: 16 << 10, Concurrency: o.Config.Concurrency, CloseOnShutdown: true,
		Logger: quiet{}, LogAllErrors: false, SecureErrorLogMessage: true,
	}
	return s, nil
}

// quiet drops what the HTTP server says of its clients' connections: it quotes their bytes.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Run serves the listener until ctx ends, then lets the requests that are running finish, for 20 seconds at most. The
// listener is a TLS one, or plain with trusted proxies in front.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the api: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err := s.http.ShutdownWithContext(end)
	_ = ln.Close() // when ctx ended at once: Shutdown does not know a listener that Serve did not come to
	return errors.Join(err, <-served)
}

// patience gives batches and the handlers of other rooms more time to come in.
func (s *Server) patience(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	if _, ok := s.extra(path); ok || path == batchPath || path == documentsPath {
		return fasthttp.RequestConfig{ReadTimeout: s.Config.BatchTimeout}
	}
	return fasthttp.RequestConfig{}
}

func (s *Server) broken(ctx *fasthttp.RequestCtx, err error) {
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() { // see ReadTimeout
		_ = ctx.Conn().Close()
		return
	}
	c := &Caller{Lang: "ja", Request: rand.Text()}
	code := BadRequest
	var small *fasthttp.ErrSmallBuffer
	if errors.As(err, &small) || errors.Is(err, fasthttp.ErrBodyTooLarge) {
		code = TooLarge
	}
	c.Refuse(ctx, code)
	ctx.SetConnectionClose()
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// serve is the door. Steps as in the package comment.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	started := clock.Now()
	c := &Caller{Lang: language(string(ctx.Request.Header.Peek("Accept-Language"))), Request: string(ctx.Request.Header.Peek("X-Request-Id")), server: s}
	if !requestID.MatchString(c.Request) {
		c.Request = rand.Text()
	}
	head := &ctx.Response.Header
	head.Set("X-Request-Id", c.Request)
	head.Set("Cache-Control", "no-store")
	head.Set("Vary", "Accept-Language")
	head.Set("X-Content-Type-Options", "nosniff")
	name := "refused"
	defer func() {
		if r := recover(); r != nil {
			s.Log.Error("api handler failed", "err", fmt.Sprint(r), "request", c.Request, "route", name)
			c.Refuse(ctx, Internal)
		}
		if err, ok := ctx.UserValue(failure{}).(error); ok && ctx.Response.StatusCode() >= 500 {
			s.Log.Error("api request failed", "route", name, "request", c.Request, "err", err)
		}
		s.metrics.observe(name, ctx.Response.StatusCode(), time.Since(started))
	}()

	client, ok := s.proxies.Client(ctx)
	switch {
	case !ok:
		c.Refuse(ctx, Forbidden)
		return
	case !ctx.IsTLS() && !s.proxies.Trusts(peerAddr(ctx)):
		c.Refuse(ctx, Forbidden, message.Problem{Field: "connection", Code: "plain", Detail: "HTTPS is required"})
		return
	}
	path := string(ctx.Path())
	if path == "/openapi.json" {
		name = "openapi"
		s.openapi(ctx, c)
		return
	}
	if !s.admit(ctx, c, client) {
		return
	}
	name = s.route(ctx, c, path)
}

// admit finds the tenant of the key and checks that the address is on its list.
func (s *Server) admit(ctx *fasthttp.RequestCtx, c *Caller, client netip.Addr) bool {
	snap := s.Tenants.Now()
	scheme, text, _ := strings.Cut(string(ctx.Request.Header.Peek("Authorization")), " ")
	key, ok := snap.CheckKey(strings.TrimSpace(text))
	if !ok || !strings.EqualFold(scheme, "Bearer") || snap.Tenants[key.Tenant] == nil {
		c.Refuse(ctx, Unauthorized)
		return false
	}
	c.Tenant, c.Key, c.KeyID, c.Address = snap.Tenants[key.Tenant], key.Name, key.ID, client
	if !c.Tenant.Admits(client) {
		s.Log.Info("api address refused", "tenant", c.Tenant.ID, "key", key.Name, "address", client.String())
		c.Refuse(ctx, Forbidden, message.Problem{Field: "address", Code: "refused", Value: client.String(), Detail: "not on the tenant's list of addresses"})
		return false
	}
	return true
}

// allow takes n messages from the tenant's rate.
func (s *Server) allow(t *tenant.Tenant, n int) bool {
	perSec := t.Policy.RatePerSec
	if perSec == 0 {
		return true
	}
	s.mu.Lock()
	l := s.limits[t.ID]
	if l == nil || l.perSec != perSec {
		l = &limit{perSec, rate.NewLimiter(rate.Limit(perSec), perSec)}
		s.limits[t.ID] = l
	}
	s.mu.Unlock()
	return l.AllowN(clock.Now(), n)
}

// work is the context of what a request does. It outlives the connection: what was queued is answered by the store.
func (s *Server) work() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), s.Config.WriteTimeout)
}
