package pdu

import "fmt"

// Version34 is the interface_version of SMPP 3.4. SMPP 3.4 §5.2.4
const Version34 = 0x34

// Bind is the body of bind_transmitter, bind_receiver and bind_transceiver.
// SMPP 3.4 §4.1.1, §4.1.3, §4.1.5
type Bind struct {
	Mode             Command // CmdBindTransmitter, CmdBindReceiver or CmdBindTransceiver
	SystemID         string  // at most 15 bytes
	Password         string  // at most 8 bytes
	SystemType       string  // at most 12 bytes
	InterfaceVersion byte    // Version34
	AddrTON, AddrNPI byte
	AddressRange     string // at most 40 bytes
}

// Command implements [Body].
func (p *Bind) Command() Command { return p.Mode }

// AppendBody implements [Body].
func (p *Bind) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "system_id", p.SystemID, 15)
	writeCString(&w, "password", p.Password, 8)
	writeCString(&w, "system_type", p.SystemType, 12)
	w.b = append(w.b, p.InterfaceVersion, p.AddrTON, p.AddrNPI)
	writeCString(&w, "address_range", p.AddressRange, 40)
	return w.done(dst)
}

// ParseBody implements [Body]; Mode is left alone.
func (p *Bind) ParseBody(b []byte) error {
	r := reader{b: b}
	p.SystemID = string(r.cstring("system_id"))
	p.Password = string(r.cstring("password"))
	p.SystemType = string(r.cstring("system_type"))
	p.InterfaceVersion = r.byte("interface_version")
	p.AddrTON = r.byte("addr_ton")
	p.AddrNPI = r.byte("addr_npi")
	p.AddressRange = string(r.cstring("address_range"))
	return r.err
}

// String leaves out the password.
func (p *Bind) String() string {
	return fmt.Sprintf("%v system_id %q system_type %q", p.Mode, p.SystemID, p.SystemType)
}

// GoString leaves out the password.
func (p *Bind) GoString() string { return p.String() }

// BindResp is the body of the three bind responses.
// SMPP 3.4 §4.1.2, §4.1.4, §4.1.6
type BindResp struct {
	Mode     Command // the bind that it answers
	SystemID string  // of the SMSC, at most 15 bytes
	TLVs     TLVs    // sc_interface_version
	Trailing []byte  // see SM
}

// Command implements [Body].
func (p *BindResp) Command() Command { return p.Mode.Response() }

// AppendBody implements [Body].
func (p *BindResp) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "system_id", p.SystemID, 15)
	w.tlvs(p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body]; Mode is left alone. An empty body is accepted.
func (p *BindResp) ParseBody(b []byte) error {
	p.SystemID, p.TLVs, p.Trailing = "", nil, nil
	if len(b) == 0 {
		return nil
	}
	r := reader{b: b}
	p.SystemID = string(r.cstring("system_id"))
	p.TLVs, p.Trailing = r.tlvs()
	return r.err
}

// Outbind is the body of outbind, by which an SMSC asks an ESME to bind.
// SMPP 3.4 §4.1.7
type Outbind struct {
	SystemID string // at most 15 bytes
	Password string // at most 8 bytes
}

// Command implements [Body].
func (*Outbind) Command() Command { return CmdOutbind }

// AppendBody implements [Body].
func (p *Outbind) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "system_id", p.SystemID, 15)
	writeCString(&w, "password", p.Password, 8)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *Outbind) ParseBody(b []byte) error {
	r := reader{b: b}
	p.SystemID = string(r.cstring("system_id"))
	p.Password = string(r.cstring("password"))
	return r.err
}

// String leaves out the password.
func (p *Outbind) String() string { return fmt.Sprintf("outbind system_id %q", p.SystemID) }

// GoString leaves out the password.
func (p *Outbind) GoString() string { return p.String() }
