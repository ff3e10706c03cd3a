package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// names is a resolver whose answers change: each question for a name gets the next of its addresses, the last one for ever.
type names struct {
	mu    sync.Mutex // guards what follows
	addrs map[string][]string
	asked int
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

// serve answers DNS over a stream: each message has its length ahead. RFC 1035 §4.2.2
func (n *names) serve(c net.Conn) {
	defer c.Close()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		question := make([]byte, int(head[0])<<8|int(head[1]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		answer := n.answer(question)
		if _, err := c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
			return
		}
	}
}

func (n *names) answer(question []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := strings.TrimSuffix(q.Name.String(), ".")
	if q.Type == dnsmessage.TypeA && len(n.addrs[name]) > 0 {
		n.asked++
		at := netip.MustParseAddr(n.addrs[name][0])
		if len(n.addrs[name]) > 1 {
			n.addrs[name] = n.addrs[name][1:]
		}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: at.As4()},
		}}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func newDialer(t *testing.T, o Options) *Dialer {
	t.Helper()
	d, err := New(o)
	require.NoError(t, err)
	return d
}

// TestReboundNameGetsNoConnection: a name that was public when it was registered and leads to this machine now.
func TestReboundNameGetsNoConnection(t *testing.T) {
	var reached atomic.Int32
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)
	n := &names{addrs: map[string][]string{"hooks.example.com": {"93.184.216.34", "127.0.0.1"}}}
	d := newDialer(t, Options{Resolver: n.resolver()})
	address := "https://hooks.example.com:" + port + "/"
	require.NoError(t, d.CheckURL(address))

	first, err := d.Resolver.LookupNetIP(t.Context(), "ip4", "hooks.example.com")
	require.NoError(t, err)
	require.Empty(t, special(first[0]), "it looks harmless")

	roots := x509.NewCertPool()
	roots.AddCert(inside.Certificate())
	c := NewClient(d, Limits{Roots: &tls.Config{RootCAs: roots}})
	defer c.Close()
	_, err = c.Post(t.Context(), address, http.Header{}, nil)
	require.ErrorIs(t, err, ErrRefused)
	require.NotContains(t, err.Error(), "127.0.0.1", "a refusal does not tell addresses")
	require.Zero(t, reached.Load())
	require.GreaterOrEqual(t, n.asked, 2)
}

// TestNamesOfEveryRange: the check comes after resolving, so a name helps with none of them.
func TestNamesOfEveryRange(t *testing.T) {
	for _, addr := range []string{"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "169.254.1.1", "172.16.0.1", "192.168.1.1", "192.0.2.1",
		"198.18.0.1", "224.0.0.1", "255.255.255.255", "168.63.129.16"} {
		n := &names{addrs: map[string][]string{"x.example.com": {addr}}}
		_, err := newDialer(t, Options{Resolver: n.resolver()}).DialContext(t.Context(), "tcp", "x.example.com:443")
		require.ErrorIs(t, err, ErrRefused, addr)
	}
	for _, literal := range []string{"[::1]:443", "[::ffff:127.0.0.1]:443", "[64:ff9b::7f00:1]:443", "[fe80::1]:443", "[fd00::1]:443", "127.0.0.1:443", "[::]:443"} {
		_, err := newDialer(t, Options{}).DialContext(t.Context(), "tcp", literal)
		require.ErrorIs(t, err, ErrRefused, literal)
	}
}

func TestOwnAddressesAndListeners(t *testing.T) {
	here := func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("8.8.4.4")}, nil }
	own := []netip.AddrPort{netip.MustParseAddrPort("[::]:8443"), netip.MustParseAddrPort("127.0.0.1:9090"), netip.MustParseAddrPort("1.2.3.4:443")}
	d := newDialer(t, Options{Own: own, Interfaces: here, OwnHosts: []string{"kk.example.jp"}, Config: Config{Allow: []string{"inside"}}})
	for _, c := range []struct {
		to             string
		plain, allowed bool // whether it is reached without and with an exception
	}{
		{"8.8.8.8:443", true, true},
		{"8.8.4.4:443", false, true},            // this machine
		{"8.8.4.4:8443", false, false},          // the listener on every address
		{"[::ffff:8.8.4.4]:8443", false, false}, // the same
		{"127.0.0.1:8443", false, false},
		{"127.0.0.1:9090", false, false},
		{"[::ffff:127.0.0.1]:9090", false, false},
		{"127.0.0.1:9000", false, true},
		{"0.0.0.0:9000", false, true},
		{"0.0.0.0:9090", false, false}, // leads to loopback
		{"1.2.3.4:443", false, false},
		{"1.2.3.4:444", true, true},
		{"169.254.169.254:80", false, false},
		{"10.0.0.1:443", false, true},
	} {
		to := netip.MustParseAddrPort(c.to)
		require.Equal(t, c.plain, d.check(to, false) == nil, c.to)
		require.Equal(t, c.allowed, d.check(to, true) == nil, "excepted %s", c.to)
	}
}

