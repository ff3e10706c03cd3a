package store

import (
	"context"
	"errors"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// directory is the one stream of tenants, users and keys.
var directory = Ref{Tenant: tenant.OperatorID, Kind: Tenant, ID: ulid.ULID{15: 1}}

// DirectoryLog keeps the directory of engine/tenant in this store.
func (s *Store) DirectoryLog() tenant.Log { return directoryLog{s} }

type directoryLog struct{ s *Store }

func (l directoryLog) Append(ctx context.Context, expect int, events []tenant.Event) error {
	news := make([]NewEvent, len(events))
	for i, e := range events {
		news[i] = NewEvent{Type: byte(e.Type), At: e.At, Data: e.Data}
	}
	errs, err := l.s.Commit(ctx, Tx{{Ref: directory, Expect: expect, Events: news}})
	if err != nil {
		return err
	}
	var conflict *ConflictError
	if errors.As(errs[0], &conflict) {
		return tenant.ErrStale
	}
	return errs[0]
}

func (l directoryLog) Replay(ctx context.Context) ([]tenant.Event, error) {
	stored, err := l.s.Load(ctx, tenant.Operator(), directory)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	events := make([]tenant.Event, len(stored))
	for i, e := range stored {
		events[i] = tenant.Event{Type: tenant.EventType(e.Type), At: e.At, Data: e.Data}
	}
	return events, nil
}
