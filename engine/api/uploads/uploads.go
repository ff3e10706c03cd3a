// Package uploads is the part of the sender's HTTP API that takes files (engine/campaign). It is mounted at /v1/uploads
// behind engine/api's door, which knows the tenant by then.
//
//	POST   /v1/uploads                begin: Begin → 201 Upload, or 200 where an unfinished one of the same file goes on
//	GET    /v1/uploads                list, the newest first: ?limit=1…100&before=ID → {"uploads":[Upload…],"next":ID}
//	PUT    /v1/uploads/{id}?offset=N  the file's bytes from N on, at most 8 MiB → 200 Upload
//	POST   /v1/uploads/{id}/finish    {"sha256"}: the file is whole, where no size was told → 200 Upload
//	GET    /v1/uploads/{id}           Upload
//	GET    /v1/uploads/{id}/faults    also /warnings, /refusals: ?offset=N&limit=1…1000 → {"findings":[Finding…],"total":N}
//	GET    /v1/uploads/{id}/findings.csv  all of them for a spreadsheet
//	POST   /v1/uploads/{id}/release   {"good_only":bool,"again":bool,"canary":bool,"canary_minutes":N} → 202 Upload
//	POST   /v1/uploads/{id}/pause     also /resume, /continue, /retry-canary; /cancel {"reason"}, /drop-carrier {"carrier"} → 200 Upload
//	DELETE /v1/uploads/{id}           drop → 200 Upload
//
// seeds.go has the phones of canaries, at /v1/seeds.
//
// An upload whose size was told is whole when its last byte is here. Answers with an upload carry its Upload-Offset, and so
// do refusals of bytes: what came before is kept. Refusals are engine/api's problem documents; of the 409s, errors[0].field says which: "offset" (limit is the offset that
// is right), "phase" (value), "good_only" (there are faulty rows), "again" (the same file is in another upload), "rows"
// (there is no good one), "canary" (value: carriers without a seed number).
package uploads

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Path is where Handler is to be mounted.
const Path = "/v1/uploads"

const (
	maxPart = 8 << 20
	maxJSON = 256 << 10
	// patience bounds one request.
	patience = 2 * time.Minute
)

// Begin is the body of a POST that begins an upload.
type Begin struct {
	Name     string            `json:"name"`
	Size     *int64            `json:"size,omitempty"` // bytes; absent: told by finish
	SHA256   string            `json:"sha256,omitempty"`
	Settings campaign.Settings `json:"settings,omitzero"`
}

// Upload is an upload as the API shows it.
type Upload struct {
	*campaign.State
	Resumed bool `json:"resumed,omitempty"` // it had been begun before
}

// Finish, Release are bodies.
type (
	Finish struct {
		SHA256 string `json:"sha256,omitempty"`
	}
	Release struct {
		GoodOnly bool `json:"good_only,omitempty"`
		Again    bool `json:"again,omitempty"`
		Canary   bool `json:"canary,omitempty"`
		// CanaryMinutes is in which time the seeds have to be delivered; 0: as the tenant's policy says.
		CanaryMinutes int `json:"canary_minutes,omitempty"`
	}
	Cancel struct {
		Reason string `json:"reason,omitempty"`
	}
	Without struct {
		Carrier string `json:"carrier"`
	}
)

// Finding is a finding with its reason in the caller's language.
type Finding struct {
	campaign.Finding
	Text string `json:"text"`
}

// Findings is a page of a list.
type Findings struct {
	Findings []Finding `json:"findings"`
	Total    int64     `json:"total"`
}

// List is a page of uploads. Next is the "before" of the page after it; absent on the last.
type List struct {
	Uploads []*campaign.State `json:"uploads"`
	Next    *ulid.ULID        `json:"next,omitempty"`
}

// Handler serves Path and all below it. Exports are audited before they begin.
func Handler(c *campaign.Campaigns, log *audit.Log) api.Handler {
	h := &handler{campaigns: c, audit: log}
	return h.serve
}

type handler struct {
	campaigns *campaign.Campaigns
	audit     *audit.Log
}

