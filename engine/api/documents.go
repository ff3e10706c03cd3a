package api

import (
	"context"
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Documents keeps the PDFs that pages link to. *document.Documents implements it.
type Documents interface {
	Keep(ctx context.Context, id tenant.ID, class, name string, pdf []byte) (string, error)
}

// Document is a PDF that was kept. A message names it by its id in page.documents.
type Document struct {
	ID    string `json:"id"`
	Name  string `json:"name"` // as the recipient saves it
	Bytes int    `json:"bytes"`
}

// postDocument keeps a PDF, synced before the answer. The same file in the same class and month is kept once.
func (s *Server) postDocument(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	q, ok := c.Query(ctx, "name", "class")
	if !ok {
		return
	}
	class, err := message.ParseClass(q["class"])
	switch {
	case err != nil:
		c.Refuse(ctx, BadRequest, message.Problem{Field: "class", Code: "unknown", Value: message.Mask(q["class"]), Detail: "one of notice, billing, collection, otp, legal_notice, ad"})
		return
	case message.Length(q["name"]) > maxDocumentName:
		c.Refuse(ctx, BadRequest, message.Problem{Field: "name", Code: "too_long", Limit: maxDocumentName, Got: int64(message.Length(q["name"]))})
		return
	}
	r, ok := c.Body(ctx, document.MaxBytes, "application/pdf")
	if !ok {
		return
	}
	pdf, err := io.ReadAll(r)
	if err != nil {
		c.RefuseRead(ctx, err, document.MaxBytes)
		return
	}
	work, cancel := s.work()
	defer cancel()
	name := document.FileName(q["name"])
	id, err := s.Documents.Keep(work, c.Tenant.ID, string(class), name, pdf)
	var refused *document.RefusedError
	switch {
	case errors.As(err, &refused):
		c.Refuse(ctx, Invalid, message.Problem{Field: "body", Code: refused.Code, Limit: refused.Limit, Got: refused.Got, Detail: refused.Detail})
	case err != nil:
		c.Fail(ctx, "keep document", err)
	default:
		c.Answer(ctx, fasthttp.StatusCreated, Document{ID: id, Name: name, Bytes: len(pdf)})
	}
}

const maxDocumentName = 100
