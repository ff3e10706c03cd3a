package main

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Ways of a network between a bind and its carrier.
const (
	passing  = "pass"
	dropped  = "drop"      // connections are closed, and new ones at once
	halfOpen = "half-open" // what the carrier says is lost, and nobody is told; what the engine says arrives
	delaying = "delay"     // each piece comes late, a quarter of a second
	cutting  = "reset"     // a connection is reset in the middle of a PDU, and so is each that follows
)

var networks = []string{dropped, halfOpen, delaying, cutting}

// proxy passes the connections of one bind on to its carrier, and is what a network does to them. Safe for concurrent use.
type proxy struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	way   string
	conns map[*net.TCPConn]struct{} // both ends of each connection
}

func newProxy(ctx context.Context, listen, to string) (*proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, to: to, way: passing, conns: map[*net.TCPConn]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

// set changes the way of the network. Dropping takes the connections there are; a half-open connection stays so when the
// network heals, and whoever holds it has to find out.
func (p *proxy) set(way string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way = way
	if way == dropped {
		p.closeAll()
	}
}

func (p *proxy) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.way
}

// closeAll resets every connection; the caller holds mu.
func (p *proxy) closeAll() {
	for c := range p.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.way = dropped
	p.closeAll()
	p.mu.Unlock()
	p.running.Wait()
}

// keep notes a connection; false when there is no network for it.
func (p *proxy) keep(conns ...*net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.way == dropped {
		return false
	}
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

func (p *proxy) forget(conns ...*net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.carry(in.(*net.TCPConn)) })
	}
}

// carry passes one connection on until either end is closed.
func (p *proxy) carry(engine *net.TCPConn) {
	conn, err := net.DialTimeout("tcp", p.to, time.Second)
	if err != nil {
		_ = engine.Close()
		return
	}
	carrier := conn.(*net.TCPConn)
	if !p.keep(engine, carrier) {
		_, _ = engine.Close(), carrier.Close()
		return
	}
	defer p.forget(engine, carrier)
	var back sync.WaitGroup
	back.Go(func() {
		p.pass(engine, carrier, true)
		_ = engine.CloseWrite()
		_ = carrier.CloseRead()
	})
	p.pass(carrier, engine, false)
	_ = carrier.CloseWrite()
	back.Wait()
}

// pass copies from one end to the other as the network is now. fromCarrier: these are the carrier's words.
func (p *proxy) pass(to, from *net.TCPConn, fromCarrier bool) {
	buf := make([]byte, 64<<10)
	lost := false
	for {
		n, err := from.Read(buf)
		if n > 0 {
			switch way := p.now(); {
			case lost || way == halfOpen && fromCarrier:
				lost = true
				continue
			case way == delaying:
				late := time.NewTimer(250 * time.Millisecond)
				<-late.C
			case way == cutting:
				// Half of the last PDU, and then a reset: a header without its body, or less.
				_, _ = to.Write(buf[:n-min(n, 9)])
				_, _ = to.SetLinger(0), from.SetLinger(0)
				p.forget(to, from)
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				_ = to.SetLinger(0)
			}
			return
		}
	}
}
