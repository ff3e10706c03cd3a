package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/admin/signin"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	paysheet "github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
)

// Options are the rooms that the console shows. All are required but those that say otherwise.
type Options struct {
	Store        *store.Store
	Directory    *tenant.Directory
	Intake       *intake.Intake
	Payments     *payment.Payments
	Campaigns    *campaign.Campaigns
	FollowUps    *followup.FollowUps
	Callbacks    *callback.Callbacks
	Inbound      *inbound.Inbound
	DoNotSend    *donotsend.List
	Pages        *page.Pages
	Identity     *identity.Identity
	Documents    *document.Documents
	Certificates *certificate.Certificates // nil: none are made
	Sheets       *paysheet.Sheets          // nil: payment sheets have no addresses
	Audit        *audit.Log
	Mails        *email.Emails // nil: no payment numbers are sent by e-mail
	Carriers     *carrier.Table
	Binds        func() []bind.Status // nil: none are shown
	Modules      func() []host.Status // nil: none are shown
	Dispatch     Dispatch             // nil: carriers cannot be held or tried
	History      History              // nil: there are no charts
	// Reload puts the configuration file into use and names what needs a restart; nil: it cannot be.
	Reload func() (restart []string, err error)
	Try    func(context.Context, dispatch.Trial) ([]string, error) // nil: dispatch.Try

	// LinkBase is the address of links of tenants without a host of their own, "https://kk.example.jp"; empty: shared entry pages have no
	// address on the screens.
	LinkBase string
	// Simulated says that no message leaves this machine; every screen says so.
	Simulated bool
	// TrustedProxies are the addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []string
	// SessionKey is at least 32 secret bytes. Another key signs everybody out.
	SessionKey []byte

	Log      *slog.Logger          // nil: slog.Default()
	Registry prometheus.Registerer // nil: no metrics are registered
	Now      func() time.Time      // nil: clock.Now
}

// Server is the console. Safe for concurrent use.
type Server struct {
	Options
	door      *signin.Door
	screens   screens
	proxies   []netip.Prefix
	hub       hub
	lookups   lookups
	plainSaid atomic.Int64 // Unix seconds: when refusedPlain spoke
	drafts    drafts
	trials    trials
	downloads places
	met       *metrics
	mux       *http.ServeMux
	closing   chan struct{} // closed when Serve ends: open screens let go
	once      sync.Once
}

// New checks that all rooms are there and makes the console. Serve runs it.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Directory == nil || o.Intake == nil || o.Payments == nil || o.Pages == nil || o.Identity == nil ||
		o.Documents == nil || o.Audit == nil || o.Carriers == nil || o.Campaigns == nil || o.FollowUps == nil || o.Callbacks == nil || o.Inbound == nil || o.DoNotSend == nil {
		return nil, errors.New("console: a room is missing")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.Binds == nil {
		o.Binds = func() []bind.Status { return nil }
	}
	if o.Try == nil {
		o.Try = dispatch.Try
	}
	if o.Modules == nil {
		o.Modules = func() []host.Status { return nil }
	}
	s := &Server{Options: o, downloads: places{of: map[tenant.ID]int{}}, met: newMetrics(o.Registry), closing: make(chan struct{})}
	s.hub.watchers = map[*watcher]struct{}{}
	s.lookups.of = map[string][]lookup{}
	s.trials.of = map[string]*trial{}
	for i, p := range o.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			a, err2 := netip.ParseAddr(p)
			if err2 != nil {
				return nil, fmt.Errorf("trusted_proxies[%d]: %q is no address or network", i, p)
			}
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
		s.proxies = append(s.proxies, prefix)
	}
	var err error
	if s.door, err = signin.New(signin.Options{Directory: o.Directory, Audit: o.Audit, Vault: o.Store, Key: o.SessionKey, Now: o.Now}); err != nil {
		return nil, err
	}
	if s.screens, err = parseScreens(); err != nil {
		return nil, fmt.Errorf("console templates: %w", err)
	}
	s.mux = http.NewServeMux()
	for _, r := range routes {
		s.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) { s.handle(r, w, req) })
	}
	s.mux.HandleFunc("GET /static/", s.static)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) { s.handle(notFound, w, req) })
	return s, nil
}

// Serve serves the console on ln until ctx ends, then lets requests finish for some seconds. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.follow(following) })
	defer wg.Wait()
	defer s.trials.running.Wait()
	defer stop()
	srv := s.http()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("console: %w", err)
	case <-ctx.Done():
	}
	s.once.Do(func() { close(s.closing) })
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		_ = srv.Close() // what streams on is cut off
	}
	<-done
	return nil
}

// formTime is how long a request may take to come in. Who receives files gives them more.
const formTime = 30 * time.Second

func (s *Server) http() *http.Server {
	return &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: formTime, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
}

// Handler serves requests. What is live needs Serve.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
		h.Set("Cache-Control", "no-store")
		if s.secure(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.mux.ServeHTTP(patient{w}, r)
	})
}

// writeTime is how long a browser may take for a piece of an answer. What streams has no bound in all.
const writeTime, pieceSize = 30 * time.Second, 64 << 10

// patient writes for as long as the browser reads on.
type patient struct{ http.ResponseWriter }

func (w patient) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w patient) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, pieceSize) {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(clock.Now().Add(writeTime)) // not all connections can
		m, err := w.ResponseWriter.Write(piece)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// policy lets the browser load our own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

func peer(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // net/http wrote it
	return ap.Addr().Unmap()
}

// secure reports whether the browser speaks TLS, to us or to a trusted proxy.
func (s *Server) secure(r *http.Request) bool {
	return r.TLS != nil || s.trusted(peer(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// refusedPlain tells the operator, at most once a minute, of a proxy that keeps everybody out.
func (s *Server) refusedPlain(r *http.Request) {
	now := s.Now().Unix()
	if said := s.plainSaid.Load(); s.trusted(peer(r)) && now-said >= 60 && s.plainSaid.CompareAndSwap(said, now) {
		s.Log.Warn("console refused: a trusted proxy does not say X-Forwarded-Proto: https", "proxy", peer(r))
	}
}

// client is the address of the browser: the last one that no trusted proxy has.
func (s *Server) client(r *http.Request) netip.Addr {
	addr := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(addr); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = a.Unmap()
	}
	return addr
}
