package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kakitome/kakitome/admin"
	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/api"
	agentsapi "github.com/kakitome/kakitome/engine/api/agents"
	"github.com/kakitome/kakitome/engine/api/answers"
	"github.com/kakitome/kakitome/engine/api/callbacks"
	certificatesapi "github.com/kakitome/kakitome/engine/api/certificates"
	followupsapi "github.com/kakitome/kakitome/engine/api/followups"
	"github.com/kakitome/kakitome/engine/api/phones"
	"github.com/kakitome/kakitome/engine/api/sheets"
	"github.com/kakitome/kakitome/engine/api/uploads"
	"github.com/kakitome/kakitome/engine/api/verifications"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/bind/history"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/certificate/proof"
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
	"github.com/kakitome/kakitome/engine/retention"
	"github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/survey"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/linkserver/web"
	"github.com/kakitome/kakitome/plugins/host"
)

// stopLimit is how long the program takes to stop at the most: windows drain, binds unbind, requests finish.
const stopLimit = 30 * time.Second

func serveCommand(ctx context.Context, args []string) error {
	fs := flags("serve")
	config := fs.String("config", "", "configuration file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || fs.NArg() > 0 {
		return errUsage
	}
	cfg, err := conf.Load(*config)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log)
	return serve(ctx, cfg, newReloader(*config, cfg, log), log)
}

