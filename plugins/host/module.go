package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

// State is where a module stands.
type State string

const (
	Starting    State = "starting"
	Running     State = "running"
	BackingOff  State = "backing off" // until its next start
	Quarantined State = "quarantined" // until Resume
	Stopped     State = "stopped"
)

// module supervises the processes of one configured module, one after the other.
type module struct {
	name    string
	kind    proto.Kind
	config  Module // of the supervisor alone; changed by Replace
	runDir  string
	timing  timing
	store   *store
	log     *slog.Logger
	metrics *metrics
	dropped prometheus.Counter

	tried  chan struct{} // closed when the first start has succeeded or failed
	resume chan struct{} // 1: a second request says nothing new
	poke   chan struct{} // 1: a call ended at its deadline, look now

	replacements chan replacement // 0: handed to the supervisor
	stopped      chan struct{}    // closed when the supervisor has ended

	live atomic.Pointer[live] // nil: no call is let in

	configuring sync.Mutex // held while configurations are validated or sent; guards what follows
	instances   map[string]*proto.ConfigureRequest
	unsent      map[string]bool // instances that the process that is live may not know

	mu        sync.Mutex // guards what follows
	status    Status
	describe  *proto.DescribeResponse
	processes []*process // that may run, for hurry
}

// replacement asks the supervisor for another program.
type replacement struct {
	config Module
	done   chan error // 1
}

// live is a process that has started well.
type live struct {
	process  *process
	client   *goplugin.Client
	conn     *grpc.ClientConn
	describe *proto.DescribeResponse
	slots    chan struct{} // one for each call that may run at once
	gates    *gates
}

func newModule(config Module, o *Options, s *store, x *metrics) *module {
	kind, _ := kindOf(config.Name)
	config.SHA256 = strings.ToLower(config.SHA256)
	return &module{
		name: config.Name, kind: kind, config: config, runDir: o.RunDir, timing: o.timing, store: s,
		log:       o.Log.With("plugin", config.Name),
		metrics:   x,
		dropped:   x.dropped.WithLabelValues(config.Name),
		tried:     make(chan struct{}),
		resume:    make(chan struct{}, 1),
		poke:      make(chan struct{}, 1),
		instances: map[string]*proto.ConfigureRequest{},
		unsent:    map[string]bool{},

		replacements: make(chan replacement),
		stopped:      make(chan struct{}),

		status: Status{Module: config.Name, State: Starting, Since: time.Now()},
	}
}

// run keeps the module running until ctx ends; then it drains and stops it.
func (m *module) run(ctx context.Context) {
	defer close(m.stopped)
	defer m.become(Stopped, nil)
	triedOnce := sync.OnceFunc(func() { close(m.tried) })
	defer triedOnce()
	running := m.metrics.running.WithLabelValues(m.name)
	var crashes []time.Time
	var asked *replacement // who waits for the outcome of the next start
	backoff := m.timing.backoff
	for starts := 0; ctx.Err() == nil; starts++ {
		m.mu.Lock()
		m.status.Restarts = starts
		m.mu.Unlock()
		m.become(Starting, nil)
		began := time.Now()
		l, err := m.launch(ctx, m.config)
		if asked != nil {
			asked.done <- err
			asked = nil
		}
		if err == nil {
			m.become(Running, nil)
			running.Set(1)
			triedOnce()
			l, err = m.watch(ctx, l)
			running.Set(0)
			m.live.Store(nil)
			m.retire(l, ctx.Err() != nil)
		}
		if ctx.Err() != nil {
			return
		}

		m.metrics.ends.WithLabelValues(m.name).Inc()
		now := time.Now()
		if now.Sub(began) >= m.timing.healthy {
			crashes, backoff = nil, m.timing.backoff
		}
		for len(crashes) > 0 && now.Sub(crashes[0]) > m.timing.crashWindow {
			crashes = crashes[1:]
		}
		crashes = append(crashes, now)
		wait := (<-chan time.Time)(nil)
		if errors.Is(err, ErrChecksum) || len(crashes) >= m.timing.crashes {
			m.become(Quarantined, err)
		} else {
			m.become(BackingOff, err)
			wait = time.After(time.Duration(float64(backoff) * (0.8 + 0.4*rand.Float64())))
			backoff = min(2*backoff, m.timing.backoffMax)
		}
		triedOnce()
		select {
		case <-ctx.Done():
		case <-wait:
		case <-m.resume:
			crashes, backoff = nil, m.timing.backoff
		case r := <-m.replacements:
			m.config, asked = r.config, &r
			crashes, backoff = nil, m.timing.backoff
		}
	}
}

// swap starts another program beside l and, when it has started well, lets calls go there and retires l. Otherwise l
// stays.
func (m *module) swap(ctx context.Context, l *live, config Module) (*live, error) {
	next, err := m.launch(ctx, config)
	if err != nil {
		return l, err
	}
	m.config = config
	m.become(Running, nil)
	m.retire(l, true)
	return next, nil
}

