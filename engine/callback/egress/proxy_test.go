package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is a client that goes out through the proxy of a module.
func module(t *testing.T, d *Dialer, roots *x509.CertPool, hosts ...string) *http.Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewProxy(d, hosts, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: ln.Addr().String()}), TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		transport.CloseIdleConnections()
	})
	return &http.Client{Transport: transport}
}

func TestModuleReachesItsDeclaredHostsAlone(t *testing.T) {
	agent := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "paid") }))
	defer agent.Close()
	roots := x509.NewCertPool()
	roots.AddCert(agent.Certificate())
	_, port, err := net.SplitHostPort(agent.Listener.Addr().String())
	require.NoError(t, err)
	n := &names{addrs: map[string][]string{"agent.example.com": {"127.0.0.1"}, "example.com": {"127.0.0.1"}}}
	declared := "example.com:" + port
	open := newDialer(t, Options{Resolver: n.resolver(), Config: Config{Allow: []string{declared}}})

	c := module(t, open, roots, declared)
	for range 3 {
		res, err := c.Get("https://" + declared + "/")
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "paid", string(body))
	}
	for _, other := range []string{"agent.example.com:" + port, "example.com:1", "127.0.0.1:" + port, "169.254.169.254:443"} {
		_, err := c.Get("https://" + other + "/")
		require.ErrorContains(t, err, "Forbidden", other)
	}
	res, err := c.Get("http://example.com/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, "only tunnels")

	// What was declared is checked like everything: a name that leads inside does not help.
	_, err = module(t, newDialer(t, Options{Resolver: n.resolver()}), roots, declared).Get("https://" + declared + "/")
	require.ErrorContains(t, err, "Forbidden")
}

func TestDeclaredHostWithoutPortIsHTTPS(t *testing.T) {
	p := NewProxy(nil, []string{"Agent.example.com", "other.example.com:8443", "[2001:db8::1]"}, slog.New(slog.DiscardHandler))
	require.Equal(t, []string{"agent.example.com:443", "other.example.com:8443", "[2001:db8::1]:443"}, p.hosts)
}
