package api

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

var claimNumber = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,39}$`)

func (s *Server) getClaim(ctx *fasthttp.RequestCtx, c *Caller, number string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	if !claimNumber.MatchString(number) {
		c.Refuse(ctx, NotFound)
		return
	}
	work, cancel := s.work()
	defer cancel()
	cl, err := s.Claims.Get(work, c.Tenant.ID, number)
	if err != nil {
		c.Fail(ctx, "load claim", err)
		return
	}
	c.Answer(ctx, fasthttp.StatusOK, cl)
}

// alertsMost is how many claims with open alerts are listed at once; those that are resolved make room.
const alertsMost = 200

// listAlerts lists the claims that need attention.
func (s *Server) listAlerts(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	claims, err := s.Claims.Alerts(work, c.Tenant.ID, alertsMost)
	if err != nil {
		c.Fail(ctx, "list alerts", err)
		return
	}
	c.Answer(ctx, fasthttp.StatusOK, AlertList{append([]Claim{}, claims...)})
}

// getReceipt gives a receipt of a claim as a PDF: the one that holds, or that of the number. It is issued when there is none yet.
func (s *Server) getReceipt(ctx *fasthttp.RequestCtx, c *Caller, number string) {
	q, ok := c.Query(ctx, "number")
	if !ok {
		return
	}
	if !claimNumber.MatchString(number) {
		c.Refuse(ctx, NotFound)
		return
	}
	work, cancel := s.work()
	defer cancel()
	if err := c.Record(work, s.audit, "claim.receipt", number, message.Mask(q["number"])); err != nil {
		c.Fail(ctx, "give a receipt", err)
		return
	}
	pdf, name, problem, err := s.Claims.Receipt(work, c.Tenant, number, q["number"], c.Lang, c.By())
	switch {
	case errors.Is(err, store.ErrErased):
		c.Refuse(ctx, NotFound)
	case err != nil:
		c.Fail(ctx, "give a receipt", err)
	case problem != nil:
		c.refuseProblems(ctx, message.Problems{*problem})
	default:
		ctx.Response.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
		ctx.SetContentType("application/pdf")
		ctx.SetBody(pdf)
	}
}

// patchClaim states a fact about a claim: amended, settled elsewhere, withdrawn, its alerts dealt with; or has money given back, or a registered card charged.
func (s *Server) patchClaim(ctx *fasthttp.RequestCtx, c *Caller, number string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	if !claimNumber.MatchString(number) {
		c.Refuse(ctx, NotFound)
		return
	}
	var change ClaimChange
	if !c.ReadJSON(ctx, s.Config.MaxBody, &change) {
		return
	}
	if ps := change.check(); len(ps) > 0 {
		c.Refuse(ctx, Invalid, ps...)
		return
	}
	work, cancel := s.work()
	defer cancel()
	if err := c.Record(work, s.audit, "claim."+change.Action, number, change.audited()); err != nil {
		c.Fail(ctx, "change claim", err)
		return
	}
	cl, problem, err := s.Claims.Change(work, c.Tenant, number, change, c.By())
	switch {
	case err != nil:
		c.Fail(ctx, "change claim", err)
	case problem != nil:
		c.refuseProblems(ctx, message.Problems{*problem})
	default:
		c.Answer(ctx, fasthttp.StatusOK, cl)
	}
}

// audited is the change in the audit log.
func (ch *ClaimChange) audited() string {
	var parts []string
	for name, yen := range map[string]*int64{"amount": ch.Amount, "tax": ch.Tax, "tax_rate": ch.TaxRate, "remaining": ch.Remaining} {
		if yen != nil {
			parts = append(parts, name+"="+strconv.FormatInt(*yen, 10))
		}
	}
	slices.Sort(parts)
	if ch.Due != "" {
		parts = append(parts, "due="+ch.Due)
	}
	if ch.Card != "" {
		parts = append(parts, "card="+message.Mask(ch.Card))
	}
	return strings.TrimSpace(strings.Join(parts, " ") + " " + message.Mask(ch.Reason))
}

func (ch *ClaimChange) check() (ps message.Problems) {
	bad := func(p message.Problem) { ps = append(ps, p) }
	switch ch.Action {
	case "amend":
		if ch.Amount == nil && ch.Tax == nil && ch.TaxRate == nil && ch.Due == "" {
			bad(message.Problem{Field: "amount", Code: "required"})
		}
		if ch.Key != "" {
			bad(message.Problem{Field: "key", Code: "mismatch", Detail: "only with refund or charge"})
		}
	case "settle", "withdraw", "refund", "charge", "resolve":
		if ch.Key != "" && ch.Action != "refund" && ch.Action != "charge" {
			bad(message.Problem{Field: "key", Code: "mismatch", Detail: "only with refund or charge"})
		}
		if ch.Amount != nil && ch.Action != "refund" {
			bad(message.Problem{Field: "amount", Code: "mismatch", Detail: "only with amend or refund"})
		}
		if ch.Tax != nil {
			bad(message.Problem{Field: "tax", Code: "mismatch", Detail: "only with amend"})
		}
		if ch.TaxRate != nil {
			bad(message.Problem{Field: "tax_rate", Code: "mismatch", Detail: "only with amend"})
		}
		if ch.Due != "" {
			bad(message.Problem{Field: "due", Code: "mismatch", Detail: "only with amend"})
		}
	case "":
		bad(message.Problem{Field: "action", Code: "required"})
	default:
		bad(message.Problem{Field: "action", Code: "unknown", Value: message.Mask(ch.Action), Detail: "one of amend, settle, withdraw, refund, charge, resolve"})
	}
	switch {
	case ch.Action == "resolve" && ch.Version == nil:
		bad(message.Problem{Field: "version", Code: "required"})
	case ch.Action != "resolve" && ch.Version != nil:
		bad(message.Problem{Field: "version", Code: "mismatch", Detail: "only with resolve"})
	}
	if ch.Remaining != nil && ch.Action != "settle" {
		bad(message.Problem{Field: "remaining", Code: "mismatch", Detail: "only with settle"})
	}
	switch {
	case ch.Action == "charge" && ch.Card == "":
		bad(message.Problem{Field: "card", Code: "required"})
	case ch.Action != "charge" && ch.Card != "":
		bad(message.Problem{Field: "card", Code: "mismatch", Detail: "only with charge"})
	}
	switch _, err := ulid.ParseStrict(ch.Attempt); {
	case ch.Attempt == "":
	case ch.Action != "refund":
		bad(message.Problem{Field: "attempt", Code: "mismatch", Detail: "only with refund"})
	case err != nil:
		bad(message.Problem{Field: "attempt", Code: "pattern", Value: message.Mask(ch.Attempt)})
	}
	if ch.Amount != nil && (*ch.Amount < 1 || *ch.Amount > message.MaxAmount) {
		bad(message.Problem{Field: "amount", Code: "range", Limit: message.MaxAmount, Got: *ch.Amount, Detail: "yen, 1 to 9,999,999"})
	}
	if ch.Tax != nil && *ch.Tax < 0 {
		bad(message.Problem{Field: "tax", Code: "range", Got: *ch.Tax, Detail: "yen, included in the amount"})
	}
	if _, err := time.Parse(time.DateOnly, ch.Due); err != nil && ch.Due != "" {
		bad(message.Problem{Field: "due", Code: "pattern", Value: message.Mask(ch.Due), Detail: "YYYY-MM-DD"})
	}
	if n := message.Length(ch.Reason); n > 200 {
		bad(message.Problem{Field: "reason", Code: "too_long", Limit: 200, Got: int64(n)})
	}
	return ps
}
