package pdu

// DataSM is the body of data_sm; the text is in the TLV message_payload.
// SMPP 3.4 §4.7.1
type DataSM struct {
	ServiceType        []byte  // at most 5 bytes
	Source, Dest       Address // at most 64 bytes each
	ESMClass           byte
	RegisteredDelivery byte
	DataCoding         byte
	TLVs               TLVs
	Trailing           []byte // see SM
}

// Command implements [Body].
func (*DataSM) Command() Command { return CmdDataSM }

// SM returns p as the submit_sm or deliver_sm that it could be; its slices are
// those of p.
func (p *DataSM) SM() SM {
	return SM{
		ServiceType: p.ServiceType, Source: p.Source, Dest: p.Dest, ESMClass: p.ESMClass, RegisteredDelivery: p.RegisteredDelivery,
		DataCoding: p.DataCoding, TLVs: p.TLVs, Trailing: p.Trailing,
	}
}

// AppendBody implements [Body].
func (p *DataSM) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	writeCString(&w, "service_type", p.ServiceType, 5)
	w.address("source_addr", &p.Source, 64)
	w.address("destination_addr", &p.Dest, 64)
	w.b = append(w.b, p.ESMClass, p.RegisteredDelivery, p.DataCoding)
	w.tlvs(p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *DataSM) ParseBody(b []byte) error {
	r := reader{b: b}
	p.ServiceType = r.cstring("service_type")
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	p.Dest = r.address("dest_addr_ton", "dest_addr_npi", "destination_addr")
	p.ESMClass = r.byte("esm_class")
	p.RegisteredDelivery = r.byte("registered_delivery")
	p.DataCoding = r.byte("data_coding")
	p.TLVs, p.Trailing = r.tlvs()
	return r.err
}

// AlertNotification is the body of alert_notification, which has no response.
// SMPP 3.4 §4.12.1
type AlertNotification struct {
	Source   Address // at most 64 bytes
	ESME     Address // at most 64 bytes
	TLVs     TLVs    // ms_availability_status
	Trailing []byte  // see SM
}

// Command implements [Body].
func (*AlertNotification) Command() Command { return CmdAlertNotification }

// AppendBody implements [Body].
func (p *AlertNotification) AppendBody(dst []byte) ([]byte, error) {
	w := writer{b: dst}
	w.address("source_addr", &p.Source, 64)
	w.address("esme_addr", &p.ESME, 64)
	w.tlvs(p.TLVs)
	return w.done(dst)
}

// ParseBody implements [Body].
func (p *AlertNotification) ParseBody(b []byte) error {
	r := reader{b: b}
	p.Source = r.address("source_addr_ton", "source_addr_npi", "source_addr")
	p.ESME = r.address("esme_addr_ton", "esme_addr_npi", "esme_addr")
	p.TLVs, p.Trailing = r.tlvs()
	return r.err
}
