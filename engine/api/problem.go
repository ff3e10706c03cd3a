package api

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Code is why a request was refused. The words are stable; each has one HTTP status.
type Code string

const (
	BadRequest       Code = "bad_request"            // 400: a query or header is wrong
	BadJSON          Code = "bad_json"               // 400: the body is no JSON
	Unauthorized     Code = "unauthorized"           // 401
	Forbidden        Code = "forbidden"              // 403: the address is not on the tenant's list, or the way is not allowed
	NotFound         Code = "not_found"              // 404
	MethodNotAllowed Code = "method_not_allowed"     // 405
	Conflict         Code = "conflict"               // 409
	TooLarge         Code = "too_large"              // 413
	UnsupportedMedia Code = "unsupported_media_type" // 415
	Invalid          Code = "invalid"                // 422: fields are wrong
	TooMany          Code = "too_many_requests"      // 429
	Internal         Code = "internal"               // 500
	Unavailable      Code = "unavailable"            // 503
	Full             Code = "insufficient_storage"   // 507
)

var codes = map[Code]struct {
	status int
	ja, en string
}{
	BadRequest:       {400, "リクエストが正しくありません", "the request is wrong"},
	BadJSON:          {400, "JSONとして読み取れません", "the body is not JSON"},
	Unauthorized:     {401, "APIキーが正しくありません", "the API key is missing or not valid"},
	Forbidden:        {403, "この接続元からは利用できません", "this address may not use the API"},
	NotFound:         {404, "見つかりません", "not found"},
	MethodNotAllowed: {405, "このメソッドは利用できません", "this method is not allowed here"},
	Conflict:         {409, "現在の内容と矛盾します", "it conflicts with what is registered"},
	TooLarge:         {413, "データが大きすぎます", "the body is too large"},
	UnsupportedMedia: {415, "対応していない形式です", "this content type is not supported"},
	Invalid:          {422, "入力内容に誤りがあります", "some fields are wrong"},
	TooMany:          {429, "リクエストが多すぎます。時間をおいて再度お試しください", "too many requests; try again later"},
	Internal:         {500, "内部エラーが発生しました", "an internal error occurred"},
	Unavailable:      {503, "一時的に利用できません。時間をおいて再度お試しください", "temporarily not available; try again later"},
	Full:             {507, "保存領域が不足しています", "there is too little space to accept this"},
}

// Problem is the body of every refusal. RFC 9457 §3
type Problem struct {
	Type     string         `json:"type"` // urn:kakitome:problem:<code>
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Instance string         `json:"instance"` // urn:kakitome:request:<id>
	Errors   []FieldProblem `json:"errors,omitempty"`
}

// FieldProblem is one fault with its text in the caller's language.
type FieldProblem struct {
	message.Problem
	Text string `json:"text"`
}

// maxProblems bounds an answer: a body of half a megabyte can hold tens of thousands of faults.
const maxProblems = 100

func fieldProblems(lang string, ps message.Problems) []FieldProblem {
	var fields []FieldProblem
	for i, p := range ps {
		if i == maxProblems {
			p = message.Problem{Field: "errors", Code: "too_many", Limit: maxProblems, Got: int64(len(ps))}
			return append(fields, FieldProblem{p, p.Text(lang)})
		}
		fields = append(fields, FieldProblem{p, p.Text(lang)})
	}
	return fields
}

func (c *Caller) problem(code Code, ps message.Problems) Problem {
	def := codes[code]
	p := Problem{Type: "urn:kakitome:problem:" + string(code), Title: def.en, Status: def.status, Instance: "urn:kakitome:request:" + c.Request, Errors: fieldProblems(c.Lang, ps)}
	if c.Lang == "ja" {
		p.Title = def.ja
	}
	return p
}

// Refuse answers with a problem document. A request whose body was not read to its end closes the connection.
func (c *Caller) Refuse(ctx *fasthttp.RequestCtx, code Code, ps ...message.Problem) {
	p := c.problem(code, ps)
	switch code {
	case Unauthorized:
		ctx.Response.Header.Set("WWW-Authenticate", `Bearer realm="kakitome"`)
	case TooMany, Unavailable:
		if len(ctx.Response.Header.Peek("Retry-After")) == 0 {
			ctx.Response.Header.Set("Retry-After", "1")
		}
	}
	if hasBody(ctx) {
		c.drain(ctx)
		ctx.SetConnectionClose()
	}
	c.write(ctx, p.Status, "application/problem+json", p)
}

// drain reads on for a while what the client is still writing: a connection that is closed on unread bytes is reset, and
// the client never sees the answer. What a stranger may send that way is little.
func (c *Caller) drain(ctx *fasthttp.RequestCtx) {
	limit := int64(64 << 10)
	if c.Tenant != nil {
		limit = 16 << 20
	}
	if r := ctx.RequestBodyStream(); r != nil && ctx.Conn().SetReadDeadline(clock.Now().Add(time.Second)) == nil {
		_, _ = io.CopyN(io.Discard, r, limit) // whatever comes, the answer follows
	}
}

// Answer writes v as JSON.
func (c *Caller) Answer(ctx *fasthttp.RequestCtx, status int, v any) {
	c.write(ctx, status, "application/json", v)
}

func (c *Caller) write(ctx *fasthttp.RequestCtx, status int, contentType string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: api answer: " + err.Error())
	}
	ctx.Response.Header.Set("Content-Language", c.Lang)
	ctx.SetContentType(contentType)
	ctx.SetStatusCode(status)
	ctx.SetBody(append(b, '\n'))
}

// storeCode says what a failure of the rooms below means to the caller.
func storeCode(err error) Code {
	var limit *intake.LimitError
	switch {
	case errors.As(err, &limit):
		return TooMany
	case errors.Is(err, store.ErrNotFound):
		return NotFound
	case errors.Is(err, store.ErrBusy):
		return TooMany
	case errors.Is(err, store.ErrFull):
		return Full
	}
	return Unavailable
}

// storeProblems says more of a failure, where there is more to say.
func storeProblems(err error) message.Problems {
	var limit *intake.LimitError
	if errors.As(err, &limit) {
		return message.Problems{limit.Problem()}
	}
	return nil
}

// problemsCode is Conflict when one of the faults is a conflict or a duplicate.
func problemsCode(ps message.Problems) Code {
	for _, p := range ps {
		if p.Code == "conflict" || p.Code == "duplicate" || p.Code == message.CodeOpenPayment {
			return Conflict
		}
	}
	return Invalid
}

// language picks ja or en by Accept-Language (RFC 9110 §12.5.4); ja where nothing fits.
func language(accept string) string {
	best, lang := 0.0, "ja"
	for part := range strings.SplitSeq(accept, ",") {
		tag, params, _ := strings.Cut(part, ";")
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		if (tag == "ja" || tag == "en") && q > best {
			best, lang = q, tag
		}
	}
	return lang
}
