package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

// A file that fails in its middle, whose writer panics, or whose reader leaves, is cut off, and the program goes on.
func TestStreamThatBreaksIsCutOff(t *testing.T) {
	whole := strings.Repeat("1,2,3\r\n", 100_000)
	broken := errors.New("the disk is gone")
	left := make(chan error, 1)
	var failures atomic.Int32
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		path := string(ctx.Path())
		new(Caller).Stream(ctx, func(w io.Writer) error {
			_, err := io.WriteString(w, whole)
			switch {
			case path == "/error":
				return broken
			case path == "/panic":
				panic(broken)
			case path == "/left":
				left <- err
			}
			return err
		}, func(error) { failures.Add(1) })
	}}
	at := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- server.Serve(at) }()
	defer func() {
		require.NoError(t, at.Close())
		require.NoError(t, <-served)
	}()
	get := func(method, path string) (*fasthttp.Response, error) {
		req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://api" + path)
		req.Header.SetMethod(method)
		client := &fasthttp.HostClient{Addr: "api", Dial: func(string) (net.Conn, error) { return at.Dial() }, MaxIdemponentCallAttempts: 1}
		return res, client.Do(req, res)
	}
	for range 2 {
		res, err := get("GET", "/whole")
		require.NoError(t, err)
		require.Equal(t, whole, string(res.Body()))
		res, err = get("HEAD", "/panic")
		require.NoError(t, err)
		require.Empty(t, res.Body())
		require.Zero(t, failures.Swap(0))
		for _, path := range []string{"/error", "/panic"} {
			_, err = get("GET", path)
			require.Error(t, err, path)
			require.EqualValues(t, 1, failures.Swap(0), path)
		}

		conn, err := at.Dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /left HTTP/1.1\r\nHost: api\r\n\r\n")
		require.NoError(t, err)
		_, err = bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.ErrorIs(t, <-left, io.ErrClosedPipe)
		require.Zero(t, failures.Load(), "who leaves is nobody's failure")
	}
}
