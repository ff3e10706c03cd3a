package main

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

// config is an instance's configuration: config.schema.json.
type config struct {
	SecretKey     string `json:"secret_key"`
	WebhookSecret string `json:"webhook_secret"`
	Endpoint      string `json:"endpoint"`
}

// account is one in use.
type account struct {
	*stripe.Client
	webhookSecret string
	live          bool
}

var (
	secretKey     = regexp.MustCompile(`^(sk|rk)_(live|test)_[A-Za-z0-9]{8,240}$`)
	webhookSecret = regexp.MustCompile(`^whsec_[A-Za-z0-9+/=]{8,240}$`)
)

func validateConfig(data []byte) []*proto.Error {
	_, faults := parseConfig(data)
	return faults
}

// parseConfig reports every fault, none with a value in it.
func parseConfig(data []byte) (config, []*proto.Error) {
	var c config
	faults := sdk.ParseConfig(data, &c)
	if faults != nil {
		return config{}, faults
	}
	if !secretKey.MatchString(c.SecretKey) {
		faults = append(faults, sdk.ConfigError("secret_key", "want a key that begins with sk_live_, rk_live_, sk_test_ or rk_test_"))
	}
	if !webhookSecret.MatchString(c.WebhookSecret) {
		faults = append(faults, sdk.ConfigError("webhook_secret", "want the endpoint's signing secret, which begins with whsec_"))
	}
	if c.Endpoint != "" && !loopback(c.Endpoint) {
		faults = append(faults, sdk.ConfigError("endpoint", "is for tests: want an http URL on a loopback address, without a path"))
	}
	if c.Endpoint != "" && strings.Contains(c.SecretKey, "_live_") {
		faults = append(faults, sdk.ConfigError("endpoint", "is for tests: not with a live key"))
	}
	return c, faults
}

func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

const callTimeout = 20 * time.Second // where the host's deadline is later, or missing

func newHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment, // the host's way out to declared hosts
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       30 * time.Second,
			ResponseHeaderTimeout: callTimeout,
		},
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// use makes an account of a valid configuration. The library neither tries again nor logs: what goes wrong is the host's.
func (c *config) use(client *http.Client) account {
	b := &stripe.BackendConfig{
		HTTPClient: client, MaxNetworkRetries: stripe.Int64(0), EnableTelemetry: stripe.Bool(false),
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	}
	if c.Endpoint != "" {
		b.URL = stripe.String(c.Endpoint)
	}
	return account{
		Client:        stripe.NewClient(c.SecretKey, stripe.WithBackends(stripe.NewBackendsWithConfig(b))),
		webhookSecret: c.WebhookSecret, live: strings.Contains(c.SecretKey, "_live_"),
	}
}