// retire ends the process of l; gently after the calls that run.
func (m *module) retire(l *live, gently bool) {
	if gently {
		m.drain(l)
	}
	m.end(l.process, l.client, gently)
}

// become notes and logs a change of state.
func (m *module) become(s State, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.State, m.status.Since = s, time.Now()
	m.status.PID = 0
	if s == Running {
		m.status.PID = m.live.Load().process.number()
	}
	if why != nil {
		m.status.LastError = why.Error()
		m.log.Error("module state", "state", s, "err", why)
		return
	}
	m.log.Info("module state", "state", s, "pid", m.status.PID, "version", m.status.Version)
}

// launch starts a process and lets calls in. When it fails nothing of the process is left.
func (m *module) launch(ctx context.Context, config Module) (*live, error) {
	path, err := m.store.program(config.Path, config.SHA256)
	if err != nil {
		return nil, err
	}
	life, ended := context.WithCancel(context.Background())
	p := &process{
		path: path, passEnv: config.PassEnv, env: config.Env, limits: config.Limits,
		sink:   newLogSink(life, m.log, m.dropped),
		exited: make(chan struct{}),
		ended:  ended,
	}
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: sdk.Handshake,
		Plugins:         goplugin.PluginSet{sdk.PluginName: &sdk.Plugin{}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			p.prepare(cmd.Env, dir)
			return p, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     m.timing.start,
		Logger:           newPluginLogger(m.log),
		SyncStdout:       stream{p.sink, "stdout"},
		SyncStderr:       stream{p.sink, "stderr"},
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: m.runDir},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes)),
			grpc.WithStatsHandler(sentHandler{}),
			// A socket of this machine has no delay for the window to be fitted to; a fitted one costs a ping with each answer.
			grpc.WithStaticStreamWindowSize(sdk.WindowBytes), grpc.WithStaticConnWindowSize(4 * sdk.WindowBytes),
		},
	})
	m.mu.Lock()
	m.processes = append(m.processes, p)
	m.mu.Unlock()
	startCtx, cancel := context.WithTimeout(ctx, m.timing.start)
	defer cancel()
	conn, err := m.handshake(startCtx, p, client)
	if err == nil {
		l := &live{process: p, client: client, conn: conn}
		if err = m.admit(ctx, startCtx, l); err == nil {
			return l, nil
		}
	}
	m.end(p, client, false)
	return nil, err
}

// handshake starts the process and connects to it. go-plugin's own deadline does not cover a process that stops right
// after its first line, so it runs aside and its process is killed at ours.
func (m *module) handshake(ctx context.Context, p *process, client *goplugin.Client) (*grpc.ClientConn, error) {
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		protocol, err := client.Client()
		if err != nil {
			done <- result{nil, err}
			return
		}
		raw, err := protocol.Dispense(sdk.PluginName)
		if err != nil {
			done <- result{nil, err}
			return
		}
		done <- result{raw.(*grpc.ClientConn), nil} // sdk.Plugin.GRPCClient
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("handshake: %.600s", r.err.Error())
		}
		return r.conn, nil
	case <-ctx.Done():
		p.kill()
		<-done
		return nil, fmt.Errorf("handshake: %w", ctx.Err())
	}
}

// admit asks the module what it is, gives it what is remembered, and lets calls in.
func (m *module) admit(ctx, startCtx context.Context, l *live) error {
	client := proto.NewModuleClient(l.conn)
	d, err := client.Describe(startCtx, &proto.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("describe: %.300s", err.Error())
	}
	if d.Kind != m.kind {
		return fmt.Errorf("describe: the module is of kind %v, its name says %v", d.Kind, m.kind)
	}
	if d.Name == "" || d.Version == "" || len(d.Version) > 64 {
		return errors.New("describe: the module states no usable name or version")
	}
	slots := 64
	if d.MaxConcurrency > 0 {
		slots = int(min(d.MaxConcurrency, 4096))
	}
	if n := l.process.limits.Concurrency; n > 0 {
		slots = min(slots, n)
	}
	l.describe, l.slots = d, make(chan struct{}, slots)
	l.gates = newGates(slots, m.timing)

	m.configuring.Lock()
	defer m.configuring.Unlock()
	for _, config := range m.instances {
		if err := m.send(ctx, l, config); err != nil {
			return err
		}
	}
	clear(m.unsent)
	m.mu.Lock()
	m.describe, m.status.Version = d, d.Version
	m.mu.Unlock()
	m.live.Store(l)
	return nil
}

// send gives the process a configuration that is remembered. The caller holds configuring.
func (m *module) send(ctx context.Context, l *live, config *proto.ConfigureRequest) error {
	ctx, cancel := context.WithTimeout(ctx, deadlines["Configure"])
	defer cancel()
	out, err := proto.NewModuleClient(l.conn).Configure(ctx, config)
	if err != nil {
		return fmt.Errorf("configure instance %s again: %.300s", config.Instance, err.Error())
	}
	if out.Error != nil {
		m.log.Error("instance refused", "instance", config.Instance, "tenant", config.Tenant, "err", &ConfigError{m.name, []*proto.Error{out.Error}})
	}
	return nil
}

