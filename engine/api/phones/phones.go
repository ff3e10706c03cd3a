// Package phones is the part of the sender's HTTP API about what phones say: received messages (engine/inbound) and the
// do-not-send list (engine/inbound/donotsend). It is mounted behind engine/api's door, which knows the tenant by then.
//
//	GET    /v1/received              ?cursor &limit &numbers → Received, newest first
//	GET    /v1/received/{id}         ?numbers → Message
//	GET    /v1/do-not-send           ?cursor &limit &numbers → List, newest first
//	POST   /v1/do-not-send           Addition → 201 Entry, or 200 Entry where it was listed; text/csv → 200 Imported
//	GET    /v1/do-not-send/list.csv  all of it, with whole numbers
//	DELETE /v1/do-not-send/{id}      → 204
//
// Numbers are masked unless numbers=true asks for them, and that is in the audit log first, as every change is.
package phones

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/inbound"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// ReceivedPath and DoNotSendPath are where the handlers are to be mounted.
const (
	ReceivedPath  = "/v1/received"
	DoNotSendPath = "/v1/do-not-send"
)

const (
	maxJSON  = 16 << 10
	patience = 30 * time.Second
	maxPage  = 100
)

// Message is a message from a phone as the API shows it.
type Message struct {
	ID         ulid.ULID `json:"id"`
	At         time.Time `json:"at"`
	From       string    `json:"from"` // masked, or E.164
	To         string    `json:"to"`
	Carrier    string    `json:"carrier"`
	Text       string    `json:"text"`
	Segments   int       `json:"segments"`
	Missing    []int     `json:"missing,omitempty"`
	Waiting    bool      `json:"waiting,omitempty"`
	Unreadable bool      `json:"unreadable,omitempty"`
	Stop       bool      `json:"stop,omitempty"`
}

// Received is a page of messages.
type Received struct {
	Items []Message `json:"items"`
	Next  string    `json:"next,omitempty"`
}

// Entry is a number on the list.
type Entry struct {
	ID     ulid.ULID        `json:"id"`
	Number string           `json:"number"` // masked, or E.164
	Reason donotsend.Reason `json:"reason"`
	Note   string           `json:"note,omitempty"`
	By     string           `json:"by"`
	At     time.Time        `json:"at"`
}

// List is a page of entries.
type List struct {
	Items []Entry `json:"items"`
	Next  string  `json:"next,omitempty"`
}

// Addition is a body. An empty reason is "request".
type Addition struct {
	Number string           `json:"number"`
	Reason donotsend.Reason `json:"reason,omitempty"`
	Note   string           `json:"note,omitempty"`
}

// Imported is the answer to a file.
type Imported struct {
	Added int `json:"added"`
	Known int `json:"known"` // were listed
}

// Handler serves both paths and all below them.
func Handler(in *inbound.Inbound, list *donotsend.List, log *audit.Log) api.Handler {
	h := &handler{in, list, log}
	return h.serve
}

type handler struct {
	inbound *inbound.Inbound
	list    *donotsend.List
	audit   *audit.Log
}

// request is one request on its way.
type request struct {
	*handler
	*fasthttp.RequestCtx
	caller *api.Caller
	work   context.Context
	id     string
}

func (h *handler) serve(ctx *fasthttp.RequestCtx, caller *api.Caller) {
	work, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := &request{handler: h, RequestCtx: ctx, caller: caller, work: work}
	caller.Do(ctx, r.ways(string(ctx.Path())))
}

func (r *request) ways(path string) map[string]func() {
	var below bool
	switch {
	case path == ReceivedPath:
		return map[string]func(){"GET": r.received}
	case path == DoNotSendPath:
		return map[string]func(){"GET": r.entries, "POST": r.add}
	case path == DoNotSendPath+"/list.csv":
		return map[string]func(){"GET": r.export}
	}
	if r.id, below = strings.CutPrefix(path, ReceivedPath+"/"); below {
		return map[string]func(){"GET": r.one}
	}
	r.id, _ = strings.CutPrefix(path, DoNotSendPath+"/")
	return map[string]func(){"DELETE": r.remove}
}

