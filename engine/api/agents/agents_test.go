package agents

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
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
	doc, keys := openapitest.Read(t, api.OpenAPI), map[tenant.ID]string{}
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "master.key")))
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "master.key"), MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	tenants, err := tenant.OpenDirectory(t.Context(), s.DirectoryLog())
	require.NoError(t, err)
	for id, address := range map[tenant.ID]string{"mizu": "0312345678", "gasu": "0312345679"} {
		def := tenant.Tenant{ID: id, Name: "〇〇局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
			Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": address}}}}
		if id == "mizu" {
			def.Agents = []tenant.Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"card"}}, {Name: "mute", Module: "payment/mute", Methods: []string{"card"}}}
		}
		require.NoError(t, tenants.Apply(t.Context(), def))
		keys[id], _, err = tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	carriers, err := carrier.Open(carrier.Box("../../../conf/data/ranges.csv"))
	require.NoError(t, err)
	docs, log := document.New(s, nil), audit.New(s)
	config := payment.DefaultConfig()
	config.WebhookBase = "https://pay.example.jp/hooks/"
	payments, err := payment.New(payment.Options{Store: s, Directory: tenants.Now, Agents: module{}, Renders: module{}, Documents: docs, Config: config})
	require.NoError(t, err)
	take, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: s, Tenants: tenants, Carriers: carriers, Identity: edge.Rooms{}, Claims: edge.Rooms{}, Documents: docs, Links: edge.Rooms{}})
	require.NoError(t, err)
	server, err := api.New(api.Options{Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: tenants, Intake: take, Store: s, Claims: edge.Rooms{}, Documents: docs,
		Extra: map[string]api.Handler{Path: Handler(payments, log)}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})

	// A claim of 7 yen with an attempt.
	msg := ulid.Make()
	planned, problem, err := payments.Plan(t.Context(), tenants.Now().Tenants["mizu"], msg, &message.Claim{Number: "A-1", Amount: 7, Due: "2099-12-31"})
	require.NoError(t, err)
	require.Nil(t, problem)
	errs, err := s.Commit(t.Context(), planned.Changes)
	require.NoError(t, errors.Join(append(errs, err)...))
	a, err := payments.Start(t.Context(), tenants.Now().Tenants["mizu"], planned.ID, payment.StartOptions{Method: "card", MessageID: msg})
	require.NoError(t, err)

	type given struct {
		header http.Header
		body   string
	}
	ask := func(path, method, status, at, body string, kv ...string) given {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(method), "http://"+ln.Addr().String()+at, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+keys["mizu"])
		req.Header.Set("X-Forwarded-For", "192.0.2.7")
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == "as" {
				req.Method = kv[i+1]
				continue
			}
			req.Header.Set(kv[i], kv[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, status, strconv.Itoa(resp.StatusCode), "%s %s: %s", method, at, b)
		doc.Answered(path, method, status, resp.Header, b)
		return given{resp.Header, string(b)}
	}
	const reports, rec, file = Path + "/{name}/reports", Path + "/{name}/reconciliation", Path + "/{name}/reconciliation.csv"
	today := message.Day(time.Now())
	good := a.ID.String() + " 1234567\nnobody 123\n"
	out := ask(reports, "post", "422", Path+"/sandbox/reports?name=x.csv", good+"broken\n")
	require.Contains(t, out.body, `"field":"line 3"`)
	require.Contains(t, out.body, "yen: is missing")
	out = ask(rec, "get", "200", Path+"/sandbox/reconciliation?day="+today, "")
	require.NotContains(t, out.body, "A-1", "nothing of a file with a fault counts")
	out = ask(reports, "post", "200", Path+"/sandbox/reports?name=x.csv", good)
	var read Report
	require.NoError(t, json.Unmarshal([]byte(out.body), &read))
	require.Equal(t, map[string]int{"applied": 1, "not_ours": 1}, read.Counts)
	require.Equal(t, "A-1", read.Lines[0].Claim)
	out = ask(rec, "get", "200", Path+"/sandbox/reconciliation?day="+today, "")
	require.Contains(t, out.body, `"verdict":"agrees","claim":"A-1","message_id":"`+msg.String()+`"`)
	require.Contains(t, out.body, `"only_theirs":{"lines":1,"ours":0,"theirs":3}`)
	out = ask(file, "get", "200", Path+"/sandbox/reconciliation.csv?day="+today, "", "Accept-Language", "en")
	require.Contains(t, out.body, "Agrees,A-1,P-1")
	require.Contains(t, out.header.Get("Content-Disposition"), "reconciliation_sandbox_"+today+".csv")

	ask(reports, "post", "409", Path+"/mute/reports", good)
	ask(reports, "post", "413", Path+"/sandbox/reports", strings.Repeat("x", payment.MaxReport+1))
	ask(reports, "post", "415", Path+"/sandbox/reports", good, "Content-Encoding", "gzip")
	ask(reports, "post", "400", Path+"/sandbox/reports?x=1", good)
	down = true
	ask(reports, "post", "503", Path+"/sandbox/reports", good)
	down = false
	for path, at := range map[string]string{reports: "/reports", rec: "/reconciliation", file: "/reconciliation.csv"} {
		method := map[string]string{reports: "post"}[path]
		if method == "" {
			method = "get"
			ask(path, "get", "400", Path+"/sandbox"+at+"?day=x", "")
		}
		ask(path, method, "405", Path+"/sandbox"+at, "", "as", "PUT")
		ask(path, method, "401", Path+"/sandbox"+at, "", "Authorization", "Bearer kk_x_y")
		ask(path, method, "403", Path+"/sandbox"+at, "", "X-Forwarded-For", "198.51.100.1")
		ask(path, method, "404", Path+"/nobody"+at, "")
		ask(path, method, "404", Path+"/sandbox"+at, "", "Authorization", "Bearer "+keys["gasu"])
	}
	require.Empty(t, doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "503"))
}
