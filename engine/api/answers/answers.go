// Package answers is the part of the sender's HTTP API that tells what recipients answered to surveys (engine/survey). It is
// mounted at /v1/answers behind engine/api's door, which knows the tenant by then.
//
//	GET /v1/answers             the newest messages first: ?state=answered|unanswered&campaign=ID&from=…&to=…&limit=1…100&before=ID
//	                            → {"messages":[Reply…],"next":ID}; unanswered: viewed, and not answered
//	GET /v1/answers/totals      ?campaign=ID&from=…&to=… → Totals
//	GET /v1/answers/export.csv  as the list, without end, a line for each question
//	GET /v1/answers/{id}        one message's → Reply
//
// Each request is in the audit log first.
package answers

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/survey"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Path is where Handler is to be mounted.
const Path = "/v1/answers"

// patience bounds one request but the export.
const patience = 2 * time.Minute

// Reply is what became of one message that asks something. Number and reference are as in other answers of the API.
type Reply struct {
	ID         string             `json:"id"`
	No         string             `json:"no"`
	Number     string             `json:"number"` // masked
	Reference  string             `json:"reference,omitempty"`
	ViewedAt   *time.Time         `json:"viewed_at,omitempty"`
	AnsweredAt *time.Time         `json:"answered_at,omitempty"`
	Answers    []api.SurveyAnswer `json:"answers,omitempty"`
}

// List is a page of replies.
type List struct {
	Messages []Reply `json:"messages"`
	Next     string  `json:"next,omitempty"` // before of the page behind; absent: this is the last
}

// Totals are over all messages of the query.
type Totals struct {
	Asked     int        `json:"asked"` // messages with a survey
	Viewed    int        `json:"viewed"`
	Answered  int        `json:"answered"`
	Erased    int        `json:"erased,omitempty"` // of answered: their retention is over
	Complete  bool       `json:"complete"`         // false: of the newest 200,000 messages only
	Questions []Question `json:"questions"`
}

// Question is one question over all messages that ask it.
type Question struct {
	Question string   `json:"question"`
	Type     string   `json:"type"`
	Asked    int      `json:"asked"` // answered messages that have it
	Given    int      `json:"given"`
	Choices  []Choice `json:"choices,omitempty"`
}

// Choice is how many chose one.
type Choice struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

// Handler serves all below Path.
func Handler(s survey.Surveys, log *audit.Log) api.Handler {
	return func(ctx *fasthttp.RequestCtx, caller *api.Caller) {
		work, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r := &request{RequestCtx: ctx, surveys: s, audit: log, caller: caller, work: work, scope: tenant.Only(caller.Tenant.ID)}
		caller.Do(ctx, r.ways(string(ctx.Path())))
	}
}

// request is one request on its way.
type request struct {
	*fasthttp.RequestCtx
	surveys survey.Surveys
	audit   *audit.Log
	caller  *api.Caller
	work    context.Context
	scope   tenant.Scope
}

func (r *request) ways(path string) map[string]func() {
	switch what := strings.TrimPrefix(strings.TrimPrefix(path, Path), "/"); {
	case what == "":
		return map[string]func(){"GET": r.list}
	case what == "totals":
		return map[string]func(){"GET": r.totals}
	case what == "export.csv":
		return map[string]func(){"GET": r.export}
	case !strings.Contains(what, "/"):
		return map[string]func(){"GET": func() { r.one(what) }}
	}
	return nil
}

// asked is a query with what the list needs beside.
type asked struct {
	survey.Query
	which  survey.Which
	before ulid.ULID
	limit  int
}

// query reads the parameters, of which known are those beside campaign, from and to. It answers what is wrong with them, and
// writes the audit log.
func (r *request) query(action string, known ...string) (asked, bool) {
	a := asked{which: survey.Answered, limit: 20}
	q, ok := r.caller.Query(r.RequestCtx, append(known, "campaign", "from", "to")...)
	if !ok {
		return a, false
	}
	var ps message.Problems
	bad := func(field, code, detail string) {
		ps = append(ps, message.Problem{Field: field, Code: code, Detail: detail})
	}
	id := func(field string) (id ulid.ULID) {
		if q[field] != "" {
			var err error
			if id, err = ulid.ParseStrict(q[field]); err != nil {
				bad(field, "pattern", "")
			}
		}
		return id
	}
	when := func(field string) (at time.Time) {
		if q[field] != "" {
			var err error
			if at, err = time.Parse(time.RFC3339, q[field]); err != nil {
				bad(field, "pattern", "a time as 2026-11-22T09:00:00+09:00 is expected")
			}
		}
		return at
	}
	a.Campaign, a.before, a.From, a.To = id("campaign"), id("before"), when("from"), when("to")
	switch which := survey.Which(q["state"]); which {
	case "":
	case survey.Answered, survey.Unanswered:
		a.which = which
	default:
		bad("state", "unknown", "one of answered, unanswered")
	}
	if q["limit"] != "" {
		var err error
		if a.limit, err = strconv.Atoi(q["limit"]); err != nil || a.limit < 1 || a.limit > 100 {
			bad("limit", "range", "1 to 100")
		}
	}
	if len(ps) > 0 {
		r.caller.Refuse(r.RequestCtx, api.BadRequest, ps...)
		return a, false
	}
	return a, r.record(action, q["campaign"], q["state"])
}

