package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"runtime"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
)

// Line is the answer to one line of a batch; lines are answered in order.
type Line struct {
	Line    int       `json:"line"`   // from 1, blank lines counted
	Status  int       `json:"status"` // as the line would get alone: 202, 409, 422 …
	Message *Accepted `json:"message,omitempty"`
	Problem *Problem  `json:"problem,omitempty"`

	result *intake.Result // what Message says, where it has no warnings; written without encoding/json
}

// A chunk that is committed at once has at most this many lines, and ends with the line that makes it this large.
const (
	chunkLines = 256
	chunkBytes = 1 << 20
)

// batch is one batch on its way.
type batch struct {
	s      *Server
	c      *Caller
	key    string // Idempotency-Key: lines without a key get "<key>:<line>"
	out    bytes.Buffer
	lines  []Line
	drafts []message.Draft
	at     []int // drafts[i] answers lines[at[i]]
	bytes  int   // of the chunk's lines
}

// postBatch takes NDJSON, one message a line, each line for itself. The answer is 200 with a line for each line.
func (s *Server) postBatch(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	r, ok := c.Body(ctx, s.Config.MaxBatchBody, "application/x-ndjson", "application/ndjson", "application/jsonl")
	if !ok {
		return
	}
	b := &batch{s: s, c: c, key: string(ctx.Request.Header.Peek("Idempotency-Key"))}
	whole := true
	for line, err := range splitLines(r, s.Config.MaxBody) {
		switch {
		case errors.Is(err, errLongLine):
			b.refuse(line.n, TooLarge, message.Problem{Field: "line", Code: "range", Limit: int64(s.Config.MaxBody), Detail: "bytes"})
			continue
		case errors.Is(err, errTooLarge):
			b.refuse(line.n, TooLarge, message.Problem{Field: "body", Code: "range", Limit: int64(s.Config.MaxBatchBody), Detail: "bytes"})
		case err != nil:
			b.refuse(line.n, BadRequest, message.Problem{Field: "body", Code: "incomplete", Detail: "the body did not come in time or whole"})
		case line.n > s.Config.MaxBatchLines:
			b.refuse(line.n, TooLarge, message.Problem{Field: "line", Code: "too_many", Limit: int64(s.Config.MaxBatchLines), Got: int64(line.n)})
		default:
			b.take(line)
			if line.n%32 == 0 { // others wait for a core too
				runtime.Gosched()
			}
			continue
		}
		whole = false
		break // of the lines
	}
	b.flush()
	if b.out.Len() == 0 {
		c.Refuse(ctx, BadJSON, message.Problem{Field: "body", Code: "required"})
		return
	}
	if !whole {
		ctx.SetConnectionClose() // what was not read stands before the next request
	}
	ctx.Response.Header.Set("Content-Language", c.Lang)
	ctx.SetContentType("application/x-ndjson")
	ctx.SetStatusCode(fasthttp.StatusOK)
	ctx.Response.SetBodyRaw(b.out.Bytes())
}

// take decodes a line into the current chunk.
func (b *batch) take(l textLine) {
	if len(bytes.TrimSpace(l.text)) == 0 {
		return
	}
	var d message.Draft
	if code, ps := decode(l.text, &d); code != "" {
		b.refuse(l.n, code, ps...)
		return
	}
	if !b.s.allow(b.c.Tenant, 1) {
		b.refuse(l.n, TooMany)
		return
	}
	if d.Key == "" && b.key != "" {
		d.Key = b.key + ":" + strconv.Itoa(l.n)
	}
	b.at, b.drafts, b.lines = append(b.at, len(b.lines)), append(b.drafts, d), append(b.lines, Line{Line: l.n})
	if b.bytes += len(l.text); len(b.drafts) == chunkLines || b.bytes >= chunkBytes {
		b.flush()
	}
}

func (b *batch) refuse(n int, code Code, ps ...message.Problem) {
	p := b.c.problem(code, ps)
	b.lines = append(b.lines, Line{Line: n, Status: p.Status, Problem: &p})
}

