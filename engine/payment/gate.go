package payment

import (
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// gate lets each claim pass once a minute. It is in memory: after a restart everybody may pass once.
type gate struct {
	mu   sync.Mutex // guards seen
	seen map[ulid.ULID]time.Time
}

const (
	gateInterval = time.Minute
	gateSize     = 100_000
)

func (g *gate) pass(id ulid.ULID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.seen[id]; ok && now.Sub(last) < gateInterval {
		return false
	}
	if len(g.seen) >= gateSize {
		for k, t := range g.seen {
			if now.Sub(t) >= gateInterval {
				delete(g.seen, k)
			}
		}
		if len(g.seen) >= gateSize {
			return false // a flood: whoever asks waits for the queue
		}
	}
	g.seen[id] = now
	return true
}
