package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

// config is an instance's configuration: config.schema.json.
type config struct {
	Issuer            string   `json:"issuer"`
	ClientID          string   `json:"client_id"`
	PrivateKey        string   `json:"private_key"`
	KeyID             string   `json:"key_id"`
	Scopes            []string `json:"scopes"`
	AssertionAudience string   `json:"assertion_audience"`
	ACRValues         string   `json:"acr_values"`

	key jose.SigningKey
}

const (
	audienceIssuer   = "issuer"
	audienceEndpoint = "token_endpoint"
	minRSABits       = 2048
)

// word is a value that stands in a parameter: RFC 6749 §3.3 (scope-token), and no more of others.
var word = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,255}$`)

// parseConfig reports every fault, none with a value in it.
func parseConfig(data []byte) (config, []*proto.Error) {
	var c config
	faults := sdk.ParseConfig(data, &c)
	if faults != nil {
		return config{}, faults
	}
	bad := func(field, message string) { faults = append(faults, sdk.ConfigError(field, message)) }
	if !issuerURL(c.Issuer) {
		bad("issuer", "want an https URL without query and fragment; http on a loopback address alone")
	}
	if !word.MatchString(c.ClientID) {
		bad("client_id", "want the id that the provider gave, without spaces")
	}
	if !word.MatchString(c.KeyID) {
		bad("key_id", "want the name of the key at the provider, without spaces")
	}
	var ok bool
	if c.key, ok = signingKey(c.PrivateKey, c.KeyID); !ok {
		bad("private_key", "want the PEM of a private key (PKCS #8): RSA of at least 2048 bits, or P-256")
	}
	for _, s := range c.Scopes {
		if !word.MatchString(s) {
			bad("scopes", "want words without spaces")
			break
		}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile", "address"}
	}
	switch c.AssertionAudience {
	case "":
		c.AssertionAudience = audienceEndpoint
	case audienceEndpoint, audienceIssuer:
	default:
		bad("assertion_audience", "want token_endpoint or issuer")
	}
	for _, v := range strings.Fields(c.ACRValues) {
		if !word.MatchString(v) {
			bad("acr_values", "want words, separated by spaces")
			break
		}
	}
	return c, faults
}

// issuerURL: OpenID Connect Discovery 1.0 §3, besides tests on this machine.
func issuerURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// signingKey reads the client's key.
func signingKey(text, id string) (jose.SigningKey, bool) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PRIVATE KEY" || strings.TrimSpace(string(rest)) != "" {
		return jose.SigningKey{}, false
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return jose.SigningKey{}, false
	}
	sign := func(alg jose.SignatureAlgorithm, key crypto.Signer) (jose.SigningKey, bool) {
		return jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(alg), Use: "sig"}}, true
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minRSABits {
			return sign(jose.RS256, k)
		}
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return sign(jose.ES256, k)
		}
	}
	return jose.SigningKey{}, false
}
