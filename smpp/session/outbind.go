package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// ErrOutbind reports an outbind that was not accepted: another PDU came, or
// its system_id or password is not that of the carrier.
var ErrOutbind = errors.New("outbind refused")

// Outbind asks the ESME at the other end of conn, which the SMSC has opened,
// to bind, and answers its bind as [Accept] does. SMPP 3.4 §4.1.7
func Outbind(ctx context.Context, conn net.Conn, ask pdu.Outbind, o AcceptOptions) (*Session, error) {
	out, err := pdu.Append(nil, 1, pdu.StatusOK, &ask)
	if err == nil {
		release := bound(ctx, conn, or(o.BindTimeout, 10*time.Second))
		_, err = conn.Write(out)
		release()
		err = cause(ctx, err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("send outbind: %w", err)
	}
	return Accept(ctx, conn, o)
}

// AnswerOutbind reads outbind from conn, which a carrier has opened, and binds
// on it: as a receiver unless o.Bind says otherwise. authorize decides whether
// it is the carrier; it must compare the password in constant time. There is
// no way to say no but to close the connection, which is done on every error.
// o.Addr only names the carrier in errors. SMPP 3.4 §2.2, §4.1.7
func AnswerOutbind(ctx context.Context, conn net.Conn, o Options, authorize func(*pdu.Outbind) bool) (*Session, error) {
	o.Bind.Mode = or(o.Bind.Mode, pdu.CmdBindReceiver)
	o.Bind.InterfaceVersion = or(o.Bind.InterfaceVersion, pdu.Version34)
	in := greeting{conn: conn}
	err := readOutbind(ctx, &in, &o, authorize)
	var s *Session
	if err == nil {
		s, err = bindOn(ctx, &in, &o)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("answer outbind of %s: %w", o.Addr, err)
	}
	return s, nil
}

func readOutbind(ctx context.Context, in *greeting, o *Options, authorize func(*pdu.Outbind) bool) error {
	release := bound(ctx, in.conn, or(o.BindTimeout, 10*time.Second))
	defer release()
	h, body, err := in.next()
	if err != nil {
		return cause(ctx, err)
	}
	if h.Command != pdu.CmdOutbind {
		return fmt.Errorf("%w: %v came instead", ErrOutbind, h.Command)
	}
	var ask pdu.Outbind
	if err := ask.ParseBody(body); err != nil {
		return fmt.Errorf("%w: %w", ErrOutbind, err)
	}
	if !authorize(&ask) {
		return fmt.Errorf("%w: system_id %q or its password", ErrOutbind, ask.SystemID)
	}
	return nil
}
