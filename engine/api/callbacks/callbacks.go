// Package callbacks is the part of the sender's HTTP API that says where notices go (engine/callback). It is mounted at
// /v1/callbacks behind engine/api's door, which knows the tenant by then.
//
//	GET    /v1/callbacks                {"callbacks":[Callback…]}
//	GET    /v1/callbacks/{name}         Callback
//	PUT    /v1/callbacks/{name}         callback.Spec → 201 Callback with its secret, shown once, or 200 Callback
//	DELETE /v1/callbacks/{name}         → 204; what waits for it is dropped
//	POST   /v1/callbacks/{name}/secret  {"secret"?} → 200 Secret: the old one signs beside it for a day
//	POST   /v1/callbacks/{name}/replay  {"from"} or {"message"} or {"claim"} → 202
//	POST   /v1/callbacks/{name}/test    → 200 callback.Tried
//
// Every change is in the audit log before it is done.
package callbacks

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Path is where Handler is to be mounted.
const Path = "/v1/callbacks"

const (
	maxJSON = 16 << 10
	// patience bounds one request: a challenge takes 15 s at most.
	patience = 30 * time.Second
)

// Callback is a callback as the API shows it.
type Callback struct {
	Name string `json:"name"`
	callback.Spec
	Since  time.Time       `json:"since"`
	Until  time.Time       `json:"old_secret_until,omitzero"` // a replaced secret signs until then
	Status callback.Status `json:"status"`
}

// List is all of a tenant's.
type List struct {
	Callbacks []Callback `json:"callbacks"`
}

// Secret is a body, and the answer to it.
type Secret struct {
	Secret string    `json:"secret,omitempty"`
	Until  time.Time `json:"old_secret_until,omitzero"`
}

// Replay is a body. One of the fields is given.
type Replay struct {
	From    time.Time `json:"from,omitzero"`
	Message string    `json:"message,omitempty"` // id or 17-digit number
	Claim   string    `json:"claim,omitempty"`   // the sender's number
}

// Handler serves Path and all below it.
func Handler(c *callback.Callbacks, log *audit.Log) api.Handler {
	h := &handler{callbacks: c, audit: log}
	return h.serve
}

type handler struct {
	callbacks *callback.Callbacks
	audit     *audit.Log
}

// request is one request on its way.
type request struct {
	*handler
	ctx    *fasthttp.RequestCtx
	caller *api.Caller
	id     tenant.ID
	name   string
	work   context.Context
}

func (h *handler) serve(ctx *fasthttp.RequestCtx, caller *api.Caller) {
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := &request{handler: h, ctx: ctx, caller: caller, id: caller.Tenant.ID, work: work}
	way := map[string]func(){"GET": r.list}
	if rest, below := strings.CutPrefix(string(ctx.Path()), Path+"/"); below {
		var what string
		var deeper bool
		r.name, what, deeper = strings.Cut(rest, "/")
		way = r.ways(what, deeper)
	}
	for method, do := range way {
		way[method] = func() {
			if _, ok := caller.Query(ctx); ok { // none is known
				do()
			}
		}
	}
	caller.Do(ctx, way)
}

func (r *request) ways(what string, deeper bool) map[string]func() {
	switch {
	case r.name == "":
		return nil
	case !deeper:
		return map[string]func(){"GET": r.get, "PUT": r.put, "DELETE": r.remove}
	case what == "secret":
		return map[string]func(){"POST": r.rotate}
	case what == "replay":
		return map[string]func(){"POST": r.replay}
	case what == "test":
		return map[string]func(){"POST": r.test}
	}
	return nil
}

// shown is a callback of the tenant as it is now.
func (r *request) shown(cb *tenant.Callback) Callback {
	return Callback{Name: cb.Name, Spec: callback.SpecOf(cb), Since: cb.Since, Until: callback.Overlapping(cb, clock.Now()), Status: r.callbacks.Status(cb)}
}

// now is the tenant's callback of the name; without one the request is refused.
func (r *request) now() (*tenant.Callback, bool) {
	t := r.callbacks.Directory.Now().Tenants[r.id]
	if t != nil {
		if cb, ok := t.Callback(r.name); ok {
			return &cb, true
		}
	}
	r.caller.Refuse(r.ctx, api.NotFound)
	return nil, false
}

// record writes the audit log; without it nothing is done.
func (r *request) record(action, detail string) bool {
	err := r.caller.Record(r.work, r.audit, action, r.name, detail)
	if err != nil {
		r.refuse(err)
	}
	return err == nil
}

