package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/proto"
)

// server answers the Module service and guards the service of the module's kind.
type server struct {
	proto.UnimplementedModuleServer
	module *Module

	running sync.RWMutex // held for reading by each call: whoever holds it for writing knows that none runs

	mu        sync.RWMutex
	instances map[string]string // configured instance → its tenant
}

func newServer(m *Module) *server {
	return &server{module: m, instances: map[string]string{}}
}

func (s *server) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.StaticStreamWindowSize(WindowBytes),
		grpc.StaticConnWindowSize(4 * WindowBytes),
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), // whose stacks have grown already; more calls get goroutines of their own
		grpc.ChainUnaryInterceptor(s.counted, recovered, s.configured, believed),
	}
}

func (s *server) register(g grpc.ServiceRegistrar) {
	proto.RegisterModuleServer(g, s)
	switch m := s.module; {
	case m.Auth != nil:
		proto.RegisterAuthServer(g, m.Auth)
	case m.Payment != nil:
		proto.RegisterPaymentAgentServer(g, m.Payment)
	case m.Render != nil:
		proto.RegisterRenderServer(g, m.Render)
	case m.Number != nil:
		proto.RegisterNumberServer(g, m.Number)
	}
}

// stop drains the module, waits for the calls that run, at the latest until drainGrace has passed, and ends g.
// g.GracefulStop alone would also wait for go-plugin's own streams, and those end only with the host; so it gets no
// more time than the last answers need to leave.
func (s *server) stop(g *grpc.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainGrace)
	defer cancel()
	if s.module.Drain != nil {
		s.module.Drain(ctx)
	}
	idle := make(chan struct{})
	go func() {
		s.running.Lock() // for good: a call that still arrives waits for the end of the process
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	defer time.AfterFunc(flushGrace, g.Stop).Stop()
	g.GracefulStop()
}

func (s *server) Describe(context.Context, *proto.DescribeRequest) (*proto.DescribeResponse, error) {
	return s.module.Describe, nil
}

func (s *server) ValidateConfig(_ context.Context, in *proto.ValidateConfigRequest) (*proto.ValidateConfigResponse, error) {
	return &proto.ValidateConfigResponse{Errors: s.validate(object(in.ConfigJson))}, nil
}

func (s *server) validate(config []byte) []*proto.Error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		// The decoder's own message could repeat a part of the configuration, and with it a secret.
		return []*proto.Error{{Class: proto.ErrorClass_CONFIG, Code: "not_an_object", Message: "the configuration is not a JSON object"}}
	}
	if s.module.ValidateConfig != nil {
		return s.module.ValidateConfig(config)
	}
	if len(members) > 0 {
		return []*proto.Error{{Class: proto.ErrorClass_CONFIG, Code: "nothing_to_configure", Message: "this module takes no configuration: an empty object is expected"}}
	}
	return nil
}

func (s *server) Configure(ctx context.Context, in *proto.ConfigureRequest) (*proto.ConfigureResponse, error) {
	config := object(in.ConfigJson)
	if faults := s.validate(config); len(faults) > 0 {
		return &proto.ConfigureResponse{Error: faults[0]}, nil
	}
	if s.module.Configure != nil {
		if fault := s.module.Configure(ctx, in.Instance, in.Tenant, config); fault != nil {
			return &proto.ConfigureResponse{Error: fault}, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[in.Instance] = in.Tenant
	return &proto.ConfigureResponse{}, nil
}

func (s *server) Drain(ctx context.Context, _ *proto.DrainRequest) (*proto.DrainResponse, error) {
	if s.module.Drain != nil {
		s.module.Drain(ctx)
	}
	return &proto.DrainResponse{}, nil
}

// object reads an absent configuration as an empty one.
func object(config []byte) []byte {
	if len(bytes.TrimSpace(config)) == 0 {
		return []byte("{}")
	}
	return config
}

// configured refuses a call for an instance that is not configured, or is another tenant's, with
// codes.FailedPrecondition: the host knows by it that nothing was executed.
func (s *server) configured(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	r, ok := req.(interface{ GetCall() *proto.Call })
	if !ok || s.module.Configure == nil {
		return next(ctx, req)
	}
	call := r.GetCall()
	s.mu.RLock()
	tenant, ok := s.instances[call.GetInstance()]
	s.mu.RUnlock()
	if !ok {
		return nil, status.Errorf(codes.FailedPrecondition, "instance %q is not configured", call.GetInstance())
	}
	if tenant != "" && tenant != call.GetTenant() {
		return nil, status.Errorf(codes.FailedPrecondition, "instance %q belongs to another tenant", call.GetInstance())
	}
	return next(ctx, req)
}

// believed keeps codes.FailedPrecondition for what configured says: a handler that passes on the code of somebody whom it
// asked (its agent, say) has executed something, and the host must not take that for nothing.
func believed(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if status.Code(err) == codes.FailedPrecondition {
		return nil, status.Error(codes.Internal, status.Convert(err).Message())
	}
	return resp, err
}

func (s *server) counted(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.running.RLock()
	defer s.running.RUnlock()
	return next(ctx, req)
}

// recovered turns a panic into codes.Internal. The value of a panic may hold what the recipient typed, so it is logged
// only when the runtime itself raised it.
func recovered(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		cause := "raised by the module"
		if re, ok := v.(runtime.Error); ok {
			cause = re.Error()
		}
		slog.Error("panic in a call", "method", info.FullMethod, "err", cause, "stack", string(debug.Stack()))
		resp, err = nil, status.Error(codes.Internal, "panic in the module")
	}()
	return next(ctx, req)
}
