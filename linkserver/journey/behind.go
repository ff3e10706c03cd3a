package journey

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
)

// maxBehind is how much is done behind answers at once. Whoever comes then waits until something of it is done.
const maxBehind = 256

// behind does what no answer waits for. Safe for concurrent use.
type behind struct {
	log      *slog.Logger
	slots    chan struct{} // maxBehind; full: do waits
	settling sync.Mutex    // one takes all slots
}

// do has work done. It does not end with ctx.
func (b *behind) do(ctx context.Context, work func(context.Context)) error {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	go func() {
		defer func() {
			if v := recover(); v != nil { // as in a request: linkserver/web
				cause, ok := v.(runtime.Error)
				b.log.Error("work behind an answer panicked", "runtime", ok, "err", cause, "stack", string(debug.Stack()))
			}
			<-b.slots
		}()
		work(context.WithoutCancel(ctx))
	}()
	return nil
}

// Settle waits until all that is done behind answers is done: a code that was promised goes out before the program stops.
func (j *Journey) Settle(ctx context.Context) error {
	b := &j.behind
	b.settling.Lock()
	defer b.settling.Unlock()
	taken := 0
	defer func() {
		for range taken {
			<-b.slots
		}
	}()
	for ; taken < maxBehind; taken++ {
		select {
		case b.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
