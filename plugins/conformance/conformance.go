// Package conformance checks a module's program from the outside, as the host meets it: over the handshake and gRPC,
// knowing nothing of what is inside. A vendor calls Run from a test of the built program:
//
//	func TestConformance(t *testing.T) { conformance.Run(t, path, proto.Kind_PAYMENT) }
//
// Checks that need an accepted configuration are made only with modules that need none; see the list in Run.
package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/proto/samples"
	"github.com/kakitome/kakitome/plugins/sdk"
)

const (
	handshakeWithin = 20 * time.Second // on a machine that has other things to do
	answerWithin    = 15 * time.Second
	endWithin       = 15 * time.Second
	// secret must never come back, neither in an answer nor in a log.
	secret = "S3cr3t-of-the-conformance-test"
)

// clock is the host's in every call: answers must not depend on another.
var clock = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// Run checks the program at path against the contract of its kind.
func Run(t *testing.T, path string, kind proto.Kind) {
	t.Run("run by hand it ends with an error", func(t *testing.T) { byHand(t, path) })
	m := start(t, path)
	t.Run("it describes itself, always the same", func(t *testing.T) { m.describesItself(t, kind) })
	t.Run("unknown fields are ignored", m.ignoresUnknownFields)
	t.Run("a wrong configuration is refused and not repeated", m.refusesWrongConfig)
	t.Run("more than 4 MB are taken", m.takesLargeMessages)
	t.Run("an instance that is not configured is refused", m.refusesUnknownInstance)
	switch kind {
	case proto.Kind_AUTH:
		t.Run("canonical forms are stable", m.formsAreStable)
		t.Run("a challenge carries its answer", m.challengeCarriesItsAnswer)
	case proto.Kind_PAYMENT:
		t.Run("what its methods state is served", m.servesItsMethods)
	case proto.Kind_RENDER:
		t.Run("pages are complete and without script", m.pagesAreComplete)
		t.Run("documents are PDFs, the same for the same model", m.documentsAreStable)
	case proto.Kind_NUMBER:
		t.Run("each number of a batch is told of as stated", m.tellsOfEachNumber)
		t.Run("answers come in the order of the numbers", m.keepsOrder)
		t.Run("a wrong number or day is refused alone and not repeated", m.refusesWrongNumbers)
		t.Run("no number is in the log", m.logsNoNumber)
	}
	t.Run("64 calls at once are answered", m.answersManyAtOnce)
	t.Run("a deadline ends a call and harms nothing", m.keepsDeadlines)
	t.Run("nothing secret is in the log", func(t *testing.T) { require.NotContains(t, m.log.String(), secret) })
	t.Run("SIGTERM ends it", m.endsOnSIGTERM)
}

// module is a running program.
type module struct {
	cmd      *exec.Cmd
	client   *goplugin.Client
	conn     *grpc.ClientConn
	describe *proto.DescribeResponse
	log      *buffer
}

// buffer is what a module writes; go-plugin fills it while a check reads it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func byHand(t *testing.T, path string) {
	ctx, cancel := context.WithTimeout(t.Context(), handshakeWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "it runs on without a host")
	require.NotContains(t, string(out), "|grpc|")
}

func start(t *testing.T, path string) *module {
	m := &module{cmd: exec.Command(path), log: &buffer{}}
	m.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake,
		Plugins:          goplugin.PluginSet{sdk.PluginName: &sdk.Plugin{}},
		Cmd:              m.cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     handshakeWithin,
		Stderr:           m.log,
		SyncStdout:       m.log,
		SyncStderr:       m.log,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(m.client.Kill)
	protocol, err := m.client.Client()
	require.NoError(t, err, "handshake; the module wrote: %s", m.log)
	raw, err := protocol.Dispense(sdk.PluginName)
	require.NoError(t, err)
	m.conn = raw.(*grpc.ClientConn)
	m.describe, err = proto.NewModuleClient(m.conn).Describe(t.Context(), &proto.DescribeRequest{})
	require.NoError(t, err)
	return m
}

