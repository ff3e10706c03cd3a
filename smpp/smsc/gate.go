package smsc

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate stops the reading of all connections while it is shut, and slows them
// while drip is set.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed while the gate is open
	drip   atomic.Int64  // pause before each byte, in nanoseconds; 0 none
}

func (g *gate) init() {
	g.opened = make(chan struct{})
	close(g.opened)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		g.opened = make(chan struct{})
	default:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) wait(over <-chan struct{}) {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	select {
	case <-opened:
	case <-over:
	}
}

// gatedConn is a connection behind a gate, which may also stall, drip or vanish
// by itself.
type gatedConn struct {
	net.Conn
	gate     *gate
	once     sync.Once
	over     chan struct{} // closed by Close, or a deadline in the past
	stalled  atomic.Int64  // nothing is read before this time, in Unix nanoseconds
	drip     atomic.Int64  // as that of the gate
	vanished atomic.Bool
}

func newGatedConn(conn net.Conn, g *gate) *gatedConn {
	return &gatedConn{Conn: conn, gate: g, over: make(chan struct{})}
}

// stall stops reading for so long.
func (c *gatedConn) stall(d time.Duration) { c.stalled.Store(time.Now().Add(d).UnixNano()) }

// vanish makes the connection half-open: the peer sees it up, but what it sends
// goes nowhere and nothing comes back.
func (c *gatedConn) vanish() { c.vanished.Store(true) }

// pause waits unless the connection ends.
func (c *gatedConn) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.over:
	}
}

// hold waits until nothing stops the reading.
func (c *gatedConn) hold() {
	c.gate.wait(c.over)
	if at := c.stalled.Load(); at != 0 {
		if d := time.Until(time.Unix(0, at)); d > 0 {
			c.pause(d)
		}
	}
}

// pace is the pause before each byte.
func (c *gatedConn) pace() time.Duration {
	return time.Duration(max(c.drip.Load(), c.gate.drip.Load()))
}

// Read holds back what it read until the gate is open.
func (c *gatedConn) Read(b []byte) (int, error) {
	for {
		c.hold()
		if d := c.pace(); d > 0 {
			c.pause(d)
			b = b[:min(1, len(b))]
		}
		n, err := c.Conn.Read(b)
		c.hold()
		if !c.vanished.Load() || err != nil {
			return n, err
		}
	}
}

func (c *gatedConn) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if c.vanished.Load() {
			return len(b), nil
		}
		k, d := len(b), c.pace()
		if d > 0 {
			c.pause(d)
			k = n + 1
		}
		k, err = c.Conn.Write(b[n:k])
		n += k
	}
	return n, err
}

func (c *gatedConn) SetDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.once.Do(func() { close(c.over) })
	}
	return c.Conn.SetDeadline(t)
}

// Close leaves a vanished connection open: see linger.
func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.over) })
	if c.vanished.Load() {
		return nil
	}
	return c.Conn.Close()
}

// linger keeps a vanished connection until the peer closes it or ctx ends.
func (c *gatedConn) linger(ctx context.Context) {
	if c.vanished.Load() {
		defer context.AfterFunc(ctx, func() { _ = c.Conn.Close() })()
		_ = c.Conn.SetDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	_ = c.Conn.Close()
}
