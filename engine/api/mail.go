package api

import (
	"context"
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Mails sends payment numbers by e-mail. *email.Emails implements it.
type Mails interface {
	Order(ctx context.Context, t *tenant.Tenant, o email.Order) error
}

// MailOrder asks for a payment number by e-mail.
type MailOrder struct {
	Address string `json:"address,omitempty"` // empty: the message's recipient.email
	Lang    string `json:"lang,omitempty"`    // ja (default), en
}

// mailMessage has what a message's claim is paid with sent by e-mail.
func (s *Server) mailMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	var o MailOrder
	if !c.ReadJSON(ctx, s.Config.MaxBody, &o) {
		return
	}
	if o.Lang == "" {
		o.Lang = "ja"
	}
	if o.Lang != "ja" && o.Lang != "en" {
		c.Refuse(ctx, Invalid, message.Problem{Field: "lang", Code: "unknown", Value: message.Mask(o.Lang), Detail: "ja or en"})
		return
	}
	ref, ok := s.find(ctx, c, id)
	if !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	shown := ""
	if parsed, ok := message.ParseAddress(o.Address); ok {
		shown = message.MaskAddress(parsed)
	}
	if err := c.Record(work, s.audit, "message.mail", ref.ID.String(), shown); err != nil {
		c.Fail(ctx, "order a mail", err)
		return
	}
	err := s.Mails.Order(work, c.Tenant, email.Order{Message: ref, Address: o.Address, Lang: o.Lang, By: c.By()})
	switch {
	case errors.Is(err, email.ErrAddress):
		c.Refuse(ctx, Invalid, message.Problem{Field: "address", Code: "pattern"})
	case errors.Is(err, email.ErrNoRelay):
		c.Refuse(ctx, Conflict, message.Problem{Field: "address", Code: "conflict", Detail: "no mails are sent here"})
	case errors.Is(err, email.ErrNoNumber):
		c.Refuse(ctx, Conflict, message.Problem{Field: "status", Code: "conflict", Detail: "no number that can be paid with is issued"})
	case errors.Is(err, email.ErrUsedUp):
		c.Refuse(ctx, TooMany, message.Problem{Field: "address", Code: "too_many", Detail: "as many mails as there may be in a day"})
	case err != nil:
		c.Fail(ctx, "order a mail", err)
	default:
		ctx.SetStatusCode(fasthttp.StatusAccepted)
	}
}
