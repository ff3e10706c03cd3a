package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Work says how a queue is worked off.
type Work struct {
	Queue string
	Width int // items that are handled at once
	// Handle does what is due of a stream, and puts its item off or takes it out. Safe for concurrent use, of different streams.
	Handle func(ctx context.Context, ref Ref) error
	Now    func() time.Time
	Log    *slog.Logger
}

const (
	workBatch = 64
	workIdle  = 5 * time.Minute // the longest sleep without a look
	workRetry = time.Second     // after the store refused
)

// Work works off a queue until ctx ends or the store is closed. An item whose handling failed is put off by its handler; when the store
// itself is busy or full, the item is tried again here until it works. After another error it stays in the queue, and is looked at
// again at the next start.
func (s *Store) Work(ctx context.Context, w Work) {
	var after Cursor
	for ctx.Err() == nil {
		items, err := s.Due(nil, w.Queue, after, w.Now(), workBatch)
		if err != nil {
			if errors.Is(err, ErrClosed) {
				return
			}
			w.Log.Error("queue cannot be read", "queue", w.Queue, "err", err)
			pauseFor(ctx, workRetry, nil)
			continue
		}
		if len(items) == 0 {
			wait := workIdle
			if at, ok, err := s.NextDue(w.Queue, after); err == nil && ok {
				wait = min(wait, max(at.Sub(w.Now()), time.Millisecond))
			}
			pauseFor(ctx, wait, s.Wake(w.Queue))
			continue
		}
		w.handle(ctx, items)
		after = items[len(items)-1].Cursor
	}
}

func (w *Work) handle(ctx context.Context, items []DueItem) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, w.Width)
	for _, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for ctx.Err() == nil {
				err := w.Handle(ctx, item.Ref)
				if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) {
					return
				}
				w.Log.Error("item of a queue failed", "queue", w.Queue, "tenant", item.Ref.Tenant, "stream", item.Ref.ID, "err", err)
				if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrFull) {
					return
				}
				pauseFor(ctx, workRetry, nil)
			}
		})
	}
	wg.Wait()
}

// pauseFor waits, at most until ctx ends or wake comes.
func pauseFor(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}