// sendUnsent gives a process that has shown that it answers what it did not take when it was given, for a while: what is left
// then waits for the next health check.
func (m *module) sendUnsent(ctx context.Context, l *live) {
	if !m.configuring.TryLock() { // one is being given
		return
	}
	defer m.configuring.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.timing.start)
	defer cancel()
	for instance := range m.unsent {
		if err := m.send(ctx, l, m.instances[instance]); err != nil {
			m.log.Warn("configurations wait for the module", "instances", len(m.unsent), "err", err)
			return
		}
		delete(m.unsent, instance)
	}
}

// watch returns when the process has ended or answers no health check any more, with a nil error when ctx ends. It
// gives the process that it watched last: a replacement comes between.
func (m *module) watch(ctx context.Context, l *live) (*live, error) {
	every := time.NewTicker(m.timing.healthEvery)
	defer every.Stop()
	failed := 0
	for {
		if failed == 0 {
			select {
			case <-ctx.Done():
				return l, nil
			case r := <-m.replacements:
				var err error
				l, err = m.swap(ctx, l, r.config)
				r.done <- err
			case <-l.process.exited:
			case <-m.poke:
			case <-every.C:
			}
		}
		select {
		case <-l.process.exited:
			return l, fmt.Errorf("the process ended: %v; its last words: %.300s", l.process.exitErr, l.process.sink.last())
		default:
		}
		err := m.check(ctx, l)
		switch {
		case ctx.Err() != nil:
			return l, nil
		case err == nil:
			failed = 0
			m.sendUnsent(ctx, l)
		default:
			if failed++; failed == 2 {
				return l, fmt.Errorf("two health checks failed: %.300s", err.Error())
			}
		}
	}
}

func (m *module) check(ctx context.Context, l *live) error {
	ctx, cancel := context.WithTimeout(ctx, m.timing.health)
	defer cancel()
	out, err := grpc_health_v1.NewHealthClient(l.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	if err != nil {
		return err
	}
	if out.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("health is %v", out.Status)
	}
	return nil
}

// drain waits for the calls that run, then tells the module that no other follows.
func (m *module) drain(l *live) {
	ctx, cancel := context.WithTimeout(context.Background(), m.timing.drain)
	defer cancel()
	for range cap(l.slots) {
		select {
		case l.slots <- struct{}{}:
		case <-l.process.exited:
			return
		case <-ctx.Done():
			m.log.Warn("module stopped while calls run", "calls", len(l.slots))
			return
		}
	}
	if _, err := proto.NewModuleClient(l.conn).Drain(ctx, &proto.DrainRequest{}); err != nil {
		m.log.Warn("module not drained", "err", err)
	}
}

// end leaves nothing of the process: no member of its group, no connection, no socket. A gentle end asks first.
func (m *module) end(p *process, client *goplugin.Client, gentle bool) {
	if p.isStarted() {
		if gentle {
			p.terminate()
			select {
			case <-p.exited:
			case <-time.After(m.timing.term):
			}
		}
		p.kill()
		<-p.exited
	}
	p.ended()
	m.mu.Lock()
	m.processes = slices.DeleteFunc(m.processes, func(other *process) bool { return other == p })
	m.mu.Unlock()
	client.Kill() // closes what it holds; the process is gone, so it does not wait
	if p.dir != "" {
		if err := os.RemoveAll(p.dir); err != nil {
			m.log.Warn("socket directory not removed", "err", err)
		}
	}
}

// hurry kills the process at once; Close has no more time.
func (m *module) hurry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.processes {
		p.kill()
	}
}

// configure validates and sends one configuration. It is remembered unless the module refuses it, also where nothing, or
// nobody knows what, came of it: then it is sent again.
func (m *module) configure(ctx context.Context, in *proto.ConfigureRequest) error {
	m.configuring.Lock()
	defer m.configuring.Unlock()
	out := &proto.ValidateConfigResponse{}
	err := m.call(ctx, proto.Module_ValidateConfig_FullMethodName, &proto.ValidateConfigRequest{ConfigJson: in.ConfigJson}, out)
	if err == nil && len(out.Errors) > 0 {
		return &ConfigError{m.name, out.Errors}
	}
	answer := &proto.ConfigureResponse{}
	if err == nil {
		err = m.call(ctx, proto.Module_Configure_FullMethodName, in, answer)
	}
	if err == nil && answer.Error != nil {
		return &ConfigError{m.name, []*proto.Error{answer.Error}}
	}
	m.instances[in.Instance] = in
	delete(m.unsent, in.Instance)
	if err != nil {
		m.unsent[in.Instance] = true
	}
	return err
}
