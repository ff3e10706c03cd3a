package admin

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/tenant"
)

// half posts a body up to the moment at which the console has let it in and waits for more of it; rest sends the rest.
func (b *browser) half(path, kind, body string) (rest func() *http.Response) {
	b.t.Helper()
	at, err := url.Parse(b.base)
	require.NoError(b.t, err)
	conn, err := net.Dial("tcp", at.Host)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path, at.Host, b.Jar.Cookies(at)[0], kind, len(body))
	require.NoError(b.t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusContinue, resp.StatusCode)
	return func() *http.Response {
		_, err := io.WriteString(conn, body)
		require.NoError(b.t, err)
		resp, err := http.ReadResponse(r, nil)
		require.NoError(b.t, err)
		return resp
	}
}

func TestWhatAFormMayIsAskedWhenAllOfItIsThere(t *testing.T) {
	r := openRoom(t)
	changes := map[string]func(*tenant.User) error{
		"disabled": func(u *tenant.User) error { u.Disabled = true; return nil },
		"demoted":  func(u *tenant.User) error { u.Role = tenant.RoleViewer; return nil },
		"password": func(u *tenant.User) error { u.Password = "another one"; return nil },
	}
	const form = "application/x-www-form-urlencoded"
	for name, change := range changes {
		for path, body := range map[string]string{
			"/account/phone": "phone=09000010001&csrf=", "/keys": "name=late&csrf=",
			"/do-not-send/import": "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n",
		} {
			login := name + strings.ReplaceAll(path, "/", ".")
			require.NoError(t, r.Directory.AddUser(t.Context(), tenant.User{Login: login, Tenant: "mizu", Name: "書留 三郎", Role: tenant.RoleAdmin, Password: testHash()}))
			b := r.enter(login)
			kind := form
			if body += b.csrf; path == "/do-not-send/import" {
				kind = "multipart/form-data; boundary=x"
				body += "\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nnumber\r\n09000010001\r\n--x--\r\n"
			}
			rest := b.half(path, kind, body)
			now, err := r.Directory.ChangeUser(t.Context(), login, change)
			require.NoError(t, err)
			resp := rest()
			require.Equal(t, http.StatusSeeOther, resp.StatusCode, login)
			require.Equal(t, "/signin", resp.Header.Get("Location"), login)
			require.Equal(t, now, *r.Directory.Now().Users[login])
		}
	}
	require.Empty(t, r.Directory.Now().KeysOf("mizu"))
	listed, _, err := r.DoNotSend.Page(t.Context(), "mizu", donotsend.Query{Limit: 1})
	require.NoError(t, err)
	require.Empty(t, listed)
	b := r.enter("sender@mizu")
	rest := b.half("/account/phone", form, "phone=09000010001&csrf="+b.csrf)
	require.Contains(t, rest().Header.Get("Location"), "/account", "nothing happened meanwhile")
}

// one is a listener of one connection.
type one struct {
	net.Listener
	conn chan net.Conn
}

func (o one) Accept() (net.Conn, error) {
	c, ok := <-o.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (o one) Addr() net.Addr { return &net.UnixAddr{} }
func (o one) Close() error   { return nil }

// serveOne serves one connection with do for every request to "/x", as Serve does, in a bubble.
func serveOne(t *testing.T, do http.HandlerFunc) net.Conn {
	s := &Server{Options: Options{Log: slog.New(slog.DiscardHandler)}, mux: http.NewServeMux()}
	s.mux.HandleFunc("/x", do)
	srv := s.http()
	ours, theirs := net.Pipe()
	ln := one{conn: make(chan net.Conn, 1)}
	ln.conn <- theirs
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { close(ln.conn); ours.Close(); _ = srv.Close() })
	return ours
}

func TestFormThatDoesNotComeToItsEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		read := make(chan error, 1)
		conn := serveOne(t, func(w http.ResponseWriter, r *http.Request) {
			read <- (&Server{}).readForm(route{}, w, r)
		})
		_, err := io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na=b")
		require.NoError(t, err)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		require.Error(t, <-read)
		require.Equal(t, formTime, time.Since(began))
	})
}

func TestReaderWhoStopsIsCutOffButASlowOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		conn := serveOne(t, func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 3*pieceSize)); err != nil {
					failed <- err
					return
				}
			}
		})
		_, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		for range 20 {
			_, err := io.ReadFull(conn, make([]byte, pieceSize))
			require.NoError(t, err, "as slow as may be")
			time.Sleep(writeTime - time.Second)
		}
		stopped := time.Now()
		require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
		require.LessOrEqual(t, time.Since(stopped), writeTime)
	})
}

func TestNobodySignsInOverPlainHTTP(t *testing.T) {
	r := openRoom(t)
	r.Simulated = false
	r.proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		from   string
		tls    bool
		header map[string]string
		in     bool
	}{
		{"203.0.113.9:1000", false, nil, false},
		{"203.0.113.9:1000", false, map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}, false},
		{"192.0.2.1:1000", false, nil, false},
		{"127.0.0.1:1000", false, map[string]string{"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.9"}, false},
		{"203.0.113.9:1000", true, nil, true},
		{"192.0.2.1:1000", false, map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}, true},
		{"127.0.0.1:1000", false, nil, true},
		{"[::1]:1000", false, nil, true},
	} {
		for _, method := range []string{"GET", "POST"} {
			req := httptest.NewRequest(method, "/signin", strings.NewReader(url.Values{"login": {"sender@mizu"}, "password": {testPassword}}.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for name, value := range c.header {
				req.Header.Set(name, value)
			}
			req.RemoteAddr, req.TLS = c.from, nil
			if c.tls {
				req.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			r.Handler().ServeHTTP(w, req)
			if c.in {
				require.Equal(t, map[string]int{"GET": http.StatusOK, "POST": http.StatusSeeOther}[method], w.Code, "%v", c)
				continue
			}
			require.Equal(t, http.StatusForbidden, w.Code, "%v", c)
			require.Contains(t, w.Body.String(), "HTTPSで接続してください。")
			require.Empty(t, w.Result().Cookies())
		}
	}
}
