package pdu

import "encoding/binary"

// Values of dest_flag. SMPP 3.4 §5.2.25
const (
	DestSME  = 1 // one address
	DestList = 2 // the name of a distribution list that the SMSC keeps
)

// MaxDests is the most destinations of one submit_multi. SMPP 3.4 §5.2.24
const MaxDests = 254

// Dest is one destination of submit_multi. SMPP 3.4 §4.5.1
type Dest struct {
	Flag    byte    // DestSME or DestList
	Address Address // of an SME, at most 20 bytes
	List    []byte  // name of a distribution list, at most 20 bytes
}

// SubmitMulti is the body of submit_multi. SMPP 3.4 §4.5.1
type SubmitMulti struct {
	ServiceType          []byte // at most 5 bytes
	Source               Address
	Dests                []Dest // 1 to MaxDests; ParseBody reuses it
	ESMClass             byte
	ProtocolID           byte
	Priority             byte
	ScheduleDeliveryTime []byte // empty or 16 characters
	ValidityPeriod       []byte // empty or 16 characters
	RegisteredDelivery   byte
	ReplaceIfPresent     byte
	DataCoding           byte
	DefaultMsgID         byte
	ShortMessage         []byte // at most MaxShortMessage bytes
	TLVs                 TLVs
	Trailing             []byte // see SM
}

// Command implements [Body].
func (*SubmitMulti) Command() Command { return CmdSubmitMulti }

// AppendBody implements [Body].
func (p *SubmitMulti) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "service_type", p.ServiceType, 5)
	w.address("source_addr", &p.Source, 20)
	if n := len(p.Dests); n == 0 || n > MaxDests {
		w.fail("number_of_dests", n, MaxDests, ErrCount)
	}
	w.byte(byte(len(p.Dests)))
	for i := range p.Dests {
		d := &p.Dests[i]
		w.byte(d.Flag)
		switch d.Flag {
		case DestSME:
			w.address("destination_addr", &d.Address, 20)
		case DestList:
			writeCString(&w, "dl_name", d.List, 20)
		default:
			w.fail("dest_flag", 1, 0, ErrValue)
		}
	}
	w.b = append(w.b, p.ESMClass, p.ProtocolID, p.Priority)
	w.time("schedule_delivery_time", p.ScheduleDeliveryTime)
	w.time("validity_period", p.ValidityPeriod)
	w.b = append(w.b, p.RegisteredDelivery, p.ReplaceIfPresent, p.DataCoding, p.DefaultMsgID)
	w.text(p.ShortMessage, p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *SubmitMulti) ParseBody(b []byte) error {
	r := reader{b: b}
	p.ServiceType = r.cstring("service_type")
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	n := int(r.byte("number_of_dests"))
	p.Dests = p.Dests[:0]
	for range n {
		d := Dest{Flag: r.byte("dest_flag")}
		if r.err != nil {
			break
		}
		switch d.Flag {
		case DestSME:
			d.Address = r.address("dest_addr_ton", "dest_addr_npi", "destination_addr")
		case DestList:
			d.List = r.cstring("dl_name")
		default:
			r.fail("dest_flag", ErrValue)
		}
		p.Dests = append(p.Dests, d)
	}
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

// Unsuccessful is one destination that the SMSC did not take, and why.
// SMPP 3.4 §4.5.2
type Unsuccessful struct {
	Address Address // at most 20 bytes
	Status  Status
}

// SubmitMultiResp is the body of submit_multi_resp. SMPP 3.4 §4.5.2
type SubmitMultiResp struct {
	MessageID    []byte         // at most 64 bytes
	Unsuccessful []Unsuccessful // at most 255; ParseBody reuses it
	TLVs         TLVs
	Trailing     []byte // see SM
}

// Command implements [Body].
func (*SubmitMultiResp) Command() Command { return CmdSubmitMultiResp }

// AppendBody implements [Body].
func (p *SubmitMultiResp) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "message_id", p.MessageID, 64)
	if n := len(p.Unsuccessful); n > 255 {
		w.fail("no_unsuccess", n, 255, ErrCount)
	}
	w.byte(byte(len(p.Unsuccessful)))
	for i := range p.Unsuccessful {
		w.address("destination_addr", &p.Unsuccessful[i].Address, 20)
		w.b = binary.BigEndian.AppendUint32(w.b, uint32(p.Unsuccessful[i].Status))
	}
	w.tlvs(p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *SubmitMultiResp) ParseBody(b []byte) error {
	r := reader{b: b}
	p.MessageID = r.cstring("message_id")
	n := int(r.byte("no_unsuccess"))
	p.Unsuccessful = p.Unsuccessful[:0]
	for range n {
		u := Unsuccessful{Address: r.address("dest_addr_ton", "dest_addr_npi", "destination_addr")}
		if status := r.octets("error_status_code", 4); r.err == nil {
			u.Status = Status(binary.BigEndian.Uint32(status))
		} else {
			break
		}
		p.Unsuccessful = append(p.Unsuccessful, u)
	}
	p.TLVs, p.Trailing = r.tlvs()
	return r.err
}
