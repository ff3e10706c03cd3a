package verifications

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// module makes codes as auth/otp_sms does, but one after the other.
type module struct {
	proto.AuthClient
	next atomic.Int64
}

func (m *module) Auth(string) proto.AuthClient { return m }

func (m *module) Describe(name string) (*proto.DescribeResponse, bool) {
	return &proto.DescribeResponse{AuthFields: []*proto.AuthField{{Name: "code", Challenge: true}}}, name == "auth/otp_sms"
}

func (m *module) Challenge(_ context.Context, in *proto.ChallengeRequest, _ ...grpc.CallOption) (*proto.ChallengeResponse, error) {
	code := fmt.Sprintf("%0*d", in.Digits, m.next.Add(1))
	if in.Lang == "en" {
		return &proto.ChallengeResponse{Answer: code, Text: code + " is your code. " + in.SenderName}, nil
	}
	return &proto.ChallengeResponse{Answer: code, Text: "「" + code + "」お客様の認証番号です。" + in.SenderName}, nil
}

func (m *module) Canonical(_ context.Context, in *proto.CanonicalRequest, _ ...grpc.CallOption) (*proto.CanonicalResponse, error) {
	f := &proto.CanonicalForm{Form: in.Items[0].Value}
	if strings.Trim(f.Form, "0123456789") != "" {
		f = &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID}}
	}
	return &proto.CanonicalResponse{Forms: []*proto.CanonicalForm{f}}, nil
}

// sender is the tie between identity and intake, as in the program.
type sender struct{ intake *intake.Intake }

func (s *sender) SendCode(ctx context.Context, c identity.CodeSMS) (ulid.ULID, error) {
	return s.intake.SendCode(ctx, intake.CodeRequest{Tenant: c.Tenant, To: c.To, Text: c.Text, ForMessage: c.For, ValidUntil: c.Until, By: c.By, Sender: c.Profile, Reference: c.Reference, With: c.With})
}

// room is a site with this handler, over an intake and an identity that are tied as in the program.
type room struct {
	*edge.Site
	t      *testing.T
	module *module
	log    *bytes.Buffer
}

func openRoom(t *testing.T) *room {
	t.Helper()
	r := &room{t: t, module: &module{}, log: &bytes.Buffer{}}
	out := &sender{}
	var id *identity.Identity
	r.Site = edge.Open(t, func(o *intake.Options) {
		o.Log = slog.New(slog.NewTextHandler(r.log, nil))
		id = identity.New(identity.Options{Store: o.Store.(*store.Store), Auths: r.module, Sender: out, Log: o.Log})
		o.Identity = id
	})
	out.intake = r.Intake
	r.Serve(map[string]api.Handler{Path: Handler(id, r.Store)})
	return r
}

// paths of the document.
const (
	one   = Path + "/{id}"
	check = one + checkVerb
)

// call is a request; the tenant is mizu and the type JSON where nothing else is said.
type call struct {
	tenant             tenant.ID
	path, at           string
	method, body, kind string
	from, key          string
}

func (r *room) ask(status int, c call, into any) http.Header {
	r.t.Helper()
	header := map[string]string{}
	if c.from != "" {
		header["X-Forwarded-For"] = c.from
	}
	if c.key != "" {
		header["Idempotency-Key"] = c.key
	}
	a := r.Ask(status, edge.Call{Method: c.method, Path: c.path, At: c.at, Body: c.body, Type: c.kind, Tenant: c.tenant, Header: header})
	if into != nil {
		a.Into(r.t, into)
	}
	return a.Header
}

func (r *room) start(status int, body string, into any) http.Header {
	r.t.Helper()
	return r.ask(status, call{path: Path, at: Path, method: "POST", body: body}, into)
}

func (r *room) check(status int, id, code string, into any) http.Header {
	r.t.Helper()
	return r.ask(status, call{path: check, at: Path + "/" + id + checkVerb, method: "POST", body: `{"code":"` + code + `"}`}, into)
}

