package agents

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// module reads "attempt yen" of each line.
type module struct {
	proto.PaymentAgentClient
}

func (m module) Payment(string) proto.PaymentAgentClient { return m }
func (m module) Render(string) proto.RenderClient        { return nil }
func (m module) Describe(module string) (*proto.DescribeResponse, bool) {
	return &proto.DescribeResponse{Reports: module == "payment/sandbox", PaymentMethods: []*proto.PaymentMethod{{Code: "card", Kind: proto.MethodKind_CARD, LabelJa: "カード", MinYen: 1, MaxYen: 9_999_999}}}, true
}

func (module) Create(_ context.Context, in *proto.CreateRequest, _ ...grpc.CallOption) (*proto.CreateResponse, error) {
	return &proto.CreateResponse{Payment: &proto.Payment{AttemptId: in.AttemptId, AgentPaymentId: "P-1", State: proto.PaymentState_AWAITING, Yen: in.Yen}}, nil
}

var down bool

func (module) ReadReport(_ context.Context, in *proto.ReportRequest, _ ...grpc.CallOption) (*proto.ReportResponse, error) {
	if down {
		return nil, errors.New("module is down")
	}
	out := &proto.ReportResponse{}
	for i, line := range strings.Split(strings.TrimSpace(string(in.Body)), "\n") {
		attempt, yen, ok := strings.Cut(line, " ")
		if !ok {
			out.Faults = append(out.Faults, &proto.ReportFault{Line: uint32(i + 1), Message: "yen: is missing"})
			continue
		}
		n := int64(len(yen)) // as many yen as it has characters
		out.Rows = append(out.Rows, &proto.ReportRow{Line: uint32(i + 1), AttemptId: attempt, AgentPaymentId: "P-1",
			Payment: &proto.Payment{State: proto.PaymentState_CONFIRMED, Yen: n, PaidYen: n, ConfirmedAt: in.Call.Now}})
	}
	return out, nil
}

func TestFilesOfAgentsByAPI(t *testing.T) {
	site := edge.Open(t)
	mizu := edge.Tenant("mizu")
	mizu.Agents = []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"card"}}, {Name: "mute", Module: "payment/mute", Methods: []string{"card"}}}
	require.NoError(t, site.Tenants.Apply(t.Context(), mizu))
	config := payment.DefaultConfig()
	config.WebhookBase = "https://pay.example.jp/hooks/"
	payments, err := payment.New(payment.Options{Store: site.Store, Directory: site.Tenants.Now, Agents: module{}, Renders: module{}, Documents: site.Documents, Config: config})
	require.NoError(t, err)
	site.Serve(map[string]api.Handler{Path: Handler(payments, site.Audit)})

	// A claim of 7 yen with an attempt.
	msg := ulid.Make()
	planned, problem, err := payments.Plan(t.Context(), site.Tenants.Now().Tenants["mizu"], msg, &message.Claim{Number: "A-1", Amount: 7, Due: "2099-12-31"}, "")
	require.NoError(t, err)
	require.Nil(t, problem)
	errs, err := site.Store.Commit(t.Context(), planned.Changes)
	require.NoError(t, errors.Join(append(errs, err)...))
	a, err := payments.Start(t.Context(), site.Tenants.Now().Tenants["mizu"], planned.ID, payment.StartOptions{Method: "card", MessageID: msg})
	require.NoError(t, err)

	ask := func(path, method string, status int, at, body string, kv ...string) edge.Answer {
		t.Helper()
		c := edge.Call{Method: strings.ToUpper(method), Like: method, Path: path, At: at, Body: body, Header: map[string]string{"Content-Type": ""}}
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == "as" {
				c.Method = kv[i+1]
				continue
			}
			c.Header[kv[i]] = kv[i+1]
		}
		return site.Ask(status, c)
	}
	const reports, rec, file = Path + "/{name}/reports", Path + "/{name}/reconciliation", Path + "/{name}/reconciliation.csv"
	today := message.Day(time.Now())
	good := a.ID.String() + " 1234567\nnobody 123\n"
	out := ask(reports, "post", 422, Path+"/sandbox/reports?name=x.csv", good+"broken\n")
	require.Contains(t, string(out.Body), `"field":"line 3"`)
	require.Contains(t, string(out.Body), "yen: is missing")
	out = ask(rec, "get", 200, Path+"/sandbox/reconciliation?day="+today, "")
	require.NotContains(t, string(out.Body), "A-1", "nothing of a file with a fault counts")
	out = ask(reports, "post", 200, Path+"/sandbox/reports?name=x.csv", good)
	var read Report
	require.NoError(t, json.Unmarshal(out.Body, &read))
	require.Equal(t, map[string]int{"applied": 1, "not_ours": 1}, read.Counts)
	require.Equal(t, "A-1", read.Lines[0].Claim)
	out = ask(rec, "get", 200, Path+"/sandbox/reconciliation?day="+today, "")
	require.Contains(t, string(out.Body), `"verdict":"agrees","claim":"A-1","message_id":"`+msg.String()+`"`)
	require.Contains(t, string(out.Body), `"only_theirs":{"lines":1,"ours":0,"theirs":3}`)
	out = ask(file, "get", 200, Path+"/sandbox/reconciliation.csv?day="+today, "", "Accept-Language", "en")
	require.Contains(t, string(out.Body), "Agrees,A-1,P-1")
	require.Contains(t, out.Header.Get("Content-Disposition"), "reconciliation_sandbox_"+today+".csv")

	ask(reports, "post", 409, Path+"/mute/reports", good)
	ask(reports, "post", 413, Path+"/sandbox/reports", strings.Repeat("x", payment.MaxReport+1))
	ask(reports, "post", 415, Path+"/sandbox/reports", good, "Content-Encoding", "gzip")
	ask(reports, "post", 400, Path+"/sandbox/reports?x=1", good)
	down = true
	ask(reports, "post", 503, Path+"/sandbox/reports", good)
	down = false
	for path, at := range map[string]string{reports: "/reports", rec: "/reconciliation", file: "/reconciliation.csv"} {
		method := map[string]string{reports: "post"}[path]
		if method == "" {
			method = "get"
			ask(path, "get", 400, Path+"/sandbox"+at+"?day=x", "")
		}
		ask(path, method, 405, Path+"/sandbox"+at, "", "as", "PUT")
		ask(path, method, 401, Path+"/sandbox"+at, "", "Authorization", "Bearer kk_x_y")
		ask(path, method, 403, Path+"/sandbox"+at, "", "X-Forwarded-For", "198.51.100.1")
		ask(path, method, 404, Path+"/nobody"+at, "")
		ask(path, method, 404, Path+"/sandbox"+at, "", "Authorization", "Bearer "+site.Keys["gasu"])
	}
	require.Empty(t, site.Doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "429", "503", "507"))
}
