package payment

import (
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// gate bounds what an agent is asked because somebody waits or presses: about a claim once a minute, and to cancel an attempt as
// often. It is in memory: after a restart everybody may pass once.
type gate struct {
	mu   sync.Mutex           // guards seen
	seen map[ulid.ULID]passed // by claim; by attempt for orders to cancel it
}

type passed struct {
	at   time.Time
	vain int // how often it was for another thing to show, one after the other, and there was none
}

const (
	gateInterval = time.Minute
	gateSize     = 100_000
)

// pass reports whether the agent may be asked now. Vain is that of the time before.
func (g *gate) pass(id ulid.ULID, now time.Time) (vain int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, ok := g.seen[id]
	if ok && now.Sub(last.at) < gateInterval {
		return 0, false
	}
	if len(g.seen) >= gateSize {
		for k, t := range g.seen {
			if now.Sub(t.at) >= gateInterval {
				delete(g.seen, k)
			}
		}
		if len(g.seen) >= gateSize {
			return 0, false // a flood: whoever asks waits for the queue
		}
	}
	g.seen[id] = passed{at: now}
	return last.vain, true
}

// asked counts a question that nobody pressed for: a press within the minute asks none.
func (g *gate) asked(id ulid.ULID, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.seen) < gateSize {
		g.seen[id] = passed{at: now}
	}
}

// vain counts that who passed last got nothing else to show.
func (g *gate) vain(id ulid.ULID, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p, ok := g.seen[id]; ok {
		p.vain = n
		g.seen[id] = p
	}
}
