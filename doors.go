package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// The shares of the process's file descriptors that connections of a door may hold. What is left, a quarter, is for the
// stores, the modules and the binds: no flood of connections may take the files of the record.
const (
	linksShare = 2 // a half: everybody's door
	otherShare = 16
)

const acceptPause = 50 * time.Millisecond

// door is a listener that a flood of connections cannot use against the program: it holds so many connections and lets
// the kernel keep the rest waiting, and when the system has no descriptor or memory for one it tries again. Servers of
// fasthttp take an error of Accept as their end, and with it that of the program.
type door struct {
	net.Listener
	name   string
	log    *slog.Logger
	places chan struct{} // one for each connection
	closed chan struct{}
	once   sync.Once // closes closed
}

// openDoor listens at a TCP address and holds the given share of the descriptors that the process may have.
func openDoor(name, addr string, share int, log *slog.Logger) (*door, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("limit of open files: %w", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	most := min(limit.Cur, 1<<20) / uint64(share)
	return newDoor(ln, name, max(int(most), 1), log), nil
}

func newDoor(ln net.Listener, name string, most int, log *slog.Logger) *door {
	return &door{Listener: ln, name: name, log: log, places: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept waits for a place, then for a connection. Its error is that of a closed listener, or of one that is broken.
func (d *door) Accept() (net.Conn, error) {
	select {
	case d.places <- struct{}{}:
	case <-d.closed:
		return nil, net.ErrClosed
	}
	for said := false; ; said = true {
		c, err := d.Listener.Accept()
		if err == nil {
			return &visitor{Conn: c, leave: sync.OnceFunc(func() { <-d.places })}, nil
		}
		if !passes(err) {
			<-d.places
			return nil, err
		}
		if !said {
			d.log.Warn("connections wait", "door", d.name, "err", err)
		}
		select {
		case <-time.After(acceptPause):
		case <-d.closed:
			<-d.places
			return nil, net.ErrClosed
		}
	}
}

// passes reports whether an error of Accept is one that passes: of the system or of the connection, not of the listener.
func passes(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Listener.Close()
}

// visitor is a connection that gives its place back when it is closed.
type visitor struct {
	net.Conn
	leave func()
}

func (v *visitor) Close() error {
	defer v.leave()
	return v.Conn.Close()
}

// SyscallConn is for linkserver/web, which waits on a connection without a buffer. It implements syscall.Conn.
func (v *visitor) SyscallConn() (syscall.RawConn, error) {
	c, ok := v.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return c.SyscallConn()
}
