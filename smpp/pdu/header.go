package pdu

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is the length of the PDU header in bytes. SMPP 3.4 §3.2
const HeaderSize = 16

// MaxSize is the longest PDU that [Next] accepts, in bytes. The specification
// has no limit; one message_payload of 64 KiB fits.
const MaxSize = 1 << 17

// MaxSequence is the highest sequence_number; the next one is 1. SMPP 3.4 §5.1.4
const MaxSequence = 0x7FFFFFFF

// ErrLength reports a command_length below 16 or above MaxSize: the stream
// has lost its frame and cannot be read further. SMPP 3.4 §5.1.1
var ErrLength = errors.New("command_length out of range")

// Header is the header of a PDU. SMPP 3.4 §3.2
type Header struct {
	Length   uint32 // of the whole PDU, in bytes
	Command  Command
	Status   Status // zero in requests
	Sequence uint32 // 1 to MaxSequence; 0 in a generic_nack for an unreadable PDU
}

// Next cuts the first PDU from b. It returns its header, its body (a part of
// b) and its whole length n. When b does not yet hold a whole PDU, n is 0 and
// err nil. An error wraps [ErrLength] and cannot be recovered from; the header
// is valid as far as b holds it, for the generic_nack.
func Next(b []byte) (h Header, body []byte, n int, err error) {
	if len(b) >= HeaderSize {
		h.Command = Command(binary.BigEndian.Uint32(b[4:]))
		h.Status = Status(binary.BigEndian.Uint32(b[8:]))
		h.Sequence = binary.BigEndian.Uint32(b[12:])
	}
	if len(b) < 4 {
		return h, nil, 0, nil
	}
	h.Length = binary.BigEndian.Uint32(b)
	if h.Length < HeaderSize || h.Length > MaxSize {
		return h, nil, 0, fmt.Errorf("%w: %d, limits %d to %d", ErrLength, h.Length, HeaderSize, MaxSize)
	}
	if uint32(len(b)) < h.Length {
		return h, nil, 0, nil
	}
	return h, b[HeaderSize:h.Length:h.Length], int(h.Length), nil
}

// AppendHeader appends a PDU that is only a header, such as enquire_link,
// unbind, generic_nack or a response that reports an error.
// SMPP 3.4 §4.2, §4.3.1, §4.11
func AppendHeader(dst []byte, cmd Command, status Status, seq uint32) []byte {
	return appendHeader(dst, HeaderSize, cmd, status, seq)
}

func appendHeader(dst []byte, length uint32, cmd Command, status Status, seq uint32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, length)
	dst = binary.BigEndian.AppendUint32(dst, uint32(cmd))
	dst = binary.BigEndian.AppendUint32(dst, uint32(status))
	return binary.BigEndian.AppendUint32(dst, seq)
}

// Body is the body of one kind of PDU. A value may be reused: ParseBody sets
// every field.
type Body interface {
	// Command is the command_id that the body is sent under.
	Command() Command
	// AppendBody appends the encoded body to dst. On error it returns dst
	// as it was given.
	AppendBody(dst []byte) ([]byte, error)
	// ParseBody decodes b; []byte fields borrow from it.
	ParseBody(b []byte) error
}

// Append appends one whole PDU to dst and returns the extended slice. On error
// it returns dst unchanged; the error is a [*FieldError] with the command
// named.
func Append(dst []byte, seq uint32, status Status, body Body) ([]byte, error) {
	start := len(dst)
	out := appendHeader(dst, 0, body.Command(), status, seq)
	out, err := body.AppendBody(out)
	if err != nil {
		return dst, fmt.Errorf("%v: %w", body.Command(), err)
	}
	if n := len(out) - start; n > MaxSize {
		return dst, fmt.Errorf("%v: %w: %d, limit %d", body.Command(), ErrLength, n, MaxSize)
	}
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start))
	return out, nil
}

// Parse decodes a body into a new value of its type; a PDU without a type of
// its own comes back as *Raw. It is for tools and tests: hot paths reuse
// values. The result borrows from body.
func Parse(h Header, body []byte) (Body, error) {
	p := newBody(h.Command)
	if h.Status != StatusOK && len(body) == 0 {
		return p, nil // an error needs no body
	}
	if err := p.ParseBody(body); err != nil {
		return nil, fmt.Errorf("%v: %w", h.Command, err)
	}
	return p, nil
}

func newBody(c Command) Body {
	switch c {
	case CmdBindReceiver, CmdBindTransmitter, CmdBindTransceiver:
		return &Bind{Mode: c}
	case CmdBindReceiverResp, CmdBindTransmitterResp, CmdBindTransceiverResp:
		return &BindResp{Mode: c &^ responseBit}
	case CmdOutbind:
		return new(Outbind)
	case CmdSubmitSM:
		return new(SubmitSM)
	case CmdDeliverSM:
		return new(DeliverSM)
	case CmdSubmitSMResp, CmdDeliverSMResp, CmdDataSMResp:
		return &MessageResp{To: c &^ responseBit}
	case CmdSubmitMulti:
		return new(SubmitMulti)
	case CmdSubmitMultiResp:
		return new(SubmitMultiResp)
	case CmdDataSM:
		return new(DataSM)
	case CmdQuerySM:
		return new(QuerySM)
	case CmdQuerySMResp:
		return new(QuerySMResp)
	case CmdCancelSM:
		return new(CancelSM)
	case CmdReplaceSM:
		return new(ReplaceSM)
	case CmdAlertNotification:
		return new(AlertNotification)
	}
	return &Raw{Cmd: c}
}

// Raw is a body kept as bytes: of PDUs without a body, and of commands of
// other versions or vendors.
type Raw struct {
	Cmd  Command
	Data []byte
}

func (p *Raw) Command() Command { return p.Cmd }

func (p *Raw) AppendBody(dst []byte) ([]byte, error) { return append(dst, p.Data...), nil }

func (p *Raw) ParseBody(b []byte) error {
	p.Data = b
	return nil
}
