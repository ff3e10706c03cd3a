package callback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// reader is the name of our cursor in the store.
const reader = "callbacks"

// queuePrefix and a callback's id are the name of its queue.
const queuePrefix = "callback/"

func queueOf(callback string) string { return queuePrefix + callback }

// mark is something to append to a delivery, which is made where it is missing.
type mark struct {
	callback string
	source   store.Ref
	event    store.NewEvent
	fresh    bool // it is probably missing
}

// follow turns committed events into marks. It never waits for a receiver.
func (c *Callbacks) follow(ctx context.Context) error {
	return c.Store.Follow(ctx, reader, func(batch []store.Event, _ bool) error {
		return c.mark(ctx, c.marks(batch))
	})
}

// marks lists which deliveries a batch concerns, each once.
func (c *Callbacks) marks(batch []store.Event) []mark {
	snap := c.Directory.Now()
	var marks []mark
	seen := map[store.Ref]int{} // of deliveries → index in marks
	for i := range batch {
		e := &batch[i]
		src := c.sources[e.Ref.Kind]
		t := snap.Tenants[e.Ref.Tenant]
		if src == nil || t == nil || len(t.Callbacks) == 0 {
			continue
		}
		may := src.May(e.Type)
		for n := range t.Callbacks {
			cb := &t.Callbacks[n]
			if e.At.Before(cb.Since) || !wantsAny(cb, may) {
				continue
			}
			ref := deliveryRef(cb.ID, e.Ref)
			if _, ok := seen[ref]; ok {
				continue
			}
			seen[ref] = len(marks)
			marks = append(marks, mark{callback: cb.ID, source: e.Ref, event: newEvent(wanted, nil), fresh: e.Seq == 0})
		}
	}
	return marks
}

func wantsAny(cb *tenant.Callback, types []string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return wants(cb, t) })
}

// change is the commit of a mark. The delivery becomes due now, whatever it waited for: who takes it looks at its state.
func (m *mark) change() store.Change {
	ch := store.Change{Ref: deliveryRef(m.callback, m.source), Expect: store.Any, Events: []store.NewEvent{m.event}, Due: &store.Due{Queue: queueOf(m.callback)}}
	if m.fresh {
		ch.Expect = 0
		ch.Events = []store.NewEvent{newEvent(begun, head{1, m.callback, m.source.Kind, m.source.ID}), m.event}
	}
	return ch
}

// marksPerCommit bounds one request to the store.
const marksPerCommit = 500

// mark commits marks, waiting for as long as the store pushes back.
func (c *Callbacks) mark(ctx context.Context, marks []mark) error {
	for part := range slices.Chunk(marks, marksPerCommit) {
		for pause := 10 * time.Millisecond; len(part) > 0; pause = min(2*pause, 2*time.Second) {
			left, wait, err := c.markOnce(ctx, part)
			if err != nil {
				return err
			}
			if part = left; wait {
				if err := sleep(ctx, pause); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// markOnce tries to commit and returns what is left, and whether to wait before the next try.
func (c *Callbacks) markOnce(ctx context.Context, marks []mark) (left []mark, wait bool, err error) {
	txs := make([]store.Tx, len(marks))
	for i := range marks {
		txs[i] = store.Tx{marks[i].change()}
	}
	errs, err := c.Store.Commit(ctx, txs...)
	if errors.Is(err, store.ErrBusy) {
		return marks, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("note what is to be told: %w", err)
	}
	for i, err := range errs {
		m := marks[i]
		var conflict *store.ConflictError
		switch {
		case err == nil:
			continue
		case errors.Is(err, store.ErrNotFound) && !m.fresh:
			m.fresh = true
		case errors.As(err, &conflict) && m.fresh:
			m.fresh = false
		default:
			return nil, false, fmt.Errorf("note what is to be told: %w", err)
		}
		left = append(left, m)
	}
	return left, false, nil
}

// sleep waits; the error is the context's.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
