package conformance

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/built"
)

func TestModulesInTheBox(t *testing.T) {
	for name, kind := range map[string]proto.Kind{
		"auth/oidc":            proto.Kind_AUTH,
		"auth/knowledge":       proto.Kind_AUTH,
		"auth/otp_sms":         proto.Kind_AUTH,
		"number/simulated":     proto.Kind_NUMBER,
		"payment/banktransfer": proto.Kind_PAYMENT,
		"payment/sandbox":      proto.Kind_PAYMENT,
		"payment/stripe":       proto.Kind_PAYMENT,
		"render/standard":      proto.Kind_RENDER,
	} {
		t.Run(name, func(t *testing.T) { Run(t, built.Program(t, "plugins/"+name), kind) })
	}
}

// In another process, for it is to fail.
func TestModuleThatDoesNotConformFails(t *testing.T) {
	if path := os.Getenv("NOT_CONFORMING"); path != "" {
		Run(t, path, proto.Kind_AUTH)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "NOT_CONFORMING="+built.Program(t, "plugins/host/testdata/faulty"))
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	for _, check := range []string{"it_describes_itself,_always_the_same", "a_wrong_configuration_is_refused"} {
		require.Regexp(t, "--- FAIL: .*"+check, string(out))
	}
	require.Contains(t, string(out), "--- PASS: "+t.Name()+"/unknown_fields_are_ignored")
}

// In another process, for it is to fail.
func TestMethodThatClaimsMoreThanItsKindTakesFails(t *testing.T) {
	method := &proto.PaymentMethod{Code: "konbini", LabelJa: "コンビニ", LabelEn: "Convenience store", MinYen: 1, MaxYen: 1_000_000}
	if kind := os.Getenv("CLAIMING_KIND"); kind != "" {
		method.Kind = proto.MethodKind(proto.MethodKind_value[kind])
		(&module{describe: &proto.DescribeResponse{PaymentMethods: []*proto.PaymentMethod{method}}}).describesMethods(t)
		return
	}
	for kind, ok := range map[string]bool{"KONBINI_NUMBER": false, "KONBINI_BARCODE": false, "PAYER_NUMBER": false, "CARD": true} {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "CLAIMING_KIND="+kind)
		out, err := cmd.CombinedOutput()
		require.Equal(t, ok, err == nil, "%s: %s", kind, out)
		require.Equal(t, !ok, strings.Contains(string(out), "more yen than a method of its kind takes"), "%s", out)
	}
}
