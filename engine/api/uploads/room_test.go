package uploads

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// room is the served API with uploads over a real store, directory and intake; its answers are held against openapi.json.
type room struct {
	t         testing.TB
	store     *store.Store
	tenants   *tenant.Directory
	campaigns *campaign.Campaigns
	intake    *intake.Intake
	audit     *audit.Log
	doc       *openapitest.Document
	address   string
	keys      map[tenant.ID]string
	recorded  func() // after each record in the audit log, where it is set
	stop      func() // the workers; then the store is closed. Done twice it changes nothing.
}

// records are those of the audit log.
type records struct{ *room }

func (r records) Commit(ctx context.Context, txs ...store.Tx) ([]error, error) {
	errs, err := r.store.Commit(ctx, txs...)
	if err == nil && errs[0] == nil && r.recorded != nil {
		r.recorded()
	}
	return errs, err
}

func (r records) Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error) {
	return r.store.Load(ctx, scope, ref)
}

func sender(id tenant.ID) tenant.Tenant {
	return tenant.Tenant{
		ID: id, Name: "〇〇県水道局", Allow: []string{"192.0.2.0/24"}, Brand: tenant.Brand{Phone: "000-000-0000"},
		Senders:   []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}},
		Templates: []tenant.Template{{Name: "bill", Text: "〇〇県水道局です。{url}"}},
	}
}

func openRoom(t testing.TB) *room {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	r := &room{t: t, doc: openapitest.Read(t, api.OpenAPI), keys: map[tenant.ID]string{}}
	var err error
	r.store, err = store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1, Cache: 8 << 20, ValueLogSize: 32 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	r.tenants, err = tenant.OpenDirectory(t.Context(), r.store.DirectoryLog())
	require.NoError(t, err)
	for _, id := range []tenant.ID{"mizu", "gasu"} {
		require.NoError(t, r.tenants.Apply(t.Context(), sender(id)))
		r.keys[id], _, err = r.tenants.IssueKey(t.Context(), id, "erp")
		require.NoError(t, err)
	}
	carriers, err := carrier.Open(carrier.Box("../../../conf/data/ranges.csv"))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	docs := document.New(r.store, nil)
	in, err := intake.New(intake.Options{Config: intake.Config{LinkHost: "s.example.jp"}, Store: r.store, Tenants: r.tenants, Carriers: carriers, Identity: edge.Rooms{}, Claims: edge.Rooms{}, Documents: docs, Links: edge.Rooms{}, Log: log})
	require.NoError(t, err)
	r.intake = in
	r.campaigns, err = campaign.New(campaign.Options{Store: r.store, Tenants: r.tenants, Carriers: carriers, Intake: in, Log: log})
	require.NoError(t, err)
	r.audit = audit.New(records{r})
	server, err := api.New(api.Options{
		Config: api.Config{TrustedProxies: []string{"127.0.0.1"}}, Tenants: r.tenants, Intake: in, Store: r.store, Claims: edge.Rooms{}, Documents: docs, Log: log,
		Extra: map[string]api.Handler{Path: Handler(r.campaigns, r.audit), SeedsPath: SeedsHandler(r.campaigns, r.audit)},
	})
	require.NoError(t, err)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = ln.Addr().String()
	serve, unserve := context.WithCancel(context.Background())
	work, unwork := context.WithCancel(context.Background())
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Run(serve, ln) }()
	go func() { worked <- r.campaigns.Run(work) }()
	closed := false
	r.stop = func() {
		if !closed {
			closed = true
			unwork()
			require.NoError(t, <-worked)
			require.NoError(t, r.store.Close())
		}
	}
	t.Cleanup(func() {
		unserve()
		require.NoError(t, <-served)
		r.stop()
	})
	return r
}

