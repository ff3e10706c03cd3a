// Package followups is the part of the sender's HTTP API about messages that are followed up (engine/followup). It is mounted
// behind engine/api's door, which knows the tenant by then.
//
//	GET    /v1/follow-up-lists/{list}            ?cursor &limit &numbers &class &campaign &from &to &max_resent &not_since → Page, newest first
//	GET    /v1/follow-up-lists/{list}/calls.csv  ?class &campaign &from &to &max_resent &not_since: the call list, with whole numbers
//	GET    /v1/follow-ups                        ?cursor &limit → Runs, newest first
//	POST   /v1/follow-ups                        Order → 202 Run: the list is sent again
//	GET    /v1/follow-ups/{id}                   → Run
//	DELETE /v1/follow-ups/{id}                   → Run: it makes no more messages
//
// Lists are undelivered, unopened, unidentified, unpaid, promised, broken_promise. Numbers are masked unless numbers=true asks for them, and
// that is in the audit log first, as every run and call list is.
package followups

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Path and ListsPath are where the handler is to be mounted.
const (
	Path      = "/v1/follow-ups"
	ListsPath = "/v1/follow-up-lists"
)

const (
	maxJSON  = 16 << 10
	patience = 30 * time.Second
	fileTime = 10 * time.Minute // of a call list, from its first byte to its last
	maxPage  = 100
)

// Handler serves both paths and all below them.
func Handler(f *followup.FollowUps, log *audit.Log) api.Handler {
	return func(ctx *fasthttp.RequestCtx, caller *api.Caller) {
		work, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r := &request{RequestCtx: ctx, followUps: f, audit: log, caller: caller, work: work}
		caller.Do(ctx, r.ways(string(ctx.Path())))
	}
}

// request is one request on its way.
type request struct {
	*fasthttp.RequestCtx
	followUps *followup.FollowUps
	audit     *audit.Log
	caller    *api.Caller
	work      context.Context
	id        ulid.ULID
	list      followup.List
}

func (r *request) ways(path string) map[string]func() {
	if path == Path {
		return map[string]func(){"GET": r.runs, "POST": r.start}
	}
	if id, below := strings.CutPrefix(path, Path+"/"); below {
		var err error
		if r.id, err = ulid.ParseStrict(id); err != nil {
			return nil
		}
		return map[string]func(){"GET": r.run, "DELETE": r.stop}
	}
	name, ok := strings.CutPrefix(path, ListsPath+"/")
	name, file := strings.CutSuffix(name, "/calls.csv")
	var err error
	if r.list, err = followup.ParseList(name); !ok || err != nil {
		return nil
	}
	if file {
		return map[string]func(){"GET": r.calls}
	}
	return map[string]func(){"GET": r.page}
}

// record writes the audit log; without it nothing is done.
func (r *request) record(action, target, detail string) bool {
	err := r.caller.Record(r.work, r.audit, action, target, detail)
	if err != nil {
		r.refuse(err)
	}
	return err == nil
}

func (r *request) refuse(err error) {
	var ps message.Problems
	switch {
	case errors.As(err, &ps) && ps[0].Code == "conflict":
		r.caller.Refuse(r.RequestCtx, api.Conflict, ps...)
	case errors.As(err, &ps):
		r.caller.Refuse(r.RequestCtx, api.Invalid, ps...)
	case errors.Is(err, store.ErrNotFound):
		r.caller.Refuse(r.RequestCtx, api.NotFound)
	default:
		r.caller.Fail(r.RequestCtx, "follow-ups", err)
	}
}

func (r *request) bad(field string) {
	r.caller.Refuse(r.RequestCtx, api.BadRequest, message.Problem{Field: field, Code: "pattern"})
}

// narrowed are the parameters of a list that are its filter's.
var narrowed = []string{"class", "campaign", "from", "to", "max_resent", "not_since"}

// filterOf is the filter of a list's parameters; the field that cannot be read.
func filterOf(q map[string]string) (followup.Filter, string) {
	n, err := 0, error(nil)
	if q["max_resent"] != "" {
		if n, err = strconv.Atoi(q["max_resent"]); err != nil || n < 1 || n > followup.MaxResents {
			return followup.Filter{}, "max_resent"
		}
	}
	return (&Filter{q["class"], q["campaign"], q["from"], q["to"], n, q["not_since"]}).read()
}

// read reads what a list is narrowed by; the field that cannot be read.
func (b *Filter) read() (f followup.Filter, fault string) {
	var err error
	if b.Class != "" {
		if f.Class, err = message.ParseClass(b.Class); err != nil {
			return f, "class"
		}
	}
	if b.Campaign != "" {
		if f.Campaign, err = ulid.ParseStrict(b.Campaign); err != nil {
			return f, "campaign"
		}
	}
	f.MaxResent = b.MaxResent
	for _, x := range []struct {
		name, text string
		to         *time.Time
	}{{"from", b.From, &f.From}, {"to", b.To, &f.To}, {"not_since", b.NotSince, &f.NotSince}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = time.Parse(time.RFC3339, x.text); err != nil {
			return f, x.name
		}
	}
	return f, ""
}

func (r *request) cursor(q map[string]string) (before ulid.ULID, limit int, ok bool) {
	limit = 50
	var err error
	if q["limit"] != "" {
		if limit, err = strconv.Atoi(q["limit"]); err != nil || limit < 1 || limit > maxPage {
			r.bad("limit")
			return before, 0, false
		}
	}
	if q["cursor"] != "" {
		if before, err = ulid.ParseStrict(q["cursor"]); err != nil {
			r.bad("cursor")
			return before, 0, false
		}
	}
	return before, limit, true
}

