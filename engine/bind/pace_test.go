package bind

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// sending is a bind with a queue that never ends, and a carrier with a limit of its own.
type sending struct {
	pace             pace
	carrier          *rate.Limiter
	trip             time.Duration // from the write to the answer
	window           int
	now              time.Time
	answers          []sent
	refused, granted int
}

type sent struct {
	at time.Time
	ok bool
}

// run lets time pass, and counts in it.
func (s *sending) run(d time.Duration) {
	s.refused, s.granted = 0, 0
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(5 * time.Millisecond) {
		for len(s.answers) > 0 && !s.now.Before(s.answers[0].at.Add(s.trip)) {
			a := s.answers[0]
			s.answers = s.answers[1:]
			if a.ok {
				s.granted++
				s.pace.accepted(s.now, 1)
			} else {
				s.refused++
				s.pace.tooFast(s.now, a.at)
			}
		}
		n := min(s.window-len(s.answers), s.pace.room(s.now, true))
		for range n {
			s.answers = append(s.answers, sent{s.now, s.carrier.AllowN(s.now, 1)})
		}
		s.pace.submit(s.now, n)
	}
}

// TestPaceFindsWhatTheCarrierBears: whatever its limit, little is refused, and most of the limit is used; also after it changed.
func TestPaceFindsWhatTheCarrierBears(t *testing.T) {
	for _, limit := range []int{5, 20, 90, 400} {
		for _, most := range []int{0, 5000} {
			for _, trip := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 200 * time.Millisecond} {
				s := &sending{pace: newPace(most), trip: trip, window: 20 + 4*limit, now: epoch}
				s.carrier = rate.NewLimiter(rate.Limit(limit), max(limit/10, 1))
				for _, factor := range []int{1, 4, 1} {
					what := fmt.Sprintf("limit %d of %d, answers after %s", limit*factor, most, trip)
					s.carrier.SetLimitAt(s.now, rate.Limit(limit*factor))
					s.run(40 * time.Second) // it finds out
					s.run(time.Minute)
					require.Less(t, float64(s.refused)/float64(s.refused+s.granted), 0.1, what)
					require.Greater(t, s.granted, 60*limit*factor/2, what)
				}
			}
		}
	}
}

var epoch = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

func TestPaceIsCutOnceForAWindow(t *testing.T) {
	p := newPace(0)
	require.Greater(t, p.room(epoch, false), 1000)
	p.submit(epoch, 100)
	p.accepted(epoch.Add(100*time.Millisecond), 40)
	for range 60 {
		p.tooFast(epoch.Add(100*time.Millisecond), epoch)
	}
	require.InDelta(t, 20, p.now, 0.1, "half of what was taken")
	require.False(t, p.tooFast(epoch.Add(time.Second), epoch.Add(900*time.Millisecond)), "the carrier may count by seconds")
	require.True(t, p.tooFast(epoch.Add(2*time.Second), epoch.Add(1500*time.Millisecond)))
	for i := range 20 {
		p.tooFast(epoch.Add(time.Duration(10+i)*time.Second), epoch.Add(time.Duration(10+i)*time.Second))
	}
	require.InDelta(t, slowest, p.now, 0.1, "it never stops")
}

// TestPaceRisesOnlyByUse: a bind with nothing to send learns nothing, and the configured rate is never exceeded.
func TestPaceRisesOnlyByUse(t *testing.T) {
	p := newPace(50)
	p.accepted(epoch, 20)
	require.True(t, p.tooFast(epoch, epoch))
	for i := range 60 {
		p.room(epoch.Add(time.Duration(i)*time.Second), true)
	}
	require.InDelta(t, 10, p.now, 0.1)
	for i := range 600 {
		now := epoch.Add(time.Minute + time.Duration(i)*100*time.Millisecond)
		n := p.room(now, true)
		require.LessOrEqual(t, n, 5)
		p.submit(now, n)
	}
	require.Zero(t, p.now, "as configured again")
}