// flush commits the chunk and writes its answers.
func (b *batch) flush() {
	if len(b.drafts) > 0 {
		work, cancel := b.s.work()
		results, err := b.s.Intake.Accept(work, intake.Request{Tenant: b.c.Tenant.ID, Via: message.ViaAPI, By: b.c.By(), Batch: true, Drafts: b.drafts})
		cancel()
		if err != nil {
			results = make([]intake.Result, len(b.drafts))
			for i := range results {
				results[i].Err = err
			}
		}
		failed := error(nil)
		for i := range results {
			r, l := &results[i], &b.lines[b.at[i]]
			switch {
			case r.Err != nil:
				if storeProblems(r.Err) == nil {
					failed = r.Err // a limit of the tenant's own is no failure
				}
				p := b.c.problem(storeCode(r.Err), storeProblems(r.Err))
				l.Status, l.Problem = p.Status, &p
			case len(r.Problems) > 0:
				p := b.c.problem(problemsCode(r.Problems), r.Problems)
				l.Status, l.Problem = p.Status, &p
			case len(r.Warnings) > 0:
				a := accepted(b.c.Lang, r)
				l.Status, l.Message = fasthttp.StatusAccepted, &a
			default:
				l.Status, l.result = fasthttp.StatusAccepted, r
			}
		}
		if failed != nil {
			b.s.Log.Error("batch lines failed", "tenant", b.c.Tenant.ID, "request", b.c.Request, "err", failed)
		}
	}
	enc := json.NewEncoder(&b.out)
	enc.SetEscapeHTML(false)
	taken := 0
	for i := range b.lines {
		l := &b.lines[i]
		if l.result != nil {
			taken++
			b.out.Write(l.append(b.out.AvailableBuffer()))
			continue
		}
		b.s.metrics.lines.WithLabelValues(strconv.Itoa(l.Status)).Inc()
		if err := enc.Encode(l); err != nil {
			panic("BUG: batch answer: " + err.Error())
		}
	}
	if taken > 0 {
		b.s.metrics.lines.WithLabelValues(strconv.Itoa(fasthttp.StatusAccepted)).Add(float64(taken))
	}
	b.lines, b.drafts, b.at, b.bytes = b.lines[:0], b.drafts[:0], b.at[:0], 0
}

// append writes the line of an accepted message as encoding/json would.
func (l *Line) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"line":`...), int64(l.Line), 10)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(l.Status), 10)
	return append(appendAccepted(append(dst, `,"message":`...), l.result), "}\n"...)
}

var errLongLine = errors.New("line is too long")

type textLine struct {
	n    int
	text []byte // valid until the next line; without its end
}

// splitLines gives the lines of r, ended by LF or CRLF, the last one also without. A line of more than limit bytes comes
// as errLongLine and is skipped; an error of r comes last.
func splitLines(r io.Reader, limit int) iter.Seq2[textLine, error] {
	return func(yield func(textLine, error) bool) {
		br := bufio.NewReaderSize(r, 32<<10)
		var buf []byte
		for n := 1; ; n++ {
			buf = buf[:0]
			long := false
			var err error
			for {
				var piece []byte
				piece, err = br.ReadSlice('\n')
				if !long {
					buf = append(buf, piece...)
				}
				if len(bytes.TrimRight(buf, "\r\n")) > limit {
					long, buf = true, buf[:0]
				}
				if err != bufio.ErrBufferFull {
					break
				}
			}
			if err != nil && err != io.EOF {
				yield(textLine{n: n}, err)
				return
			}
			if long {
				if !yield(textLine{n: n}, errLongLine) {
					return
				}
			} else if len(buf) > 0 {
				line := bytes.TrimSuffix(bytes.TrimSuffix(buf, []byte("\n")), []byte("\r"))
				if !yield(textLine{n, line}, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
		}
	}
}