// request is one request on its way.
type request struct {
	*handler
	ctx    *fasthttp.RequestCtx
	caller *api.Caller
	scope  tenant.Scope
	id     ulid.ULID
	work   context.Context
}

func (h *handler) serve(ctx *fasthttp.RequestCtx, caller *api.Caller) {
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := &request{handler: h, ctx: ctx, caller: caller, scope: tenant.Only(caller.Tenant.ID), work: work}
	way := map[string]func(){"POST": r.begin, "GET": r.list}
	if rest, below := strings.CutPrefix(string(ctx.Path()), Path+"/"); below {
		id, what, deeper := strings.Cut(rest, "/")
		var err error
		way = nil
		if r.id, err = ulid.ParseStrict(id); err == nil {
			way = r.ways(what, deeper)
		}
	}
	caller.Do(ctx, way)
}

// ways are the methods of the path of an upload, or of what is below it; nil: there is no such path.
func (r *request) ways(what string, below bool) map[string]func() {
	switch {
	case !below:
		return map[string]func(){"GET": r.get, "PUT": r.put, "DELETE": func() { r.say(fasthttp.StatusOK, "upload.drop", nil, r.campaigns.Drop) }}
	case what == "finish":
		return map[string]func(){"POST": r.finish}
	case what == "release":
		var b Release
		return map[string]func(){"POST": func() {
			r.say(fasthttp.StatusAccepted, "upload.release", &b, func(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*campaign.State, error) {
				return r.campaigns.Release(ctx, scope, id, campaign.Release{By: by, GoodOnly: b.GoodOnly, Again: b.Again, Canary: b.Canary, Minutes: b.CanaryMinutes})
			})
		}}
	case what == "pause":
		return map[string]func(){"POST": func() { r.say(fasthttp.StatusOK, "upload.pause", nil, r.campaigns.Pause) }}
	case what == "resume":
		return map[string]func(){"POST": func() { r.say(fasthttp.StatusOK, "upload.resume", nil, r.campaigns.Resume) }}
	case what == "continue":
		return map[string]func(){"POST": func() { r.say(fasthttp.StatusOK, "upload.continue", nil, r.campaigns.GoOn) }}
	case what == "retry-canary":
		return map[string]func(){"POST": func() { r.say(fasthttp.StatusOK, "upload.retry_canary", nil, r.campaigns.RetryCanary) }}
	case what == "cancel":
		var b Cancel
		return map[string]func(){"POST": func() {
			r.say(fasthttp.StatusOK, "upload.cancel", &b, func(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*campaign.State, error) {
				return r.campaigns.Cancel(ctx, scope, id, by, b.Reason)
			})
		}}
	case what == "drop-carrier":
		var b Without
		return map[string]func(){"POST": func() {
			r.say(fasthttp.StatusOK, "upload.drop_carrier", &b, func(ctx context.Context, scope tenant.Scope, id ulid.ULID, by string) (*campaign.State, error) {
				return r.campaigns.DropCarrier(ctx, scope, id, by, b.Carrier)
			})
		}}
	case what == "findings.csv":
		return map[string]func(){"GET": r.export}
	}
	if l, err := campaign.ParseList(what); err == nil {
		return map[string]func(){"GET": func() { r.findings(l) }}
	}
	return nil
}

// say does one thing to an upload, on record in the audit log before it is done. body is nil where there is none.
func (r *request) say(status int, action string, body any, do func(context.Context, tenant.Scope, ulid.ULID, string) (*campaign.State, error)) {
	if !r.parameters() || body != nil && !r.json(body) {
		return
	}
	st, err := r.campaigns.State(r.work, r.scope, r.id)
	if err == nil {
		detail := strconv.FormatInt(st.Good, 10) + " rows"
		if b, ok := body.(*Without); ok && st.Canary != nil && slices.Contains(st.Canary.Failed, b.Carrier) {
			detail = b.Carrier
		}
		err = r.caller.Record(r.work, r.audit, action, r.id.String(), detail)
	}
	if err == nil {
		st, err = do(r.work, r.scope, r.id, r.caller.By())
	}
	r.state(status, st, err)
}

