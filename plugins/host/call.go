package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/proto"
)

// deadlines bound each method, waiting for a slot included. A caller's own deadline holds when it is sooner.
var deadlines = map[string]time.Duration{
	"ValidateConfig": 5 * time.Second,
	"Configure":      10 * time.Second,
	"Canonical":      2 * time.Second,
	"Challenge":      2 * time.Second,
	"Begin":          10 * time.Second,
	"Finish":         15 * time.Second,
	"Create":         20 * time.Second,
	"Get":            10 * time.Second,
	"Cancel":         10 * time.Second,
	"HandleWebhook":  10 * time.Second,
	"Refund":         20 * time.Second,
	"RefreshVoucher": 10 * time.Second,
	"Pool":           5 * time.Second,
	"ReadReport":     30 * time.Second,
	"RenderPage":     3 * time.Second,
	"RenderDocument": 15 * time.Second,
	"Lookup":         10 * time.Second,
}

// caller is the connection that a generated client is given: module nil means that every call fails with why.
type caller struct {
	name   string
	module *module
	why    error
}

func (c *caller) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.module == nil {
		return &CallError{Module: c.name, Method: shortName(method), Kind: ErrNotSent, Cause: c.why}
	}
	return c.module.call(ctx, method, args, reply, opts...)
}

func (c *caller) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the contract has no streams")
}

func shortName(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

// call makes one call. Its error is a *CallError.
func (m *module) call(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	short := shortName(method)
	began := time.Now()
	callCtx, cancel := context.WithTimeout(ctx, deadlines[short])
	defer cancel()
	kind, cause := m.attempt(ctx, callCtx, method, args, reply, opts)
	if callCtx.Err() == context.DeadlineExceeded {
		select {
		case m.poke <- struct{}{}:
		default: // the supervisor will look anyway
		}
	}
	m.metrics.seconds.WithLabelValues(m.name, short).Observe(time.Since(began).Seconds())
	outcome := "ok"
	switch kind {
	case ErrNotSent:
		outcome = "not_sent"
	case ErrUnknownOutcome:
		outcome = "unknown"
	}
	m.metrics.calls.WithLabelValues(m.name, short, outcome).Inc()
	if kind == nil {
		return nil
	}
	return &CallError{Module: m.name, Method: short, Kind: kind, Cause: cause}
}

var (
	errNotRunning  = errors.New("the module does not run")
	errBreakerOpen = errors.New("its last calls failed, no other is made for some seconds")
	errNoRoom      = errors.New("the module was busy until the deadline")
)

// attempt takes a slot and sends. It gives nil, or ErrNotSent or ErrUnknownOutcome with the cause. parent is the
// caller's context, ctx the one with the method's deadline.
func (m *module) attempt(parent, ctx context.Context, method string, args, reply any, opts []grpc.CallOption) (kind, cause error) {
	l := m.live.Load()
	if l == nil {
		return ErrNotSent, errNotRunning
	}
	tenant := ""
	if r, ok := args.(interface{ GetCall() *proto.Call }); ok {
		tenant = r.GetCall().GetTenant()
	}
	g := l.gates.enter(tenant)
	v, probe := uncounted, false
	defer func() { l.gates.leave(tenant, g, v, probe) }()
	if l.gates.open(g) {
		return ErrNotSent, errBreakerOpen
	}
	for _, slots := range []chan struct{}{g.slots, l.slots} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-l.process.exited:
			return ErrNotSent, errNotRunning
		case <-ctx.Done():
			return ErrNotSent, fmt.Errorf("%w: %w", errNoRoom, ctx.Err())
		}
	}
	if m.live.Load() != l { // stopped while this call waited
		return ErrNotSent, errNotRunning
	}
	var ok bool
	if ok, probe = l.gates.pass(g); !ok {
		return ErrNotSent, errBreakerOpen
	}

	inFlight := m.metrics.inFlight.WithLabelValues(m.name)
	inFlight.Inc()
	defer inFlight.Dec()
	sent := new(atomic.Bool)
	err := l.conn.Invoke(context.WithValue(ctx, sentKey{}, sent), method, args, reply, opts...)
	if err == nil {
		if err = plausible(args, reply); err != nil {
			v = failed
			return ErrUnknownOutcome, err
		}
		v = succeeded
		return nil, nil
	}
	switch code := status.Code(err); {
	case !sent.Load():
		kind = ErrNotSent
	case code == codes.FailedPrecondition || code == codes.Unimplemented:
		return ErrNotSent, err // the sdk refused it: no handler saw it
	default:
		kind = ErrUnknownOutcome
	}
	if parent.Err() == nil { // else the caller went away, which tells nothing about the module
		v = failed
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return kind, err
}

// sentKey marks a call's context with an *atomic.Bool that tells whether its request left for the wire.
type sentKey struct{}

// sentHandler sets the mark. gRPC reports OutHeader when a stream is opened: before that nothing can have arrived.
type sentHandler struct{}

func (sentHandler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutHeader); !ok {
		return
	}
	if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
}

func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (sentHandler) HandleConn(context.Context, stats.ConnStats)                       {}
