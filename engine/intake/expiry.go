package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// MoveExpiry lets the link of a message end at another time, earlier or later, also when it has ended: later than now and at most
// 400 days after the message was to be sent, as at its acceptance. What was paid or issued is shown as long as was said then, or
// longer. Done twice it changes nothing.
//
// The error is message.Problems of link.expires_at, or of status where the link was closed or its content has ended; ErrNoLink where
// there is none, also where the message carries that of an earlier one; store.ErrNotFound when it is not the tenant's.
func (in *Intake) MoveExpiry(ctx context.Context, id tenant.ID, msg ulid.ULID, until time.Time, by string) error {
	ref := store.Ref{Tenant: id, Kind: store.Message, ID: msg}
	until = until.UTC().Truncate(time.Second)
	for range patience {
		events, err := in.Store.Load(ctx, tenant.Only(id), ref)
		if err != nil {
			return fmt.Errorf("load message %s: %w", msg, err)
		}
		state, err := stored.State(events)
		if err != nil {
			return fmt.Errorf("read message %s: %w", msg, err)
		}
		h := &state.Head
		if h.Token != "" && h.LinkExpires.Equal(until) {
			return nil
		}
		if err := movable(&state, until, clock.Now()); err != nil {
			return err
		}
		if err := in.holdPage(ctx, ref, h, until); err != nil {
			return err
		}
		end := message.LinkEnd{Act: message.Act{By: by}, Until: until, StateUntil: until.Add(h.StateUntil.Sub(h.LinkExpires))}
		if end.StateUntil.Before(h.StateUntil) {
			end.StateUntil = h.StateUntil
		}
		errs, err := in.Store.Commit(ctx, store.Tx{{Ref: ref, Expect: len(events), Events: []store.NewEvent{{Type: byte(message.LinkMoved), Data: message.Encode(&end)}}}})
		if err != nil {
			return err
		}
		var conflict *store.ConflictError
		if !errors.As(errs[0], &conflict) {
			return errs[0]
		}
	}
	return store.ErrBusy
}

// movable says why the link cannot end then; nil: it can.
func movable(s *message.State, until, now time.Time) error {
	start := s.AcceptedAt
	if s.Head.SendAt.After(start) {
		start = s.Head.SendAt
	}
	switch {
	case s.Head.Token == "":
		return ErrNoLink
	case !s.RevokedAt.IsZero():
		return message.Problems{{Field: "status", Code: "conflict", Detail: "its link was closed"}}
	case !until.After(now):
		return message.Problems{{Field: "link.expires_at", Code: "past", Detail: "must be later than now"}}
	case until.After(start.Add(maxExpires)):
		return message.Problems{{Field: "link.expires_at", Code: "range", Detail: "at most 400 days after send_at"}}
	}
	return nil
}

// holdPage keeps what the link shows until then: it must be there still.
func (in *Intake) holdPage(ctx context.Context, ref store.Ref, h *message.Head, until time.Time) error {
	erased := message.Problems{{Field: "status", Code: "conflict", Detail: "its content has ended with its term"}}
	content, err := stored.Content(in.Store, ref.Tenant, ref.ID, h)
	if errors.Is(err, store.ErrErased) {
		return erased
	}
	if err != nil {
		return err
	}
	if len(content.Page.Documents) == 0 {
		return nil
	}
	err = in.Documents.Hold(ctx, tenant.Only(ref.Tenant), message.AttachmentIDs(content.Page.Documents), until)
	if errors.Is(err, store.ErrErased) {
		return erased
	}
	return err
}
