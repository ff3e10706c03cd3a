// Package audit records what people and programs did with a tenant's data: every unmasking, export, download, sign-in and
// change. A day of a tenant (Asia/Tokyo) is one stream, so that none grows for ever; entries are only ever appended.
// An entry is on disk before Record returns: what must be audited does not happen unless that worked.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Entry is one thing that was done. It holds no personal data of recipients: numbers are masked, content is not quoted.
type Entry struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`             // "user:<login>", "key:<id>", "operator"
	From   string    `json:"from,omitempty"` // client address
	Action string    `json:"action"`         // stable words, dotted: "message.unmask", "results.export", "user.set", "signin.ok"
	Target string    `json:"target,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// Store is what this package needs of engine/store.
type Store interface {
	Commit(ctx context.Context, txs ...store.Tx) ([]error, error)
	Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error)
}

// Log appends and reads entries. Safe for concurrent use.
type Log struct{ store Store }

// New makes a Log.
func New(s Store) *Log { return &Log{s} }

// day is the stream of a tenant's day. Its id is derived, so that whoever is first makes it.
func day(id tenant.ID, at time.Time) store.Ref {
	d := message.Day(at)
	sum := sha256.Sum256([]byte("audit/" + string(id) + "/" + d))
	ref := store.Ref{Tenant: id, Kind: store.Audit}
	_ = ref.ID.SetTime(ulid.Timestamp(message.Midnight(at)))
	copy(ref.ID[6:], sum[:10])
	return ref
}

// Record appends an entry of the tenant, synced. A zero At is now.
func (l *Log) Record(ctx context.Context, id tenant.ID, e Entry) error {
	if e.At.IsZero() {
		e.At = clock.Now()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	change := store.Change{Ref: day(id, e.At), Expect: store.Any, Events: []store.NewEvent{{Type: 1, At: e.At, Data: data}}}
	for {
		errs, err := l.store.Commit(ctx, store.Tx{change})
		if err == nil {
			err = errs[0]
		}
		var conflict *store.ConflictError
		switch {
		case errors.Is(err, store.ErrNotFound) && change.Expect == store.Any:
			change.Expect = 0 // the day's first entry
		case errors.As(err, &conflict) && change.Expect == 0:
			change.Expect = store.Any // somebody else's was the first
		case err != nil:
			return fmt.Errorf("audit %s: %w", e.Action, err)
		default:
			return nil
		}
	}
}

// Day returns the tenant's entries of the day of at, the newest first.
func (l *Log) Day(ctx context.Context, scope tenant.Scope, id tenant.ID, at time.Time) ([]Entry, error) {
	events, err := l.store.Load(ctx, scope, day(id, at))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	entries := make([]Entry, len(events))
	for i, e := range events {
		if err := json.Unmarshal(e.Data, &entries[i]); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
	}
	slices.Reverse(entries)
	return entries, nil
}
