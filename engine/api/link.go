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
	s.clear(ctx, c, id, "unlock", func(st *message.State) (bool, *message.Problem) {
		if len(st.Head.Answers) == 0 && !st.Head.Code {
			return false, &message.Problem{Field: "status", Code: "conflict", Detail: "it asks for no identification"}
		}
		return st.LockedAt(clock.Now()), nil
	}, func(work context.Context, ref store.Ref) error { return s.Unlocks.Unlock(work, ref, c.By()) })
}

// Readmits takes back that a message is for somebody else. *donotsend.List implements it.
type Readmits interface {
	Readmit(ctx context.Context, m store.Ref, by string, at time.Time) error
}

// readmitMessage takes back that whoever has the link said お心当たりのない方. A message of which nobody says so stays as it is.
func (s *Server) readmitMessage(ctx *fasthttp.RequestCtx, c *Caller, id string) {
	s.clear(ctx, c, id, "readmit", func(st *message.State) (bool, *message.Problem) {
		return !st.DisownedAt.IsZero(), nil
	}, func(work context.Context, ref store.Ref) error {
		return s.Readmits.Readmit(work, ref, c.By(), clock.Now())
	})
}

// clear takes from a message what holds its recipient up, if stands says that it does, and answers 204 either way. The act is in the
// audit log before it is done.
func (s *Server) clear(ctx *fasthttp.RequestCtx, c *Caller, id, verb string, stands func(*message.State) (bool, *message.Problem), do func(context.Context, store.Ref) error) {
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
	there, problem := stands(&st)
	if problem != nil {
		c.Refuse(ctx, Conflict, *problem)
		return
	}
	if there {
		err := c.Record(work, s.audit, "message."+verb, ref.ID.String(), "")
		if err == nil {
			err = do(work, ref)
		}
		if err != nil {
			c.Fail(ctx, verb+" message", err)
			return
		}
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}