// call is a request of an operation of openapi.json; the zero parts are those of a tenant that is let in.
type call struct {
	method, path    string // as in openapi.json; post
	id, list, query string // id: also a carrier
	body            string
	as              string // another method
	tenant          tenant.ID
	header          map[string]string // "" takes a header away
	chunked         bool              // the body's length is not told
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes the request.
func (r *room) do(c call) answer {
	r.t.Helper()
	if c.tenant == "" {
		c.tenant = "mizu"
	}
	if c.as == "" {
		c.as = strings.ToUpper(c.method)
	}
	var body io.Reader = strings.NewReader(c.body)
	if c.chunked {
		body = io.MultiReader(body)
	}
	at := strings.NewReplacer("{id}", c.id, "{list}", c.list, "{carrier}", c.id).Replace(c.path) + c.query
	req, err := http.NewRequestWithContext(context.Background(), c.as, "http://"+r.address+at, body)
	require.NoError(r.t, err)
	header := map[string]string{"Authorization": "Bearer " + r.keys[c.tenant], "X-Forwarded-For": "192.0.2.10"}
	if c.body != "" && c.method == "post" {
		header["Content-Type"] = "application/json"
	}
	for _, set := range []map[string]string{header, c.header} {
		for k, v := range set {
			req.Header.Set(k, v)
			if v == "" {
				req.Header.Del(k)
			}
		}
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return answer{res.StatusCode, res.Header, b}
}

// ask makes the request, and holds the answer's status and its body against what is described.
func (r *room) ask(status int, c call) answer {
	r.t.Helper()
	a := r.do(c)
	require.Equal(r.t, status, a.status, "%s %s%s %s: %s", c.method, c.path, c.query, c.body[:min(len(c.body), 100)], a.body)
	r.doc.Answered(c.path, c.method, fmt.Sprint(status), a.header, a.body)
	return a
}

// field is what the first of a refusal's faults is about.
func (a answer) field(t testing.TB) api.FieldProblem {
	t.Helper()
	var p api.Problem
	a.into(t, &p)
	require.NotEmpty(t, p.Errors, "%s", a.body)
	return p.Errors[0]
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(v), "%s", a.body)
}

func (a answer) upload(t testing.TB) Upload {
	t.Helper()
	var u Upload
	a.into(t, &u)
	require.Equal(t, fmt.Sprint(u.Offset), a.header.Get("Upload-Offset"))
	return u
}

const (
	all      = "/v1/uploads"
	one      = "/v1/uploads/{id}"
	finish   = "/v1/uploads/{id}/finish"
	release  = "/v1/uploads/{id}/release"
	pause    = "/v1/uploads/{id}/pause"
	resume   = "/v1/uploads/{id}/resume"
	cancel   = "/v1/uploads/{id}/cancel"
	goOn     = "/v1/uploads/{id}/continue"
	without  = "/v1/uploads/{id}/drop-carrier"
	retry    = "/v1/uploads/{id}/retry-canary"
	findings = "/v1/uploads/{id}/{list}"
	csvPath  = "/v1/uploads/{id}/findings.csv"
)

// begin begins an upload of a file of which nothing is told but its name.
func (r *room) begin(id tenant.ID) string {
	r.t.Helper()
	return r.ask(201, call{method: "post", path: all, body: `{"name":"請求.csv","settings":{"defaults":{"template":"bill"}}}`, tenant: id}).upload(r.t).ID.String()
}

// staged brings a file to where it was checked.
func (r *room) staged(file string) string {
	r.t.Helper()
	id := r.begin("mizu")
	r.ask(200, call{method: "put", path: one, id: id, body: file})
	r.ask(200, call{method: "post", path: finish, id: id})
	r.until(id, campaign.Staged)
	return id
}

// until waits for the upload of mizu to be in the phase.
func (r *room) until(id string, p campaign.Phase) Upload {
	r.t.Helper()
	return r.untilOf("mizu", id, p)
}

func (r *room) untilOf(owner tenant.ID, id string, p campaign.Phase) Upload {
	r.t.Helper()
	changed, stop := r.campaigns.Watch(ulid.MustParse(id))
	defer stop()
	limit := time.After(2 * time.Minute)
	for {
		u := r.ask(200, call{method: "get", path: one, id: id, tenant: owner}).upload(r.t)
		if u.Phase == p {
			return u
		}
		require.False(r.t, u.Over(), "the upload is %s (%s)", u.Phase, u.Reason)
		select {
		case <-changed:
		case <-limit:
			require.FailNow(r.t, "the upload stays "+string(u.Phase))
		}
	}
}