func (r *request) page() {
	q, ok := r.caller.Query(r.RequestCtx, append([]string{"cursor", "limit", "numbers"}, narrowed...)...)
	if !ok {
		return
	}
	f, fault := filterOf(q)
	if fault != "" {
		r.bad(fault)
		return
	}
	before, limit, ok := r.cursor(q)
	if !ok {
		return
	}
	numbers := false
	if q["numbers"] != "" {
		var err error
		if numbers, err = strconv.ParseBool(q["numbers"]); err != nil {
			r.bad("numbers")
			return
		}
	}
	if numbers && !r.record("followup.unmask", string(r.list), "") {
		return
	}
	p, err := r.followUps.List(r.work, r.caller.Tenant.ID, r.list, f, before, limit)
	if err != nil {
		r.refuse(err)
		return
	}
	out, now := Page{Items: []Item{}}, clock.Now()
	for i := range p.Items {
		out.Items = append(out.Items, itemOf(&p.Items[i], r.list, now, numbers, r.caller.Lang))
	}
	if !p.Next.IsZero() {
		out.Next = p.Next.String()
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, out)
}

// calls streams the call list: memory does not grow with it.
func (r *request) calls() {
	q, ok := r.caller.Query(r.RequestCtx, narrowed...)
	if !ok {
		return
	}
	f, fault := filterOf(q)
	if fault != "" {
		r.bad(fault)
		return
	}
	if !r.IsHead() && !r.record("followup.calls", string(r.list), "") {
		return
	}
	id, list, lang, ups := r.caller.Tenant.ID, r.list, r.caller.Lang, r.followUps
	r.SetContentType("text/csv")
	r.Response.Header.Set("Content-Disposition", `attachment; filename="calls-`+string(list)+`.csv"`)
	r.caller.Stream(r.RequestCtx, func(to io.Writer) error {
		ctx, cancel := context.WithTimeout(context.Background(), fileTime)
		defer cancel()
		now := clock.Now()
		if _, err := io.WriteString(to, "\ufeff"); err != nil {
			return err
		}
		sheet := csv.NewWriter(to)
		sheet.UseCRLF = true
		_ = sheet.Write(followup.CallHeader(lang)) // sticks until Flush
		err := ups.Each(ctx, id, list, f, func(it *followup.Item) error {
			row := it.CallRow(list, now, lang)
			for i, c := range row {
				row[i] = message.Cell(c)
			}
			return sheet.Write(row)
		})
		sheet.Flush()
		return cmp.Or(err, sheet.Error())
	}, func(err error) {
		ups.Log.Error("call list was cut off", "tenant", id, "list", list, "err", err)
	})
}

func (r *request) start() {
	var body Order
	if _, ok := r.caller.Query(r.RequestCtx); !ok || !r.caller.ReadJSON(r.RequestCtx, maxJSON, &body) {
		return
	}
	f, fault := body.Filter.read()
	if fault != "" {
		r.caller.Refuse(r.RequestCtx, api.Invalid, message.Problem{Field: "filter." + fault, Code: "pattern"})
		return
	}
	o := followup.Order{
		Key: body.Key, List: followup.List(body.List), Filter: f, Text: body.Text, Template: body.Template, Class: message.Class(body.Class), Sender: body.Sender, Due: body.Due, By: r.caller.By(),
	}
	if !r.record("followup.start", body.List, o.Audited()) {
		return
	}
	s, err := r.followUps.Start(r.work, r.caller.Tenant, o)
	if err != nil {
		r.refuse(err)
		return
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusAccepted, runOf(&s))
}

func (r *request) runs() {
	q, ok := r.caller.Query(r.RequestCtx, "cursor", "limit")
	if !ok {
		return
	}
	before, limit, ok := r.cursor(q)
	if !ok {
		return
	}
	all, err := r.followUps.Runs(r.work, r.caller.Tenant.ID, before, limit)
	if errors.Is(err, store.ErrNotFound) {
		r.caller.Refuse(r.RequestCtx, api.BadRequest, message.Problem{Field: "cursor", Code: "unknown"})
		return
	}
	if err != nil {
		r.refuse(err)
		return
	}
	out := Runs{Items: []Run{}}
	for i := range all {
		out.Items = append(out.Items, runOf(&all[i]))
	}
	if n := len(all); n == limit {
		out.Next = all[n-1].ID.String()
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, out)
}

func (r *request) run() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	s, err := r.followUps.State(r.work, r.caller.Tenant.ID, r.id)
	if err != nil {
		r.refuse(err)
		return
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, runOf(&s))
}

func (r *request) stop() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	if _, err := r.followUps.State(r.work, r.caller.Tenant.ID, r.id); err != nil {
		r.refuse(err)
		return
	}
	if !r.record("followup.stop", r.id.String(), "") {
		return
	}
	s, err := r.followUps.Stop(r.work, r.caller.Tenant.ID, r.id, r.caller.By())
	if err != nil {
		r.refuse(err)
		return
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, runOf(&s))
}

// shownNumber is masked, or whole in its national form.
func shownNumber(it *followup.Item, numbers bool) string {
	if n, err := carrier.ParseNumber(it.SMS.Number); numbers && err == nil {
		return n.National()
	}
	return it.State.Head.Masked
}