// page reads cursor, limit and numbers. What numbers asks for is recorded.
func (r *request) page(action string, known ...string) (before ulid.ULID, limit int, numbers, ok bool) {
	q, ok := r.caller.Query(r.RequestCtx, append(known, "numbers")...)
	if !ok {
		return before, 0, false, false
	}
	bad := func(field string) (ulid.ULID, int, bool, bool) {
		r.caller.Refuse(r.RequestCtx, api.BadRequest, message.Problem{Field: field, Code: "pattern"})
		return before, 0, false, false
	}
	limit = 50
	var err error
	if q["limit"] != "" {
		if limit, err = strconv.Atoi(q["limit"]); err != nil || limit < 1 || limit > maxPage {
			return bad("limit")
		}
	}
	if q["cursor"] != "" {
		if before, err = ulid.ParseStrict(q["cursor"]); err != nil {
			return bad("cursor")
		}
	}
	if q["numbers"] != "" {
		if numbers, err = strconv.ParseBool(q["numbers"]); err != nil {
			return bad("numbers")
		}
	}
	return before, limit, numbers, !numbers || r.record(action, r.id)
}

// record writes the audit log; without it nothing is done.
func (r *request) record(action, target string) bool {
	err := r.caller.Record(r.work, r.audit, action, target, "")
	if err != nil {
		r.refuse(err)
	}
	return err == nil
}

func (r *request) refuse(err error) {
	var ps message.Problems
	switch {
	case errors.As(err, &ps):
		r.caller.Refuse(r.RequestCtx, api.Invalid, ps...)
	case errors.Is(err, store.ErrNotFound):
		r.caller.Refuse(r.RequestCtx, api.NotFound)
	default:
		r.caller.Fail(r.RequestCtx, "phones", err)
	}
}

// cursorFault says that a cursor is of nobody; other errors go on.
func (r *request) cursorFault(before ulid.ULID, err error) {
	if errors.Is(err, store.ErrNotFound) && !before.IsZero() {
		r.caller.Refuse(r.RequestCtx, api.BadRequest, message.Problem{Field: "cursor", Code: "unknown"})
		return
	}
	r.refuse(err)
}

func shown(m *inbound.Message, numbers bool) Message {
	s := Message{ID: m.ID, At: m.At, From: m.From, To: m.To, Carrier: m.Carrier, Text: m.Text, Segments: m.Segments, Missing: m.Missing, Waiting: m.Waiting, Unreadable: m.Unreadable, Stop: m.Stop}
	if numbers && m.Number != "" {
		s.From = m.Number
	}
	return s
}

func cursor(next ulid.ULID) string {
	if next.IsZero() {
		return ""
	}
	return next.String()
}

func (r *request) received() {
	before, limit, numbers, ok := r.page("received.unmask", "cursor", "limit")
	if !ok {
		return
	}
	all, next, err := r.inbound.List(r.work, r.caller.Tenant.ID, inbound.Query{Before: before, Limit: limit})
	if err != nil {
		r.cursorFault(before, err)
		return
	}
	l := Received{Items: []Message{}, Next: cursor(next)}
	for i := range all {
		l.Items = append(l.Items, shown(&all[i], numbers))
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, l)
}

func (r *request) one() {
	_, _, numbers, ok := r.page("received.unmask")
	if !ok {
		return
	}
	id, err := ulid.ParseStrict(r.id)
	if err != nil {
		r.caller.Refuse(r.RequestCtx, api.NotFound)
		return
	}
	m, err := r.inbound.Get(r.work, r.caller.Tenant.ID, id)
	if err != nil {
		r.refuse(err)
		return
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, shown(&m, numbers))
}

func (r *request) entry(e *donotsend.Entry, numbers bool) (Entry, error) {
	s := Entry{ID: e.ID, Number: e.Masked, Reason: e.Reason, Note: e.Note, By: e.By, At: e.At}
	if numbers {
		n, err := r.list.Number(e)
		if err != nil {
			return s, err
		}
		s.Number = n.E164()
	}
	return s, nil
}

