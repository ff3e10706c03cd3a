package journey

import (
	"sync"

	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/tenant"
)

// landings are the landing pages as they were last asked for: most visits show one, and the same as the visit before. They are of
// one snapshot of the tenants, and a new one begins with none. Safe for concurrent use.
type landings struct {
	mu    sync.RWMutex // guards what follows
	of    *tenant.Snapshot
	pages map[landingOf]*page.Model
}

// landingOf is all that a landing page follows from besides the snapshot, where its notice names no day.
type landingOf struct {
	tenant       tenant.ID
	lang         string
	asks         bool // for something that identifies
	code, disown bool
}

func (l *landings) get(of *tenant.Snapshot, key landingOf) *page.Model {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.of != of {
		return nil
	}
	return l.pages[key]
}

func (l *landings) put(of *tenant.Snapshot, key landingOf, m *page.Model) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of != of || len(l.pages) >= keptLandings {
		l.of, l.pages = of, map[landingOf]*page.Model{}
	}
	l.pages[key] = m
}

// keptLandings bounds their memory, of about a kilobyte each.
const keptLandings = 10_000
