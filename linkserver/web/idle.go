package web

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// idling gives connections that wait for their next request without a buffer and without a read of its own. With
// fasthttp.Server.ReduceMemoryUsage the server reads one byte of a request, and takes a buffer for the rest then; here all that
// has come is read at once, into memory that is taken when there is something to read, and a request that has come whole sets no deadline.
type idling struct{ net.Listener }

func (l idling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	own, ok := c.(syscall.Conn)
	if err != nil || !ok { // TLS reads whole records
		return c, err
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return c, nil // Read as ever
	}
	return &idleConn{Conn: c, raw: raw}, nil
}

// idleConn is for one goroutine, as the server uses it; others may close it.
type idleConn struct {
	net.Conn
	raw   syscall.RawConn
	ahead *[arrival]byte // nil: nothing was read ahead
	left  []byte         // of ahead

	until           time.Time // the deadline of reads that was asked for
	reading, writes time.Time // the deadlines that the connection has
}

// soon is how much earlier than it was asked for a deadline may come: the server sets three for each request, and one that
// moves on by less need not be set anew.
const soon = time.Second

// serves reports whether a deadline that is set does for one that is asked for. Zero: none.
func serves(set, asked time.Time) bool {
	if set.IsZero() || asked.IsZero() {
		return set.IsZero() && asked.IsZero()
	}
	return !set.After(asked) && asked.Sub(set) < soon
}

// SetReadDeadline takes effect with the next read from the network: a request that was read ahead needs none.
func (c *idleConn) SetReadDeadline(t time.Time) error {
	c.until = t
	return nil
}

func (c *idleConn) SetWriteDeadline(t time.Time) error {
	if serves(c.writes, t) {
		return nil
	}
	c.writes = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *idleConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// await sets the deadline of a read from the network.
func (c *idleConn) await() error {
	if serves(c.reading, c.until) {
		return nil
	}
	c.reading = c.until
	return c.Conn.SetReadDeadline(c.until)
}

// arrival is how much is read ahead: a request of a browser fits.
const arrival = 4 << 10

var arrivals = sync.Pool{New: func() any { return new([arrival]byte) }}

// Read gives what was read ahead, and reads ahead when it is asked for one byte.
func (c *idleConn) Read(b []byte) (int, error) {
	if c.ahead == nil {
		if err := c.await(); err != nil {
			return 0, err
		}
		if len(b) != 1 {
			return c.Conn.Read(b)
		}
		if err := c.arrive(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.left)
	if c.left = c.left[n:]; len(c.left) == 0 {
		arrivals.Put(c.ahead)
		c.ahead = nil
	}
	return n, nil
}

// arrive waits until something has come and reads it. The deadline is that of the connection.
func (c *idleConn) arrive() error {
	var n int
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		buf := arrivals.Get().(*[arrival]byte)
		for {
			n, failed = syscall.Read(int(fd), buf[:])
			if !errors.Is(failed, syscall.EINTR) {
				break
			}
		}
		if n > 0 {
			c.ahead, c.left = buf, buf[:n]
		} else {
			arrivals.Put(buf)
		}
		return !errors.Is(failed, syscall.EAGAIN)
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", failed)}
	case n == 0:
		return io.EOF
	}
	return nil
}
