package smsc

import (
	"net"
	"sync"
	"time"
)

// gate stops the reading of all connections while it is shut.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed while the gate is open
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

// gatedConn is a connection behind a gate.
type gatedConn struct {
	net.Conn
	gate *gate
	once sync.Once
	over chan struct{} // closed by Close, or a deadline in the past
}

func newGatedConn(conn net.Conn, g *gate) *gatedConn {
	return &gatedConn{Conn: conn, gate: g, over: make(chan struct{})}
}

// Read holds back what it read until the gate is open.
func (c *gatedConn) Read(b []byte) (int, error) {
	c.gate.wait(c.over)
	n, err := c.Conn.Read(b)
	c.gate.wait(c.over)
	return n, err
}

func (c *gatedConn) SetDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.once.Do(func() { close(c.over) })
	}
	return c.Conn.SetDeadline(t)
}

func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.over) })
	return c.Conn.Close()
}