func (r *request) entries() {
	before, limit, numbers, ok := r.page("donotsend.unmask", "cursor", "limit")
	if !ok {
		return
	}
	all, next, err := r.list.Page(r.work, r.caller.Tenant.ID, donotsend.Query{Before: before, Limit: limit})
	if err != nil {
		r.cursorFault(before, err)
		return
	}
	l := List{Items: []Entry{}, Next: cursor(next)}
	for i := range all {
		e, err := r.entry(&all[i], numbers)
		if err != nil {
			r.refuse(err)
			return
		}
		l.Items = append(l.Items, e)
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, l)
}

func (r *request) add() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	if bytes.HasPrefix(r.Request.Header.ContentType(), []byte("text/csv")) {
		r.file()
		return
	}
	var b Addition
	if !r.caller.ReadJSON(r.RequestCtx, maxJSON, &b) {
		return
	}
	n, err := carrier.ParseNumber(b.Number)
	if err != nil {
		var ne *carrier.NumberError
		errors.As(err, &ne)
		r.caller.Refuse(r.RequestCtx, api.Invalid, message.Problem{Field: "number", Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()})
		return
	}
	a := donotsend.Addition{Number: n, Reason: b.Reason, Note: b.Note, By: r.caller.By(), At: clock.Now()}
	if a.Reason == "" {
		a.Reason = donotsend.Request
	}
	if !r.record("donotsend.add", n.Masked()) {
		return
	}
	added := r.list.Add(r.work, r.caller.Tenant.ID, []donotsend.Addition{a})[0]
	if added.Err != nil {
		r.refuse(added.Err)
		return
	}
	e, err := r.list.Get(r.work, r.caller.Tenant.ID, added.ID)
	if err != nil {
		r.refuse(err)
		return
	}
	s, _ := r.entry(&e, false)
	status := fasthttp.StatusCreated
	if added.Known {
		status = fasthttp.StatusOK
	}
	r.caller.Answer(r.RequestCtx, status, s)
}

// file imports a file: all of it, or, when a line has a fault, nothing.
func (r *request) file() {
	body, ok := r.caller.Body(r.RequestCtx, donotsend.MaxFile, "text/csv")
	if !ok {
		return
	}
	additions, ps, err := donotsend.ReadCSV(body, r.caller.By(), clock.Now())
	switch {
	case err != nil:
		r.caller.RefuseRead(r.RequestCtx, err, donotsend.MaxFile)
		return
	case len(ps) > 0:
		r.caller.Refuse(r.RequestCtx, api.Invalid, ps...)
		return
	}
	if !r.record("donotsend.import", fmt.Sprint(len(additions))) {
		return
	}
	var done Imported
	for _, a := range r.list.Add(r.work, r.caller.Tenant.ID, additions) {
		switch {
		case a.Err != nil:
			r.refuse(a.Err)
			return
		case a.Known:
			done.Known++
		default:
			done.Added++
		}
	}
	r.caller.Answer(r.RequestCtx, fasthttp.StatusOK, done)
}

func (r *request) export() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok || !r.record("donotsend.export", "") {
		return
	}
	var out bytes.Buffer
	if err := donotsend.Export(r.work, r.list, r.caller.Tenant.ID, &out); err != nil {
		r.refuse(err)
		return
	}
	r.SetContentType("text/csv")
	r.SetBody(out.Bytes())
}

func (r *request) remove() {
	if _, ok := r.caller.Query(r.RequestCtx); !ok {
		return
	}
	id, err := ulid.ParseStrict(r.id)
	if err == nil {
		_, err = r.list.Get(r.work, r.caller.Tenant.ID, id)
	}
	if err != nil {
		r.caller.Refuse(r.RequestCtx, api.NotFound)
		return
	}
	if !r.record("donotsend.remove", r.id) {
		return
	}
	if err := r.list.Remove(r.work, r.caller.Tenant.ID, id, r.caller.By()); err != nil {
		r.refuse(err)
		return
	}
	r.SetStatusCode(fasthttp.StatusNoContent)
}
