// Package host starts the modules, keeps them running and is the only way to call them.
//
// A module is a program of a vendor (or ours, from plugins/<kind>/<name>) under hashicorp/go-plugin. The package
// promises the rest of the house that a module which hangs, crashes, floods its output or lies costs no more than the
// answers of that module:
//
//	call ─► deadline of the method ─► share of the tenant ─► slots of the module ─► breaker ─► gRPC ─► is it plausible?
//
// Every error of a call is one of two, see CallError: ErrNotSent, surely not executed, or ErrUnknownOutcome.
//
// One goroutine per module supervises it, through these states:
//
//	starting ─► running ─► backing off ─► starting …     a crash, a failed start, or two failed health checks
//	                └────► quarantined ─► starting       too many of them in a while; Resume, or a new host
//	stopped                                              Close
//
// Replace starts another program beside the one that runs and retires that only when the new one is ready.
//
// Start of a process, in this order: the copy in the store (named by its checksum, mode 0555) is compared with the
// pinned checksum, or made from Path; it is executed with an environment of its own, in a process group of its own,
// with a parent-death signal; the handshake tells socket and certificate; Describe must state the kind that the
// module's name states; every configuration that is remembered is sent; then calls are let in.
//
// What go-plugin does not bound is bounded here: its Ping has no deadline, its Kill can block for ever on a stopped
// process, a JSON log line of unexpected types makes its log reader panic, and a long line of standard output ends its
// reading. So health is checked by our own calls, the process group is killed first and Kill called after, standard
// error is read here, and only the first line of standard output is handed on.
//
// Nothing survives a restart of the host but the copies in the store: configurations are given again by the caller,
// sockets of an earlier run are swept at the start. A host that is killed takes its modules with it.
package host

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/kakitome/kakitome/plugins/proto"
)

// Module says which program is run under which name.
type Module struct {
	Name    string   // kind and name: "auth/knowledge", "payment/sandbox", "render/standard", "number/simulated"
	Path    string   // the program
	SHA256  string   // of the program, 64 hexadecimal digits; Checksum computes it
	PassEnv []string // names of variables of the host's environment that the module gets too, e.g. HTTPS_PROXY
	Env     []string // further variables, NAME=value: nothing secret
	Limits  Limits
}

// Limits bound one module's process. Zero means the default.
type Limits struct {
	Concurrency int    // calls at once; default what Describe states, or 64; never more than that
	MemoryBytes uint64 // of data; default no bound. A process that wants more is refused memory and ends
	OpenFiles   uint64 // default 1024
}

// Options of Start. Log may be nil, Registerer may be nil.
type Options struct {
	Modules    []Module
	StoreDir   string // copies of the programs, by checksum
	RunDir     string // sockets, mode 0700; at most 60 bytes long, of this host alone
	Log        *slog.Logger
	Registerer prometheus.Registerer

	timing timing // for tests
}

// timing holds every duration of supervision.
type timing struct {
	start         time.Duration // until a module answers Describe
	healthEvery   time.Duration
	health        time.Duration // deadline of one check
	backoff       time.Duration // the first; doubles
	backoffMax    time.Duration
	healthy       time.Duration // running so long forgets the crashes before
	crashWindow   time.Duration
	crashes       int           // in crashWindow, then quarantine
	drain         time.Duration // of the calls that run, and of the Drain call
	term          time.Duration // from SIGTERM to SIGKILL
	breakerOpen   time.Duration
	breakerFaults int // in a row
}

var usual = timing{
	start:         10 * time.Second,
	healthEvery:   5 * time.Second,
	health:        2 * time.Second,
	backoff:       500 * time.Millisecond,
	backoffMax:    time.Minute,
	healthy:       10 * time.Minute,
	crashWindow:   10 * time.Minute,
	crashes:       10,
	drain:         10 * time.Second,
	term:          3 * time.Second,
	breakerOpen:   5 * time.Second,
	breakerFaults: 5,
}

