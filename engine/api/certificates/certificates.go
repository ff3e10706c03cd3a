// Package certificates is the part of the sender's HTTP API that gives certificates of delivery (engine/certificate). It is
// mounted behind engine/api's door, which knows the tenant by then.
//
//	GET /v1/certificates/{id}  ?format=json|pdf &content → the certificate of a message
//
// A certificate has no whole number and no working link. Each is in the audit log before it is made.
package certificates

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Path is where the handler is to be mounted.
const Path = "/v1/certificates"

const patience = 30 * time.Second

// Handler serves Path and all below it.
func Handler(c *certificate.Certificates, log *audit.Log) api.Handler {
	return func(ctx *fasthttp.RequestCtx, caller *api.Caller) {
		id, below := strings.CutPrefix(string(ctx.Path()), Path+"/")
		switch {
		case !below || id == "" || strings.Contains(id, "/"):
			caller.Refuse(ctx, api.NotFound)
		case !ctx.IsGet() && !ctx.IsHead():
			caller.RefuseMethod(ctx, maps.Keys(map[string]bool{"GET": true}))
		default:
			give(ctx, caller, c, log, id)
		}
	}
}

func give(ctx *fasthttp.RequestCtx, caller *api.Caller, c *certificate.Certificates, log *audit.Log, text string) {
	q, ok := caller.Query(ctx, "format", "content")
	if !ok {
		return
	}
	bad := func(field string) {
		caller.Refuse(ctx, api.BadRequest, message.Problem{Field: field, Code: "pattern"})
	}
	content := false
	if q["content"] != "" {
		var err error
		if content, err = strconv.ParseBool(q["content"]); err != nil {
			bad("content")
			return
		}
	}
	pdf := q["format"] == "pdf"
	if !pdf && q["format"] != "" && q["format"] != "json" {
		bad("format")
		return
	}
	id, err := ulid.ParseStrict(text)
	if err != nil {
		caller.Refuse(ctx, api.NotFound)
		return
	}
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = caller.Record(work, log, certificate.Action, text, certificate.Detail(pdf, content))
	if err != nil {
		caller.Fail(ctx, "certificate", err)
		return
	}
	cert, err := c.Make(work, tenant.Only(caller.Tenant.ID), store.Ref{Tenant: caller.Tenant.ID, Kind: store.Message, ID: id}, content)
	var body []byte
	if err == nil && pdf {
		body, err = c.PDF(work, caller.Tenant.ID, cert, caller.Lang)
	} else if err == nil {
		body, err = cert.Encode()
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, certificate.ErrClass):
		caller.Refuse(ctx, api.NotFound)
		return
	case err != nil:
		caller.Fail(ctx, "certificate", err)
		return
	}
	kind, ending := "application/json", ".json"
	if pdf {
		kind, ending = "application/pdf", ".pdf"
	}
	h := &ctx.Response.Header
	h.Set("Content-Language", caller.Lang)
	h.Set("Content-Disposition", `attachment; filename="`+certificate.Filename(cert)+ending+`"`)
	h.Set("Kakitome-Open", strconv.Itoa(proof.Verify(cert, proof.Options{}).Open))
	ctx.SetContentType(kind)
	ctx.SetBody(body)
}
