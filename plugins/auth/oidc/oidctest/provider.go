// Package oidctest is an OpenID Provider for tests, of another make than the module (zitadel/oidc): with one client, which
// authenticates by private_key_jwt, and two people. What its token endpoint answers can be changed on the way.
package oidctest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Provider is one that listens on loopback until the test ends. What is set in it is set between requests.
type Provider struct {
	*storage.Storage
	Issuer string
	Public any // the client's public key, as the provider knows it

	Tamper func(claims map[string]any) // changes the ID token, which the provider's key signs anew; nil: it stays
	Forge  *rsa.PrivateKey             // the key that signs it instead

	t         testing.TB
	returnURL string
	key       any          // the client's private key
	http      *http.Client // does not follow redirects
}

// The client, and the people with their ids.
const (
	ClientID = "kakitome"
	keyID    = "key-1"

	Person, PersonID   = "test-user@127.0.0.1", "id1" // Test User, 1998-01-01
	Another, AnotherID = "test-user2", "id2"          // Test User2, 1977-07-07
	Password           = "verysecure"                 // of both
)

var birthdates = map[string]string{PersonID: "1998-01-01", AnotherID: "1977-07-07"}

// registration is the client as the provider knows it.
type registration struct{ op.Client }

func (registration) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodPrivateKeyJWT }

func (p *Provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := p.Storage.GetClientByClientID(ctx, id)
	return registration{c}, err
}

func (p *Provider) GetKeyByIDAndClientID(_ context.Context, key, client string) (*jose.JSONWebKey, error) {
	if key != keyID || client != ClientID {
		return nil, errors.New("no such key")
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: p.Public}, nil
}

func (p *Provider) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := p.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	info.Birthdate = birthdates[info.Subject]
	info.Address = &oidc.UserInfoAddress{Formatted: "東京都千代田区１ー１ー１"}
	return nil
}

// New starts a provider that knows the client by the public half of its key (RSA or P-256) and leads back to one URL.
func New(t testing.TB, key crypto.Signer, returnURL string) *Provider {
	t.Helper()
	return NewAt(t, "127.0.0.1", key, returnURL)
}

// NewAt is New at another loopback address, which browsers take for another site than 127.0.0.1.
func NewAt(t testing.TB, address string, key crypto.Signer, returnURL string) *Provider {
	t.Helper()
	p := &Provider{t: t, key: key, Public: key.Public(), returnURL: returnURL}
	p.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var handler http.Handler
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth/token" || p.Tamper == nil && p.Forge == nil {
			handler.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(p.changed(answer.Body.Bytes()))
	}))
	listener, err := net.Listen("tcp4", net.JoinHostPort(address, "0"))
	require.NoError(t, err)
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	p.Issuer = s.URL
	storage.RegisterClients(storage.WebClient(ClientID, "", returnURL))
	p.Storage = storage.NewStorage(storage.NewUserStore("http://127.0.0.1")) // for the names of its users
	handler = exampleop.SetupServer(p.Issuer, p, slog.New(slog.DiscardHandler), false)
	return p
}

// changed is the token endpoint's answer with another ID token.
func (p *Provider) changed(body []byte) []byte {
	t := p.t
	var answer map[string]any
	if json.Unmarshal(body, &answer) != nil || answer["id_token"] == nil {
		return body
	}
	parsed, err := jwt.ParseSigned(answer["id_token"].(string), []jose.SignatureAlgorithm{jose.RS256})
	require.NoError(t, err)
	claims := map[string]any{}
	require.NoError(t, parsed.UnsafeClaimsWithoutVerification(&claims))
	if p.Tamper != nil {
		p.Tamper(claims)
	}
	signing, err := p.SigningKey(t.Context())
	require.NoError(t, err)
	key := signing.Key()
	if p.Forge != nil {
		key = p.Forge
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: signing.ID()}}, nil)
	require.NoError(t, err)
	answer["id_token"], err = jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	body, err = json.Marshal(answer)
	require.NoError(t, err)
	return body
}

// Config is that of the client, as an operator writes it.
func (p *Provider) Config() []byte {
	t := p.t
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	require.NoError(t, err)
	b, err := json.Marshal(map[string]any{
		"issuer": p.Issuer, "client_id": ClientID, "key_id": keyID, "assertion_audience": "issuer",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	require.NoError(t, err)
	return b
}

// Login is what a person's browser does at the provider; it returns the query with which it comes back.
func (p *Provider) Login(address, user string) string {
	t := p.t
	t.Helper()
	at := p.follow(http.MethodGet, address, nil)
	id := at.Query().Get("authRequestID")
	require.NotEmpty(t, id, "%s", at)
	at = p.follow(http.MethodPost, p.Issuer+"/login/username", url.Values{"id": {id}, "username": {user}, "password": {Password}})
	at = p.follow(http.MethodGet, at.String(), nil)
	require.Equal(t, p.returnURL, at.Scheme+"://"+at.Host+at.Path)
	return at.RawQuery
}

// follow makes a request and returns where it leads.
func (p *Provider) follow(method, address string, form url.Values) *url.URL {
	t := p.t
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := p.http.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	at, err := res.Location()
	require.NoError(t, err, "%s %s: %d %s", method, address, res.StatusCode, bytes.TrimSpace(body))
	return at
}