// Host owns the modules' processes. It is safe for concurrent use.
type Host struct {
	modules map[string]*module
	order   []*module // as configured
	lock    *os.File  // on RunDir
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// Start starts every module at once and returns when each runs or has failed its first start, which takes 10 s at most.
// A module that cannot be started is no error: it is backing off, or quarantined when its checksum is wrong, and
// Status tells why. Faults of the options are errors. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.timing == (timing{}) {
		o.timing = usual
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	lock, err := claimRunDir(o.RunDir)
	if err != nil {
		return nil, err
	}
	store, err := openStore(o.StoreDir)
	if err != nil {
		lock.Close()
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	h := &Host{modules: map[string]*module{}, lock: lock, cancel: cancel}
	metrics := newMetrics(o.Registerer)
	for _, config := range o.Modules {
		m := newModule(config, &o, store, metrics)
		h.modules[config.Name] = m
		h.order = append(h.order, m)
		// All copies are made before the first process starts: a copy that is open for writing while another
		// goroutine forks cannot be executed (golang/go#22315).
		_, _ = store.program(m.config.Path, m.config.SHA256) // an error meets the first start again, which reports it
	}
	for _, m := range h.order {
		h.wg.Go(func() { m.run(life) })
	}
	for _, m := range h.order {
		select {
		case <-m.tried:
		case <-ctx.Done():
			h.Close(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("start modules: %w", ctx.Err())
		}
	}
	return h, nil
}

func (o *Options) validate() error {
	var faults []error
	seen := map[string]bool{}
	for _, m := range o.Modules {
		faults = append(faults, m.validate())
		if seen[m.Name] {
			faults = append(faults, fmt.Errorf("module %s: named twice", m.Name))
		}
		seen[m.Name] = true
	}
	if !filepath.IsAbs(o.StoreDir) || !filepath.IsAbs(o.RunDir) {
		faults = append(faults, fmt.Errorf("store directory %q and run directory %q must be absolute", o.StoreDir, o.RunDir))
	}
	// go-plugin adds /plugin-dir and /plugin, each with up to ten digits; a socket's path has at most 107 bytes.
	if len(o.RunDir) > 60 {
		faults = append(faults, fmt.Errorf("run directory %q has %d bytes: 60 at most, for the path of a socket is bounded", o.RunDir, len(o.RunDir)))
	}
	return errors.Join(faults...)
}

func (m *Module) validate() error {
	var faults []error
	if _, ok := kindOf(m.Name); !ok {
		faults = append(faults, fmt.Errorf("module %q: a name auth/…, payment/…, render/… or number/… is needed", m.Name))
	}
	if !filepath.IsAbs(m.Path) {
		faults = append(faults, fmt.Errorf("module %s: path %q is not absolute", m.Name, m.Path))
	}
	if sum, err := hex.DecodeString(m.SHA256); err != nil || len(sum) != 32 {
		faults = append(faults, fmt.Errorf("module %s: sha256 %q: 64 hexadecimal digits are needed", m.Name, m.SHA256))
	}
	if m.Limits.Concurrency < 0 {
		faults = append(faults, fmt.Errorf("module %s: concurrency %d is negative", m.Name, m.Limits.Concurrency))
	}
	return errors.Join(faults...)
}

// kindOf reads the kind from a module's name.
func kindOf(name string) (proto.Kind, bool) {
	kind, rest, _ := strings.Cut(name, "/")
	if rest == "" || strings.ContainsAny(rest, "/ ") {
		return 0, false
	}
	switch kind {
	case "auth":
		return proto.Kind_AUTH, true
	case "payment":
		return proto.Kind_PAYMENT, true
	case "render":
		return proto.Kind_RENDER, true
	case "number":
		return proto.Kind_NUMBER, true
	}
	return 0, false
}

// claimRunDir makes dir, takes it for this host alone, and sweeps the sockets that a killed host left behind.
func claimRunDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	// It may lie where others write: what was there before us, or leads elsewhere, is not ours to use.
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("look at run directory: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; !info.IsDir() || int(owner) != os.Getuid() {
		return nil, fmt.Errorf("run directory %s is no directory of this user", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("protect run directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock run directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("run directory %s is in use by another host: %w", dir, err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "plugin-dir*"))
	for _, l := range left {
		if err := os.RemoveAll(l); err != nil {
			lock.Close()
			return nil, fmt.Errorf("sweep run directory: %w", err)
		}
	}
	return lock, nil
}

// Close lets no new call in, waits for those that run, drains the modules and ends their processes, all modules at
// once. When ctx ends, what still runs is killed. It returns when no process and no goroutine is left.
func (h *Host) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		for _, m := range h.order {
			m.hurry()
		}
	})
	defer stop()
	h.cancel()
	h.wg.Wait()
	if err := h.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // closed by an earlier Close
		return fmt.Errorf("release run directory: %w", err)
	}
	return nil
}

