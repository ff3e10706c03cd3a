package pdu

// QuerySM is the body of query_sm. SMPP 3.4 §4.8.1
type QuerySM struct {
	MessageID []byte // at most 64 bytes
	Source    Address
}

// Command implements [Body].
func (*QuerySM) Command() Command { return CmdQuerySM }

// AppendBody implements [Body].
func (p *QuerySM) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "message_id", p.MessageID, 64)
	w.address("source_addr", &p.Source, 20)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *QuerySM) ParseBody(b []byte) error {
	r := reader{b: b}
	p.MessageID = r.cstring("message_id")
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	return r.err
}

// QuerySMResp is the body of query_sm_resp. SMPP 3.4 §4.8.2
type QuerySMResp struct {
	MessageID    []byte // at most 64 bytes
	FinalDate    []byte // empty or 16 characters
	MessageState byte   // StateEnroute …
	ErrorCode    byte   // of the network
}

// Command implements [Body].
func (*QuerySMResp) Command() Command { return CmdQuerySMResp }

// AppendBody implements [Body].
func (p *QuerySMResp) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "message_id", p.MessageID, 64)
	w.time("final_date", p.FinalDate)
	w.b = append(w.b, p.MessageState, p.ErrorCode)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *QuerySMResp) ParseBody(b []byte) error {
	r := reader{b: b}
	p.MessageID = r.cstring("message_id")
	p.FinalDate = r.cstring("final_date")
	p.MessageState = r.byte("message_state")
	p.ErrorCode = r.byte("error_code")
	return r.err
}

// CancelSM is the body of cancel_sm; its response has none.
// SMPP 3.4 §4.9.1, §4.9.2
type CancelSM struct {
	ServiceType  []byte // at most 5 bytes
	MessageID    []byte // at most 64 bytes; empty cancels by addresses
	Source, Dest Address
}

// Command implements [Body].
func (*CancelSM) Command() Command { return CmdCancelSM }

// AppendBody implements [Body].
func (p *CancelSM) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "service_type", p.ServiceType, 5)
	writeCString(&w, "message_id", p.MessageID, 64)
	w.address("source_addr", &p.Source, 20)
	w.address("destination_addr", &p.Dest, 20)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *CancelSM) ParseBody(b []byte) error {
	r := reader{b: b}
	p.ServiceType = r.cstring("service_type")
	p.MessageID = r.cstring("message_id")
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	p.Dest = r.address("dest_addr_ton", "dest_addr_npi", "destination_addr")
	return r.err
}

// ReplaceSM is the body of replace_sm; its response has none.
// SMPP 3.4 §4.10.1, §4.10.2
type ReplaceSM struct {
	MessageID            []byte // at most 64 bytes
	Source               Address
	ScheduleDeliveryTime []byte // empty or 16 characters
	ValidityPeriod       []byte // empty or 16 characters
	RegisteredDelivery   byte
	DefaultMsgID         byte
	ShortMessage         []byte // at most MaxShortMessage bytes
}

// Command implements [Body].
func (*ReplaceSM) Command() Command { return CmdReplaceSM }

// AppendBody implements [Body].
func (p *ReplaceSM) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "message_id", p.MessageID, 64)
	w.address("source_addr", &p.Source, 20)
	w.time("schedule_delivery_time", p.ScheduleDeliveryTime)
	w.time("validity_period", p.ValidityPeriod)
	w.b = append(w.b, p.RegisteredDelivery, p.DefaultMsgID)
	w.text(p.ShortMessage, nil)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *ReplaceSM) ParseBody(b []byte) error {
	r := reader{b: b}
	p.MessageID = r.cstring("message_id")
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	p.ScheduleDeliveryTime = r.cstring("schedule_delivery_time")
	p.ValidityPeriod = r.cstring("validity_period")
	p.RegisteredDelivery = r.byte("registered_delivery")
	p.DefaultMsgID = r.byte("sm_default_msg_id")
	p.ShortMessage = r.octets("short_message", int(r.byte("sm_length")))
	return r.err
}