func (m *module) describesItself(t *testing.T, kind proto.Kind) {
	d := m.describe
	require.Equal(t, kind, d.Kind)
	require.NotEmpty(t, d.Name)
	require.NotContains(t, d.Name, "/")
	require.NotEmpty(t, d.Vendor)
	require.Regexp(t, `^\d+\.\d+\.\d+`, d.Version)
	if d.ConfigSchema != "" {
		require.True(t, json.Valid([]byte(d.ConfigSchema)), "config_schema is not JSON")
	}
	switch kind {
	case proto.Kind_AUTH:
		require.NotEmpty(t, d.AuthFields)
		for _, f := range d.AuthFields {
			require.Regexp(t, `^[a-z][a-z0-9_]*$`, f.Name)
			require.NotEmpty(t, f.LabelJa, f.Name)
			require.NotEmpty(t, f.LabelEn, f.Name)
			require.NotZero(t, f.MaxLength, f.Name)
			require.Contains(t, []string{"text", "numeric", "tel"}, f.InputMode, f.Name)
		}
	case proto.Kind_PAYMENT:
		m.describesMethods(t)
	case proto.Kind_RENDER:
		require.NotEmpty(t, d.Views)
		require.NotEmpty(t, d.Documents)
	case proto.Kind_NUMBER:
		m.describesNumbers(t)
	}
	for range 3 {
		again, err := proto.NewModuleClient(m.conn).Describe(t.Context(), &proto.DescribeRequest{})
		require.NoError(t, err)
		require.True(t, pb.Equal(d, again), "it describes itself differently")
	}
}

func (m *module) describesMethods(t *testing.T) {
	require.NotEmpty(t, m.describe.PaymentMethods)
	for _, p := range m.describe.PaymentMethods {
		require.Regexp(t, `^[a-z][a-z0-9_]*$`, p.Code)
		require.NotZero(t, p.Kind, p.Code)
		require.NotEmpty(t, p.LabelJa, p.Code)
		require.NotEmpty(t, p.LabelEn, p.Code)
		require.Less(t, p.MinYen, p.MaxYen, p.Code)
		require.Equal(t, p.MostYen(), p.MaxYen, "%s: more yen than a method of its kind takes", p.Code)
	}
}

func (m *module) ignoresUnknownFields(t *testing.T) {
	in := &proto.DescribeRequest{}
	in.ProtoReflect().SetUnknown([]byte{0xF8, 0x3F, 0x01}) // field 1023, varint 1
	out, err := proto.NewModuleClient(m.conn).Describe(t.Context(), in)
	require.NoError(t, err)
	require.True(t, pb.Equal(m.describe, out))
}

// properties are those of the configuration's schema, with their types.
func (m *module) properties() map[string]string {
	var schema struct {
		Properties map[string]struct {
			Type any `json:"type"`
		} `json:"properties"`
	}
	_ = json.Unmarshal([]byte(m.describe.ConfigSchema), &schema) // checked where it is described
	all := map[string]string{}
	for name, p := range schema.Properties {
		all[name], _ = p.Type.(string)
	}
	return all
}

func (m *module) refusesWrongConfig(t *testing.T) {
	wrong := []string{`"` + secret + `"`, `{"password":"` + secret, `["` + secret + `"]`, `null garbage ` + secret}
	for name, kind := range m.properties() {
		if kind == "string" || kind == "integer" || kind == "number" || kind == "boolean" {
			b, _ := json.Marshal(map[string]any{name: []string{secret}})
			wrong = append(wrong, string(b))
		}
	}
	for _, config := range wrong {
		client := proto.NewModuleClient(m.conn)
		checked, err := client.ValidateConfig(t.Context(), &proto.ValidateConfigRequest{ConfigJson: []byte(config)})
		require.NoError(t, err)
		require.NotEmpty(t, checked.Errors, "accepted: %s", config)
		require.NotContains(t, checked.String(), secret)
		taken, err := client.Configure(t.Context(), &proto.ConfigureRequest{Instance: "wrong", ConfigJson: []byte(config)})
		require.NoError(t, err)
		require.NotNil(t, taken.Error, "taken into use: %s", config)
		require.NotContains(t, taken.String(), secret)
	}
}

func (m *module) takesLargeMessages(t *testing.T) {
	large := `"` + strings.Repeat("x", 6<<20) + `"`
	out, err := proto.NewModuleClient(m.conn).ValidateConfig(t.Context(), &proto.ValidateConfigRequest{ConfigJson: []byte(large)})
	require.NoError(t, err)
	require.NotEmpty(t, out.Errors)
}

