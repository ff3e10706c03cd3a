package web

import (
	"context"
	"sync"
	"time"
)

// within is a context that ends so long after somebody first asked for its end. Until then it has no timer: a page that is kept, of a
// link that is kept, is answered without one. Whoever made it ends it. Safe for concurrent use.
type within struct {
	long   time.Duration
	once   sync.Once
	timed  context.Context
	cancel context.CancelFunc
}

// over is the end of one that nobody asked for.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (w *within) begin() context.Context {
	w.once.Do(func() { w.timed, w.cancel = context.WithTimeout(context.Background(), w.long) })
	return w.timed
}

func (w *within) end() {
	w.once.Do(func() { w.timed, w.cancel = over, func() {} })
	w.cancel()
}

// Deadline implements context.Context, as do Done, Err and Value: by that of a child, which asks for what it may end with.
func (w *within) Deadline() (time.Time, bool) { return w.begin().Deadline() }

func (w *within) Done() <-chan struct{} { return w.begin().Done() }

func (w *within) Err() error { return w.begin().Err() }

func (w *within) Value(key any) any { return w.begin().Value(key) }
