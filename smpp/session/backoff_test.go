package session

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

func TestBackoffGrowsToAMinuteWithJitter(t *testing.T) {
	var b Backoff
	seen := map[time.Duration]bool{}
	for i := range 100 {
		whole := min(time.Second<<min(i, 6), time.Minute)
		wait, again := b.Next(errors.New("connection refused"))
		require.True(t, again)
		require.GreaterOrEqual(t, wait, whole/2)
		require.LessOrEqual(t, wait, whole)
		seen[wait] = true
	}
	require.Greater(t, len(seen), 50, "jitter")
	b.Reset()
	wait, _ := b.Next(nil)
	require.LessOrEqual(t, wait, time.Second)
}

func TestBindErrorsThatWillNotPassEndTheTries(t *testing.T) {
	for status, permanent := range map[pdu.Status]bool{
		pdu.StatusInvalidPassword: true, pdu.StatusInvalidSystemID: true, pdu.StatusInvalidSystemType: true,
		pdu.StatusInvalidCommandID: true, // a mode of bind that the carrier does not know
		pdu.StatusBindFailed:       false, pdu.StatusSystemError: false, pdu.StatusThrottled: false, pdu.StatusAlreadyBound: false,
	} {
		var b Backoff
		_, again := b.Next(fmt.Errorf("bind: %w", &BindError{Status: status}))
		require.Equal(t, !permanent, again, status.String())
	}
}

func TestBindStillCountedByTheCarrierIsNotTriedAtOnce(t *testing.T) {
	for range 100 {
		var b Backoff
		wait, again := b.Next(&BindError{Status: pdu.StatusAlreadyBound})
		require.True(t, again)
		require.GreaterOrEqual(t, wait, 10*time.Second)
		require.LessOrEqual(t, wait, 20*time.Second)
	}
}
