package edge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Client is the address that the tenants of a Site may call from.
const Client = "192.0.2.10"

// Site is a store with the tenants mizu and gasu, and the rooms that most parts of the API work with, over it. All are real but
// for Rooms. Everything is closed when the test ends.
type Site struct {
	t         testing.TB
	Dir       string // the test's own
	Store     *store.Store
	Tenants   *tenant.Directory
	Carriers  *carrier.Table
	Documents *document.Documents
	DoNotSend *donotsend.List
	Intake    *intake.Intake
	Audit     *audit.Log
	Doc       *openapitest.Document
	Keys      map[tenant.ID]string // API keys
	Address   string               // host:port, once it serves
	log       *slog.Logger
	closed    bool
}

// Open makes a site. change may change what its intake is made with, and the log of intake and API.
func Open(t testing.TB, change ...func(*intake.Options)) *Site {
	t.Helper()
	s := &Site{t: t, Dir: t.TempDir(), Doc: openapitest.Read(t, api.OpenAPI), Keys: map[tenant.ID]string{}}
	key := filepath.Join(s.Dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	var err error
	s.Store, err = store.Open(store.Options{Dir: filepath.Join(s.Dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 32 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	s.Tenants, err = tenant.OpenDirectory(t.Context(), s.Store.DirectoryLog())
	require.NoError(t, err)
	for id := range numbers {
		require.NoError(t, s.Tenants.Apply(t.Context(), Tenant(id)))
		s.Keys[id], _, err = s.Tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	s.Carriers, err = carrier.Open(carrier.Box("../../../conf/data/ranges.csv"))
	require.NoError(t, err)
	s.Documents, s.DoNotSend, s.Audit = document.New(s.Store, nil), donotsend.New(s.Store), audit.New(s.Store)
	o := intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: s.Store, Tenants: s.Tenants, Carriers: s.Carriers, Identity: Rooms{}, Claims: Rooms{},
		Documents: s.Documents, Links: Rooms{}, DoNotSend: s.DoNotSend, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&o)
	}
	s.log = o.Log
	s.Intake, err = intake.New(o)
	require.NoError(t, err)
	return s
}

// numbers are the tenants' at docomo, which tell whom a message from a phone is for.
var numbers = map[tenant.ID]string{"mizu": "0312345678", "gasu": "0312345679"}

// Tenant is one of the tenants as Open makes it.
func Tenant(id tenant.ID) tenant.Tenant {
	return tenant.Tenant{
		ID: id, Name: "〇〇局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
		Senders:   []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": numbers[id]}}},
		Templates: []tenant.Template{{Name: "bill", Text: "〇〇局です。{url}"}},
	}
}

// Close closes the store before the test ends. Done twice it changes nothing.
func (s *Site) Close() {
	if !s.closed {
		s.closed = true
		require.NoError(s.t, s.Store.Close())
	}
}

// Serve serves the API with the part's handlers until the test ends.
func (s *Site) Serve(handlers map[string]api.Handler) {
	s.t.Helper()
	server, err := api.New(api.Options{
		Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: s.Tenants, Intake: s.Intake, Store: s.Store, Claims: Rooms{}, Documents: s.Documents,
		Log: s.log, Extra: handlers,
	})
	require.NoError(s.t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(s.t, err)
	s.Address = ln.Addr().String()
	stop := s.Run(func(ctx context.Context) error { return server.Run(ctx, ln) })
	s.t.Cleanup(func() { require.NoError(s.t, stop()) })
}

// Run runs a worker until stop is called, which returns its error. Stop before the test ends, and once.
func (s *Site) Run(work func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- work(ctx) }()
	return func() error {
		cancel()
		return <-ran
	}
}

// Call is a request. What it leaves out is that of mizu, who is let in.
type Call struct {
	Method  string // GET when empty
	Path    string // as openapi.json names it
	Like    string // the method whose description holds, in small letters; empty: Method's, or all where that is none of the path
	At      string // the path asked for, with its query; Path when empty
	Body    string
	Type    string // of the body; JSON when empty
	Tenant  tenant.ID
	Header  map[string]string // "" takes a header away
	Chunked bool              // the body's length is not told
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes the request.
func (s *Site) Do(c Call) Answer {
	s.t.Helper()
	if c.Tenant == "" {
		c.Tenant = "mizu"
	}
	if c.At == "" {
		c.At = c.Path
	}
	var body io.Reader = strings.NewReader(c.Body)
	if c.Chunked {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequestWithContext(context.Background(), c.Method, "http://"+s.Address+c.At, body)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.Keys[c.Tenant])
	req.Header.Set("X-Forwarded-For", Client)
	if c.Type != "" {
		req.Header.Set("Content-Type", c.Type)
	} else if c.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.Header {
		if req.Header.Set(k, v); v == "" {
			req.Header.Del(k)
		}
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return Answer{res.StatusCode, res.Header, b}
}

// Ask makes the request, and holds the answer's status and body against what openapi.json says of the path.
func (s *Site) Ask(status int, c Call) Answer {
	s.t.Helper()
	a := s.Do(c)
	require.Equal(s.t, status, a.Status, "%s %s %s: %s", c.Method, c.At, c.Body[:min(len(c.Body), 100)], a.Body)
	like := []string{cmp.Or(c.Like, strings.ToLower(c.Method), "get")}
	if _, ok := s.Doc.Paths[c.Path][like[0]]; !ok {
		like = slices.Collect(maps.Keys(s.Doc.Paths[c.Path]))
	}
	for _, method := range like {
		s.Doc.Answered(c.Path, method, fmt.Sprint(status), a.Header, a.Body)
	}
	return a
}

// Into decodes the body, in which no field may be unknown.
func (a Answer) Into(t testing.TB, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(v), "%s", a.Body)
}
