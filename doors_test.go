package main

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// shortListener has no descriptor for its first connections.
type shortListener struct {
	net.Listener
	short []error
}

func (l *shortListener) Accept() (net.Conn, error) {
	if len(l.short) > 0 {
		err := l.short[0]
		l.short = l.short[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return l.Listener.Accept()
}

// serveDoor serves ok at a door over ln until the test ends, and then expects an end without an error.
func serveDoor(t *testing.T, ln net.Listener, most int) string {
	t.Helper()
	d := newDoor(ln, "links", most, slog.New(slog.DiscardHandler))
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("ok") }, ReadTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(d) }()
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		require.NoError(t, <-ended)
	})
	return ln.Addr().String()
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

func TestDoorOutlivesALackOfDescriptors(t *testing.T) {
	addr := serveDoor(t, &shortListener{loopback(t), []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}}, 10)
	res, err := http.Get("http://" + addr)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	http.DefaultClient.CloseIdleConnections()
}

func TestDoorHoldsSoManyConnectionsAndNoMore(t *testing.T) {
	const most = 3
	addr := serveDoor(t, loopback(t), most)
	ask := func(c net.Conn) error { // whether a request is answered within a moment
		_, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		_, err = http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	var held []net.Conn
	for range most {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, ask(c))
		held = append(held, c)
	}
	waits, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer waits.Close()
	require.Error(t, ask(waits), "there is no place")
	require.NoError(t, held[0].Close())
	require.NoError(t, waits.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = http.ReadResponse(bufio.NewReader(waits), nil)
	require.NoError(t, err, "a place was given back")
}

func TestClosedDoorEndsWhoWaitsForAPlace(t *testing.T) {
	d := newDoor(loopback(t), "links", 1, slog.New(slog.DiscardHandler))
	d.places <- struct{}{}
	ended := make(chan error, 1)
	go func() {
		_, err := d.Accept()
		ended <- err
	}()
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
}

// The link server reads a connection by its file: through a door, too.
func TestConnectionThroughADoorHasItsFile(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := newDoor(ln, "links", 1, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = d.Close() })
	theirs, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = theirs.Close() })
	c, err := d.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(uintptr) {}))
}
