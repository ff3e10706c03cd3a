package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/kakitome/kakitome/plugins/proto"
)

// echo answers with the value as it came; "panic" panics, "wait" waits for release.
type echo struct {
	proto.UnimplementedAuthServer
	entered, release chan struct{}
}

func (e echo) Canonical(_ context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	out := &proto.CanonicalResponse{}
	for _, item := range in.Items {
		switch item.Value {
		case "panic":
			panic("secret of the recipient")
		case "precondition": // as somebody whom the module asked answered
			return nil, status.Error(codes.FailedPrecondition, "of the agent")
		case "wait":
			e.entered <- struct{}{}
			<-e.release
		}
		out.Forms = append(out.Forms, &proto.CanonicalForm{Form: item.Value})
	}
	return out, nil
}

func describe() *proto.DescribeResponse {
	return &proto.DescribeResponse{Name: "echo", Version: "1.0.0", Kind: proto.Kind_AUTH}
}

// serve runs m in memory and gives a connection to it.
func serve(t *testing.T, m Module) (*server, *grpc.Server, *grpc.ClientConn) {
	require.NoError(t, m.check())
	s := newServer(&m)
	g := grpc.NewServer(s.options()...)
	s.register(g)
	lis := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///module",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes)))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		g.Stop()
		<-served
	})
	return s, g, conn
}

func canonical(conn *grpc.ClientConn, tenant, instance, value string) (string, error) {
	out, err := proto.NewAuthClient(conn).Canonical(context.Background(), &proto.CanonicalRequest{
		Call:  &proto.Call{Tenant: tenant, Instance: instance},
		Items: []*proto.CanonicalItem{{Field: "f", Value: value}},
	})
	if err != nil {
		return "", err
	}
	return out.Forms[0].Form, nil
}

func TestIncompleteModuleIsNotServed(t *testing.T) {
	for name, m := range map[string]Module{
		"Describe is missing":         {Auth: echo{}},
		"Describe.Name":               {Describe: &proto.DescribeResponse{Name: "auth/echo", Version: "1", Kind: proto.Kind_AUTH}, Auth: echo{}},
		"Describe.Version":            {Describe: &proto.DescribeResponse{Name: "echo", Kind: proto.Kind_AUTH}, Auth: echo{}},
		"not JSON":                    {Describe: &proto.DescribeResponse{Name: "echo", Version: "1", ConfigSchema: "{", Kind: proto.Kind_AUTH}, Auth: echo{}},
		"not 0":                       {Describe: describe()},
		"not 2":                       {Describe: describe(), Auth: echo{}, Render: proto.UnimplementedRenderServer{}},
		"is AUTH, but PAYMENT is":     {Describe: describe(), Payment: proto.UnimplementedPaymentAgentServer{}},
		"is PAYMENT, but AUTH is ser": {Describe: &proto.DescribeResponse{Name: "echo", Version: "1", Kind: proto.Kind_PAYMENT}, Auth: echo{}},
	} {
		require.ErrorContains(t, m.check(), name)
	}
	require.NoError(t, (&Module{Describe: describe(), Auth: echo{}}).check())
}

func TestModuleWithoutConfigurationTakesOnlyAnEmptyObject(t *testing.T) {
	_, _, conn := serve(t, Module{Describe: describe(), Auth: echo{}})
	for config, want := range map[string]int{"": 0, " {} ": 0, `{"a":1}`: 1, `[]`: 1, `"hunter2"`: 1, `{"password":"hunter2`: 1} {
		out, err := proto.NewModuleClient(conn).ValidateConfig(t.Context(), &proto.ValidateConfigRequest{ConfigJson: []byte(config)})
		require.NoError(t, err)
		require.Len(t, out.Errors, want, config)
		require.NotContains(t, out.String(), "hunter2")
	}
	form, err := canonical(conn, "t1", "anything", "x")
	require.NoError(t, err)
	require.Equal(t, "x", form)
}

