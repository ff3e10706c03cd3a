package host

import (
	"sync"
	"time"
)

// gates keep the tenants of one module apart: each has a share of the slots and a breaker of its own, so that a tenant
// whose payment agent does not answer takes neither all slots nor the module itself from the others.
type gates struct {
	share  int // of the slots, for one tenant
	faults int
	pause  time.Duration

	mu       sync.Mutex // guards what follows and the fields of each gate
	byTenant map[string]*gate
}

// gate is one tenant's. It is forgotten when no call uses it and its last call was answered.
type gate struct {
	slots     chan struct{}
	users     int
	inARow    int       // calls that failed
	openUntil time.Time // zero: closed
	probing   bool      // one call tries whether it works again
}

type verdict int

const (
	uncounted verdict = iota // says nothing about the module
	succeeded
	failed
)

func newGates(slots int, t timing) *gates {
	return &gates{share: max(1, slots*3/4), faults: t.breakerFaults, pause: t.breakerOpen, byTenant: map[string]*gate{}}
}

func (s *gates) enter(tenant string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.byTenant[tenant]
	if g == nil {
		g = &gate{slots: make(chan struct{}, s.share)}
		s.byTenant[tenant] = g
	}
	g.users++
	return g
}

// open reports that no call is let through now.
func (s *gates) open(g *gate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.probing || time.Now().Before(g.openUntil)
}

// pass lets a call through. After a pause exactly one is, the probe, and its outcome decides.
func (s *gates) pass(g *gate) (ok, probe bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.openUntil.IsZero() {
		return true, false
	}
	if g.probing || time.Now().Before(g.openUntil) {
		return false, false
	}
	g.probing = true
	return true, true
}

// leave ends what enter began; probe is what pass said.
func (s *gates) leave(tenant string, g *gate, v verdict, probe bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if probe {
		g.probing = false
	}
	switch v {
	case succeeded:
		g.inARow, g.openUntil = 0, time.Time{}
	case failed:
		if g.inARow++; g.inARow >= s.faults {
			g.openUntil = time.Now().Add(s.pause)
		}
	}
	if g.users--; g.users == 0 && g.inARow == 0 {
		delete(s.byTenant, tenant)
	}
}
