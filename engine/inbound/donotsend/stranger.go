package donotsend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// ByLink is the Addition.By of what was said on a message's page.
const ByLink = "link"

// Disown records that whoever has the link of a message says that it is for somebody else: the number is listed and the message
// disowned, both or neither. A message that is disowned already is left as it is. store.ErrErased: its number is no longer kept.
func (l *List) Disown(ctx context.Context, m store.Ref, at time.Time) error {
	for range patience {
		st, err := l.message(ctx, m)
		if err != nil || !st.DisownedAt.IsZero() {
			return err
		}
		number, err := l.recipient(m, &st)
		if err != nil {
			return err
		}
		listing, entry, err := l.Plan(ctx, m.Tenant, Addition{Number: number, Reason: WrongPerson, Note: "No. " + st.Head.No, By: ByLink, At: at})
		if err != nil {
			return err
		}
		var d message.Disowning
		var tx store.Tx
		if listing != nil {
			d.Entry, tx = entry, store.Tx{*listing}
		}
		again, err := l.note(ctx, tx, m, &st, message.Disowned, d, at)
		if !again {
			return err
		}
	}
	return store.ErrBusy
}

// Readmit takes back that a message was disowned. by is as in message.Act. What Disown put on the list leaves it; a number that
// stood there before, or was disowned by another message first, stays. A message that is not disowned is left as it is.
func (l *List) Readmit(ctx context.Context, m store.Ref, by string, at time.Time) error {
	for range patience {
		st, err := l.message(ctx, m)
		if err != nil || st.DisownedAt.IsZero() {
			return err
		}
		if !st.DisownedEntry.IsZero() { // first: after a crash in between it is asked for again
			if err := l.Remove(ctx, m.Tenant, st.DisownedEntry, by); err != nil {
				return err
			}
		}
		again, err := l.note(ctx, nil, m, &st, message.Readmitted, message.Act{By: by}, at)
		if !again {
			return err
		}
	}
	return store.ErrBusy
}

// note commits an event of a message as it was read, and what belongs to it. again: somebody else changed something meanwhile.
func (l *List) note(ctx context.Context, tx store.Tx, m store.Ref, st *message.State, typ message.Type, data any, at time.Time) (again bool, err error) {
	tx = append(tx, store.Change{Ref: m, Expect: st.Version, Events: []store.NewEvent{{Type: byte(typ), At: at, Data: message.Encode(data)}}})
	errs, err := l.store.Commit(ctx, tx)
	if err == nil {
		err = errs[0]
	}
	var conflict *store.ConflictError
	var taken *store.TakenError
	if err == nil || errors.As(err, &conflict) || errors.As(err, &taken) {
		return err != nil, nil
	}
	return false, fmt.Errorf("record %s of message %s: %w", typ, m.ID, err)
}

func (l *List) message(ctx context.Context, m store.Ref) (message.State, error) {
	events, err := l.store.Load(ctx, tenant.Only(m.Tenant), m)
	if err != nil {
		return message.State{}, fmt.Errorf("load message %s: %w", m.ID, err)
	}
	return stored.State(events)
}

// recipient opens the number that a message is for.
func (l *List) recipient(m store.Ref, st *message.State) (carrier.Number, error) {
	sms, err := stored.SMS(l.store, m.Tenant, m.ID, &st.Head)
	if err != nil {
		return carrier.Number{}, err
	}
	return carrier.ParseNumber(sms.Number)
}
