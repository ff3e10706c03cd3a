package clock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUntilOfAStoredTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := time.Unix(0, Now().Add(time.Hour).UnixNano())
		require.Equal(t, time.Hour, Until(stored))
	})
}
