package fault

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFaultShowsAsOftenAsItWasTold(t *testing.T) {
	var s Set
	require.False(t, s.Armed(LostReply))
	require.NoError(t, s.Arm(Setting{Name: LostReply, Times: 100}))
	var shown atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, ok := s.Take(LostReply); ok {
					shown.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(100), shown.Load())
	require.False(t, s.Armed(LostReply))
}

func TestUnknownOrUnboundedFaultIsRefused(t *testing.T) {
	var s Set
	require.ErrorContains(t, s.Arm(Setting{Name: "fire", Times: 1}), `"fire" is unknown`)
	require.ErrorContains(t, s.Arm(Setting{Name: LostReply, Times: -1}), "times -1")
	require.ErrorContains(t, s.Arm(Setting{Name: SlowReply, Times: 1, Delay: 2 * time.Hour}), "delay 2h")
	require.ErrorContains(t, s.Arm(Setting{Name: LostReply, Times: 1, Delay: time.Second}), "no delay")
}

func TestClearEndsAll(t *testing.T) {
	var s Set
	for _, n := range Names {
		require.NoError(t, s.Arm(Setting{Name: n, Times: 3}))
	}
	s.Clear()
	for _, f := range s.List() {
		require.Zero(t, f.Times, f.Name)
	}
	require.Len(t, s.List(), len(Names))
}
