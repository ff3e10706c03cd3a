package uploads

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/api/internal/edge"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// room is a site with uploads.
type room struct {
	*edge.Site
	t         testing.TB
	campaigns *campaign.Campaigns
	recorded  func() // after each record in the audit log, where it is set
	stop      func() // the workers; then the store is closed. Done twice it changes nothing.
}

// records are those of the audit log.
type records struct{ *room }

func (r records) Commit(ctx context.Context, txs ...store.Tx) ([]error, error) {
	errs, err := r.Store.Commit(ctx, txs...)
	if err == nil && errs[0] == nil && r.recorded != nil {
		r.recorded()
	}
	return errs, err
}

func (r records) Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error) {
	return r.Store.Load(ctx, scope, ref)
}

func openRoom(t testing.TB) *room {
	t.Helper()
	r := &room{Site: edge.Open(t), t: t}
	var err error
	r.campaigns, err = campaign.New(campaign.Options{Store: r.Store, Tenants: r.Tenants, Carriers: r.Carriers, Intake: r.Intake, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	log := audit.New(records{r})
	unwork := r.Run(r.campaigns.Run)
	r.stop = sync.OnceFunc(func() {
		require.NoError(t, unwork())
		r.Close()
	})
	t.Cleanup(r.stop)
	r.Serve(map[string]api.Handler{Path: Handler(r.campaigns, log), SeedsPath: SeedsHandler(r.campaigns, log)})
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

type answer struct{ edge.Answer }

func (r *room) of(c call) edge.Call {
	if c.as == "" {
		c.as = strings.ToUpper(c.method)
	}
	at := strings.NewReplacer("{id}", c.id, "{list}", c.list, "{carrier}", c.id).Replace(c.path) + c.query
	out := edge.Call{Method: c.as, Like: c.method, Path: c.path, At: at, Body: c.body, Tenant: c.tenant, Header: c.header, Chunked: c.chunked}
	if c.method != "post" && c.body != "" {
		out.Type = "text/csv"
	}
	return out
}

func (r *room) do(c call) answer {
	r.t.Helper()
	return answer{r.Do(r.of(c))}
}

func (r *room) ask(status int, c call) answer {
	r.t.Helper()
	return answer{r.Ask(status, r.of(c))}
}

// field is what the first of a refusal's faults is about.
func (a answer) field(t testing.TB) api.FieldProblem {
	t.Helper()
	var p api.Problem
	a.Into(t, &p)
	require.NotEmpty(t, p.Errors, "%s", a.Body)
	return p.Errors[0]
}

func (a answer) upload(t testing.TB) Upload {
	t.Helper()
	var u Upload
	a.Into(t, &u)
	require.Equal(t, fmt.Sprint(u.Offset), a.Header.Get("Upload-Offset"))
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
