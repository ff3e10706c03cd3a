package store

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNothingNewWaitsForAClockThatWasSetBack keeps a reader's cursor while the clock is set on, back, and has caught up.
func TestNothingNewWaitsForAClockThatWasSetBack(t *testing.T) {
	var clock atomic.Int64
	start := time.Now()
	clock.Store(start.UnixNano())
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	set := func(d time.Duration) { clock.Store(start.Add(d).UnixNano()) }
	o := testOptions(t)
	o.Now = now
	s := open(t, o)
	put := func(at time.Time) Ref {
		m := newRef(acme, Message)
		require.NoError(t, commit1(t, s, Change{Ref: m, Events: event(1, "x"), Due: &Due{Queue: "q", At: at}}))
		return m
	}
	var cursor Cursor
	read := func() (refs []Ref) {
		items, err := s.Due(nil, "q", cursor, now(), 10)
		require.NoError(t, err)
		for _, it := range items {
			refs, cursor = append(refs, it.Ref), it.Cursor
			require.NoError(t, commit1(t, s, Change{Ref: it.Ref, Expect: Any, Due: &Due{}})) // as a reader takes it out
		}
		return refs
	}
	set(2 * time.Hour)
	require.Equal(t, []Ref{put(time.Time{})}, read())
	waits := put(time.Time{}) // put in and not read when the clock is set back: due when the clock is there again

	set(0)
	for range 3 {
		require.Equal(t, []Ref{put(time.Time{})}, read(), "what is new is due at once")
	}
	later := put(start.Add(time.Hour))
	require.Empty(t, read())
	at, ok, err := s.NextDue("q", cursor)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, start.Add(time.Hour).UnixNano(), at.UnixNano())

	set(time.Hour)
	require.Equal(t, []Ref{later}, read())
	set(3 * time.Hour)
	require.Equal(t, []Ref{waits}, read())
	require.Equal(t, []Ref{put(time.Time{})}, read())
}

func TestReaderOfAnEraBeforeBeginsAnew(t *testing.T) {
	var f floors
	at := time.Unix(10_000, 0)
	f.open(at.Add(time.Hour))
	f.close()
	before := f.now()
	require.Equal(t, at.Add(time.Hour).UnixNano(), f.open(at.Add(time.Hour-time.Second)), "a second is waited for")
	f.close()
	require.Equal(t, before, f.now())
	require.Equal(t, at.UnixNano(), f.open(at))
	require.NotEqual(t, before, f.now())
}
