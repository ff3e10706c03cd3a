package api

import (
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/message"
)

// ResendOrder is how a message is sent again. All may be empty: as it was.
type ResendOrder struct {
	Key      string `json:"key,omitempty"`
	Text     string `json:"text,omitempty"`     // with {url}; or Template
	Template string `json:"template,omitempty"` // of the tenant, or std:…
	Class    string `json:"class,omitempty"`
	Sender   string `json:"sender,omitempty"`
	Due      string `json:"due,omitempty"` // YYYY-MM-DD: until when its claim can be paid from then on
}

// resendMessage sends a message of the tenant again.
func (s *Server) resendMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	if !s.allow(c.Tenant, 1) {
		c.Refuse(ctx, TooMany)
		return
	}
	var o ResendOrder
	if !c.ReadJSON(ctx, s.Config.MaxBody, &o) {
		return
	}
	var ok bool
	if o.Key, ok = c.IdempotencyKey(ctx, o.Key); !ok {
		return
	}
	ref, ok := s.find(ctx, c, id)
	if !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	if err := c.Record(work, s.audit, "message.resend", ref.ID.String(), ""); err != nil {
		c.Fail(ctx, "send message again", err)
		return
	}
	r, err := s.Resends.Resend(work, c.Tenant, ref.ID, o, c.By())
	var ps message.Problems
	switch {
	case errors.As(err, &ps):
		c.refuseProblems(ctx, ps)
	case err != nil:
		c.Fail(ctx, "send message again", err)
	default:
		c.answerAccepted(ctx, &r)
	}
}
