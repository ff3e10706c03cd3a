package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Options says how an ESME binds.
type Options struct {
	Addr string // "host:port" of the carrier
	// TLS makes the connection TLS; an empty ServerName becomes the host of
	// Addr.
	TLS *tls.Config
	// Dial connects; nil is a plain TCP dial. Tests and binds to a local
	// address give their own.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Bind is the request: Mode (default bind_transceiver), SystemID,
	// Password, SystemType, address range. InterfaceVersion defaults to 3.4.
	Bind        pdu.Bind
	DialTimeout time.Duration // to connect, and again for the TLS handshake; default 10 s
	BindTimeout time.Duration // from connection to bind response; default 10 s
	Settings
}

// Dial connects and binds. A refused bind is a [*BindError]. When ctx ends or
// a timeout passes, the connection is closed and an error returned. ctx does
// not bound the session's later life. SMPP 3.4 §4.1
func Dial(ctx context.Context, o Options) (*Session, error) {
	o.Bind.Mode = or(o.Bind.Mode, pdu.CmdBindTransceiver)
	o.Bind.InterfaceVersion = or(o.Bind.InterfaceVersion, pdu.Version34)
	conn, err := connect(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Addr, err)
	}
	s, err := bindOn(ctx, &greeting{conn: conn}, &o)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("bind to %s as %q: %w", o.Addr, o.Bind.SystemID, err)
	}
	return s, nil
}

func connect(ctx context.Context, o *Options) (net.Conn, error) {
	timeout := or(o.DialTimeout, 10*time.Second)
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	dialCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := dial(dialCtx, "tcp", o.Addr)
	if err != nil || o.TLS == nil {
		return conn, err
	}
	config := o.TLS.Clone()
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(o.Addr); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	tlsCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(tlsCtx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// bindOn exchanges the bind on a connection without one and starts the
// session. What else the carrier asks for before it has answered is refused:
// it sends it again.
func bindOn(ctx context.Context, in *greeting, o *Options) (*Session, error) {
	const seq = 1
	conn := in.conn
	out, err := pdu.Append(nil, seq, pdu.StatusOK, &o.Bind)
	if err != nil {
		return nil, err
	}
	release := bound(ctx, conn, or(o.BindTimeout, 10*time.Second))
	defer release()
	if _, err := conn.Write(out); err != nil {
		return nil, cause(ctx, err)
	}
	for {
		h, body, err := in.next()
		if err != nil {
			return nil, cause(ctx, err)
		}
		switch {
		case h.Command == o.Bind.Mode.Response() && h.Sequence == seq:
			resp := pdu.BindResp{Mode: o.Bind.Mode}
			if h.Status != pdu.StatusOK {
				return nil, &BindError{Status: h.Status}
			}
			if err := resp.ParseBody(body); err != nil {
				return nil, err
			}
			if !release() {
				return nil, cause(ctx, context.Canceled)
			}
			return start(link{conn: conn, bind: o.Bind, peerID: resp.SystemID, seq: seq, rest: in.rest()}, o.Settings), nil
		case h.Command == pdu.CmdGenericNack:
			return nil, &BindError{Status: h.Status}
		case h.Command == pdu.CmdUnbind:
			return nil, fmt.Errorf("bind: %w", ErrPeerUnbound)
		default:
			if err := refuseUnbound(conn, h); err != nil {
				return nil, cause(ctx, err)
			}
		}
	}
}

// bound gives the exchange a deadline, and ends it with ctx. release undoes
// both; it is false when ctx ended first.
func bound(ctx context.Context, conn net.Conn, timeout time.Duration) (release func() bool) {
	_ = conn.SetDeadline(time.Now().Add(timeout))
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// cause prefers the end of ctx to the error that it made.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// greeting reads the PDUs before the session is up.
type greeting struct {
	conn net.Conn
	buf  []byte
	used int
}

func (g *greeting) next() (pdu.Header, []byte, error) {
	for {
		h, body, n, err := pdu.Next(g.buf[g.used:])
		if err != nil {
			return h, nil, err
		}
		if n > 0 {
			g.used += n
			return h, body, nil
		}
		if len(g.buf) > 64<<10 {
			return h, nil, errors.New("too many bytes before the bind")
		}
		var chunk [1024]byte
		k, err := g.conn.Read(chunk[:])
		g.buf = append(g.buf, chunk[:k]...)
		if err != nil && k == 0 {
			return h, nil, err
		}
	}
}

func (g *greeting) rest() []byte { return g.buf[g.used:] }
