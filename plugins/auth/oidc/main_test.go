package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/auth/oidc/oidctest"
	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	state     = "ABCDEFGHIJKLMNOPQRSTUVWX23"
	returnURL = "https://kk.example.jp/return"
	person    = oidctest.Person
	another   = oidctest.Another
	clientID  = oidctest.ClientID
)

// bench is the module with one client at a provider.
type bench struct {
	*clients
	t *testing.T
	p *oidctest.Provider
}

func setup(t *testing.T, key crypto.Signer) *bench {
	t.Helper()
	b := &bench{clients: newClients(), t: t, p: oidctest.New(t, key, returnURL)}
	require.Nil(t, b.configure("identity", b.p.Config()))
	return b
}

func call() *proto.Call {
	return &proto.Call{Tenant: "suido", Instance: "identity", Now: timestamppb.Now()}
}

func (b *bench) begin() *proto.BeginResponse {
	b.t.Helper()
	res, err := b.Begin(b.t.Context(), &proto.BeginRequest{Call: call(), Field: field, ReturnUrl: returnURL, State: state, Lang: "ja"})
	require.NoError(b.t, err)
	require.Nil(b.t, res.Error)
	return res
}

func (b *bench) end(level, query string, keep []byte) *proto.FinishResponse {
	b.t.Helper()
	res, err := b.Finish(b.t.Context(), &proto.FinishRequest{Call: call(), Field: field, Level: level, ReturnUrl: returnURL, State: state, Query: query, Keep: keep})
	require.NoError(b.t, err)
	require.Equal(b.t, res.Error == nil, res.Form != "")
	return res
}

// identified goes the whole way.
func (b *bench) identified(level, user string) *proto.FinishResponse {
	b.t.Helper()
	way := b.begin()
	return b.end(level, b.p.Login(way.RedirectUrl, user), way.Keep)
}

func form(t *testing.T, level, value string) string {
	t.Helper()
	f := canonical(&proto.CanonicalItem{Field: field, Level: level, Value: value})
	require.Nil(t, f.Error)
	return f.Form
}

func TestWhoeverIsRegisteredIsIdentified(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(t), ecKey(t)} {
		b := setup(t, key)
		for level, registered := range map[string]string{
			"": "id1", levelSub: " id1 ", levelName: "Ｔｅｓｔ　ＵＳＥＲ;1998/01/01", levelAddress: "Test User;19980101;東京都千代田区 1-1-1",
		} {
			require.Equal(t, form(t, level, registered), b.identified(level, person).Form, level)
			require.NotEqual(t, form(t, level, registered), b.identified(level, another).Form, level)
		}
	}
}

func TestTheWayThereSaysWhatIsAsked(t *testing.T) {
	b := setup(t, rsaKey(t))
	first, second := b.begin(), b.begin()
	u, err := url.Parse(first.RedirectUrl)
	require.NoError(t, err)
	q := u.Query()
	require.Equal(t, state, q.Get("state"))
	require.Equal(t, "code", q.Get("response_type"))
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	require.Equal(t, returnURL, q.Get("redirect_uri"))
	require.Equal(t, "openid profile address", q.Get("scope"))
	require.GreaterOrEqual(t, len(q.Get("nonce")), 22)
	require.NotEqual(t, first.Keep, second.Keep)
	var k kept
	require.NoError(t, json.Unmarshal(first.Keep, &k))
	require.NotContains(t, first.RedirectUrl, k.Verifier)
	require.LessOrEqual(t, len(first.Keep), 256)
}