func (r *request) begin() {
	var b Begin
	if !r.parameters() || !r.json(&b) {
		return
	}
	size := int64(-1)
	if b.Size != nil {
		size = *b.Size
	}
	if err := r.caller.Record(r.work, r.audit, "upload.begin", "", ""); err != nil {
		r.refuse(err)
		return
	}
	st, resumed, err := r.campaigns.Begin(r.work, r.caller.Tenant.ID, campaign.File{
		Name: b.Name, Size: size, SHA256: b.SHA256, Settings: b.Settings, Via: "api", By: r.caller.By(),
	})
	if err != nil {
		r.refuse(err)
		return
	}
	status := fasthttp.StatusCreated
	if resumed {
		status = fasthttp.StatusOK
	}
	r.ctx.Response.Header.Set("Location", Path+"/"+st.ID.String())
	r.answer(status, st, resumed)
}

func (r *request) answer(status int, st *campaign.State, resumed bool) {
	r.offset(st)
	r.caller.Answer(r.ctx, status, Upload{st, resumed})
}

func (r *request) offset(st *campaign.State) {
	r.ctx.Response.Header.Set("Upload-Offset", strconv.FormatInt(st.Offset, 10))
}

// state answers the upload that a step left, or why there was none.
func (r *request) state(status int, st *campaign.State, err error) {
	if err != nil {
		if st != nil {
			r.offset(st)
		}
		r.refuse(err)
		return
	}
	r.answer(status, st, false)
}

func (r *request) get() {
	if !r.parameters() {
		return
	}
	st, err := r.campaigns.State(r.work, r.scope, r.id)
	r.state(fasthttp.StatusOK, st, err)
}

func (r *request) put() {
	if !r.parameters("offset") {
		return
	}
	offset, ok := r.number("offset", 0, 0, 1<<50)
	if !ok {
		return
	}
	from, ok := r.caller.Body(r.ctx, maxPart)
	if !ok {
		return
	}
	body := &body{Reader: from}
	st, err := r.campaigns.Append(r.work, r.scope, r.id, offset, body)
	if body.err != nil {
		if st, err = r.campaigns.State(r.work, r.scope, r.id); err == nil {
			r.offset(st)
		}
		r.caller.RefuseRead(r.ctx, body.err, maxPart)
		return
	}
	r.state(fasthttp.StatusOK, st, err)
}

