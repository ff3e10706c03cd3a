package pdu

// Address is a type of number, a numbering plan and the address itself.
// SMPP 3.4 §5.2.5, §5.2.6, §5.2.8, §5.2.9
type Address struct {
	TON, NPI byte
	Addr     []byte // digits or text without NUL, at most 20 bytes (64 in data_sm)
}

// Values of ton and npi. SMPP 3.4 §5.2.5, §5.2.6
const (
	TONUnknown       = 0
	TONInternational = 1
	TONNational      = 2
	TONNetwork       = 3
	TONSubscriber    = 4
	TONAlphanumeric  = 5
	TONAbbreviated   = 6

	NPIUnknown = 0
	NPIISDN    = 1 // E.164
	NPIPrivate = 9
)

// Bits of esm_class. SMPP 3.4 §5.2.12
const (
	ESMClassTypeMask  = 0x3C // bits 5-2: message type
	ESMClassReceipt   = 0x04 // SMSC delivery receipt (deliver_sm, data_sm)
	ESMClassAck       = 0x08 // SME delivery acknowledgement
	ESMClassUserAck   = 0x10 // SME manual or user acknowledgement
	ESMClassUDHI      = 0x40 // short_message begins with a user data header
	ESMClassReplyPath = 0x80
)

// Values of registered_delivery, bits 1-0. SMPP 3.4 §5.2.17
const (
	RegisteredNone    = 0x00
	RegisteredAll     = 0x01 // receipt for success and failure
	RegisteredFailure = 0x02 // receipt for failure only
	RegisteredMask    = 0x03
)

// Values of message_state. SMPP 3.4 §5.2.28
const (
	StateEnroute       = 1
	StateDelivered     = 2
	StateExpired       = 3
	StateDeleted       = 4
	StateUndeliverable = 5
	StateAccepted      = 6
	StateUnknown       = 7
	StateRejected      = 8
)

// MaxShortMessage is the longest short_message in bytes; longer texts go in
// the TLV message_payload. SMPP 3.4 §5.2.21
const MaxShortMessage = 254

// SM holds the fields that submit_sm (SMPP 3.4 §4.4.1) and deliver_sm
// (SMPP 3.4 §4.6.1) share, in the same order. Fields that deliver_sm does not
// use are empty or zero there.
type SM struct {
	ServiceType          []byte // at most 5 bytes
	Source, Dest         Address
	ESMClass             byte
	ProtocolID           byte
	Priority             byte   // 0 to 3
	ScheduleDeliveryTime []byte // empty or 16 characters, see AbsoluteTime
	ValidityPeriod       []byte // empty or 16 characters, see RelativeTime
	RegisteredDelivery   byte
	ReplaceIfPresent     byte
	DataCoding           byte
	DefaultMsgID         byte
	ShortMessage         []byte // at most MaxShortMessage bytes
	TLVs                 TLVs
	// Trailing holds the bytes after the last whole TLV of a decoded PDU.
	// It is never encoded.
	Trailing []byte
}

// Text returns the user data: short_message, or message_payload when
// short_message is empty. SMPP 3.4 §5.2.22
func (p *SM) Text() []byte {
	if len(p.ShortMessage) == 0 {
		if v, ok := p.TLVs.Get(TagMessagePayload); ok {
			return v
		}
	}
	return p.ShortMessage
}

// AppendBody implements [Body].
func (p *SM) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "service_type", p.ServiceType, 5)
	w.address("source_addr", &p.Source, 20)
	w.address("destination_addr", &p.Dest, 20)
	w.b = append(w.b, p.ESMClass, p.ProtocolID, p.Priority)
	w.time("schedule_delivery_time", p.ScheduleDeliveryTime)
	w.time("validity_period", p.ValidityPeriod)
	w.b = append(w.b, p.RegisteredDelivery, p.ReplaceIfPresent, p.DataCoding, p.DefaultMsgID)
	w.text(p.ShortMessage, p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *SM) ParseBody(b []byte) error {
	r := reader{b: b}
	p.ServiceType = r.cstring("service_type")
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	p.Dest = r.address("dest_addr_ton", "dest_addr_npi", "destination_addr")
	p.ESMClass = r.byte("esm_class")
	p.ProtocolID = r.byte("protocol_id")
	p.Priority = r.byte("priority_flag")
	p.ScheduleDeliveryTime = r.cstring("schedule_delivery_time")
	p.ValidityPeriod = r.cstring("validity_period")
	p.RegisteredDelivery = r.byte("registered_delivery")
	p.ReplaceIfPresent = r.byte("replace_if_present_flag")
	p.DataCoding = r.byte("data_coding")
	p.DefaultMsgID = r.byte("sm_default_msg_id")
	p.ShortMessage = r.octets("short_message", int(r.byte("sm_length")))
	p.TLVs, p.Trailing = r.tlvs()
	return r.err
}

// SubmitSM is the body of submit_sm. SMPP 3.4 §4.4.1
type SubmitSM struct{ SM }

// Command implements [Body].
func (*SubmitSM) Command() Command { return CmdSubmitSM }

// DeliverSM is the body of deliver_sm. SMPP 3.4 §4.6.1
type DeliverSM struct{ SM }

// Command implements [Body].
func (*DeliverSM) Command() Command { return CmdDeliverSM }

// MessageResp is the body of submit_sm_resp (SMPP 3.4 §4.4.2), deliver_sm_resp
// (SMPP 3.4 §4.6.2) and data_sm_resp (SMPP 3.4 §4.7.2).
type MessageResp struct {
	To        Command // CmdSubmitSM, CmdDeliverSM or CmdDataSM
	MessageID []byte  // at most 64 bytes; empty in deliver_sm_resp
	TLVs      TLVs
	Trailing  []byte // see SM
}

// Command implements [Body].
func (p *MessageResp) Command() Command { return p.To.Response() }

// AppendBody implements [Body].
func (p *MessageResp) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "message_id", p.MessageID, 64)
	w.tlvs(p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body]. A missing body or NUL is taken as it is: some
// carriers answer so.
func (p *MessageResp) ParseBody(b []byte) error {
	p.MessageID, p.TLVs, p.Trailing = nil, nil, nil
	r := reader{b: b}
	id := r.cstring("message_id")
	if r.err != nil {
		p.MessageID = b
		return nil
	}
	p.MessageID = id
	p.TLVs, p.Trailing = r.tlvs()
	return nil
}