// Auth gives the client of an identity module. It is never nil: calls to an unknown module, or to one that does not
// run, end with ErrNotSent. The same holds for Payment, Render and Number.
func (h *Host) Auth(module string) proto.AuthClient {
	return proto.NewAuthClient(h.caller(module, proto.Kind_AUTH))
}

// Payment gives the client of a payment agent's module.
func (h *Host) Payment(module string) proto.PaymentAgentClient {
	return proto.NewPaymentAgentClient(h.caller(module, proto.Kind_PAYMENT))
}

// Render gives the client of a renderer.
func (h *Host) Render(module string) proto.RenderClient {
	return proto.NewRenderClient(h.caller(module, proto.Kind_RENDER))
}

// Number gives the client of a number lookup.
func (h *Host) Number(module string) proto.NumberClient {
	return proto.NewNumberClient(h.caller(module, proto.Kind_NUMBER))
}

func (h *Host) caller(name string, kind proto.Kind) *caller {
	m := h.modules[name]
	if m == nil {
		return &caller{name: name, why: errors.New("there is no such module")}
	}
	if m.kind != kind {
		return &caller{name: name, why: fmt.Errorf("the module is of kind %v, not %v", m.kind, kind)}
	}
	return &caller{name: name, module: m}
}

// Describe gives what a module last said of itself; false when it never ran.
func (h *Host) Describe(module string) (*proto.DescribeResponse, bool) {
	m := h.modules[module]
	if m == nil {
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.describe, m.describe != nil
}

// Configure validates an instance's configuration, gives it to the module and remembers it: it is sent again at each
// start of the module. A configuration that is refused is a *ConfigError and changes nothing. When the module does not
// run or does not answer, the configuration is remembered all the same and takes effect at the next start, or once the module
// passes a health check; the error is a *CallError.
func (h *Host) Configure(ctx context.Context, module, instance, tenant string, config []byte) error {
	m := h.modules[module]
	if m == nil {
		return &CallError{Module: module, Method: "Configure", Kind: ErrNotSent, Cause: errors.New("there is no such module")}
	}
	return m.configure(ctx, &proto.ConfigureRequest{Instance: instance, Tenant: tenant, ConfigJson: config})
}

// Forget ends the memory of an instance; a module that runs keeps it until its next start.
func (h *Host) Forget(module, instance string) {
	if m := h.modules[module]; m != nil {
		m.configuring.Lock()
		defer m.configuring.Unlock()
		delete(m.instances, instance)
		delete(m.unsent, instance)
	}
}

// Resume starts a quarantined module again, and one that is backing off at once.
func (h *Host) Resume(module string) error {
	m := h.modules[module]
	if m == nil {
		return fmt.Errorf("resume module %s: there is no such module", module)
	}
	select {
	case m.resume <- struct{}{}:
	default: // one is waiting
	}
	return nil
}

// Replace runs another program under the name of a configured module, without a gap: it is started beside the running
// one, described and configured; then calls go to it, and the old one is drained and ended. When it cannot be started
// the old one stays and the error tells why. A module that did not run is started with the new program.
func (h *Host) Replace(ctx context.Context, next Module) error {
	m := h.modules[next.Name]
	if m == nil {
		return fmt.Errorf("replace module %s: there is no such module", next.Name)
	}
	if err := next.validate(); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	next.SHA256 = strings.ToLower(next.SHA256)
	r := replacement{config: next, done: make(chan error, 1)}
	select {
	case m.replacements <- r:
	case <-m.stopped:
		return fmt.Errorf("replace module %s: the host is closed", next.Name)
	case <-ctx.Done():
		return fmt.Errorf("replace module %s: %w", next.Name, ctx.Err())
	}
	select {
	case err := <-r.done:
		if err != nil {
			return fmt.Errorf("replace module %s: %w", next.Name, err)
		}
		return nil
	case <-m.stopped:
		return fmt.Errorf("replace module %s: the host is closed", next.Name)
	}
}

// Status is what an operator sees of a module.
type Status struct {
	Module    string
	State     State
	Version   string // as last described
	PID       int    // 0: no process
	Restarts  int    // starts after the first
	LastError string // why it last ended or failed to start
	Since     time.Time
}

// Status gives the modules in their configured order.
func (h *Host) Status() []Status {
	all := make([]Status, len(h.order))
	for i, m := range h.order {
		m.mu.Lock()
		all[i] = m.status
		m.mu.Unlock()
	}
	return all
}
