package stepped

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnlyTheWallClockIsSet(t *testing.T) {
	was := time.Now()
	for _, step := range []time.Duration{2 * time.Hour, -2 * time.Hour, 72 * time.Hour} {
		now := set(was, int64(step/time.Second))
		require.Equal(t, was.Add(step).Round(0).UnixNano(), now.Round(0).UnixNano())
		require.Zero(t, now.Sub(was), "the monotonic reading is as it was")
	}
}
