package web

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// idlePair is a connection as the server has it, and the other end.
func idlePair(t *testing.T) (*idleConn, net.Conn) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	theirs, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	ours, err := idling{l}.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours.(*idleConn), theirs
}

func TestIdleConnectionGivesWhatWasSent(t *testing.T) {
	ours, theirs := idlePair(t)
	sent := make([]byte, 3*arrival+17)
	rand.Read(sent)
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)/5)
			_, _ = theirs.Write(rest[:n])
			rest = rest[n:]
		}
		_ = theirs.(*net.TCPConn).CloseWrite()
	}()
	var got bytes.Buffer
	for i := 0; ; i++ {
		b := make([]byte, []int{1, 100, arrival, 1, 2 * arrival}[i%5])
		n, err := ours.Read(b)
		got.Write(b[:n])
		if err != nil {
			require.Equal(t, io.EOF, err)
			break
		}
		require.NotZero(t, n)
	}
	require.True(t, bytes.Equal(sent, got.Bytes()))
}

func TestIdleConnectionWaitsWithoutABufferUntilItsDeadline(t *testing.T) {
	ours, theirs := idlePair(t)
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := ours.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Nil(t, ours.ahead)

	require.NoError(t, ours.SetReadDeadline(time.Time{}))
	_, err = theirs.Write([]byte("ab"))
	require.NoError(t, err)
	b := make([]byte, 1)
	n, err := ours.Read(b)
	require.NoError(t, err)
	require.Equal(t, "a", string(b[:n]))
	require.NotNil(t, ours.ahead)
	n, err = ours.Read(make([]byte, 10))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Nil(t, ours.ahead, "taken back as soon as all was read")

	require.NoError(t, theirs.Close())
	_, err = ours.Read(b)
	require.ErrorIs(t, err, io.EOF)
}

// The server sets three deadlines for each request; those that hold are what the connection has.
func TestDeadlinesOfAConnection(t *testing.T) {
	ours, theirs := idlePair(t)
	one := make([]byte, 1)
	now := time.Now()
	require.NoError(t, ours.SetReadDeadline(now.Add(time.Minute)))
	_, err := theirs.Write([]byte("ab"))
	require.NoError(t, err)
	_, err = ours.Read(one)
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Minute), ours.reading)
	require.NoError(t, ours.SetReadDeadline(now.Add(-time.Minute)))
	_, err = ours.Read(one)
	require.NoError(t, err, "what has come is read whatever the time")
	_, err = ours.Read(one)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "an earlier one")
	require.NoError(t, ours.SetReadDeadline(time.Time{}))
	_, err = theirs.Write([]byte("c"))
	require.NoError(t, err)
	_, err = ours.Read(one)
	require.NoError(t, err, "none")

	require.NoError(t, ours.SetWriteDeadline(now.Add(time.Minute)))
	require.NoError(t, ours.SetWriteDeadline(now.Add(time.Minute+soon-1)))
	require.Equal(t, now.Add(time.Minute), ours.writes, "the one that is set comes less than a second too early")
	require.NoError(t, ours.SetWriteDeadline(now.Add(time.Minute+soon)))
	require.Equal(t, now.Add(time.Minute+soon), ours.writes)
	require.NoError(t, ours.SetDeadline(now.Add(-time.Minute)))
	_, err = ours.Write(one)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = ours.Read(one)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}