func newLogger(c conf.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

// serve runs the engine until ctx ends or a part fails. Parts are started from the store outwards and stopped in reverse:
// the doors close first, then what they called, the store last.
func serve(ctx context.Context, cfg *conf.Config, rl *reloader, log *slog.Logger) (err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &running{log: log, fail: fail}
	began := clock.Now()
	defer func() { err = errors.Join(err, r.stop(stopLimit)) }()
	if err := start(ctx, r, cfg, rl); err != nil {
		return err
	}
	log.Info("ready", "seconds", time.Since(began).Round(time.Millisecond).Seconds(), "version", version)
	<-ctx.Done()
	log.Info("stopping")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// rooms are the parts that several others need.
type rooms struct {
	store        *store.Store
	directory    *tenant.Directory
	carriers     *carrier.Table
	lookups      *carrier.Chain
	modules      *host.Host
	audit        *audit.Log
	documents    *document.Documents
	mails        *email.Emails
	payments     *payment.Payments
	identity     *identity.Identity
	intake       *intake.Intake
	links        *link.Links
	pages        *page.Pages
	sheets       *sheet.Sheets
	campaigns    *campaign.Campaigns
	followUps    *followup.FollowUps
	dispatch     *dispatch.Dispatcher
	history      *history.Keeper
	callbacks    *callback.Callbacks
	doNotSend    *donotsend.List
	inbound      *inbound.Inbound
	egress       *egress.Dialer
	retention    *retention.Retention
	certificates *certificate.Certificates
	registry     *prometheus.Registry
	reloader     *reloader
}

func start(ctx context.Context, r *running, cfg *conf.Config, rl *reloader) error {
	if err := privateDir(cfg.Data.Dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	rm := &rooms{registry: prometheus.NewRegistry(), reloader: rl}
	rm.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context, *running, *conf.Config, *rooms) error{
		startRecord, startEgress, startModules, startLinks, startEngine, startMails, startCallbacks, startRetention, startCertificates, startDoors,
	} {
		if err := step(ctx, r, cfg, rm); err != nil {
			return err
		}
	}
	return nil
}

// privateDir makes a directory of mode 0700, or makes one that is there private: the operator's socket lies in it, and
// whoever may open that is the operator.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// startRecord opens the store, the directory of tenants and the table of numbers.
func startRecord(ctx context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	rm.store, err = store.Open(store.Options{
		Dir: filepath.Join(cfg.Data.Dir, "store"), MasterKey: cfg.Data.MasterKey, MinFree: int64(cfg.Data.MinFreeMB) << 20,
		Log: r.log, Registerer: rm.registry,
	})
	if err != nil {
		return err
	}
	r.onStop("store", func(context.Context) error { return rm.store.Close() })
	rm.directory, err = tenant.OpenDirectory(ctx, rm.store.DirectoryLog())
	if err != nil {
		return err
	}
	rm.audit = audit.New(rm.store)
	if rm.carriers, err = carrier.Open(cfg.Numbers); err != nil {
		return err
	}
	return holdRestored(ctx, rm, r.log)
}

// startModules starts the modules and gives them the agents' configurations.
func startModules(ctx context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	modules := make([]host.Module, len(cfg.Modules))
	for i, m := range cfg.Modules {
		modules[i] = host.Module{Name: m.Name, Path: m.Path, SHA256: m.SHA256}
		if modules[i].Env, err = wayOut(r, rm, m); err != nil {
			return err
		}
	}
	run := filepath.Join(cfg.Data.Dir, "run")
	if len(run) > 60 { // sockets have paths of 108 bytes at the most, and a data directory may be deep
		run = filepath.Join(os.TempDir(), fmt.Sprintf("kakitome-%d-%x", os.Getuid(), sha256.Sum256([]byte(cfg.Data.Dir)))[:40])
	}
	rm.modules, err = host.Start(ctx, host.Options{Modules: modules, StoreDir: filepath.Join(cfg.Data.Dir, "modules"), RunDir: run, Log: r.log, Registerer: rm.registry})
	if err != nil {
		return err
	}
	r.onStop("modules", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return errors.Join(rm.modules.Close(ctx), os.RemoveAll(run))
	})
	door := &operatorDoor{store: rm.store, directory: rm.directory, modules: rm.modules}
	if err := configureLookup(ctx, rm.modules, cfg.Numbers.Lookup); err != nil {
		r.log.Error("numbers cannot be looked up", "err", err) // messages go by policy until it is corrected and reloaded
	}
	if err := configureIdentity(ctx, rm.modules, cfg.Identity); err != nil {
		r.log.Error("an identity module cannot be used", "err", err) // its questions wait until it is corrected; the others can
	}
	rm.lookups = carrier.NewChain(carrier.ChainOptions{Table: rm.carriers, Modules: rm.modules, Log: r.log, Registerer: rm.registry})
	if err := door.configureAgents(ctx); err != nil {
		r.log.Error("agents cannot be used", "err", err) // the others can; the operator corrects it, or their module answers again
	}
	return nil
}

// startLinks opens the serving store of links and the pages behind them.
func startLinks(_ context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	rm.links, err = link.Open(link.Options{Dir: filepath.Join(cfg.Data.Dir, "links"), Record: rm.store, Log: r.log, Metrics: rm.registry})
	if err != nil {
		return err
	}
	r.onStop("links", func(context.Context) error { return rm.links.Close() })
	r.background("links follow", rm.links.Run)
	rm.pages = page.New(page.Options{Renders: rm.modules, ModuleOf: rm.renderer, Log: r.log, Metrics: rm.registry})
	return nil
}

// renderer is the module that draws for a tenant; empty: the standard one.
func (rm *rooms) renderer(id tenant.ID) string {
	if t := rm.directory.Now().Tenants[id]; t != nil {
		return t.Brand.Renderer
	}
	return ""
}

// startEngine makes the rooms that take, send and settle.
func startEngine(_ context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	base, err := url.Parse(cfg.Links.BaseURL)
	if err != nil {
		return fmt.Errorf("links.base_url: %w", err)
	}
	rm.documents = document.New(rm.store, nil)
	rm.doNotSend = donotsend.New(rm.store)
	pay := payment.DefaultConfig()
	pay.WebhookBase = strings.TrimSuffix(cfg.Links.BaseURL, "/") + "/hooks/"
	if cfg.Links.WebhookURL != "" {
		pay.WebhookBase = strings.TrimSuffix(cfg.Links.WebhookURL, "/") + "/hooks/"
	}
	pay.Reports = cfg.Payments.Reports
	rm.payments, err = payment.New(payment.Options{
		Store: rm.store, Directory: rm.directory.Now, Agents: rm.modules, Renders: rm.modules, Documents: rm.documents, Config: pay,
		NotSent: func(err error) bool { return errors.Is(err, host.ErrNotSent) }, Log: r.log, Registerer: rm.registry,
	})
	if err != nil {
		return err
	}
	r.background("payments", rm.payments.Run)
	rm.sheets = sheet.New(sheet.Options{Store: rm.store, Directory: rm.directory.Now, Claims: rm.payments, Pages: rm.pages, LinkHost: base.Host, Plain: base.Scheme == "http"})
	codes := &codeSender{}
	rm.identity = identity.New(identity.Options{Store: rm.store, Auths: rm.modules, Sender: codes, Modules: authModules(cfg), Instances: cfg.Identity, LinkHost: base.Host, Log: r.log, Metrics: rm.registry})
	rm.intake, err = intake.New(intake.Options{
		Config: intake.Config{LinkHost: base.Host, LinkPlain: base.Scheme == "http"}, Entries: rm.identity,
		Store: rm.store, Tenants: rm.directory, Carriers: rm.carriers, Identity: rm.identity, Claims: plannedClaims{rm.payments}, Offers: rm.payments,
		Documents: rm.documents, Links: toldLinks{rm.links, r.log}, DoNotSend: rm.doNotSend, Commits: certificate.Committer{Config: cfg.Certification}, Meter: meter{}, Log: r.log, Registry: rm.registry,
	})
	if err != nil {
		return err
	}
	codes.intake = rm.intake
	r.background("paid notices", (&paidNotices{store: rm.store, claims: rm.payments, intake: rm.intake, directory: rm.directory.Now, now: clock.Now, log: r.log}).run)
	rm.campaigns, err = campaign.New(campaign.Options{Store: rm.store, Tenants: rm.directory, Carriers: rm.carriers, Intake: rm.intake, Log: r.log, Registry: rm.registry})
	if err != nil {
		return err
	}
	r.background("campaigns", rm.campaigns.Run)
	rm.followUps, err = followup.Open(followup.Options{Dir: filepath.Join(cfg.Data.Dir, "followup"), Store: rm.store, Directory: rm.directory.Now, Intake: rm.intake, Claims: rm.payments, Log: r.log})
	if err != nil {
		return err
	}
	r.onStop("follow-ups", func(context.Context) error { return rm.followUps.Close() })
	r.background("follow-ups", rm.followUps.Run)
	rm.inbound = inbound.New(inbound.Options{Store: rm.store, Directory: rm.directory, DoNotSend: rm.doNotSend, Log: r.log, Registry: rm.registry})
	r.background("inbound", rm.inbound.Run)
	rm.dispatch, err = dispatch.New(dispatch.Options{
		Store: receivingStore{rm.store, rm.inbound}, Directory: rm.directory, Carriers: rm.carriers, Lookups: rm.lookups, Binds: cfg.Binds, Config: cfg.Dispatch, DoNotSend: rm.doNotSend, Campaigns: rm.campaigns, Claims: rm.followUps, Log: r.log, Registerer: rm.registry,
	})
	if err != nil {
		return err
	}
	rm.campaigns.OnResume(rm.dispatch.Rewind)
	r.background("dispatch", rm.dispatch.Run)
	rm.history, err = history.Open(history.Options{Dir: filepath.Join(cfg.Data.Dir, "history"), Binds: watched(rm.dispatch), Log: r.log})
	if err != nil {
		return err
	}
	r.background("history", rm.history.Run)
	rm.reloader.carriers, rm.reloader.dispatch, rm.reloader.modules, rm.reloader.identity = rm.carriers, rm.dispatch, rm.modules, rm.identity
	r.background("reload", rm.reloader.run)
	return nil
}

// startMails sends payment numbers by e-mail.
func startMails(_ context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	rm.mails, err = email.New(email.Options{
		Config: cfg.Mail, Store: rm.store, Directory: rm.directory.Now, Claims: rm.payments, Sheets: rm.pages, Log: r.log, Registerer: rm.registry,
	})
	if err != nil {
		return err
	}
	r.background("mails", rm.mails.Run)
	return nil
}

// startRetention ends content whose term is over.
func startRetention(_ context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	rm.retention, err = retention.New(retention.Options{
		Config: cfg.Retention, Store: rm.store, Directory: rm.directory.Now, Claims: rm.payments, Links: rm.links, Audit: rm.audit,
		State: filepath.Join(cfg.Data.Dir, "retention.json"), Log: r.log, Registry: rm.registry,
		Synchronised: func() bool { return certificate.KernelClock("", clock.Now()).State == proof.Synchronised },
	})
	if err != nil {
		return err
	}
	r.background("retention", rm.retention.Run)
	return nil
}

// startCertificates closes days of certificates.
func startCertificates(_ context.Context, r *running, cfg *conf.Config, rm *rooms) (err error) {
	rm.certificates, err = certificate.New(certificate.Options{
		Config: cfg.Certification, Dir: cfg.Data.Dir, Store: rm.store, Directory: rm.directory.Now, Renders: rm.modules, Log: r.log, Registry: rm.registry,
	})
	if err != nil {
		return err
	}
	r.background("certificates", rm.certificates.Run)
	return nil
}

// startDoors opens the listeners: all of them before any is served, so that a taken port is told at once.
func startDoors(_ context.Context, r *running, cfg *conf.Config, rm *rooms) error {
	certs, err := loadCertificates(cfg.Certificates, r.log)
	if err != nil {
		return err
	}
	if certs != nil {
		r.background("certificates", certs.run)
	}
	doors := []struct {
		name, addr string
		share      int
		tls        *tls.Config
		serve      func() (func(context.Context, net.Listener) error, error)
	}{
		{"links", cfg.Listen.Links, linksShare, certs.config(), func() (func(context.Context, net.Listener) error, error) { return linksDoor(r, cfg, rm) }},
		{"api", cfg.Listen.API, otherShare, certs.config(), func() (func(context.Context, net.Listener) error, error) { return apiDoor(r, cfg, rm) }},
		{"console", cfg.Listen.Console, otherShare, certs.config(), func() (func(context.Context, net.Listener) error, error) { return consoleDoor(r, cfg, rm) }},
		{"operator", cfg.Listen.Operator, otherShare, nil, func() (func(context.Context, net.Listener) error, error) { return metricsDoor(rm), nil }},
	}
	for _, d := range doors {
		if d.addr == "" {
			continue
		}
		serve, err := d.serve()
		if err != nil {
			return err
		}
		held, err := openDoor(d.name, d.addr, d.share, r.log)
		if err != nil {
			return fmt.Errorf("listen.%s: %w", d.name, err)
		}
		var ln net.Listener = held
		if d.tls != nil {
			ln = tls.NewListener(ln, d.tls)
		}
		r.background("door "+d.name, func(ctx context.Context) error { return serve(ctx, ln) })
	}
	socket, err := listenOperator(cfg.Data.Dir)
	if err != nil {
		return err
	}
	door := &operatorDoor{store: rm.store, directory: rm.directory, carriers: rm.carriers, modules: rm.modules, pages: rm.pages, audit: rm.audit,
		dispatch: rm.dispatch, reloader: rm.reloader, callbacks: rm.callbacks, retention: rm.retention, campaigns: rm.campaigns, certificates: rm.certificates, payments: rm.payments, started: clock.Now(), dataDir: cfg.Data.Dir, log: r.log}
	r.background("operator socket", func(ctx context.Context) error {
		door.ending = ctx.Done()
		return serveHTTP(ctx, socket, door.handler())
	})
	return nil
}

func linksDoor(r *running, cfg *conf.Config, rm *rooms) (func(context.Context, net.Listener) error, error) {
	key, err := sessionKey(rm.store, "links")
	if err != nil {
		return nil, err
	}
	c := web.DefaultConfig()
	c.TrustedProxies = cfg.Links.TrustedProxies
	base, err := url.Parse(cfg.Links.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("links.base_url: %w", err)
	}
	way := journey.New(journey.Options{Store: rm.store, Directory: rm.directory.Now, Links: rm.links, Identity: rm.identity, Claims: rm.payments,
		Documents: rm.documents, DoNotSend: rm.doNotSend, Pages: rm.pages, Mails: rm.mails, LinkHost: base.Host, CarrierLabel: labelled(rm.carriers), Log: r.log})
	r.background("landing pages", way.KeepWarm)
	r.onStop("codes of shared entries", way.Settle)
	server, err := web.New(web.Options{Config: c, Journey: way, Pages: rm.pages, Webhooks: rm.payments, Sheets: rm.sheets, SessionKey: key, Log: r.log, Metrics: rm.registry})
	if err != nil {
		return nil, err
	}
	return server.Serve, nil
}

// sessionKey derives the key that seals the sessions of a door from the operator's hash key, so that it survives restarts
// and is nowhere written down.
func sessionKey(s *store.Store, door string) ([]byte, error) {
	var key []byte
	for _, half := range []string{"1", "2"} {
		sum, err := s.Keyed(tenant.OperatorID, "session key/"+door, half)
		if err != nil {
			return nil, fmt.Errorf("session key: %w", err)
		}
		key = append(key, sum[:]...)
	}
	return key, nil
}

func apiDoor(r *running, cfg *conf.Config, rm *rooms) (func(context.Context, net.Listener) error, error) {
	server, err := api.New(api.Options{
		Config: api.Config{TrustedProxies: cfg.Links.TrustedProxies}, Tenants: rm.directory, Intake: rm.intake, Store: rm.store,
		Claims: apiClaims{rm.payments}, Resends: resends{rm.followUps}, Unlocks: rm.identity, Readmits: rm.doNotSend, Mails: rm.mails, Documents: rm.documents, Extra: map[string]api.Handler{uploads.Path: uploads.Handler(rm.campaigns, rm.audit), uploads.SeedsPath: uploads.SeedsHandler(rm.campaigns, rm.audit), callbacks.Path: callbacks.Handler(rm.callbacks, rm.audit),
			phones.ReceivedPath: phones.Handler(rm.inbound, rm.doNotSend, rm.audit), phones.DoNotSendPath: phones.Handler(rm.inbound, rm.doNotSend, rm.audit),
			followupsapi.Path: followupsapi.Handler(rm.followUps, rm.audit), followupsapi.ListsPath: followupsapi.Handler(rm.followUps, rm.audit),
			agentsapi.Path:       agentsapi.Handler(rm.payments, rm.audit),
			sheets.Path:          sheets.Handler(rm.sheets, rm.audit),
			answers.Path:         answers.Handler(survey.Surveys{Store: rm.store}, rm.audit),
			certificatesapi.Path: certificatesapi.Handler(rm.certificates, rm.audit),
			verifications.Path:   verifications.Handler(rm.identity, rm.store)}, Log: r.log, Registry: rm.registry,
	})
	if err != nil {
		return nil, err
	}
	return server.Run, nil
}

func consoleDoor(r *running, cfg *conf.Config, rm *rooms) (func(context.Context, net.Listener) error, error) {
	key, err := sessionKey(rm.store, "console")
	if err != nil {
		return nil, err
	}
	server, err := admin.New(admin.Options{
		Store: rm.store, Directory: rm.directory, Intake: rm.intake, Payments: rm.payments, Campaigns: rm.campaigns, FollowUps: rm.followUps, Callbacks: rm.callbacks, Inbound: rm.inbound, DoNotSend: rm.doNotSend, Pages: rm.pages,
		Identity: rm.identity, Documents: rm.documents, Certificates: rm.certificates, Sheets: rm.sheets, Mails: rm.mails, Audit: rm.audit, Carriers: rm.carriers, Binds: rm.dispatch.Status, Modules: rm.modules.Status,
		Dispatch: rm.dispatch, History: rm.history, Reload: rm.reloader.reload,
		LinkBase: cfg.Links.BaseURL, Simulated: cfg.Simulated(), TrustedProxies: cfg.Links.TrustedProxies, SessionKey: key, Log: r.log, Registry: rm.registry,
	})
	if err != nil {
		return nil, err
	}
	return server.Serve, nil
}

// metricsDoor serves what the operator's tools read. It says nothing of a message.
func metricsDoor(rm *rooms) func(context.Context, net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(rm.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, m := range rm.modules.Status() {
			if m.State != host.Running && !strings.HasPrefix(m.Module, "payment/") && !strings.HasPrefix(m.Module, "number/") {
				http.Error(w, fmt.Sprintf("module %s is %s", m.Module, m.State), http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return func(ctx context.Context, ln net.Listener) error { return serveHTTP(ctx, ln, mux) }
}

// serveHTTP serves until ctx ends, then lets requests finish for some seconds.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		_ = srv.Close() // what streams on is cut off
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