func (r *request) list() {
	l := List{Callbacks: []Callback{}}
	if t := r.callbacks.Directory.Now().Tenants[r.id]; t != nil {
		for i := range t.Callbacks {
			l.Callbacks = append(l.Callbacks, r.shown(&t.Callbacks[i]))
		}
	}
	r.caller.Answer(r.ctx, fasthttp.StatusOK, l)
}

func (r *request) get() {
	if cb, ok := r.now(); ok {
		r.caller.Answer(r.ctx, fasthttp.StatusOK, r.shown(cb))
	}
}

func (r *request) put() {
	var s callback.Spec
	if !r.caller.ReadJSON(r.ctx, maxJSON, &s) || !r.record("callback.set", s.URL) {
		return
	}
	secret, err := r.callbacks.Put(r.work, r.id, r.name, s)
	if err != nil {
		r.refuse(err)
		return
	}
	cb, ok := r.now()
	if !ok {
		return
	}
	answer, status := r.shown(cb), fasthttp.StatusOK
	if secret != "" {
		answer.Secret, status = secret, fasthttp.StatusCreated
		r.ctx.Response.Header.Set("Location", Path+"/"+r.name)
	}
	r.caller.Answer(r.ctx, status, answer)
}

func (r *request) remove() {
	if _, ok := r.now(); !ok || !r.record("callback.remove", "") {
		return
	}
	if err := r.callbacks.Remove(r.work, r.id, r.name); err != nil {
		r.refuse(err)
		return
	}
	r.ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// body reads JSON; where there is none, v stays as it is.
func (r *request) body(v any) bool {
	return r.ctx.Request.Header.ContentLength() == 0 || r.caller.ReadJSON(r.ctx, maxJSON, v)
}

func (r *request) rotate() {
	var s Secret
	if _, ok := r.now(); !ok || !r.body(&s) || !r.record("callback.secret", "") {
		return
	}
	secret, err := r.callbacks.Rotate(r.work, r.id, r.name, s.Secret)
	if err != nil {
		r.refuse(err)
		return
	}
	if cb, ok := r.now(); ok {
		r.caller.Answer(r.ctx, fasthttp.StatusOK, Secret{secret, callback.Overlapping(cb, clock.Now())})
	}
}

func (r *request) replay() {
	var b Replay
	if _, ok := r.now(); !ok || !r.body(&b) {
		return
	}
	given := 0
	for _, is := range []bool{!b.From.IsZero(), b.Message != "", b.Claim != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		r.caller.Refuse(r.ctx, api.Invalid, message.Problem{Field: "from", Code: "required", Detail: "give from or message or claim"})
		return
	}
	detail := b.Message // claim numbers are the sender's own words: not in the log
	if !b.From.IsZero() {
		detail = b.From.Format(time.RFC3339)
	}
	if !r.record("callback.replay", detail) {
		return
	}
	var err error
	field := "message"
	switch {
	case b.Message != "":
		err = r.callbacks.ReplayMessage(r.work, r.id, r.name, b.Message, r.caller.By())
	case b.Claim != "":
		field = "claim"
		err = r.callbacks.ReplayClaim(r.work, r.id, r.name, b.Claim, r.caller.By())
	default:
		err = r.callbacks.ReplayFrom(r.work, r.id, r.name, b.From, r.caller.By())
	}
	if errors.Is(err, store.ErrNotFound) {
		err = message.Problems{{Field: field, Code: "unknown"}}
	}
	if err != nil {
		r.refuse(err)
		return
	}
	r.ctx.SetStatusCode(fasthttp.StatusAccepted)
}

func (r *request) test() {
	if _, ok := r.now(); !ok || !r.record("callback.test", "") {
		return
	}
	tried, err := r.callbacks.Test(r.work, r.id, r.name)
	if err != nil {
		r.refuse(err)
		return
	}
	r.caller.Answer(r.ctx, fasthttp.StatusOK, tried)
}

// refuse says what an error means to the caller.
func (r *request) refuse(err error) {
	var ps message.Problems
	switch {
	case errors.As(err, &ps):
		r.caller.Refuse(r.ctx, api.Invalid, ps...)
	case errors.Is(err, tenant.ErrNoCallback):
		r.caller.Refuse(r.ctx, api.NotFound)
	case errors.Is(err, callback.ErrChanged), errors.Is(err, tenant.ErrTooManyCallbacks), errors.Is(err, tenant.ErrStale):
		r.caller.Refuse(r.ctx, api.Conflict)
	default:
		r.caller.Fail(r.ctx, "callbacks", err)
	}
}