// ask makes a harmless call of the module's kind. It gives the gRPC error, or the module's refusal.
func (m *module) ask(ctx context.Context, instance string) (*proto.Error, error) {
	call := &proto.Call{Tenant: "tenant", Instance: instance, IdempotencyKey: "conformance", Now: timestamppb.New(clock)}
	switch m.describe.Kind {
	case proto.Kind_AUTH:
		out, err := proto.NewAuthClient(m.conn).Canonical(ctx, &proto.CanonicalRequest{Call: call, Items: []*proto.CanonicalItem{{Field: "no_such_field", Value: secret}}})
		if err != nil || len(out.Forms) != 1 {
			return nil, err
		}
		return out.Forms[0].Error, nil
	case proto.Kind_PAYMENT:
		out, err := proto.NewPaymentAgentClient(m.conn).Get(ctx, &proto.GetRequest{Call: call, AttemptId: "no-such-attempt"})
		return out.GetError(), err
	case proto.Kind_NUMBER:
		out, err := proto.NewNumberClient(m.conn).Lookup(ctx, &proto.LookupRequest{Call: call, Queries: []*proto.NumberQuery{{Number: secret}}})
		if err != nil || len(out.Results) != 1 {
			return out.GetError(), err
		}
		return out.Results[0].Error, nil
	default:
		out, err := proto.NewRenderClient(m.conn).RenderPage(ctx, &proto.RenderPageRequest{Call: call, Page: page(m.describe.Views[0], "ja")})
		return out.GetError(), err
	}
}

func (m *module) refusesUnknownInstance(t *testing.T) {
	if len(m.properties()) == 0 {
		t.Skip("there is nothing to configure")
	}
	fault, err := m.ask(t.Context(), "never-configured")
	require.True(t, fault != nil || status.Code(err) == codes.FailedPrecondition, "answered: %v, %v", fault, err)
}

// typed are values of the usual fields; every form that comes out must be stable.
var typed = []string{"19980101", "平成10年1月1日", "ヤマダ ハナコ", "やまだ　はなこ", "00123-AB", "090-1234-5678", "100-0001", "123456", "１２３４", "x", "", " ", "\x00", "😀", strings.Repeat("9", 5000)}

func (m *module) formsAreStable(t *testing.T) {
	if len(m.properties()) > 0 {
		t.Skip("an instance must be configured")
	}
	client := proto.NewAuthClient(m.conn)
	call := &proto.Call{Tenant: "tenant", Now: timestamppb.New(clock)}
	for _, f := range m.describe.AuthFields {
		for _, level := range append([]string{""}, f.Levels...) {
			in := &proto.CanonicalRequest{Call: call}
			for _, s := range typed {
				in.Items = append(in.Items, &proto.CanonicalItem{Field: f.Name, Level: level, Value: s})
			}
			once, err := client.Canonical(t.Context(), in)
			require.NoError(t, err)
			require.Len(t, once.Forms, len(typed))
			for i, form := range once.Forms {
				require.Equal(t, form.Error != nil, form.Form == "", "%s %q: either a form or an error", f.Name, typed[i])
				if form.Error != nil {
					require.NotZero(t, form.Error.Class)
					if len(typed[i]) > 3 {
						require.NotContains(t, form.Error.String(), typed[i])
					}
					continue
				}
				twice, err := client.Canonical(t.Context(), &proto.CanonicalRequest{Call: call, Items: []*proto.CanonicalItem{{Field: f.Name, Level: level, Value: form.Form}}})
				require.NoError(t, err)
				require.Equal(t, form.Form, twice.Forms[0].Form, "%s %q is not stable", f.Name, typed[i])
			}
		}
	}
}

func (m *module) challengeCarriesItsAnswer(t *testing.T) {
	if len(m.properties()) > 0 {
		t.Skip("an instance must be configured")
	}
	for _, f := range m.describe.AuthFields {
		out, err := proto.NewAuthClient(m.conn).Challenge(t.Context(), &proto.ChallengeRequest{
			Call: &proto.Call{Tenant: "tenant", Now: timestamppb.New(clock)}, Field: f.Name, Digits: 6,
			ValidFor: durationpb.New(5 * time.Minute), SenderName: "〇〇県水道局", LinkHost: "pay.example.jp",
		})
		require.NoError(t, err)
		if !f.Challenge {
			require.NotNil(t, out.Error, "%s is registered, not sent", f.Name)
			continue
		}
		require.Nil(t, out.Error)
		require.Len(t, out.Answer, 6)
		require.Contains(t, out.Text, out.Answer)
		require.NotContains(t, m.log.String(), out.Answer, "the code is in the log")
	}
}