// sms is a message as it was accepted.
func (r *room) sms(id ulid.ULID) (st message.State) {
	r.t.Helper()
	events, err := r.Store.Load(r.t.Context(), tenant.Only("mizu"), store.Ref{Tenant: "mizu", Kind: store.Message, ID: id})
	require.NoError(r.t, err)
	require.NoError(r.t, st.Apply(message.Event{Type: message.Type(events[0].Type), At: events[0].At, Data: events[0].Data}))
	return st
}

// text is what the SMS of a message says.
func (r *room) text(id ulid.ULID) string {
	r.t.Helper()
	plain, err := r.Store.Open("mizu", id.String()+"/sms", r.sms(id).Head.SMS)
	require.NoError(r.t, err)
	var text message.SMS
	require.NoError(r.t, message.Decode(plain, &text))
	return text.Text
}

func TestSMSOfACodeIsInTheLanguageAskedFor(t *testing.T) {
	r := openRoom(t)
	mizu := *r.Tenants.Now().Tenants["mizu"]
	mizu.NameEN = "Water Office"
	require.NoError(t, r.Tenants.Apply(t.Context(), mizu))
	for _, c := range []struct{ body, want string }{
		{``, "「000001」お客様の認証番号です。〇〇局"}, {`,"lang":"ja"`, "「000002」お客様の認証番号です。〇〇局"}, {`,"lang":"en"`, "000003 is your code. Water Office"},
		{`,"lang":"en","template":"{name}: {code}"`, "Water Office: 000004"},
	} {
		var v Verification
		r.start(202, `{"number":"090-0001-0001"`+c.body+`}`, &v)
		require.Equal(t, c.want, r.text(v.Message))
	}
}

