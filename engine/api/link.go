package api

import (
	"context"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// MessageChange is what of a message can be changed when it was accepted.
type MessageChange struct {
	Link *LinkChange `json:"link,omitempty"`
}

// LinkChange lets a link end at another time.
type LinkChange struct {
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// patchMessage changes when a message's link ends.
func (s *Server) patchMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	var change MessageChange
	if !c.ReadJSON(ctx, s.Config.MaxBody, &change) {
		return
	}
	if change.Link == nil || change.Link.ExpiresAt == nil {
		c.Refuse(ctx, Invalid, message.Problem{Field: "link.expires_at", Code: "required"})
		return
	}
	ref, ok := s.find(ctx, c, id)
	if !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	if err := c.Record(work, s.audit, "message.expiry", ref.ID.String(), change.Link.ExpiresAt.In(message.Tokyo).Format("2006/01/02 15:04")); err != nil {
		c.Fail(ctx, "change the end of a link", err)
		return
	}
	err := s.Intake.MoveExpiry(work, c.Tenant.ID, ref.ID, *change.Link.ExpiresAt, c.By())
	var ps message.Problems
	switch {
	case errors.Is(err, intake.ErrNoLink):
		c.Refuse(ctx, Conflict, message.Problem{Field: "status", Code: "conflict", Detail: "it has no link of its own"})
	case errors.As(err, &ps):
		c.refuseProblems(ctx, ps)
	case err != nil:
		c.Fail(ctx, "change the end of a link", err)
	default:
		s.showMessage(ctx, c, ref, map[string]string{})
	}
}

// Unlocks opens the identification of a message again. *identity.Identity implements it.
type Unlocks interface {
	Unlock(ctx context.Context, ref store.Ref, by string) error
}

// unlockMessage lets a message's recipient try again at once. One that is not locked stays as it is.
func (s *Server) unlockMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	ref, ok := s.find(ctx, c, id)
	if !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	_, st, ok := s.load(work, ctx, c, ref)
	if !ok {
		return
	}
	if len(st.Head.Answers) == 0 && !st.Head.Code {
		c.Refuse(ctx, Conflict, message.Problem{Field: "status", Code: "conflict", Detail: "it asks for no identification"})
		return
	}
	if st.LockedAt(clock.Now()) {
		err := c.Record(work, s.audit, "message.unlock", ref.ID.String(), "")
		if err == nil {
			err = s.Unlocks.Unlock(work, ref, c.By())
		}
		if err != nil {
			c.Fail(ctx, "unlock message", err)
			return
		}
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// Readmits takes back that a message is for somebody else. *donotsend.List implements it.
type Readmits interface {
	Readmit(ctx context.Context, m store.Ref, by string, at time.Time) error
}

// readmitMessage takes back that whoever has the link said お心当たりのない方. A message of which nobody says so stays as it is.
func (s *Server) readmitMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	if _, ok := c.Query(ctx); !ok {
		return
	}
	ref, ok := s.find(ctx, c, id)
	if !ok {
		return
	}
	work, cancel := s.work()
	defer cancel()
	_, st, ok := s.load(work, ctx, c, ref)
	if !ok {
		return
	}
	if !st.DisownedAt.IsZero() {
		err := c.Record(work, s.audit, "message.readmit", ref.ID.String(), "")
		if err == nil {
			err = s.Readmits.Readmit(work, ref, c.By(), clock.Now())
		}
		if err != nil {
			c.Fail(ctx, "readmit message", err)
			return
		}
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}
