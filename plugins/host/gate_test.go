package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// answer lets one call through, if the breaker does, and ends it with v.
func answer(s *gates, tenant string, v verdict) bool {
	g := s.enter(tenant)
	if s.open(g) {
		s.leave(tenant, g, uncounted, false)
		return false
	}
	ok, probe := s.pass(g)
	if !ok {
		v = uncounted
	}
	s.leave(tenant, g, v, probe)
	return ok
}

func TestBreakerOpensAfterFaultsInARowAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGates(8, timing{breakerFaults: 3, breakerOpen: time.Second})
		require.True(t, answer(s, "a", failed))
		require.True(t, answer(s, "a", failed))
		require.True(t, answer(s, "a", succeeded))
		require.Empty(t, s.byTenant, "a tenant without faults is forgotten")
		for range 3 {
			require.True(t, answer(s, "a", failed))
		}
		require.False(t, answer(s, "a", succeeded))
		require.True(t, answer(s, "b", succeeded), "another tenant's breaker")

		time.Sleep(time.Second)
		require.True(t, answer(s, "a", failed), "one call tries")
		require.False(t, answer(s, "a", succeeded), "it failed: closed to calls for another pause")
		time.Sleep(time.Second)
		require.True(t, answer(s, "a", uncounted), "one that tells nothing")
		require.True(t, answer(s, "a", succeeded), "so another may try")
		require.True(t, answer(s, "a", succeeded))
		require.Empty(t, s.byTenant)
	})
}

func TestOnlyOneCallProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGates(8, timing{breakerFaults: 1, breakerOpen: time.Second})
		late := s.enter("a") // began before the breaker opened
		require.True(t, answer(s, "a", failed))
		time.Sleep(time.Second)
		g := s.enter("a")
		ok, probe := s.pass(g)
		require.True(t, ok && probe)
		require.False(t, answer(s, "a", succeeded))
		s.leave("a", late, failed, false)
		require.False(t, answer(s, "a", succeeded), "a late failure opens for another pause")
		s.leave("a", g, succeeded, true)
		require.True(t, answer(s, "a", succeeded))
	})
}

func TestShareOfATenantLeavesRoom(t *testing.T) {
	for slots, share := range map[int]int{1: 1, 2: 1, 4: 3, 64: 48} {
		require.Equal(t, share, newGates(slots, usual).share)
	}
}
