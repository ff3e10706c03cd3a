// Package sheets is the part of the sender's HTTP API that gives addresses of payment sheets (engine/sheet). It is mounted behind
// engine/api's door, which knows the tenant by then.
//
//	POST   /v1/payment-sheets/{number}  → 201: addresses of the sheet and the barcode of a claim
//	DELETE /v1/payment-sheets/{number}  → 204: none that was given until now works any more
//	POST   /v1/payment-sheets           → 200: the sheets of an upload's claims, or of a list of them, as a ZIP (bundle.go)
//
// All are in the audit log before they are done.
package sheets

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/sheet"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Path is where the handler is to be mounted.
const Path = "/v1/payment-sheets"

const (
	patience = 30 * time.Second // an agent may be asked for a number
	maxBody  = 4 << 10
)

var claimNumber = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,39}$`)

// Sheets is the part of engine/sheet that this serves. *sheet.Sheets implements it.
type Sheets interface {
	Make(ctx context.Context, t *tenant.Tenant, number string, o sheet.Order) (sheet.Address, message.Problems, error)
	Revoke(ctx context.Context, t *tenant.Tenant, number, by string) error
	OfUpload(ctx context.Context, t *tenant.Tenant, upload ulid.ULID) ([]ulid.ULID, error)
	OfNumbers(ctx context.Context, t *tenant.Tenant, numbers []string) (claims []ulid.ULID, missing []int, err error)
	Bundle(ctx context.Context, t *tenant.Tenant, claims []ulid.ULID, from int, o sheet.Order, w io.Writer) (sheet.Bundled, error)
}

// Order is the body of POST.
type Order struct {
	Method    string     `json:"method,omitempty"`     // where no number or barcode was issued yet
	Store     string     `json:"store,omitempty"`      // of a method that has stores
	Lang      string     `json:"lang,omitempty"`       // ja (default), en
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // default: when the claim is due
}

// Handler serves Path and all below it.
func Handler(s Sheets, log *audit.Log) api.Handler {
	return func(ctx *fasthttp.RequestCtx, c *api.Caller) {
		if string(ctx.Path()) == Path {
			c.Do(ctx, map[string]func(){fasthttp.MethodPost: func() { bundle(ctx, c, s, log) }})
			return
		}
		number, below := strings.CutPrefix(string(ctx.Path()), Path+"/")
		if !below || !claimNumber.MatchString(number) {
			c.Refuse(ctx, api.NotFound)
			return
		}
		c.Do(ctx, map[string]func(){
			fasthttp.MethodPost:   func() { give(ctx, c, s, log, number) },
			fasthttp.MethodDelete: func() { end(ctx, c, s, log, number) },
		})
	}
}

func give(ctx *fasthttp.RequestCtx, c *api.Caller, s Sheets, log *audit.Log, number string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	var o Order
	if !c.ReadJSON(ctx, maxBody, &o) {
		return
	}
	if !slices.Contains([]string{"", "ja", "en"}, o.Lang) {
		c.Refuse(ctx, api.Invalid, message.Problem{Field: "lang", Code: "unknown", Value: message.Mask(o.Lang), Detail: "one of ja, en"})
		return
	}
	order := sheet.Order{Method: o.Method, Store: o.Store, Lang: o.Lang, By: c.By()}
	if o.ExpiresAt != nil {
		order.Expires = *o.ExpiresAt
	}
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Record(work, log, "claim.sheet", number, ""); err != nil {
		c.Fail(ctx, "payment sheet", err)
		return
	}
	address, ps, err := s.Make(work, c.Tenant, number, order)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.Refuse(ctx, api.NotFound)
	case errors.Is(err, payment.ErrUnavailable), errors.Is(err, payment.ErrSettling):
		c.Refuse(ctx, api.Unavailable, message.Problem{Field: "method", Code: "unavailable", Detail: "the payment agent has not answered yet; ask again"})
	case err != nil:
		c.Fail(ctx, "payment sheet", err)
	case slices.ContainsFunc(ps, func(p message.Problem) bool { return p.Code == "conflict" }):
		c.Refuse(ctx, api.Conflict, ps...)
	case len(ps) > 0:
		c.Refuse(ctx, api.Invalid, ps...)
	default:
		c.Answer(ctx, fasthttp.StatusCreated, address)
	}
}

func end(ctx *fasthttp.RequestCtx, c *api.Caller, s Sheets, log *audit.Log, number string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.Record(work, log, "claim.sheet_revoke", number, "")
	if err == nil {
		err = s.Revoke(work, c.Tenant, number, c.By())
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.Refuse(ctx, api.NotFound)
	case err != nil:
		c.Fail(ctx, "revoke payment sheets", err)
	default:
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	}
}
