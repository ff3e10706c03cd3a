package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/message"
)

// hasBody reports whether something may be left unread of the request.
func hasBody(ctx *fasthttp.RequestCtx) bool { return ctx.Request.Header.ContentLength() != 0 }

// Body is the request's body as a stream, for content of the given types (none: of any) that is not compressed; else it
// refuses. Of a longer one than limit, nothing is read; where the length is not told, reading fails behind limit bytes.
// RefuseRead answers to what reading it fails with.
func (c *Caller) Body(ctx *fasthttp.RequestCtx, limit int, types ...string) (io.Reader, bool) {
	kind, params, err := mime.ParseMediaType(string(ctx.Request.Header.ContentType()))
	charset := strings.ToLower(params["charset"])
	switch enc := string(ctx.Request.Header.Peek("Content-Encoding")); {
	case len(types) > 0 && (err != nil || !slices.Contains(types, kind)):
		c.Refuse(ctx, UnsupportedMedia, message.Problem{Field: "Content-Type", Code: "unknown", Detail: "one of " + strings.Join(types, ", ")})
		return nil, false
	case len(types) > 0 && charset != "" && charset != "utf-8":
		c.Refuse(ctx, UnsupportedMedia, message.Problem{Field: "Content-Type", Code: "unknown", Detail: "charset utf-8"})
		return nil, false
	case enc != "" && enc != "identity":
		c.Refuse(ctx, UnsupportedMedia, message.Problem{Field: "Content-Encoding", Code: "unknown", Detail: "identity"})
		return nil, false
	}
	if n := ctx.Request.Header.ContentLength(); n > limit {
		c.Refuse(ctx, TooLarge, message.Problem{Field: "Content-Length", Code: "range", Limit: int64(limit), Got: int64(n), Detail: "bytes"})
		return nil, false
	}
	var r io.Reader = ctx.RequestBodyStream()
	if r == nil {
		r = bytes.NewReader(ctx.PostBody())
	}
	return &capped{r: r, left: limit, told: max(ctx.Request.Header.ContentLength(), 0)}, true
}

var errTooLarge = errors.New("body is too large")

// capped fails with errTooLarge where a LimitedReader would end silently, and where a body ends before its length.
type capped struct {
	r    io.Reader
	left int
	told int // bytes that must still come at least
}

func (l *capped) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, errTooLarge
	}
	if len(p) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= n; l.left < 0 {
		return n - 1, errTooLarge
	}
	if l.told -= n; err == io.EOF && l.told > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// RefuseRead says why the Body was not read to its end.
func (c *Caller) RefuseRead(ctx *fasthttp.RequestCtx, err error, limit int) {
	if errors.Is(err, errTooLarge) {
		c.Refuse(ctx, TooLarge, message.Problem{Field: "body", Code: "range", Limit: int64(limit), Detail: "bytes"})
		return
	}
	c.Refuse(ctx, BadRequest, message.Problem{Field: "body", Code: "incomplete", Detail: "the body did not come in time or whole"})
}

// ReadJSON reads a whole JSON body of at most limit bytes into v strictly, or refuses.
func (c *Caller) ReadJSON(ctx *fasthttp.RequestCtx, limit int, v any) bool {
	r, ok := c.Body(ctx, limit, "application/json")
	if !ok {
		return false
	}
	data, err := io.ReadAll(r)
	if err != nil {
		c.RefuseRead(ctx, err, limit)
		return false
	}
	if code, ps := decode(data, v); code != "" {
		c.Refuse(ctx, code, ps...)
		return false
	}
	return true
}

// decode reads one JSON value strictly: valid UTF-8, no unknown fields, nothing after it. Faults name the field.
func decode(data []byte, v any) (Code, message.Problems) {
	if !utf8.Valid(data) {
		return BadJSON, message.Problems{{Field: "body", Code: "pattern", Detail: "not UTF-8"}}
	}
	if d, ok := v.(*message.Draft); ok {
		if message.ParseDraft(string(data), d) {
			return "", nil
		}
		*d = message.Draft{}
	}
	return decodeStrictly(data, v)
}

func decodeStrictly(data []byte, v any) (Code, message.Problems) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return "", nil
		}
		return BadJSON, message.Problems{{Field: "body", Code: "pattern", Got: dec.InputOffset(), Detail: "something follows the JSON value"}}
	}
	var typ *json.UnmarshalTypeError
	var when *time.ParseError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		return Invalid, message.Problems{{Field: typ.Field, Code: "pattern", Detail: fmt.Sprintf("JSON %s does not fit", jsonKind(typ.Value))}}
	case errors.As(err, &when) || strings.HasPrefix(err.Error(), "Time.UnmarshalJSON"):
		return Invalid, wrongTimes(data, v)
	}
	if _, field, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return Invalid, message.Problems{{Field: clip(field), Code: "unknown", Detail: "there is no such field"}}
	}
	return BadJSON, message.Problems{{Field: "body", Code: "pattern", Got: dec.InputOffset()}}
}

// jsonKind drops the value that the decoder puts behind "number ": it may be personal.
func jsonKind(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}

// clip shortens a name that the caller made up.
func clip(s string) string {
	if len(s) > 2 {
		s = strings.Trim(s, `"`)
	}
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}

// wrongTimes finds which time is not RFC 3339; the decoder does not tell. An upload has a draft in its settings.
func wrongTimes(data []byte, v any) message.Problems {
	fields := []string{"send_at", "valid_until", "link.expires_at", "settings.defaults.send_at", "settings.defaults.valid_until", "settings.defaults.link.expires_at"}
	if _, ok := v.(*Search); ok {
		fields = []string{"from", "to"}
	}
	var ps message.Problems
	for _, path := range fields {
		raw := json.RawMessage(data)
		for name := range strings.SplitSeq(path, ".") {
			object := map[string]json.RawMessage{}
			_ = json.Unmarshal(raw, &object)
			raw = object[name]
		}
		if raw != nil && json.Unmarshal(raw, new(time.Time)) != nil {
			ps = append(ps, message.Problem{Field: path, Code: "pattern", Detail: rfc3339})
		}
	}
	if ps == nil {
		ps = message.Problems{{Field: "body", Code: "pattern", Detail: rfc3339}}
	}
	return ps
}

const rfc3339 = "a time as 2026-11-22T09:00:00+09:00 is expected"
