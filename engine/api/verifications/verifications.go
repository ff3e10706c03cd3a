// Package verifications is the part of the sender's HTTP API by which the sender's own pages use one-time codes (engine/identity).
// It is mounted behind engine/api's door, which knows the tenant by then.
//
//	POST /v1/verifications             Order → 202 Verification; the SMS and its record are on disk. Idempotency-Key as of messages
//	GET  /v1/verifications/{id}        → Verification
//	POST /v1/verifications/{id}:check  Check → Verification as it stands then; 409 where the code was used before
//
// A code is right once: of checks at the same moment one is answered with approved. Neither codes nor whole numbers are ever
// given out. Codes are bounded for each number, prefix, API key and tenant; beyond that is 429 with Retry-After.
package verifications

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
)

// Path is where the handler is to be mounted.
const Path = "/v1/verifications"

const (
	checkVerb = ":check"
	maxJSON   = 16 << 10
	patience  = 30 * time.Second
)

// Order is a body. All but the number may be left out.
type Order struct {
	Key          string `json:"key,omitempty"` // or the header Idempotency-Key
	Number       string `json:"number"`
	Channel      string `json:"channel,omitempty"`       // sms
	Length       int    `json:"length,omitempty"`        // digits, 4 to 8
	ValidMinutes int    `json:"valid_minutes,omitempty"` // 1 to 60; default 5
	Lang         string `json:"lang,omitempty"`          // of the SMS: ja (default), en
	Template     string `json:"template,omitempty"`      // the SMS, with {code}; {minutes} and {name} if wanted
	Sender       string `json:"sender,omitempty"`        // sender profile
	Reference    string `json:"reference,omitempty"`
}

// Check is a body.
type Check struct {
	Code string `json:"code"`
}

// Verification is one as it stands.
type Verification struct {
	ID         ulid.ULID       `json:"id"`
	Status     identity.Status `json:"status"`
	Number     string          `json:"number,omitempty"` // masked; not there when the term of content is over
	Channel    string          `json:"channel"`
	Length     int             `json:"length"`
	TriesLeft  int             `json:"tries_left"`
	CreatedAt  time.Time       `json:"created_at"`
	ExpiresAt  time.Time       `json:"expires_at"`
	ApprovedAt *time.Time      `json:"approved_at,omitempty"`
	Message    ulid.ULID       `json:"message"` // the SMS, as /v1/messages/{id} shows it
	Reference  string          `json:"reference,omitempty"`
}

const sms = "sms"

// Handler serves Path and all below it. keys hashes idempotency keys.
func Handler(id *identity.Identity, keys intake.Keyer) api.Handler {
	return func(ctx *fasthttp.RequestCtx, caller *api.Caller) {
		work, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r := &request{RequestCtx: ctx, caller: caller, work: work, identity: id, keys: keys}
		caller.Do(ctx, r.ways(string(ctx.Path())))
	}
}

// request is one request on its way.
type request struct {
	*fasthttp.RequestCtx
	caller   *api.Caller
	work     context.Context
	identity *identity.Identity
	keys     intake.Keyer
	id       string
}

func (r *request) ways(path string) map[string]func() {
	id, below := strings.CutPrefix(path, Path+"/")
	switch {
	case !below:
		return map[string]func(){"POST": r.start}
	case strings.HasSuffix(id, checkVerb):
		r.id = strings.TrimSuffix(id, checkVerb)
		return map[string]func(){"POST": r.check}
	}
	r.id = id
	return map[string]func(){"GET": r.get}
}

func shown(v *identity.Verification) Verification {
	out := Verification{ID: v.ID, Status: v.Status, Number: v.Masked, Channel: sms, Length: v.Digits, TriesLeft: v.TriesLeft,
		CreatedAt: v.CreatedAt, ExpiresAt: v.ExpiresAt, Message: v.SMS, Reference: v.Reference}
	if !v.ApprovedAt.IsZero() {
		out.ApprovedAt = &v.ApprovedAt
	}
	return out
}

func (r *request) answer(status int, v *identity.Verification, repeated bool) {
	if repeated {
		r.Response.Header.Set("Idempotency-Replayed", "true")
	}
	r.caller.Answer(r.RequestCtx, status, shown(v))
}

// idempotencyKey is the request's, of which the body's may be a part; false: it was refused.
func (r *request) idempotencyKey(body string) (string, bool) {
	key, ok := r.caller.IdempotencyKey(r.RequestCtx, body)
	if !ok {
		return "", false
	}
	if key != "" && !message.ValidKey(key) {
		r.caller.Refuse(r.RequestCtx, api.Invalid, message.Problem{Field: "key", Code: "pattern", Detail: "1 to 128 printable ASCII characters without spaces"})
		return "", false
	}
	return key, true
}

