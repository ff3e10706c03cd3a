package session

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// AcceptOptions says how an SMSC answers a bind.
type AcceptOptions struct {
	SystemID    string        // of the SMSC, sent in the response
	BindTimeout time.Duration // from connection to bind; default 10 s. SMPP 3.4 §7.2
	// Authorize decides about a bind; any status but pdu.StatusOK refuses it
	// and closes the connection. It must compare passwords in constant time.
	Authorize func(b *pdu.Bind) pdu.Status
	Settings
}

// Accept reads the bind request from a fresh connection, answers it and
// starts the session. It closes conn when it errs; a bind that Authorize
// refused is a [*BindError]. OnRequests may run before Accept returns.
// SMPP 3.4 §2.2
func Accept(ctx context.Context, conn net.Conn, o AcceptOptions) (*Session, error) {
	s, err := accept(ctx, conn, &o)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("accept bind: %w", err)
	}
	return s, nil
}

func accept(ctx context.Context, conn net.Conn, o *AcceptOptions) (*Session, error) {
	release := bound(ctx, conn, or(o.BindTimeout, 10*time.Second))
	defer release()
	in := greeting{conn: conn}
	for {
		h, body, err := in.next()
		if err != nil {
			return nil, cause(ctx, err)
		}
		if !h.Command.IsBind() {
			if err := refuseUnbound(conn, h); err != nil {
				return nil, cause(ctx, err)
			}
			continue
		}
		bind := pdu.Bind{Mode: h.Command}
		if err := bind.ParseBody(body); err != nil {
			_, _ = conn.Write(pdu.AppendHeader(nil, h.Command.Response(), pdu.StatusInvalidCommandLength, h.Sequence))
			return nil, err
		}
		if status := o.Authorize(&bind); status != pdu.StatusOK {
			_, _ = conn.Write(pdu.AppendHeader(nil, h.Command.Response(), status, h.Sequence))
			return nil, &BindError{Status: status}
		}
		resp := pdu.BindResp{Mode: h.Command, SystemID: o.SystemID}
		resp.TLVs = resp.TLVs.AppendUint8(pdu.TagSCInterfaceVersion, pdu.Version34)
		out, err := pdu.Append(nil, h.Sequence, pdu.StatusOK, &resp)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write(out); err != nil {
			return nil, cause(ctx, err)
		}
		if !release() {
			return nil, cause(ctx, context.Canceled)
		}
		return start(link{conn: conn, bind: bind, smsc: true, peerID: bind.SystemID, rest: in.rest()}, o.Settings), nil
	}
}

// refuseUnbound answers a PDU that needs a bind first. SMPP 3.4 §2.2
func refuseUnbound(conn net.Conn, h pdu.Header) error {
	if h.Command.IsResponse() || h.Command == pdu.CmdOutbind || h.Command == pdu.CmdAlertNotification {
		return nil // these have no response
	}
	command, status := h.Command.Response(), pdu.StatusInvalidBindStatus
	switch {
	case h.Command == pdu.CmdEnquireLink:
		status = pdu.StatusOK
	case !h.Command.Known():
		command, status = pdu.CmdGenericNack, pdu.StatusInvalidCommandID
	}
	_, err := conn.Write(pdu.AppendHeader(nil, command, status, h.Sequence))
	return err
}
