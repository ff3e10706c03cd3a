// Package agents is the part of the sender's HTTP API about what payment agents tell in files (engine/payment). It is mounted
// behind engine/api's door, which knows the tenant by then.
//
//	POST /v1/agents/{name}/reports             ?name  the file as it is → Report: what became of each line
//	GET  /v1/agents/{name}/reconciliation      ?day   → Reconciliation: ours against the agent's
//	GET  /v1/agents/{name}/reconciliation.csv  ?day   the same as a CSV file
//
// {name} is that of the contract in the tenant's file. A file is looked at whole before any line counts: with a fault in one line
// nothing is applied. The same file may be sent again. Each request is in the audit log first.
package agents

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
)

// Path is where the handler is to be mounted.
const Path = "/v1/agents"

// patience bounds one request: a file may have tens of thousands of lines.
const patience = 2 * time.Minute

// Handler serves all below Path.
func Handler(p *payment.Payments, log *audit.Log) api.Handler {
	return func(ctx *fasthttp.RequestCtx, caller *api.Caller) {
		work, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r := &request{RequestCtx: ctx, payments: p, audit: log, caller: caller, work: work}
		caller.Do(ctx, r.ways(string(ctx.Path())))
	}
}

// request is one request on its way.
type request struct {
	*fasthttp.RequestCtx
	payments *payment.Payments
	audit    *audit.Log
	caller   *api.Caller
	work     context.Context
	agent    string
}

func (r *request) ways(path string) map[string]func() {
	name, what, _ := strings.Cut(strings.TrimPrefix(path, Path+"/"), "/")
	r.agent = name
	if _, there := r.caller.Tenant.AgentEver(name); !there {
		return nil
	}
	switch what {
	case "reports":
		return map[string]func(){"POST": r.report}
	case "reconciliation":
		return map[string]func(){"GET": func() { r.reconcile(false) }}
	case "reconciliation.csv":
		return map[string]func(){"GET": func() { r.reconcile(true) }}
	}
	return nil
}

// Report is what became of a file.
type Report struct {
	Agent  string         `json:"agent"`
	Name   string         `json:"name"`
	Counts map[string]int `json:"counts"` // by result
	Lines  []Line         `json:"lines"`
}

// Line is what became of one line of it.
type Line struct {
	Line   uint32 `json:"line"`
	Result string `json:"result"` // applied, known, differs, doubtful, not_ours
	Claim  string `json:"claim,omitempty"`
	Yen    int64  `json:"yen"`
	Detail string `json:"detail,omitempty"`
}

const maxName = 100

func (r *request) report() {
	q, ok := r.caller.Query(r.RequestCtx, "name")
	if !ok {
		return
	}
	if n := message.Length(q["name"]); n > maxName {
		r.caller.Refuse(r.RequestCtx, api.BadRequest, message.Problem{Field: "name", Code: "too_long", Limit: maxName, Got: int64(n)})
		return
	}
	body, ok := r.caller.Body(r.RequestCtx, payment.MaxReport)
	if !ok {
		return
	}
	file, err := io.ReadAll(body)
	if err != nil {
		r.caller.RefuseRead(r.RequestCtx, err, payment.MaxReport)
		return
	}
	if !r.record("report.read", "") {
		return
	}
	lines, err := r.payments.Report(r.work, r.caller.Tenant, payment.ReportFile{Agent: r.agent, Name: q["name"], By: r.caller.By(), Body: file})
	if err != nil {
		r.refuse("read report", err)
		return
	}
	out := Report{Agent: r.agent, Name: q["name"], Counts: payment.CountResults(lines), Lines: make([]Line, 0, len(lines))}
	for _, l := range lines {
		out.Lines = append(out.Lines, Line(l))
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, out)
}

func (r *request) reconcile(file bool) {
	q, ok := r.caller.Query(r.RequestCtx, "day")
	if !ok || !r.record("reconciliation.view", q["day"]) {
		return
	}
	rec, err := r.payments.Reconcile(r.work, r.caller.Tenant, r.agent, q["day"])
	if err != nil {
		r.refuse("reconcile", err)
		return
	}
	if !file {
		r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, rec)
		return
	}
	var out bytes.Buffer
	out.WriteString("\ufeff")
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	for _, cells := range append([][]string{payment.ReconciliationHeader(r.caller.Lang)}, rec.Rows(r.caller.Lang)...) {
		for i := range cells {
			cells[i] = message.Cell(cells[i])
		}
		_ = w.Write(cells) // into memory
	}
	w.Flush()
	h := &r.Response.Header
	h.Set("Content-Language", r.caller.Lang)
	h.Set("Content-Disposition", `attachment; filename="reconciliation_`+r.agent+`_`+rec.Day+`.csv"`)
	r.SetContentType("text/csv; charset=utf-8")
	r.SetBody(out.Bytes())
}

// record writes the audit log; without it nothing is done.
func (r *request) record(action, detail string) bool {
	err := r.caller.Record(r.work, r.audit, action, r.agent, detail)
	if err != nil {
		r.caller.Fail(r.RequestCtx, "agents", err)
	}
	return err == nil
}

func (r *request) refuse(what string, err error) {
	var faults payment.ReportFaults
	var ps message.Problems
	switch {
	case errors.As(err, &faults):
		r.caller.Refuse(r.RequestCtx, api.Invalid, faults.Problems()...)
	case errors.As(err, &ps):
		r.caller.Refuse(r.RequestCtx, api.BadRequest, ps...)
	case errors.Is(err, payment.ErrNoReports):
		r.caller.Refuse(r.RequestCtx, api.Conflict, message.Problem{Field: "name", Code: "conflict", Value: r.agent, Detail: "its module reads no reports"})
	default:
		r.caller.Fail(r.RequestCtx, what, err)
	}
}
