package web

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWithinEndsWhenItIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &within{long: time.Second}
		time.Sleep(time.Hour) // nobody asks
		child, cancel := context.WithTimeout(w, time.Minute)
		defer cancel()
		began := time.Now()
		<-child.Done()
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
		w.end()
		require.ErrorIs(t, w.Err(), context.DeadlineExceeded)

		w = &within{long: time.Second}
		require.NoError(t, w.Err())
		until, ok := w.Deadline()
		require.True(t, ok && until.Equal(time.Now().Add(time.Second)))
		w.end()
		<-w.Done()
		require.ErrorIs(t, w.Err(), context.Canceled)
	})
	w := &within{long: time.Second}
	w.end()
	<-w.Done()
	require.ErrorIs(t, w.Err(), context.Canceled, "it is over for whoever asks too late")
}