// page is a sample with a lead that must not run.
func page(view proto.View, lang string) *proto.Page {
	p := samples.Page(view, lang, clock)
	p.Lead = "<script>alert(1)</script>"
	return p
}

func (m *module) pagesAreComplete(t *testing.T) {
	if len(m.properties()) > 0 {
		t.Skip("an instance must be configured")
	}
	for _, view := range m.describe.Views {
		for _, lang := range []string{"ja", "en"} {
			in := &proto.RenderPageRequest{Call: &proto.Call{Tenant: "tenant", Now: timestamppb.New(clock)}, Page: page(view, lang)}
			once, err := proto.NewRenderClient(m.conn).RenderPage(t.Context(), in)
			require.NoError(t, err)
			require.Nil(t, once.Error, "%v", view)
			html := strings.ToLower(string(once.Html))
			require.Contains(t, html, "<!doctype html", "%v", view)
			require.Contains(t, html, `lang="`+lang, "%v", view)
			require.NotContains(t, html, "<script", "%v", view)
			switch view {
			case proto.View_LANDING, proto.View_IDENTIFY, proto.View_CODE, proto.View_LOCKED, proto.View_EXPIRED_VIEW, proto.View_INFO, proto.View_CLAIM_MENU:
				require.Contains(t, html, "__link__/stranger", "%v: no way for whom it is not for", view)
			case proto.View_MENU:
				require.Contains(t, html, "__link__/pick", "%v: nothing can be opened", view)
				require.Contains(t, string(once.Html), `value="01M80PYPYK9JPV5YF8YH5F691F"`, "%v: nothing can be opened", view)
			}
			switch view {
			case proto.View_CLAIM_MENU:
				require.Contains(t, html, "__link__/content", "%v: no way to the content", view)
				require.Contains(t, html, `value="day_after"`, "%v: no promise can be made", view)
				require.Contains(t, html, "20261122000012345", "%v: the message's number is missing", view)
			case proto.View_INFO, proto.View_VOUCHER, proto.View_REDIRECT, proto.View_WAITING, proto.View_ACCEPTED, proto.View_CONFIRMED_VIEW, proto.View_REGISTERED_VIEW:
				require.Contains(t, html, "alert(1)", "%v: the lead is missing", view)
				require.Contains(t, html, "00123", "%v: the table is missing", view)
				require.Contains(t, html, "__link__/answer", "%v: the survey is missing", view)
				require.Contains(t, html, "20261122000012345", "%v: the message's number is missing", view)
			}
			if view == proto.View_INFO {
				in.Page.Incomplete, in.Page.Survey.Items[0].Fault = true, &proto.SurveyFault{Kind: proto.SurveyFault_TOO_MANY, Given: 213, Limit: 187}
				refused, err := proto.NewRenderClient(m.conn).RenderPage(t.Context(), in)
				require.NoError(t, err)
				require.Nil(t, refused.Error)
				for _, want := range []string{"213", "187", "aria-invalid"} {
					require.Contains(t, strings.ToLower(string(refused.Html)), want, "%v: what is wrong with an answer is not said", view)
				}
				in.Page.Incomplete, in.Page.Survey.Items[0].Fault = false, nil
			}
			if view == proto.View_INFO && slices.Contains(m.describe.Views, proto.View_CLAIM_MENU) {
				require.Contains(t, html, "__link__/menu", "%v: no way back to the menu", view)
			}
			require.LessOrEqual(t, len(once.Html), 512<<10, "%v", view)
			twice, err := proto.NewRenderClient(m.conn).RenderPage(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, once.Html, twice.Html, "%v: the same model gives other bytes", view)
		}
	}
}

