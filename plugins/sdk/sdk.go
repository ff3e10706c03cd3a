// Package sdk is what the vendor of a module imports.
//
// A module is a small program: it fills in one Module and gives it to Serve. It keeps no state of its own; the host
// owns state, ids, clock, retries and secrets, and calls it over gRPC on a private unix socket with mutual TLS.
//
//	func main() {
//		sdk.Serve(sdk.Module{
//			Describe: &proto.DescribeResponse{Name: "acme", Vendor: "ACME", Version: "1.2.0", Kind: proto.Kind_PAYMENT, ...},
//			Payment:  acme{},
//		})
//	}
//
// What Serve takes care of, so that no vendor has to:
//
//   - standard output belongs to the handshake: from Serve on, everything else written to it goes to standard error;
//   - slog.Default writes what the host reads as this module's log; personal data has no place there;
//   - a call for an instance that was not configured is refused before it reaches the module;
//   - a configuration is validated before Configure sees it; an empty one is read as {};
//   - a panic in a call ends that call with codes.Internal, not the process;
//   - SIGTERM drains (Module.Drain, then the calls that run), an interrupt is ignored, and when the host is gone so is
//     the module.
//
// A refusal is a *proto.Error inside the response. A gRPC error means that the module itself failed: the host counts
// it against the module's health.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/plugins/proto"
)

// Module is what a vendor fills in. Exactly one of Auth, Payment, Render and Number is set, and it is the kind that Describe
// states. Every method may be called from many goroutines at once, up to Describe.MaxConcurrency.
type Module struct {
	Describe *proto.DescribeResponse

	// ValidateConfig reports every fault of an instance's configuration, a JSON object; it does not touch the network
	// and does not repeat a secret in a message. Nil: only an empty object is accepted.
	ValidateConfig func(config []byte) []*proto.Error

	// Configure takes an instance into use, or replaces its configuration; the configuration has been validated. It is
	// called again for each instance after a restart. Nil: there is nothing to configure, and calls may name any
	// instance. Otherwise a call must name an instance that was configured, and its tenant where one was given.
	Configure func(ctx context.Context, instance, tenant string, config []byte) *proto.Error

	// Drain is told that no new call follows; it returns when background work is done. Nil: there is none.
	Drain func(ctx context.Context)

	Auth    proto.AuthServer
	Payment proto.PaymentAgentServer
	Render  proto.RenderServer
	Number  proto.NumberServer // PerNumber makes one that looks up each number by itself
}

// MaxMessageBytes bounds one gRPC message in either direction, on the host's side and on the module's.
const MaxMessageBytes = 16 << 20

// WindowBytes is how much of one message may be under way, and a fourth of how much of all, on the host's side and on the module's.
const WindowBytes = 1 << 20

// PluginName is the one entry of the plugin set.
const PluginName = "module"

// Handshake is what host and module must have in common. The cookie tells a person who starts the program by hand what
// it is; it protects nothing. ProtocolVersion is that of kakitome.proto.
var Handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  0,
	MagicCookieKey:   "KAKITOME_MODULE",
	MagicCookieValue: "e6b1d4c0-registered-mail-over-sms",
}

const (
	drainGrace     = 10 * time.Second // of Drain and of the calls that run, after SIGTERM
	flushGrace     = 200 * time.Millisecond
	parentInterval = time.Second
)

// Serve runs the module until the host ends it and never returns.
func Serve(m Module) {
	if err := m.check(); err != nil {
		fmt.Fprintln(os.Stderr, "module:", err)
		os.Exit(2)
	}
	if err := claimStdout(); err != nil {
		fmt.Fprintln(os.Stderr, "module: keep standard output for the handshake:", err)
		os.Exit(2)
	}
	slog.SetDefault(slog.New(newLogHandler(os.Stderr)))

	server := newServer(&m)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go exitWithParent(os.Getppid())
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: Handshake,
		Plugins:         goplugin.PluginSet{PluginName: &Plugin{server: server}},
		Logger:          quietLogger(),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			g := grpc.NewServer(append(opts, server.options()...)...)
			go func() {
				<-terminate
				server.stop(g)
			}()
			return g
		},
	})
	os.Exit(0)
}

// check finds the faults of a Module that no host should have to meet.
func (m *Module) check() error {
	d := m.Describe
	if d == nil {
		return errors.New("Describe is missing")
	}
	if d.Name == "" || strings.ContainsAny(d.Name, "/ ") {
		return fmt.Errorf("Describe.Name is %q: one word without a slash is needed", d.Name)
	}
	if d.Version == "" {
		return errors.New("Describe.Version is missing")
	}
	if d.ConfigSchema != "" && !json.Valid([]byte(d.ConfigSchema)) {
		return errors.New("Describe.ConfigSchema is not JSON")
	}
	var kinds []proto.Kind
	if m.Auth != nil {
		kinds = append(kinds, proto.Kind_AUTH)
	}
	if m.Payment != nil {
		kinds = append(kinds, proto.Kind_PAYMENT)
	}
	if m.Render != nil {
		kinds = append(kinds, proto.Kind_RENDER)
	}
	if m.Number != nil {
		kinds = append(kinds, proto.Kind_NUMBER)
	}
	if len(kinds) != 1 {
		return fmt.Errorf("exactly one of Auth, Payment, Render and Number must be set, not %d", len(kinds))
	}
	if d.Kind != kinds[0] {
		return fmt.Errorf("Describe.Kind is %v, but %v is served", d.Kind, kinds[0])
	}
	if d.MaxNumbers > MaxNumbers {
		return fmt.Errorf("Describe.MaxNumbers is %d: at most %d", d.MaxNumbers, MaxNumbers)
	}
	return nil
}

// claimStdout keeps the real standard output for the handshake line, which go-plugin prints to os.Stdout, and turns
// file descriptor 1 into standard error: a library that prints cannot break the handshake nor fill a pipe that nobody
// reads.
func claimStdout() error {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	os.Stdout = os.NewFile(uintptr(fd), "handshake")
	return unix.Dup3(2, 1, 0)
}

// exitWithParent ends the process when its parent is no longer the one that started it. The host also asks the kernel
// to do so (Pdeathsig); this is the belt for systems without it.
func exitWithParent(parent int) {
	for range time.Tick(parentInterval) {
		if os.Getppid() != parent {
			os.Exit(3)
		}
	}
}

// Plugin is the go-plugin side of the contract. The host uses its zero value.
type Plugin struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

// GRPCServer registers the module's services.
func (p *Plugin) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	p.server.register(g)
	return nil
}

// GRPCClient gives the connection itself, a *grpc.ClientConn; the host makes the clients that it needs from it.
func (p *Plugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