func TestURLs(t *testing.T) {
	d := newDialer(t, Options{OwnHosts: []string{"kk.example.jp"}, Config: Config{Allow: []string{"inside", "127.0.0.1:9000", "[::1]:9000"}}})
	for address, ok := range map[string]bool{
		"https://a.example.com/hook?x=1": true, "https://8.8.8.8/": true, "HTTPS://A.example.com": true, "http://inside/": true, "https://inside:8/": true,
		"http://127.0.0.1:9000/x": true, "http://[::1]:9000/": true, "http://INSIDE/": true,
		"": false, "a": false, "/x": false, "https://": false, "https:///x": false, "http://a.example.com/": false, "ftp://a.example.com/": false, "file:///etc/passwd": false,
		"http://127.0.0.1:9001/": false, "https://127.0.0.1/": false, "https://[::ffff:127.0.0.1]/": false, "https://[fe80::1%25eth0]/": false,
		"https://u:p@a.example.com/": false, "https://u@a.example.com/": false, "https://a.example.com/#f": false, "https://a.example.com./": false,
		"https://kk.example.jp/": false, "https://KK.example.jp/x": false, "https://例え.jp/": false, "https://xn--r8jz45g.jp/": true, "javascript:alert(1)": false,
		"https://a.example.com/" + strings.Repeat("x", 1024): false, "https://a b/": false,
	} {
		require.Equal(t, ok, d.CheckURL(address) == nil, "%s: %v", address, d.CheckURL(address))
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://a.example.com/", "http://127.0.0.1:1/", "https://[::1]/", "https://a@b/", "https://%31/"} {
		f.Add(s)
	}
	d, err := New(Options{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, s string) {
		if d.CheckURL(s) != nil {
			return
		}
		u, err := url.Parse(s)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Nil(t, u.User)
		_, err = http.NewRequest(http.MethodPost, s, nil)
		require.NoError(t, err)
	})
}

func TestConfigNamesItsFaults(t *testing.T) {
	require.Empty(t, Config{Allow: []string{"inside", "a.b-c.example:80", "[::1]:9", "127.0.0.1"}}.Validate())
	for _, bad := range []string{"", "https://a", "A", "a b", "a:b", "a/"} {
		require.Len(t, Config{Allow: []string{"ok", bad}}.Validate(), 1, bad)
	}
}

// receiver is a plain server on loopback and a client that may reach it.
func receiver(t *testing.T, l Limits, h http.HandlerFunc) (*Client, string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := NewClient(newDialer(t, Options{Config: Config{Allow: []string{s.Listener.Addr().String()}}}), l)
	t.Cleanup(c.Close)
	return c, s.URL
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	c, address := receiver(t, Limits{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			followed.Store(true)
		}
		http.Redirect(w, r, "/in", http.StatusTemporaryRedirect)
	})
	reply, err := c.Post(t.Context(), address, http.Header{}, []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, reply.Status)
	require.False(t, followed.Load())
}

func TestReplyIsBounded(t *testing.T) {
	c, address := receiver(t, Limits{Reply: 1000}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9999999")
		for range 1 << 12 {
			if _, err := w.Write(make([]byte, 1<<12)); err != nil {
				return
			}
		}
	})
	reply, err := c.Post(t.Context(), address, http.Header{}, nil)
	require.NoError(t, err)
	require.Len(t, reply.Body, 1000)
	require.Equal(t, maxRetryAfter, reply.RetryAfter)

	c, address = receiver(t, Limits{}, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	_, err = c.Post(t.Context(), address, http.Header{}, nil)
	require.Error(t, err, "headers are bounded")
}

func TestTimeIsBounded(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	c, address := receiver(t, Limits{Total: 50 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	_, err := c.Post(t.Context(), address, http.Header{}, nil)
	require.Error(t, err)
	require.True(t, err.(interface{ Timeout() bool }).Timeout(), "%v", err)
}

func TestEnvironmentsProxyIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	c, address := receiver(t, Limits{}, func(http.ResponseWriter, *http.Request) {})
	reply, err := c.Post(t.Context(), address, http.Header{}, nil)
	require.NoError(t, err)
	require.Equal(t, 200, reply.Status)
}
