package sheets

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/sheet"
)

// A bundle is made before it is answered, so that it is whole or a refusal; so many sheets are in one. The next is asked for
// from where it ended.
const (
	maxSheets  = 200
	maxRequest = 64 << 10
	making     = 2 * time.Minute
)

// next is the header that says from which claim on the rest is; not there at the end.
const next = "Kakitome-Next"

// Bundle is the body of the POST for many sheets.
type Bundle struct {
	Campaign string   `json:"campaign,omitempty"` // the claims of an upload, in the order of their numbers
	Claims   []string `json:"claims,omitempty"`   // or these, by their numbers
	From     int      `json:"from,omitempty"`     // how many of them are left out: what Kakitome-Next said
	Method   string   `json:"method,omitempty"`   // where no number or barcode was issued; empty: those have no sheet
	Store    string   `json:"store,omitempty"`    // of a method that has stores
	Lang     string   `json:"lang,omitempty"`     // ja (default), en
}

func bundle(ctx *fasthttp.RequestCtx, c *api.Caller, s Sheets, log *audit.Log) {
	var b Bundle
	if _, ok := c.Query(ctx); !ok || !c.ReadJSON(ctx, maxRequest, &b) {
		return
	}
	work, cancel := context.WithTimeout(context.Background(), making)
	defer cancel()
	var ps message.Problems
	bad := func(field, code, detail string) {
		ps = append(ps, message.Problem{Field: field, Code: code, Detail: detail})
	}
	upload, err := ulid.ParseStrict(b.Campaign)
	switch {
	case (b.Campaign == "") == (len(b.Claims) == 0):
		bad("campaign", "mismatch", "either campaign or claims")
	case b.Campaign != "" && err != nil:
		bad("campaign", "pattern", "")
	case len(b.Claims) > maxSheets:
		ps = append(ps, message.Problem{Field: "claims", Code: "too_many", Limit: maxSheets, Got: int64(len(b.Claims))})
	}
	if b.From < 0 {
		bad("from", "range", "")
	}
	if !slices.Contains([]string{"", "ja", "en"}, b.Lang) {
		bad("lang", "unknown", "one of ja, en")
	}
	var claims []ulid.ULID
	if len(ps) == 0 {
		var missing []int
		if b.Campaign != "" {
			claims, err = s.OfUpload(work, c.Tenant, upload)
		} else {
			claims, missing, err = s.OfNumbers(work, c.Tenant, b.Claims)
		}
		if err != nil {
			c.Fail(ctx, "payment sheets", err)
			return
		}
		for _, i := range missing {
			ps = append(ps, message.Problem{Field: fmt.Sprintf("claims[%d]", i), Code: "unknown", Value: message.Mask(b.Claims[i])})
		}
		if len(ps) == 0 && b.From >= len(claims) {
			bad("from", "range", "")
		}
	}
	if len(ps) > 0 {
		c.Refuse(ctx, api.Invalid, ps...)
		return
	}
	if err := c.Record(work, log, "upload.sheets", b.Campaign, fmt.Sprintf("%s from %d of %d", b.Method, b.From, len(claims))); err != nil {
		c.Fail(ctx, "payment sheets", err)
		return
	}
	end := min(b.From+maxSheets, len(claims))
	var zip bytes.Buffer
	done, err := s.Bundle(work, c.Tenant, claims[b.From:end], b.From, sheet.Order{Method: b.Method, Store: b.Store, Lang: b.Lang, By: c.By()}, &zip)
	if err != nil {
		c.Fail(ctx, "payment sheets", err)
		return
	}
	ctx.Response.Header.Set("Kakitome-Sheets", strconv.Itoa(done.Sheets))
	ctx.Response.Header.Set("Kakitome-Faults", strconv.Itoa(done.Faults))
	if end < len(claims) {
		ctx.Response.Header.Set(next, strconv.Itoa(end))
	}
	ctx.Response.Header.Set("Content-Disposition", `attachment; filename="sheets.zip"`)
	ctx.SetContentType("application/zip")
	ctx.SetBody(zip.Bytes())
}