func TestWhatIsForgedIdentifiesNobody(t *testing.T) {
	b := setup(t, rsaKey(t))
	for name, c := range map[string]struct {
		tamper func(map[string]any)
		forge  *rsa.PrivateKey
		code   string
	}{
		"signed by another key": {forge: rsaKey(t), code: "id_token"},
		"of another issuer":     {tamper: func(c map[string]any) { c["iss"] = "https://evil.example" }, code: "id_token"},
		"for another client":    {tamper: func(c map[string]any) { c["aud"] = []string{"other"} }, code: "id_token"},
		"for two, by another":   {tamper: func(c map[string]any) { c["aud"], c["azp"] = []string{clientID, "other"}, "other" }, code: "azp"},
		"expired":               {tamper: func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, code: "id_token"},
		"of the future":         {tamper: func(c map[string]any) { c["iat"] = time.Now().Add(time.Hour).Unix() }, code: "iat"},
		"with another nonce":    {tamper: func(c map[string]any) { c["nonce"] = "another" }, code: "nonce"},
		"without a nonce":       {tamper: func(c map[string]any) { delete(c, "nonce") }, code: "nonce"},
		"of another token":      {tamper: func(c map[string]any) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }, code: "at_hash"},
	} {
		b.p.Tamper, b.p.Forge = c.tamper, c.forge
		res := b.identified(levelSub, person)
		require.NotNil(t, res.Error, name)
		require.Equal(t, proto.ErrorClass_SIGNATURE, res.Error.Class, name)
		require.Equal(t, c.code, res.Error.Code, name)
	}
	b.p.Tamper, b.p.Forge = func(c map[string]any) { c["sub"] = "id2" }, nil
	require.Equal(t, "userinfo_sub", b.identified(levelName, person).Error.Code, "the UserInfo of somebody else")
	b.p.Tamper = nil
	require.Equal(t, "id1", b.identified(levelSub, person).Form, "what is not changed holds")
}

func TestWhatComesBackIsGoodOnceAndForItsRequestAlone(t *testing.T) {
	b := setup(t, rsaKey(t))
	way := b.begin()
	query := b.p.Login(way.RedirectUrl, person)
	other := b.begin()
	require.NotNil(t, b.end(levelSub, query, other.Keep).Error, "the verifier of another request")
	way = b.begin()
	query = b.p.Login(way.RedirectUrl, person)
	require.Equal(t, "id1", b.end(levelSub, query, way.Keep).Form)
	again := b.end(levelSub, query, way.Keep)
	require.Equal(t, proto.ErrorClass_DECLINED, again.Error.GetClass(), "a code is used once")

	for query, code := range map[string]string{
		"":                                   "state",
		"code=x":                             "state",
		"code=x&state=" + state + "X":        "state",
		"code=x&state=" + state + "&state=x": "state",
		"state=" + state:                     "code",
		"code=x&code=y&state=" + state:       "code",
		"code=x&iss=https%3A%2F%2Fe&state=" + state: "iss",
		"%zz":                                "state",
		"error=access_denied&state=" + state: "access_denied",
		"error=%3Cscript%3E&state=" + state:  "other",
	} {
		res := b.end(levelSub, query, way.Keep)
		require.NotNil(t, res.Error, query)
		require.Equal(t, code, res.Error.Code, query)
		require.NotContains(t, res.Error.String(), "script")
	}
	require.Equal(t, "keep", b.end(levelSub, query, []byte("{}")).Error.Code)
	require.Equal(t, "keep", b.end(levelSub, query, nil).Error.Code)
}

func TestClientWithAnotherKeyIsRefused(t *testing.T) {
	b := setup(t, rsaKey(t))
	b.p.Public = &rsaKey(t).PublicKey
	res := b.identified(levelSub, person)
	require.NotNil(t, res.Error, "the provider verifies the client's assertion")
}

func TestProviderThatDoesNotAnswerIsUnavailable(t *testing.T) {
	c := newClients()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer broken.Close()
	p := oidctest.New(t, rsaKey(t), returnURL)
	for _, issuer := range []string{closed.URL, broken.URL} {
		p.Issuer = issuer
		require.Nil(t, c.configure("identity", p.Config()))
		res, err := c.Begin(t.Context(), &proto.BeginRequest{Call: call(), Field: field, ReturnUrl: returnURL, State: state})
		require.NoError(t, err)
		require.Equal(t, proto.ErrorClass_UNAVAILABLE, res.Error.GetClass())
		require.NotContains(t, res.Error.Message, "127.0.0.1")
	}
}

