package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIDsOfOneMomentKeepTheirOrder(t *testing.T) {
	now := time.Now()
	last := newID(now)
	for range 10_000 {
		next := newID(now)
		require.Equal(t, -1, last.Compare(next))
		last = next
	}
}
