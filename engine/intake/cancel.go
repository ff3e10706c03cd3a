package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// PhaseError says that a message is past the point where it could be stopped.
type PhaseError struct{ Phase message.Phase }

func (e *PhaseError) Error() string {
	return fmt.Sprintf("message is %s and can no longer be stopped", e.Phase)
}

// ErrNoLink: the message has no link to revoke.
var ErrNoLink = errors.New("message has no link")

// Cancel stops a message before any part of it was written to a carrier, and closes its link in the same commit. Done
// twice it changes nothing. The error is *PhaseError when it is too late, store.ErrNotFound when it is not the tenant's.
func (in *Intake) Cancel(ctx context.Context, id tenant.ID, msg ulid.ULID, by string) error {
	return in.change(ctx, id, msg, func(s *message.State) ([]message.Type, error) {
		if s.Phase == message.Withdrawn {
			return nil, nil
		}
		if s.Over() || len(s.Parts) == 0 {
			return nil, &PhaseError{s.Phase}
		}
		for _, p := range s.Parts {
			if p.Phase != message.Waiting {
				return nil, &PhaseError{p.Phase}
			}
		}
		if s.Head.Token == "" || !s.RevokedAt.IsZero() {
			return []message.Type{message.Canceled}, nil
		}
		return []message.Type{message.Canceled, message.Revoked}, nil
	}, by)
}

// Revoke closes the link of a message, sent or not. Done twice it changes nothing. The error is ErrNoLink where there is
// none, store.ErrNotFound when the message is not the tenant's.
func (in *Intake) Revoke(ctx context.Context, id tenant.ID, msg ulid.ULID, by string) error {
	return in.change(ctx, id, msg, func(s *message.State) ([]message.Type, error) {
		switch {
		case s.Head.Token == "":
			return nil, ErrNoLink
		case !s.RevokedAt.IsZero():
			return nil, nil
		}
		return []message.Type{message.Revoked}, nil
	}, by)
}

// change appends what decide says to the version that it saw, and asks again when somebody else was faster.
func (in *Intake) change(ctx context.Context, id tenant.ID, msg ulid.ULID, decide func(*message.State) ([]message.Type, error), by string) error {
	ref := store.Ref{Tenant: id, Kind: store.Message, ID: msg}
	for range patience {
		events, err := in.Store.Load(ctx, tenant.Only(id), ref)
		if err != nil {
			return fmt.Errorf("load message %s: %w", msg, err)
		}
		state, err := stored.State(events)
		if err != nil {
			return fmt.Errorf("read message %s: %w", msg, err)
		}
		types, err := decide(&state)
		if err != nil || len(types) == 0 {
			return err
		}
		c := store.Change{Ref: ref, Expect: len(events)}
		for _, typ := range types {
			c.Events = append(c.Events, store.NewEvent{Type: byte(typ), Data: message.Encode(message.Act{By: by})})
			if typ == message.Canceled {
				c.Due, c.Final = &store.Due{}, true
			}
		}
		errs, err := in.Store.Commit(ctx, store.Tx{c})
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