func (r *request) start() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	if !r.caller.Allow(1) {
		r.caller.Refuse(r.RequestCtx, api.TooMany)
		return
	}
	var o Order
	if !r.caller.ReadJSON(r.RequestCtx, maxJSON, &o) {
		return
	}
	key, ok := r.idempotencyKey(o.Key)
	if !ok {
		return
	}
	number, ps := o.check()
	if len(ps) > 0 {
		r.caller.Refuse(r.RequestCtx, api.Invalid, ps...)
		return
	}
	w := identity.Wish{By: r.caller.By(), KeyID: r.caller.KeyID, Number: number.E164(), Masked: number.Masked(), Digits: o.Length, Minutes: o.ValidMinutes,
		Lang: o.Lang, Template: o.Template, Profile: o.Sender, Reference: o.Reference}
	var err error
	if key != "" {
		w.KeyName, err = intake.KeyName(r.keys, r.caller.Tenant.ID, key)
	}
	var v identity.Verification
	repeated := false
	if err == nil {
		v, repeated, err = r.identity.Verify(r.work, r.caller.Tenant, w)
	}
	if err != nil {
		r.refuse(err)
		return
	}
	r.Response.Header.Set("Location", Path+"/"+v.ID.String())
	r.answer(fasthttp.StatusAccepted, &v, repeated)
}

// check reads the number and reports what only the API knows of.
func (o *Order) check() (n carrier.Number, ps message.Problems) {
	if o.Channel != "" && o.Channel != sms {
		ps = append(ps, message.Problem{Field: "channel", Code: "unknown", Value: message.Mask(o.Channel), Detail: "one of sms"})
	}
	if o.Lang != "" && o.Lang != "ja" && o.Lang != "en" {
		ps = append(ps, message.Problem{Field: "lang", Code: "unknown", Value: message.Mask(o.Lang), Detail: "ja or en"})
	}
	if strings.TrimSpace(o.Number) == "" {
		return n, append(ps, message.Problem{Field: "number", Code: "required"})
	}
	n, err := carrier.ParseNumber(o.Number)
	var ne *carrier.NumberError
	if errors.As(err, &ne) {
		ps = append(ps, message.Problem{Field: "number", Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()})
	}
	return n, ps
}

func (r *request) get() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	id, ok := r.named()
	if !ok {
		return
	}
	v, err := r.identity.Verification(r.work, r.caller.Tenant.ID, id)
	if err != nil {
		r.refuse(err)
		return
	}
	r.answer(fasthttp.StatusOK, &v, false)
}

func (r *request) check() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	id, ok := r.named()
	if !ok {
		return
	}
	var c Check
	if !r.caller.ReadJSON(r.RequestCtx, maxJSON, &c) {
		return
	}
	key, ok := r.idempotencyKey("")
	if !ok {
		return
	}
	v, repeated, err := r.identity.Check(r.work, r.caller.Tenant, id, c.Code, key)
	if err != nil {
		r.refuse(err)
		return
	}
	r.answer(fasthttp.StatusOK, &v, repeated)
}

// named is the id in the path; false: it was refused.
func (r *request) named() (ulid.ULID, bool) {
	id, err := ulid.ParseStrict(r.id)
	if err != nil {
		r.caller.Refuse(r.RequestCtx, api.NotFound)
	}
	return id, err == nil
}

// fields are the names that the API has for those of the SMS.
var fields = map[string]string{"to": "number", "text": "template", "valid_until": "valid_minutes"}

func (r *request) refuse(err error) {
	var ps message.Problems
	var over *identity.LimitError
	switch {
	case errors.As(err, &over):
		r.Response.Header.Set("Retry-After", strconv.Itoa(int(over.RetryAfter/time.Second)+1))
		r.caller.Refuse(r.RequestCtx, api.TooMany, limited(over))
	case errors.Is(err, identity.ErrUsed):
		r.caller.Refuse(r.RequestCtx, api.Conflict, message.Problem{Field: "code", Code: "conflict", Detail: "the code was used before"})
	case errors.As(err, &ps):
		code := api.Invalid
		for i := range ps {
			if name, ok := fields[ps[i].Field]; ok {
				ps[i].Field = name
			}
			if ps[i].Code == "conflict" || ps[i].Code == "duplicate" {
				code = api.Conflict
			}
		}
		r.caller.Refuse(r.RequestCtx, code, ps...)
	default:
		r.caller.Fail(r.RequestCtx, "verification", err)
	}
}

// limited says which limit is reached.
func limited(over *identity.LimitError) message.Problem {
	p := message.Problem{Field: "number", Code: "rate", Limit: int64(over.Limit)}
	switch over.Of {
	case identity.OfNumber:
		p.Detail = "no more codes to this number today"
		if over.Hourly {
			p.Detail = "no more codes to this number in this hour"
		}
	case identity.OfPrefix:
		p.Detail = "no more codes to numbers of this prefix today, in Asia/Tokyo"
	case identity.OfKey:
		p.Field, p.Detail = "key", "no more codes by this API key today, in Asia/Tokyo"
	case identity.OfTenant:
		p.Field, p.Detail = "tenant", "no more codes today, in Asia/Tokyo"
	}
	return p
}