// servesItsMethods asks for what the methods say, about a payment that is not there: a refusal is an answer, not to know the call is
// none.
func (m *module) servesItsMethods(t *testing.T) {
	client := proto.NewPaymentAgentClient(m.conn)
	call := &proto.Call{Tenant: "tenant", Instance: "never-configured", IdempotencyKey: "conformance", Now: timestamppb.New(clock)}
	for _, p := range m.describe.PaymentMethods {
		if p.Refreshes {
			require.False(t, p.Redirect, "%s: what is on the agent's own page is not refreshed", p.Code)
			out, err := client.RefreshVoucher(t.Context(), &proto.RefreshVoucherRequest{Call: call, AttemptId: "no-such-attempt"})
			m.refused(t, p.Code, out.GetError(), err)
		}
		if p.Refunds {
			out, err := client.Refund(t.Context(), &proto.RefundRequest{Call: call, AttemptId: "no-such-attempt", Yen: 1})
			m.refused(t, p.Code, out.GetError(), err)
		}
		if p.Charges {
			require.Equal(t, proto.MethodKind_CARD_RECURRING, p.Kind, "%s: only a registered card is charged", p.Code)
			out, err := client.Create(t.Context(), &proto.CreateRequest{Call: call, AttemptId: "no-such-attempt", Method: p.Code, Registration: "none", Yen: p.MinYen,
				Due: timestamppb.New(clock.AddDate(0, 0, 14)), WebhookUrl: "https://example.jp/hooks/x"})
			m.refused(t, p.Code, out.GetError(), err)
		}
		if p.Pool {
			out, err := client.Pool(t.Context(), &proto.PoolRequest{Call: call, Method: p.Code})
			m.refused(t, p.Code, out.GetError(), err)
		}
	}
}

func (m *module) refused(t *testing.T, method string, fault *proto.Error, err error) {
	t.Helper()
	require.NotEqual(t, codes.Unimplemented, status.Code(err), "%s is not served as it says", method)
	require.True(t, fault != nil || status.Code(err) == codes.FailedPrecondition, "%s: answered: %v, %v", method, fault, err)
}

func (m *module) documentsAreStable(t *testing.T) {
	if len(m.properties()) > 0 {
		t.Skip("an instance must be configured")
	}
	draw := func(kind proto.DocumentKind, form proto.DocumentForm, lang, begins string) {
		in := &proto.RenderDocumentRequest{Call: &proto.Call{Tenant: "tenant", Now: timestamppb.New(clock)}, Document: document(kind, lang), Form: form}
		once, err := proto.NewRenderClient(m.conn).RenderDocument(t.Context(), in)
		require.NoError(t, err)
		require.Nil(t, once.Error, "%v", kind)
		body := func(r *proto.RenderDocumentResponse) []byte {
			if form == proto.DocumentForm_PNG {
				return r.Png
			}
			return r.Pdf
		}
		require.True(t, bytes.HasPrefix(body(once), []byte(begins)), "%v as %v", kind, form)
		require.LessOrEqual(t, len(body(once)), 5<<20, "%v", kind)
		twice, err := proto.NewRenderClient(m.conn).RenderDocument(t.Context(), in)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body(once), body(twice)), "%v: the same model gives other bytes", kind)
	}
	for _, kind := range m.describe.Documents {
		for _, lang := range []string{"ja", "en"} {
			if kind != proto.DocumentKind_BARCODE {
				draw(kind, proto.DocumentForm_PDF, lang, "%PDF-")
			}
			if kind == proto.DocumentKind_BARCODE || kind == proto.DocumentKind_PAYMENT_SHEET {
				draw(kind, proto.DocumentForm_PNG, lang, "\x89PNG")
			}
		}
	}
}

func document(kind proto.DocumentKind, lang string) *proto.Document {
	d := samples.Document(kind, lang, clock)
	d.Lead = page(proto.View_INFO, lang).Lead
	return d
}

func (m *module) answersManyAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
	defer cancel()
	errs := make(chan error, 64)
	for range cap(errs) {
		go func() {
			_, err := m.ask(ctx, "")
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil { // an instance that is not configured is an answer too
			require.Equal(t, codes.FailedPrecondition, status.Code(err), "%v", err)
		}
	}
}

func (m *module) keepsDeadlines(t *testing.T) {
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		began := time.Now()
		_, _ = m.ask(ctx, "") // whether it is in time does not matter
		cancel()
		require.Less(t, time.Since(began), answerWithin)
	}
	ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
	defer cancel()
	out, err := grpc_health_v1.NewHealthClient(m.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	require.NoError(t, err)
	require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, out.Status)
}

func (m *module) endsOnSIGTERM(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), endWithin)
	defer cancel()
	_, err := proto.NewModuleClient(m.conn).Drain(ctx, &proto.DrainRequest{})
	require.NoError(t, err)
	require.NoError(t, m.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, m.client.Exited, endWithin, 10*time.Millisecond)
}