func TestCallNeedsAConfiguredInstanceOfItsTenant(t *testing.T) {
	var seen string
	_, _, conn := serve(t, Module{
		Describe: describe(), Auth: echo{},
		ValidateConfig: func(config []byte) []*proto.Error {
			if bytes.Contains(config, []byte("bad")) {
				return []*proto.Error{{Class: proto.ErrorClass_CONFIG, Field: "bad"}}
			}
			return nil
		},
		Configure: func(_ context.Context, instance, tenant string, config []byte) *proto.Error {
			seen = instance + " " + tenant + " " + string(config)
			return nil
		},
	})
	_, err := canonical(conn, "t1", "a", "x")
	require.Equal(t, codes.FailedPrecondition, status.Code(err))

	client := proto.NewModuleClient(conn)
	out, err := client.Configure(t.Context(), &proto.ConfigureRequest{Instance: "a", Tenant: "t1", ConfigJson: []byte(`{"bad":1}`)})
	require.NoError(t, err)
	require.Equal(t, "bad", out.Error.GetField())
	require.Empty(t, seen, "Configure saw a configuration that is not valid")

	out, err = client.Configure(t.Context(), &proto.ConfigureRequest{Instance: "a", Tenant: "t1"})
	require.NoError(t, err)
	require.Nil(t, out.Error)
	require.Equal(t, "a t1 {}", seen)
	_, err = canonical(conn, "t1", "a", "x")
	require.NoError(t, err)
	_, err = canonical(conn, "t2", "a", "x")
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
}

func TestPanicEndsTheCallNotTheModule(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(newLogHandler(&log)))
	defer slog.SetDefault(before)
	_, _, conn := serve(t, Module{Describe: describe(), Auth: echo{}})
	_, err := canonical(conn, "t", "", "panic")
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error()+log.String(), "secret of the recipient")
	_, err = canonical(conn, "t", "", "x")
	require.NoError(t, err)
}

func TestACodeThatAHandlerPassesOnIsNotTheSDKs(t *testing.T) {
	_, _, conn := serve(t, Module{Describe: describe(), Auth: echo{}})
	_, err := canonical(conn, "t", "", "precondition")
	require.Equal(t, codes.Internal, status.Code(err), "something was executed")
}

func TestMessageAboveFourMegabytesPasses(t *testing.T) {
	_, _, conn := serve(t, Module{Describe: describe(), Auth: echo{}})
	big := strings.Repeat("x", 6<<20)
	form, err := canonical(conn, "t", "", big)
	require.NoError(t, err)
	require.Equal(t, len(big), len(form))
	_, err = canonical(conn, "t", "", strings.Repeat("x", MaxMessageBytes))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestStopWaitsForTheCallsThatRun(t *testing.T) {
	drained := make(chan struct{})
	e := echo{entered: make(chan struct{}), release: make(chan struct{})}
	s, g, conn := serve(t, Module{Describe: describe(), Auth: e, Drain: func(context.Context) { close(drained) }})
	answered := make(chan error, 1)
	go func() {
		_, err := canonical(conn, "t", "", "wait")
		answered <- err
	}()
	<-e.entered
	stopped := make(chan struct{})
	go func() {
		s.stop(g)
		close(stopped)
	}()
	<-drained
	select {
	case <-stopped:
		t.Fatal("stopped while a call runs")
	default:
	}
	close(e.release)
	require.NoError(t, <-answered)
	<-stopped
}

func TestLogLineIsWhatTheHostReads(t *testing.T) {
	var out bytes.Buffer
	slog.New(newLogHandler(&out)).Warn("agent answers slowly", "ms", 1200, "time", "noon")
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "warn", line["@level"])
	require.Equal(t, "agent answers slowly", line["@message"])
	require.EqualValues(t, 1200, line["ms"])
	_, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", line["@timestamp"].(string))
	require.NoError(t, err)
}