func TestConfigurationNamesTheFieldAtFault(t *testing.T) {
	p := oidctest.New(t, rsaKey(t), returnURL)
	for field, value := range map[string]any{
		"issuer": "http://auth.example.jp", "client_id": "two words", "key_id": "", "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"scopes": []string{"a b"}, "assertion_audience": "both", "acr_values": "\x00",
	} {
		var c map[string]any
		require.NoError(t, json.Unmarshal(p.Config(), &c))
		c[field] = value
		b, err := json.Marshal(c)
		require.NoError(t, err)
		_, faults := parseConfig(b)
		require.Len(t, faults, 1, field)
		require.Equal(t, field, faults[0].Field)
	}
	_, faults := parseConfig(p.Config())
	require.Empty(t, faults)
}

func TestFormsOfWhatIsRegistered(t *testing.T) {
	for _, c := range []struct{ level, value, want string }{
		{levelName, "山田 太郎;1998-01-01", "山田太郎;1998-01-01"},
		{levelName, "山田　太郎;１９９８０１０１", "山田太郎;1998-01-01"},
		{levelName, "山田太郎", ""},
		{levelName, "山田太郎;1998-13-01", ""},
		{levelName, "山田太郎;1998", ""},
		{levelName, ";1998-01-01", ""},
		{levelName, "山田;太郎;1998-01-01", ""},
		{levelName, "山田；太郎;1998-01-01", ""},
		{levelAddress, "山田太郎;1998-01-01;東京都 千代田区１－１－１", "山田太郎;1998-01-01;東京都千代田区1-1-1"},
		{levelAddress, "山田太郎;1998-01-01", ""},
		{levelSub, " aB-1 ", "aB-1"},
		{levelSub, "山田", ""},
		{levelSub, strings.Repeat("9", 256), ""},
		{"", "", ""},
		{"name", "x", ""},
	} {
		f := canonical(&proto.CanonicalItem{Field: field, Level: c.level, Value: c.value})
		require.Equal(t, c.want, f.Form, "%s %q", c.level, c.value)
		require.Equal(t, c.want == "", f.Error != nil)
		if c.want != "" {
			require.Equal(t, c.want, canonical(&proto.CanonicalItem{Field: field, Level: c.level, Value: c.want}).Form, "stable")
		}
	}
}

func FuzzForms(f *testing.F) {
	f.Add(levelName, "山田 太郎;1998-01-01")
	f.Add(levelAddress, "山田太郎;1998-01-01;東京都千代田区１－１－１")
	f.Add(levelSub, "id1")
	f.Fuzz(func(t *testing.T, level, value string) {
		once := canonical(&proto.CanonicalItem{Field: field, Level: level, Value: value})
		if once.Error != nil {
			return
		}
		twice := canonical(&proto.CanonicalItem{Field: field, Level: level, Value: once.Form})
		if twice.Form != once.Form {
			t.Fatalf("%q becomes %q, and that %q", value, once.Form, twice.Form)
		}
	})
}

// TestNobodyIsAskedButByTheProxy runs this test's program again, for a process reads its proxy once.
func TestNobodyIsAskedButByTheProxy(t *testing.T) {
	if os.Getenv("HTTPS_PROXY") != "" {
		c := newClients()
		p := oidctest.New(t, rsaKey(t), returnURL)
		p.Issuer = "https://auth.example.jp"
		require.Nil(t, c.configure("identity", p.Config()))
		res, err := c.Begin(t.Context(), &proto.BeginRequest{Call: call(), Field: field, ReturnUrl: returnURL, State: state})
		require.NoError(t, err)
		require.Equal(t, proto.ErrorClass_UNAVAILABLE, res.Error.GetClass())
		return
	}
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Method + " " + r.Host:
		default:
		}
		w.WriteHeader(http.StatusForbidden) // a host that is not declared
	}))
	defer proxy.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "HTTPS_PROXY="+proxy.URL)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "CONNECT auth.example.jp:443", <-asked)
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return k
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return k
}
