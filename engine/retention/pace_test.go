package retention

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The sweep takes a tenth of a core beside traffic, six tenths without, and sees within a second that traffic came or went.
func TestSweepMakesWayForTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const work = 10 * time.Millisecond
		var cpu time.Duration
		traffic := 0 // percent of a core
		p := &pace{share: 10, quiet: 60, used: func() time.Duration { return cpu }}
		pass := func(d time.Duration) {
			cpu += d * time.Duration(traffic) / 100
			time.Sleep(d)
		}
		// sweep works for a time and returns its share of it, in percent.
		sweep := func(long time.Duration) int {
			worked := time.Duration(0)
			began := time.Now()
			for time.Since(began) < long {
				cpu += work
				pass(work)
				worked += work
				rested := time.Now()
				require.NoError(t, p.rest(t.Context(), work))
				cpu += time.Since(rested) * time.Duration(traffic) / 100
			}
			return int(100 * worked / time.Since(began))
		}
		require.Equal(t, 10, sweep(time.Second), "what is not known is traffic")
		for range 3 {
			traffic = 10
			sweep(2 * lookEvery)
			require.Equal(t, 60, sweep(10*time.Second))
			traffic = 90
			sweep(2 * lookEvery)
			require.Equal(t, 10, sweep(10*time.Second))
		}
		p.quiet = 5 // never less than the share
		traffic = 0
		sweep(2 * lookEvery)
		require.Equal(t, 10, sweep(10*time.Second))
	})
}

func TestCPUTimeOfTheProcessGrows(t *testing.T) {
	before := cpuTime()
	for cpuTime() == before { // uses some
	}
	require.Greater(t, cpuTime(), before)
}
