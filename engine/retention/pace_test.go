package retention

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The sweep takes a tenth of a core beside traffic, six tenths without, and sees within a second that traffic came or went.
func TestSweepMakesWayForTraffic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	synctest.Test(t, func(t *testing.T) {
		const work = 10 * time.Millisecond
		var cpu, merged time.Duration
		traffic, merge := 0, 0 // percent of a core
		p := &pace{share: 10, quiet: 60, used: func() time.Duration { return cpu }, merging: func() time.Duration { return merged }}
		others := func(d time.Duration) {
			cpu += d * time.Duration(traffic+merge) / 100
			merged += d * time.Duration(merge) / 100
		}
		pass := func(d time.Duration) {
			others(d)
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
				others(time.Since(rested))
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
		traffic, merge = 10, 70 // the index behind the sweep
		sweep(2 * lookEvery)
		require.Equal(t, 60, sweep(10*time.Second))
		traffic, merge = 100, 100 // for traffic
		sweep(2*lookEvery + behindMax)
		require.Equal(t, 10, sweep(10*time.Second))
		traffic, merge = 30, 100 // the same, of traffic that does little else
		sweep(2*lookEvery + behindMax)
		require.Equal(t, 10, sweep(10*time.Second))
		traffic, merge = 30, 100*runtime.GOMAXPROCS(0) // the machine is full
		sweep(2 * lookEvery)
		require.Equal(t, 10, sweep(10*time.Second))
		traffic, merge = 0, 0
		sweep(2 * lookEvery)
		require.Equal(t, 60, sweep(10*time.Second))
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