// record writes the audit log; without it nothing is told.
func (r *request) record(action, target, detail string) bool {
	err := r.caller.Record(r.work, r.audit, action, target, detail)
	if err != nil {
		r.caller.Fail(r.RequestCtx, "answers", err)
	}
	return err == nil
}

func (r *request) list() {
	a, ok := r.query("answers.read", "state", "limit", "before")
	if !ok {
		return
	}
	all, next, err := r.surveys.List(r.work, r.scope, a.Query, a.which, a.before, a.limit)
	if !a.before.IsZero() && errors.Is(err, store.ErrNotFound) {
		r.caller.Refuse(r.RequestCtx, api.BadRequest, message.Problem{Field: "before", Code: "unknown"})
		return
	}
	if err != nil {
		r.caller.Fail(r.RequestCtx, "list answers", err)
		return
	}
	l := List{Messages: []Reply{}}
	for i := range all {
		l.Messages = append(l.Messages, replyOf(&all[i]))
	}
	if !next.IsZero() {
		l.Next = next.String()
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, l)
}

func (r *request) one(id string) {
	at, err := ulid.ParseStrict(id)
	if err != nil {
		r.caller.Refuse(r.RequestCtx, api.NotFound)
		return
	}
	if _, ok := r.caller.Query(r.RequestCtx); !ok || !r.record("answers.read", id, "") {
		return
	}
	reply, err := r.surveys.Reply(r.work, r.scope, at)
	if err != nil {
		r.caller.Fail(r.RequestCtx, "read answer", err)
		return
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, replyOf(&reply))
}

func (r *request) totals() {
	a, ok := r.query("answers.read")
	if !ok {
		return
	}
	t, err := r.surveys.Totals(r.work, r.scope, a.Query)
	if err != nil {
		r.caller.Fail(r.RequestCtx, "count answers", err)
		return
	}
	out := Totals{Asked: t.Asked, Viewed: t.Viewed, Answered: t.Answered, Erased: t.Erased, Complete: t.Complete, Questions: []Question{}}
	for _, q := range t.Questions {
		question := Question{Question: q.Title, Type: q.Type, Asked: q.Asked, Given: q.Given}
		for _, c := range q.Choices {
			question.Choices = append(question.Choices, Choice(c))
		}
		out.Questions = append(out.Questions, question)
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, out)
}

func (r *request) export() {
	a, ok := r.query("answers.export", "state")
	if !ok {
		return
	}
	r.Response.Header.Set("Content-Disposition", `attachment; filename="answers.csv"`)
	r.Response.Header.Set("Content-Language", r.caller.Lang)
	r.SetContentType("text/csv; charset=utf-8")
	lang, scope, surveys := r.caller.Lang, r.scope, r.surveys
	r.caller.Stream(r.RequestCtx, func(w io.Writer) error {
		return surveys.WriteCSV(context.Background(), scope, a.Query, a.which, lang, w)
	}, func(err error) { slog.Error("export of answers cut off", "tenant", r.caller.Tenant.ID, "err", err) })
}

func replyOf(r *survey.Reply) Reply {
	out := Reply{ID: r.ID.String(), No: r.No, Number: r.Masked, Reference: r.Reference}
	if !r.ViewedAt.IsZero() {
		out.ViewedAt = &r.ViewedAt
	}
	if !r.AnsweredAt.IsZero() {
		out.AnsweredAt = &r.AnsweredAt
	}
	for _, it := range r.Items {
		out.Answers = append(out.Answers, api.SurveyAnswer{Question: it.Title, Type: it.Type, Values: it.Values})
	}
	return out
}
