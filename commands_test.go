package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/conf"
)

// slow answers after a time, unless the request ends before.
type slow struct {
	after  time.Duration
	answer string
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.after):
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(s.answer))}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// TestAnApplyIsWaitedFor: the open attempts of millions of claims are counted before a definition is put into use.
func TestAnApplyIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := dialSocket(new(conf.Config))
		o.http.Transport = slow{10 * time.Minute, `{"diff":["x"]}`}
		out, err := o.apply(t.Context(), &applyRequest{})
		require.NoError(t, err)
		require.Equal(t, []string{"x"}, out.Diff)
		o.http.Transport = slow{10 * time.Minute, `[{"tenant":"water"}]`}
		all, err := o.former(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Error(t, o.call(t.Context(), "/status", nil, &out), "what is quick is not")
	})
}
