package main

import (
	"os/exec"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
	"github.com/kakitome/kakitome/tools/built"
)

func TestBuiltProgramIsAModule(t *testing.T) {
	h, program := newHost(t), built.Program(t, "plugins/payment/sandbox")
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake,
		Plugins:          goplugin.PluginSet{sdk.PluginName: &sdk.Plugin{}},
		Cmd:              exec.Command(program),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	require.NoError(t, err)
	raw, err := protocol.Dispense(sdk.PluginName)
	require.NoError(t, err)
	conn := raw.(*grpc.ClientConn)
	module, agent := proto.NewModuleClient(conn), proto.NewPaymentAgentClient(conn)

	described, err := module.Describe(t.Context(), &proto.DescribeRequest{})
	require.NoError(t, err)
	require.Equal(t, proto.Kind_PAYMENT, described.Kind)
	var labels []string
	for _, m := range described.PaymentMethods {
		labels = append(labels, m.LabelJa)
	}
	require.Len(t, labels, 8)
	require.Equal(t, []string{"コンビニ（お支払番号）", "コンビニ（バーコード）", "クレジットカード"}, labels[:3])

	checked, err := module.ValidateConfig(t.Context(), &proto.ValidateConfigRequest{ConfigJson: []byte(`{"endpoint":"x"}`)})
	require.NoError(t, err)
	require.Len(t, checked.Errors, 3)
	configured, err := module.Configure(t.Context(), &proto.ConfigureRequest{Instance: instance, Tenant: "t1", ConfigJson: h.config(testSecret)})
	require.NoError(t, err)
	require.Nil(t, configured.Error)
	created, err := agent.Create(t.Context(), h.request("a1", methodBarcode))
	require.NoError(t, err)
	require.Nil(t, created.Error)
	require.Len(t, created.Payment.Voucher.Barcode, 44)
}