func TestVerificationsByAPI(t *testing.T) {
	r := openRoom(t)
	var v, again Verification
	h := r.start(202, `{"number":"090-0001-0001","reference":"login-1","length":4,"valid_minutes":10,"template":"{name} {code}"}`, &v)
	require.Equal(t, Path+"/"+v.ID.String(), h.Get("Location"))
	require.Equal(t, identity.Pending, v.Status)
	require.Equal(t, "090-****-0001", v.Number)
	require.Equal(t, 4, v.Length)
	require.Equal(t, 5, v.TriesLeft)

	sms := r.sms(v.Message)
	require.Equal(t, message.OTP, sms.Head.Class)
	require.Equal(t, message.LaneCode, sms.Head.Lane)
	require.Equal(t, "key:erp", sms.Head.By)
	require.True(t, v.ExpiresAt.Equal(sms.Head.ValidUntil), "an old code is not sent")
	require.Equal(t, "〇〇局 0001", r.text(v.Message))

	r.check(200, v.ID.String(), "9999", &again)
	require.Equal(t, 4, again.TriesLeft)
	r.check(200, v.ID.String(), "0001", &again)
	require.Equal(t, identity.Approved, again.Status)
	r.check(409, v.ID.String(), "0001", nil)
	r.ask(200, call{path: one, at: Path + "/" + v.ID.String(), method: "GET"}, &again)
	require.Equal(t, identity.Approved, again.Status)
	require.NotNil(t, again.ApprovedAt)
	require.Equal(t, "login-1", again.Reference)

	// The same key gives the same verification and sends nothing; of a check, the same answer.
	keyed := call{path: Path, at: Path, method: "POST", body: `{"number":"09000010002"}`, key: "order-1"}
	r.ask(202, keyed, &v)
	require.Equal(t, "true", r.ask(202, keyed, &again).Get("Idempotency-Replayed"))
	require.Equal(t, v.ID, again.ID)
	require.EqualValues(t, 2, r.module.next.Load())
	keyed.body = `{"number":"09000010003"}`
	r.ask(409, keyed, nil)
	r.start(409, `{"number":"09000010003","key":"order-1"}`, nil)
	keyed.body = `{"number":"09000010002","key":"order-2"}`
	r.ask(422, keyed, nil)
	right := call{path: check, at: Path + "/" + v.ID.String() + checkVerb, method: "POST", body: `{"code":"000002"}`, key: "c-1"}
	r.ask(200, right, &again)
	require.Equal(t, "true", r.ask(200, right, &again).Get("Idempotency-Replayed"))
	require.Equal(t, identity.Approved, again.Status)
	right.key = "c 2"
	r.ask(422, right, nil)

	// Refusals.
	for _, body := range []string{`{}`, `{"number":"0312345678"}`, `{"number":"09000010004","channel":"fax"}`, `{"number":"09000010004","lang":"fr"}`, `{"number":"09000010004","length":9}`, `{"number":"09000010004","template":"x"}`,
		`{"number":"09000010004","template":"{code}` + strings.Repeat("あ", 100) + `"}`, `{"number":"09000010004","sender":"none"}`, `{"number":"09000010004","x":1}`, `{"number":"09000020001"}`} {
		var p api.Problem
		r.start(422, body, &p)
		require.NotContains(t, p.Errors[0].Text, "0312345678")
		require.Contains(t, []string{"number", "channel", "lang", "length", "template", "sender", `x`}, p.Errors[0].Field, body)
	}
	long := strings.Repeat(" ", maxJSON+1)
	r.start(400, `{`, nil)
	r.start(413, long, nil)
	r.ask(415, call{path: Path, at: Path, method: "POST", body: "{}", kind: "text/plain"}, nil)
	r.ask(400, call{path: one, at: Path + "/" + v.ID.String() + "?x=1", method: "GET"}, nil)
	r.ask(405, call{path: one, at: Path + "/" + v.ID.String(), method: "DELETE"}, nil)
	r.ask(404, call{path: one, at: Path + "/x", method: "GET"}, nil)
	r.ask(404, call{path: one, at: Path + "/" + v.ID.String(), method: "GET", tenant: "gasu"}, nil)
	r.ask(404, call{path: one, at: Path + "/" + v.Message.String(), method: "GET"}, nil)
	r.ask(404, call{path: check, at: right.at, method: "POST", body: right.body, tenant: "gasu"}, nil)
	r.ask(400, call{path: check, at: right.at, method: "POST", body: "["}, nil)
	r.ask(413, call{path: check, at: right.at, method: "POST", body: long}, nil)
	r.ask(415, call{path: check, at: right.at, method: "POST", body: "{}", kind: "text/plain"}, nil)
	r.check(422, v.ID.String(), "abcd", nil)
	r.check(422, v.ID.String(), "", nil)
	r.Keys["none"] = "kk_x_y"
	for _, c := range []call{{path: Path, at: Path, method: "POST"}, {path: one, at: Path + "/" + v.ID.String(), method: "GET"}, {path: check, at: right.at, method: "POST"}} {
		c.from = "198.51.100.1"
		r.ask(403, c, nil)
		c.tenant, c.from = "none", ""
		r.ask(401, c, nil)
	}
	for range 5 {
		r.start(202, `{"number":"09000010005"}`, nil)
	}
	var p api.Problem
	h = r.start(429, `{"number":"09000010005"}`, &p)
	require.Regexp(t, `^3[56][0-9]{2}$`, h.Get("Retry-After"))
	require.Equal(t, "number", p.Errors[0].Field)
	require.EqualValues(t, 5, p.Errors[0].Limit)
	// Provoking the store's own limits would harm it; engine/api tests their status.
	require.Empty(t, r.Doc.Unasked(func(path string) bool { return strings.HasPrefix(path, Path) }, "429", "503", "507"))
	for _, secret := range []string{"0001\"", "000002", "00010001", "login-1"} {
		require.NotContains(t, r.log.String(), secret)
	}
}
