package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	callTimeout   = 8 * time.Second // of one request to the provider; Begin makes one at most, Finish three
	metadataLife  = 24 * time.Hour  // then it is read again; keys are read whenever one is not known
	assertionLife = time.Minute
	clockSkew     = time.Minute
)

// clients are the configured instances. Safe for concurrent use.
type clients struct {
	proto.UnimplementedAuthServer
	http *http.Client

	mu         sync.RWMutex // guards byInstance
	byInstance map[string]*client
}

func newClients() *clients {
	return &clients{byInstance: map[string]*client{}, http: &http.Client{
		Transport: bounded{&http.Transport{
			Proxy:                 http.ProxyFromEnvironment, // the host's way out to declared hosts
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ForceAttemptHTTP2:     true,
			IdleConnTimeout:       30 * time.Second,
			ResponseHeaderTimeout: callTimeout,
		}},
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded reads no more of an answer than a provider has to say.
type bounded struct{ *http.Transport }

const maxAnswer = 1 << 20

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.Transport.RoundTrip(req)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// client is one registration with a provider.
type client struct {
	config
	http *http.Client

	mu       sync.Mutex // guards what follows; held while the metadata is read, so that it is read once
	provider *oidc.Provider
	issParam bool // the provider names itself when the browser comes back. RFC 9207
	readAt   time.Time
}

func (c *clients) configure(instance string, data []byte) *proto.Error {
	cfg, faults := parseConfig(data)
	if len(faults) > 0 {
		return faults[0]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byInstance[instance] = &client{config: cfg, http: c.http}
	return nil
}

// client is that of a call; the sdk has refused calls for instances that are not configured.
func (c *clients) client(call *proto.Call) *client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byInstance[call.GetInstance()]
}

// Canonical gives the form of what was registered.
func (*clients) Canonical(_ context.Context, in *proto.CanonicalRequest) (*proto.CanonicalResponse, error) {
	forms := make([]*proto.CanonicalForm, len(in.Items))
	for i, item := range in.Items {
		forms[i] = canonical(item)
	}
	return &proto.CanonicalResponse{Forms: forms}, nil
}

// Challenge is for codes.
func (*clients) Challenge(_ context.Context, in *proto.ChallengeRequest) (*proto.ChallengeResponse, error) {
	return &proto.ChallengeResponse{Error: &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "no_challenge", Message: "nothing is sent", Field: in.Field}}, nil
}

// discovered is the provider with what it publishes.
func (c *client) discovered(ctx context.Context, now time.Time) (*oidc.Provider, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider != nil && now.Sub(c.readAt).Abs() < metadataLife {
		return c.provider, c.issParam, nil
	}
	// What the provider keeps of the context outlives the call: the client alone.
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.Issuer)
	if err != nil {
		if c.provider != nil { // what it said last is good for a while longer
			return c.provider, c.issParam, nil
		}
		return nil, false, err
	}
	var more struct {
		IssParam bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, false, err
	}
	c.provider, c.issParam, c.readAt = p, more.IssParam, now
	return p, c.issParam, nil
}

func (c *client) oauth(p *oidc.Provider, returnURL string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // who the client is, its assertion says
	return &oauth2.Config{ClientID: c.ClientID, Endpoint: endpoint, RedirectURL: returnURL, Scopes: append([]string{oidc.ScopeOpenID}, c.Scopes...)}
}

// kept is what the host keeps in the browser's session between Begin and Finish.
type kept struct {
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // of PKCE
}

func refusal(class proto.ErrorClass, code, message string) *proto.Error {
	return &proto.Error{Class: class, Code: code, Message: message}
}

// Begin gives the provider's authorization endpoint with all that is asked of it.
func (c *clients) Begin(ctx context.Context, in *proto.BeginRequest) (*proto.BeginResponse, error) {
	refuse := func(e *proto.Error) (*proto.BeginResponse, error) { return &proto.BeginResponse{Error: e}, nil }
	if in.Field != field {
		return refuse(refusal(proto.ErrorClass_INVALID, "unknown_field", "there is no such field"))
	}
	if len(in.State) < 22 {
		return refuse(refusal(proto.ErrorClass_INVALID, "state", "want a state of at least 128 bits"))
	}
	cl := c.client(in.Call)
	p, _, err := cl.discovered(ctx, in.Call.GetNow().AsTime())
	if err != nil {
		return refuse(refusal(proto.ErrorClass_UNAVAILABLE, "discovery", "the provider's metadata cannot be read: "+kind(err)))
	}
	k := kept{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	keep, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(k.Nonce), oauth2.S256ChallengeOption(k.Verifier), oauth2.SetAuthURLParam("ui_locales", in.Lang)}
	if cl.ACRValues != "" {
		options = append(options, oauth2.SetAuthURLParam("acr_values", cl.ACRValues))
	}
	return &proto.BeginResponse{RedirectUrl: cl.oauth(p, in.ReturnUrl).AuthCodeURL(in.State, options...), Keep: keep}, nil
}

// Finish finds out who came back.
func (c *clients) Finish(ctx context.Context, in *proto.FinishRequest) (*proto.FinishResponse, error) {
	form, refused := c.finish(ctx, in)
	return &proto.FinishResponse{Form: form, Error: refused}, nil
}

func (c *clients) finish(ctx context.Context, in *proto.FinishRequest) (string, *proto.Error) {
	forged := func(code, message string) (string, *proto.Error) {
		return "", refusal(proto.ErrorClass_SIGNATURE, code, message)
	}
	cl, now := c.client(in.Call), in.Call.GetNow().AsTime()
	if in.Field != field {
		return "", refusal(proto.ErrorClass_INVALID, "unknown_field", "there is no such field")
	}
	var k kept
	if err := json.Unmarshal(in.Keep, &k); err != nil || k.Nonce == "" || k.Verifier == "" {
		return forged("keep", "what was kept is not ours")
	}
	q, err := url.ParseQuery(in.Query)
	if err != nil || in.State == "" || len(q["state"]) != 1 || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(in.State)) != 1 {
		return forged("state", "the state is another one")
	}
	p, issParam, err := cl.discovered(ctx, now)
	if err != nil {
		return "", refusal(proto.ErrorClass_UNAVAILABLE, "discovery", "the provider's metadata cannot be read: "+kind(err))
	}
	if iss := q["iss"]; len(iss) > 1 || len(iss) == 0 && issParam || len(iss) == 1 && iss[0] != cl.Issuer { // RFC 9207 §2.4
		return forged("iss", "the answer is another provider's")
	}
	if e := q.Get("error"); e != "" {
		return "", refusal(proto.ErrorClass_DECLINED, known(e), "nobody was identified")
	}
	if len(q["code"]) != 1 || q.Get("code") == "" {
		return forged("code", "there is no code")
	}
	token, refused := cl.exchange(ctx, p, in.ReturnUrl, q.Get("code"), k.Verifier, now)
	if refused != nil {
		return "", refused
	}
	ctx = oidc.ClientContext(ctx, cl.http)
	raw, _ := token.Extra("id_token").(string)
	id, err := p.Verifier(&oidc.Config{ClientID: cl.ClientID, Now: func() time.Time { return now }}).Verify(ctx, raw)
	if err != nil {
		var network net.Error
		if errors.As(err, &network) {
			return "", refusal(proto.ErrorClass_UNAVAILABLE, "keys", "the provider's keys cannot be read")
		}
		return forged("id_token", "the ID token does not hold")
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(k.Nonce)) != 1 {
		return forged("nonce", "the ID token is of another request")
	}
	if id.IssuedAt.After(now.Add(clockSkew)) {
		return forged("iat", "the ID token is of the future")
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil {
		return forged("at_hash", "the access token is not the ID token's")
	}
	var said struct {
		claims
		ACR             string `json:"acr"`
		AuthorizedParty string `json:"azp"`
	}
	if err := id.Claims(&said); err != nil {
		return forged("id_token", "the ID token does not hold")
	}
	if said.AuthorizedParty != "" && said.AuthorizedParty != cl.ClientID || len(id.Audience) > 1 && said.AuthorizedParty == "" { // OpenID Connect Core 1.0 §3.1.3.7
		return forged("azp", "the ID token is another client's")
	}
	if cl.ACRValues != "" && !slices.Contains(strings.Fields(cl.ACRValues), said.ACR) {
		return "", refusal(proto.ErrorClass_DECLINED, "acr", "whoever it was, was not identified as asked for")
	}
	if said.needsMore(in.Level) {
		if refused := cl.userInfo(ctx, p, token, id.Subject, &said.claims); refused != nil {
			return "", refused
		}
	}
	form := said.form(in.Level)
	if form == "" {
		return "", refusal(proto.ErrorClass_CONFIG, "claims", "the provider does not say what the level needs: scopes?")
	}
	return form, nil
}

// exchange gives the code for tokens.
func (c *client) exchange(ctx context.Context, p *oidc.Provider, returnURL, code, verifier string, now time.Time) (*oauth2.Token, *proto.Error) {
	audience := c.Issuer
	if c.AssertionAudience == audienceEndpoint {
		audience = p.Endpoint().TokenURL
	}
	assertion, err := c.assertion(audience, now)
	if err != nil {
		return nil, refusal(proto.ErrorClass_CONFIG, "private_key", "the client assertion cannot be signed")
	}
	token, err := c.oauth(p, returnURL).Exchange(context.WithValue(ctx, oauth2.HTTPClient, c.http), code, oauth2.VerifierOption(verifier),
		oauth2.SetAuthURLParam("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), oauth2.SetAuthURLParam("client_assertion", assertion))
	if err == nil {
		return token, nil
	}
	var answered *oauth2.RetrieveError
	switch {
	case !errors.As(err, &answered):
		return nil, refusal(proto.ErrorClass_UNAVAILABLE, "token_endpoint", "the token endpoint does not answer: "+kind(err))
	case answered.ErrorCode == "invalid_grant": // used before, too old, or of another request
		return nil, refusal(proto.ErrorClass_DECLINED, answered.ErrorCode, "the code is not good")
	case answered.Response != nil && answered.Response.StatusCode >= 500:
		return nil, refusal(proto.ErrorClass_UNAVAILABLE, "token_endpoint", "the token endpoint failed")
	}
	return nil, refusal(proto.ErrorClass_CONFIG, known(answered.ErrorCode), "the provider refuses this client")
}

// assertion authenticates the client: private_key_jwt. RFC 7523 §3, OpenID Connect Core 1.0 §9
func (c *client) assertion(audience string, now time.Time) (string, error) {
	signer, err := jose.NewSigner(c.key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: c.ClientID, Subject: c.ClientID, Audience: jwt.Audience{audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
	}).Serialize()
}

// userInfo adds what the UserInfo endpoint says. OpenID Connect Core 1.0 §5.3
func (c *client) userInfo(ctx context.Context, p *oidc.Provider, token *oauth2.Token, sub string, into *claims) *proto.Error {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return refusal(proto.ErrorClass_UNAVAILABLE, "userinfo", "the UserInfo endpoint does not answer: "+kind(err))
	}
	if info.Subject != sub { // §5.3.2
		return refusal(proto.ErrorClass_SIGNATURE, "userinfo_sub", "the UserInfo is somebody else's")
	}
	if err := info.Claims(into); err != nil {
		return refusal(proto.ErrorClass_SIGNATURE, "userinfo", "the UserInfo cannot be read")
	}
	return nil
}

// standard are the error codes of RFC 6749 and OpenID Connect Core 1.0 §3.1.2.6.
var standard = []string{
	"access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required", "temporarily_unavailable", "server_error",
	"invalid_request", "invalid_scope", "invalid_client", "unauthorized_client", "unsupported_response_type", "unsupported_grant_type",
}

// known is an error code of the standards; what else a provider, or somebody in its name, writes there is not repeated.
func known(code string) string {
	if slices.Contains(standard, code) {
		return code
	}
	return "other"
}

// kind says what sort of failure a request met: the error itself has addresses and, from the provider, anything.
func kind(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.As(err, &network):
		return "no connection"
	}
	return "not as expected"
}