// body keeps the error of its reader apart from those of the store.
type body struct {
	io.Reader
	err error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (r *request) finish() {
	var b Finish
	if !r.parameters() || !r.json(&b) {
		return
	}
	st, err := r.campaigns.Finish(r.work, r.scope, r.id, b.SHA256)
	r.state(fasthttp.StatusOK, st, err)
}

func (r *request) list() {
	if !r.parameters("limit", "before") {
		return
	}
	limit, ok := r.number("limit", 20, 1, 100)
	if !ok {
		return
	}
	var before ulid.ULID
	if v := string(r.ctx.QueryArgs().Peek("before")); v != "" {
		var err error
		if before, err = ulid.ParseStrict(v); err != nil {
			r.caller.Refuse(r.ctx, api.BadRequest, message.Problem{Field: "before", Code: "pattern"})
			return
		}
	}
	all, err := r.campaigns.List(r.work, r.scope, before, int(limit))
	switch {
	case errors.Is(err, store.ErrNotFound) && !before.IsZero():
		r.caller.Refuse(r.ctx, api.BadRequest, message.Problem{Field: "before", Code: "unknown"})
		return
	case err != nil:
		r.refuse(err)
		return
	}
	l := List{Uploads: all}
	if len(all) == int(limit) {
		l.Next = &all[len(all)-1].ID
	}
	r.caller.Answer(r.ctx, fasthttp.StatusOK, l)
}

func (r *request) findings(list campaign.List) {
	if !r.parameters("offset", "limit") {
		return
	}
	offset, ok := r.number("offset", 0, 0, 1<<50)
	if !ok {
		return
	}
	limit, ok := r.number("limit", 100, 1, 1000)
	if !ok {
		return
	}
	st, err := r.campaigns.State(r.work, r.scope, r.id)
	if err != nil {
		r.refuse(err)
		return
	}
	found, err := r.campaigns.Findings(r.work, r.scope, r.id, list, offset, int(limit))
	if err != nil {
		r.refuse(err)
		return
	}
	page := Findings{Findings: []Finding{}, Total: [...]int64{st.Faults, st.Warnings, st.Refusals}[list]}
	for _, f := range found {
		page.Findings = append(page.Findings, Finding{f, f.Text(r.caller.Lang)})
	}
	r.caller.Answer(r.ctx, fasthttp.StatusOK, page)
}

// export streams the findings; a list of a million faults is not gathered first. Where it cannot go on, the connection
// ends before the body does, so that nobody takes a part for the whole.
func (r *request) export() {
	if !r.parameters() {
		return
	}
	st, err := r.campaigns.State(r.work, r.scope, r.id)
	if err == nil && !r.ctx.IsHead() {
		err = r.caller.Record(r.work, r.audit, "upload.findings.export", st.ID.String(), "")
	}
	if err != nil {
		r.refuse(err)
		return
	}
	r.ctx.SetContentType("text/csv; charset=utf-8")
	r.ctx.Response.Header.Set("Content-Language", r.caller.Lang)
	r.ctx.Response.Header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="kakitome-%s.csv"`, r.id))
	campaigns, scope, id, lang := r.campaigns, r.scope, r.id, r.caller.Lang
	r.caller.Stream(r.ctx, func(to io.Writer) error {
		work, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return campaigns.WriteCSV(work, scope, id, lang, to)
	}, func(err error) {
		campaigns.Log.Error("export of findings ended early", "campaign", id, "err", err)
	})
}

// parameters refuses those that the path does not know, and what is given twice.
func (r *request) parameters(known ...string) bool {
	_, ok := r.caller.Query(r.ctx, known...)
	return ok
}

// number reads a query parameter.
func (r *request) number(name string, otherwise, least, most int64) (int64, bool) {
	v := string(r.ctx.QueryArgs().Peek(name))
	if v == "" {
		return otherwise, true
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most {
		r.caller.Refuse(r.ctx, api.BadRequest, message.Problem{Field: name, Code: "range", Limit: most})
		return 0, false
	}
	return n, true
}

// json reads a JSON body; where there is none, v stays as it is.
func (r *request) json(v any) bool {
	return r.ctx.Request.Header.ContentLength() == 0 || r.caller.ReadJSON(r.ctx, maxJSON, v)
}

// refuse says what an error means to the caller.
func (r *request) refuse(err error) {
	var (
		ps     message.Problems
		phase  *campaign.PhaseError
		offset *campaign.OffsetError
		twin   *campaign.TwinError
		seed   *campaign.SeedError
	)
	conflict := func(p message.Problem) {
		p.Code = "conflict"
		r.caller.Refuse(r.ctx, api.Conflict, p)
	}
	switch {
	case errors.As(err, &ps):
		r.caller.Refuse(r.ctx, api.Invalid, ps...)
	case errors.As(err, &phase):
		conflict(message.Problem{Field: "phase", Value: string(phase.Phase)})
	case errors.As(err, &offset):
		conflict(message.Problem{Field: "offset", Limit: offset.Have, Detail: "the bytes that are on disk"})
	case errors.As(err, &twin):
		conflict(message.Problem{Field: "again", Value: twin.Twin.ID.String(), Detail: "the same file is in another upload"})
	case errors.As(err, &seed):
		conflict(message.Problem{Field: "canary", Value: strings.Join(seed.Carriers, ","), Detail: "the tenant has no seed number at a carrier of the rows"})
	case errors.Is(err, campaign.ErrFaulty):
		conflict(message.Problem{Field: "good_only", Detail: "there are faulty rows"})
	case errors.Is(err, campaign.ErrNoRows):
		conflict(message.Problem{Field: "rows", Detail: "there is no good row"})
	case errors.Is(err, store.ErrErased):
		r.caller.Refuse(r.ctx, api.NotFound)
	default:
		r.caller.Fail(r.ctx, "upload", err)
	}
}
