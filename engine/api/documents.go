package api

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Documents keeps the PDFs that pages link to. *document.Documents implements it.
type Documents interface {
	Upload(ctx context.Context, id tenant.ID, class, name string, pdf []byte) (document.File, error)
	File(ctx context.Context, scope tenant.Scope, id string) (document.File, error)
	List(ctx context.Context, scope tenant.Scope, before string, limit int) (files []document.File, next string, err error)
	Uses(ctx context.Context, scope tenant.Scope, id string, most int) (int, error)
	Remove(ctx context.Context, scope tenant.Scope, id string) error
}

// Document is a PDF that was kept. A message names it in page.documents by its id, or by one of its names.
type Document struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`           // as the recipient saves it
	Also       []string  `json:"also,omitempty"` // other names under which the same file was uploaded
	Class      string    `json:"class"`
	Bytes      int       `json:"bytes"`
	Pages      int       `json:"pages,omitempty"` // absent: not known
	UploadedAt time.Time `json:"uploaded_at"`
	Messages   int       `json:"messages"` // that name it; document.UsesCounted is that many or more, document.UsesListed in a list
}

// DocumentList is a page of documents, the newest first.
type DocumentList struct {
	Documents []Document `json:"documents"`
	Next      string     `json:"next,omitempty"` // before of the page behind; absent: this is the last
}

func (s *Server) documentOf(ctx context.Context, c *Caller, f *document.File, most int) (Document, error) {
	n, err := s.Documents.Uses(ctx, tenant.Only(c.Tenant.ID), f.ID, most)
	return Document{ID: f.ID, Name: f.Name, Also: f.Also, Class: f.Class, Bytes: f.Bytes, Pages: f.Pages, UploadedAt: f.At, Messages: n}, err
}

func (s *Server) listDocuments(ctx *fasthttp.RequestCtx, c *Caller, _ string) {
	q, ok := c.Query(ctx, "limit", "before")
	if !ok {
		return
	}
	limit := 20
	if q["limit"] != "" {
		var err error
		if limit, err = strconv.Atoi(q["limit"]); err != nil || limit < 1 || limit > 100 {
			c.Refuse(ctx, BadRequest, message.Problem{Field: "limit", Code: "range", Detail: "1 to 100"})
			return
		}
	}
	work, cancel := s.work()
	defer cancel()
	files, next, err := s.Documents.List(work, tenant.Only(c.Tenant.ID), q["before"], limit)
	if q["before"] != "" && errors.Is(err, store.ErrNotFound) {
		c.Refuse(ctx, BadRequest, message.Problem{Field: "before", Code: "unknown"})
		return
	}
	list := DocumentList{Documents: []Document{}, Next: next}
	for i := range files {
		var d Document
		if err == nil {
			d, err = s.documentOf(work, c, &files[i], document.UsesListed)
		}
		list.Documents = append(list.Documents, d)
	}
	if err != nil {
		c.Fail(ctx, "list documents", err)
		return
	}
	c.Answer(ctx, fasthttp.StatusOK, list)
}

func (s *Server) getDocument(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	f, err := s.Documents.File(work, tenant.Only(c.Tenant.ID), id)
	var d Document
	if err == nil {
		d, err = s.documentOf(work, c, &f, document.UsesCounted)
	}
	if err != nil {
		c.Fail(ctx, "find document", err)
		return
	}
	c.Answer(ctx, fasthttp.StatusOK, d)
}

// deleteDocument takes a PDF away that no living link shows. Done twice it is not found.
func (s *Server) deleteDocument(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	scope := tenant.Only(c.Tenant.ID)
	_, err := s.Documents.File(work, scope, id)
	if err == nil {
		err = c.Record(work, s.audit, "document.remove", id, "")
	}
	if err == nil {
		err = s.Documents.Remove(work, scope, id)
	}
	var used *document.InUseError
	switch {
	case errors.As(err, &used):
		c.Refuse(ctx, Conflict, message.Problem{Field: "id", Code: "in_use", Value: used.No, Detail: "a message whose link still works, the one of the number, shows it"})
	case err != nil:
		c.Fail(ctx, "remove document", err)
	default:
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	}
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
	if err := c.Record(work, s.audit, "document.upload", "", ""); err != nil {
		c.Fail(ctx, "keep document", err)
		return
	}
	f, err := s.Documents.Upload(work, c.Tenant.ID, string(class), q["name"], pdf)
	var d Document
	if err == nil {
		d, err = s.documentOf(work, c, &f, document.UsesCounted)
	}
	var refused *document.RefusedError
	switch {
	case errors.As(err, &refused):
		c.Refuse(ctx, Invalid, message.Problem{Field: "body", Code: refused.Code, Limit: refused.Limit, Got: refused.Got, Detail: refused.Detail})
	case err != nil:
		c.Fail(ctx, "keep document", err)
	default:
		c.Answer(ctx, fasthttp.StatusCreated, d)
	}
}

const maxDocumentName = 100
