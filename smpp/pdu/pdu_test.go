package pdu

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sampleSM() SM {
	tlvs, _ := AppendTLV(nil, TagReceiptedMessageID, "1a2b3c\x00")
	return SM{
		ServiceType: []byte("CMT"),
		Source:      Address{TON: TONAlphanumeric, Addr: []byte("KAKITOME")},
		Dest:        Address{TON: TONInternational, NPI: NPIISDN, Addr: []byte("818000000000")},
		ESMClass:    ESMClassUDHI, Priority: 1,
		ValidityPeriod:     []byte("000001000000000R"),
		RegisteredDelivery: RegisteredAll, DataCoding: 8,
		ShortMessage: bytes.Repeat([]byte{0x30, 0x42}, 70),
		TLVs:         tlvs.AppendUint8(TagMessageState, StateDelivered),
	}
}

// encode returns body as one PDU and cuts it again.
func encode(t testing.TB, seq uint32, status Status, body Body) (Header, []byte) {
	t.Helper()
	b, err := Append(nil, seq, status, body)
	require.NoError(t, err)
	h, rest, n, err := Next(b)
	require.NoError(t, err)
	require.Equal(t, len(b), n)
	require.Equal(t, body.Command(), h.Command)
	require.Equal(t, seq, h.Sequence)
	return h, rest
}

// everyBody is one of each PDU of SMPP 3.4 that has a body.
func everyBody() []Body {
	a := Address{TON: 1, NPI: 1, Addr: []byte("818000000000")}
	none := Address{Addr: []byte{}}
	tlvs := TLVs(nil).AppendUint16(TagUserMessageReference, 7).AppendUint8(0x1411, 3).AppendUint8(0x1411, 4)
	empty := []byte{}
	return []Body{
		&Bind{Mode: CmdBindTransceiver, SystemID: "kakitome", Password: "secret", SystemType: "SMPP", InterfaceVersion: Version34, AddrTON: 1, AddrNPI: 1, AddressRange: "^0005"},
		&Bind{Mode: CmdBindTransmitter, SystemID: "kakitome"},
		&Bind{Mode: CmdBindReceiver, SystemID: "kakitome"},
		&BindResp{Mode: CmdBindTransceiver, SystemID: "carrier"},
		&BindResp{Mode: CmdBindTransmitter, SystemID: "carrier", TLVs: tlvs},
		&BindResp{Mode: CmdBindReceiver, SystemID: "carrier", TLVs: TLVs(nil).AppendUint8(TagSCInterfaceVersion, Version34)},
		&Outbind{SystemID: "carrier", Password: "secret"},
		&SubmitSM{SM{ServiceType: empty, Source: none, Dest: a, ScheduleDeliveryTime: empty, ValidityPeriod: []byte("000001000000000R"), ShortMessage: []byte("hi"), TLVs: tlvs}},
		&DeliverSM{SM{ServiceType: empty, Source: a, Dest: none, ScheduleDeliveryTime: empty, ValidityPeriod: empty, ESMClass: ESMClassReceipt, ShortMessage: []byte("id:1")}},
		&MessageResp{To: CmdSubmitSM, MessageID: []byte("00B8BE19")},
		&MessageResp{To: CmdDeliverSM, MessageID: empty},
		&MessageResp{To: CmdDataSM, MessageID: []byte("9"), TLVs: tlvs},
		&DataSM{ServiceType: empty, Source: a, Dest: a, DataCoding: 8, TLVs: tlvs},
		&SubmitMulti{
			ServiceType: empty, Source: none, ScheduleDeliveryTime: empty, ValidityPeriod: empty, DataCoding: 8,
			Dests:        []Dest{{Flag: DestSME, Address: a}, {Flag: DestList, List: []byte("staff")}, {Flag: DestSME, Address: none}},
			ShortMessage: []byte("hi"), TLVs: tlvs,
		},
		&SubmitMultiResp{MessageID: []byte("5"), Unsuccessful: []Unsuccessful{{Address: a, Status: StatusInvalidDestination}, {Address: none, Status: StatusThrottled}}, TLVs: tlvs},
		&QuerySM{MessageID: []byte("1"), Source: a},
		&QuerySMResp{MessageID: []byte("1"), FinalDate: []byte("261122103000000+"), MessageState: StateDelivered, ErrorCode: 3},
		&CancelSM{ServiceType: empty, MessageID: []byte("1"), Source: a, Dest: a},
		&ReplaceSM{MessageID: []byte("1"), Source: a, ScheduleDeliveryTime: empty, ValidityPeriod: empty, RegisteredDelivery: 1, ShortMessage: []byte("new")},
		&AlertNotification{Source: a, ESME: none, TLVs: TLVs(nil).AppendUint8(TagMSAvailabilityStatus, 0)},
		&Raw{Cmd: 0x111, Data: []byte{1, 2, 3}}, // broadcast_sm of SMPP 5.0
	}
}

func TestEveryBodyDecodesToWhatWasEncoded(t *testing.T) {
	for _, want := range everyBody() {
		t.Run(want.Command().String(), func(t *testing.T) {
			h, b := encode(t, 77, StatusOK, want)
			got, err := Parse(h, b)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// Every command of the specification has a body of its own, or none at all.
func TestEveryCommandIsUnderstood(t *testing.T) {
	bare := []Command{CmdGenericNack, CmdUnbind, CmdUnbindResp, CmdEnquireLink, CmdEnquireLinkResp, CmdCancelSMResp, CmdReplaceSMResp}
	have := map[Command]bool{}
	for _, body := range everyBody() {
		have[body.Command()] = true
	}
	for c := range commandNames {
		require.NotEqual(t, have[c], slices.Contains(bare, c), c.String())
		require.True(t, c.Known())
	}
	require.False(t, Command(0x111).Known())
}

// trailing returns the bytes that a body kept apart.
func trailing(body Body) []byte {
	if f := reflect.ValueOf(body).Elem().FieldByName("Trailing"); f.IsValid() {
		return f.Bytes()
	}
	return nil
}

// A body cut anywhere is an error that names the field, or is one in which
// nothing is lost and nothing invented.
func TestEveryTruncationOfEveryPDU(t *testing.T) {
	for _, whole := range everyBody() {
		t.Run(whole.Command().String(), func(t *testing.T) {
			_, b := encode(t, 1, StatusOK, whole)
			for n := range b {
				h := Header{Command: whole.Command()}
				cut := b[:n:n]
				got, err := Parse(h, cut)
				if err != nil {
					var field *FieldError
					require.ErrorAs(t, err, &field, "cut at %d", n)
					require.NotEmpty(t, field.Field)
					continue
				}
				if _, ok := got.(*MessageResp); ok && bytes.IndexByte(cut, 0) < 0 {
					require.Equal(t, string(cut), string(got.(*MessageResp).MessageID))
					continue // a missing NUL is forgiven
				}
				if _, ok := got.(*BindResp); ok && n == 0 {
					continue // a missing body is forgiven
				}
				again, err := got.AppendBody(nil)
				require.NoError(t, err)
				require.Equal(t, string(cut), string(append(again, trailing(got)...)), "cut at %d", n)
			}
		})
	}
}

// The bytes of one submit_multi, written out by hand.
func TestSubmitMultiWireForm(t *testing.T) {
	p := SubmitMulti{
		Source: Address{TON: 5, Addr: []byte("KT")}, DataCoding: 8, RegisteredDelivery: 1, ShortMessage: []byte{0x30, 0x42},
		Dests: []Dest{{Flag: DestSME, Address: Address{TON: 1, NPI: 1, Addr: []byte("81")}}, {Flag: DestList, List: []byte("L")}},
	}
	b, err := Append(nil, 1, StatusOK, &p)
	require.NoError(t, err)
	require.Equal(t, strings.Join([]string{
		"0000002c", "00000021", "00000000", "00000001",
		"00", "05004b5400", "02", "01", "0101383100", "02", "4c00",
		"00", "00", "00", "00", "00", "01", "00", "08", "00", "02", "3042",
	}, ""), hex.EncodeToString(b))
	r := SubmitMultiResp{MessageID: []byte("5"), Unsuccessful: []Unsuccessful{{Address: Address{TON: 1, NPI: 1, Addr: []byte("81")}, Status: StatusInvalidDestination}}}
	body, err := r.AppendBody(nil)
	require.NoError(t, err)
	require.Equal(t, "3500"+"01"+"0101383100"+"0000000b", hex.EncodeToString(body))
}

func TestListsOfDestinationsAreBounded(t *testing.T) {
	a := Address{Addr: []byte("81")}
	for _, c := range []struct {
		field string
		why   error
		body  Body
	}{
		{"number_of_dests", ErrCount, new(SubmitMulti)},
		{"number_of_dests", ErrCount, &SubmitMulti{Dests: slices.Repeat([]Dest{{Flag: DestSME, Address: a}}, 255)}},
		{"dest_flag", ErrValue, &SubmitMulti{Dests: []Dest{{Flag: 3}}}},
		{"dl_name", ErrTooLong, &SubmitMulti{Dests: []Dest{{Flag: DestList, List: make([]byte, 21)}}}},
		{"destination_addr", ErrNUL, &SubmitMulti{Dests: []Dest{{Flag: DestSME, Address: Address{Addr: []byte{0}}}}}},
		{"no_unsuccess", ErrCount, &SubmitMultiResp{Unsuccessful: make([]Unsuccessful, 256)}},
	} {
		_, err := Append(nil, 1, StatusOK, c.body)
		var field *FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, c.field, field.Field)
		require.ErrorIs(t, err, c.why)
	}
	_, err := Append(nil, 1, StatusOK, &SubmitMulti{Dests: slices.Repeat([]Dest{{Flag: DestSME, Address: a}}, MaxDests)})
	require.NoError(t, err)
}

// The bytes of one submit_sm, written out by hand from the field table of the
// specification.
func TestSubmitSMWireForm(t *testing.T) {
	p := SubmitSM{SM{
		Source: Address{TON: 5, Addr: []byte("KT")}, Dest: Address{TON: 1, NPI: 1, Addr: []byte("8180")},
		RegisteredDelivery: 1, DataCoding: 8, ShortMessage: []byte{0x30, 0x42},
		TLVs: TLVs(nil).AppendUint16(TagUserMessageReference, 0x0102),
	}}
	b, err := Append(nil, 0x7FFFFFFF, StatusOK, &p)
	require.NoError(t, err)
	require.Equal(t, strings.Join([]string{
		"0000002f", "00000004", "00000000", "7fffffff",
		"00", "0500", "4b5400", "0101", "3831383000",
		"00", "00", "00", "00", "00", "01", "00", "08", "00", "02", "3042",
		"0204", "0002", "0102",
	}, ""), hex.EncodeToString(b))
}

func TestHotPDUsAllocateNothing(t *testing.T) {
	sm := sampleSM()
	submit, deliver := SubmitSM{sm}, DeliverSM{sm}
	resp := MessageResp{To: CmdSubmitSM, MessageID: []byte("00B8BE19")}
	ack := MessageResp{To: CmdDeliverSM}
	buf := make([]byte, 0, 4096)
	var gotSubmit SubmitSM
	var gotDeliver DeliverSM
	var gotResp MessageResp
	for name, step := range map[string]func() error{
		"submit_sm":       func() error { return roundTrip(buf, &submit, &gotSubmit) },
		"submit_sm_resp":  func() error { return roundTrip(buf, &resp, &gotResp) },
		"deliver_sm":      func() error { return roundTrip(buf, &deliver, &gotDeliver) },
		"deliver_sm_resp": func() error { return roundTrip(buf, &ack, &gotResp) },
		"enquire_link": func() error {
			_, _, _, err := Next(AppendHeader(buf, CmdEnquireLink, StatusOK, 1))
			return err
		},
		"enquire_link_resp": func() error {
			_, _, _, err := Next(AppendHeader(buf, CmdEnquireLinkResp, StatusOK, 1))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			allocs := testing.AllocsPerRun(100, func() {
				if e := step(); e != nil {
					err = e
				}
			})
			require.NoError(t, err)
			require.Zero(t, allocs)
		})
	}
	state, ok := gotDeliver.TLVs.Uint(TagMessageState)
	require.True(t, ok)
	require.EqualValues(t, StateDelivered, state)
}

func roundTrip(buf []byte, in, out Body) error {
	b, err := Append(buf, 1, StatusOK, in)
	if err != nil {
		return err
	}
	_, body, _, err := Next(b)
	if err != nil {
		return err
	}
	return out.ParseBody(body)
}

func TestEncodingRefusesWhatWouldShiftOrCutAField(t *testing.T) {
	for _, c := range []struct {
		name  string
		field string
		why   error
		edit  func(*SM)
	}{
		{"NUL in the source", "source_addr", ErrNUL, func(p *SM) { p.Source.Addr = []byte("A\x00B") }},
		{"long source", "source_addr", ErrTooLong, func(p *SM) { p.Source.Addr = make([]byte, 21) }},
		{"long destination", "destination_addr", ErrTooLong, func(p *SM) { p.Dest.Addr = bytes.Repeat([]byte("1"), 21) }},
		{"long service type", "service_type", ErrTooLong, func(p *SM) { p.ServiceType = []byte("ABCDEF") }},
		{"odd validity", "validity_period", ErrBadTime, func(p *SM) { p.ValidityPeriod = []byte("1 day") }},
		{"long text", "short_message", ErrTooLong, func(p *SM) { p.ShortMessage = make([]byte, 255) }},
		{"two texts", "message_payload", ErrBothTexts, func(p *SM) { p.TLVs, _ = AppendTLV(p.TLVs, TagMessagePayload, "long") }},
		{"NUL in the destination", "destination_addr", ErrNUL, func(p *SM) { p.Dest.Addr = []byte("81\x00") }},
		{"NUL in the schedule", "schedule_delivery_time", ErrNUL, func(p *SM) { p.ScheduleDeliveryTime = []byte("26112210130500\x00+") }},
		{"cut TLV", "tlvs", ErrTruncated, func(p *SM) { p.TLVs = TLVs{0x04, 0x24, 0, 9, 1} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := SubmitSM{sampleSM()}
			c.edit(&p.SM)
			dst := []byte("before")
			b, err := Append(dst, 1, StatusOK, &p)
			require.Equal(t, "before", string(b))
			require.ErrorIs(t, err, c.why)
			var field *FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.ErrorContains(t, err, "submit_sm")
		})
	}
	_, err := Append(nil, 1, StatusOK, &Bind{Mode: CmdBindReceiver, Password: "ninechars"})
	require.ErrorIs(t, err, ErrTooLong)
	require.NotContains(t, err.Error(), "ninechars")
}

func TestLongTextTravelsAsMessagePayload(t *testing.T) {
	long := strings.Repeat("か", 400)
	tlvs, err := AppendTLV(nil, TagMessagePayload, long)
	require.NoError(t, err)
	h, b := encode(t, 1, StatusOK, &DeliverSM{SM{TLVs: tlvs}})
	got, err := Parse(h, b)
	require.NoError(t, err)
	require.Equal(t, long, string(got.(*DeliverSM).Text()))
	_, err = AppendTLV(nil, TagMessagePayload, make([]byte, 0x10000))
	require.ErrorIs(t, err, ErrTooLong)
}

func TestTLVsKeepTheirOrderAndDuplicates(t *testing.T) {
	type pair struct {
		tag   Tag
		value string
	}
	want := []pair{{0x1411, "b"}, {TagCallbackNum, "1"}, {0x1411, "a"}, {TagCallbackNum, "2"}, {TagAlertOnMessageDelivery, ""}}
	var tlvs TLVs
	for _, p := range want {
		tlvs, _ = AppendTLV(tlvs, p.tag, p.value)
	}
	_, b := encode(t, 1, StatusOK, &DeliverSM{SM{TLVs: tlvs}})
	var p DeliverSM
	require.NoError(t, p.ParseBody(b))
	var got []pair
	for tag, v := range p.TLVs.All() {
		got = append(got, pair{tag, string(v)})
	}
	require.Equal(t, want, got)
	for range p.TLVs.All() {
		break
	}
	first, _ := p.TLVs.Get(0x1411)
	require.Equal(t, "b", string(first))
}

func TestStringsInTLVsAreCheckedToo(t *testing.T) {
	tlvs, err := TLVs(nil).AppendCString(TagReceiptedMessageID, "1a", 64)
	require.NoError(t, err)
	require.Equal(t, "001e0003316100", hex.EncodeToString(tlvs))
	_, err = tlvs.AppendCString(TagReceiptedMessageID, "1\x002", 64)
	require.ErrorIs(t, err, ErrNUL)
	same, err := tlvs.AppendCString(TagReceiptedMessageID, strings.Repeat("1", 65), 64)
	require.ErrorIs(t, err, ErrTooLong)
	require.Equal(t, tlvs, same)
}

func TestBytesAfterTheLastTLVAreKeptApart(t *testing.T) {
	_, b := encode(t, 1, StatusOK, &DeliverSM{sampleSM()})
	var p DeliverSM
	require.NoError(t, p.ParseBody(append(b, 0, 0)))
	require.Equal(t, []byte{0, 0}, p.Trailing)
	id, ok := p.TLVs.CString(TagReceiptedMessageID)
	require.True(t, ok)
	require.Equal(t, "1a2b3c", string(id))
}

func TestResponsesOfSloppyCarriersAreUnderstood(t *testing.T) {
	var p MessageResp
	require.NoError(t, p.ParseBody(nil))
	require.Empty(t, p.MessageID)
	require.NoError(t, p.ParseBody([]byte("12345"))) // no NUL
	require.Equal(t, "12345", string(p.MessageID))
}

func TestNextWaitsForAWholePDUAndRefusesALostFrame(t *testing.T) {
	b, err := Append(nil, 9, StatusOK, &SubmitSM{sampleSM()})
	require.NoError(t, err)
	for n := range b {
		_, _, used, err := Next(b[:n])
		require.NoError(t, err)
		require.Zero(t, used)
	}
	for _, length := range []string{"0000000f", "00000000", "00020001", "ffffffff"} {
		raw, _ := hex.DecodeString(length + "000000040000000000000009")
		h, _, _, err := Next(raw)
		require.ErrorIs(t, err, ErrLength)
		require.EqualValues(t, 9, h.Sequence)
	}
}

func TestNamesOfCommandsAndStatuses(t *testing.T) {
	require.Equal(t, "ESME_RTHROTTLED", StatusThrottled.String())
	require.Equal(t, "0x00000400", Status(0x400).String())
	require.Equal(t, "submit_sm_resp", CmdSubmitSM.Response().String())
	require.Equal(t, "0x00010200", Command(0x10200).String())
	for s, name := range statusNames {
		got, err := ParseStatus(strings.ToLower(name))
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	s, err := ParseStatus("0x58")
	require.NoError(t, err)
	require.Equal(t, StatusThrottled, s)
	_, err = ParseStatus("nonsense")
	require.Error(t, err)
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	b := &Bind{Mode: CmdBindReceiver, SystemID: "k", Password: "hunter2"}
	require.NotContains(t, b.String()+b.GoString(), "hunter2")
	o := &Outbind{Password: "hunter2"}
	require.NotContains(t, o.String()+o.GoString(), "hunter2")
}

func TestTimes(t *testing.T) {
	jst := time.FixedZone("JST", 9*3600)
	at := time.Date(2026, 11, 22, 10, 13, 5, 300e6, jst)
	require.Equal(t, "261122101305336+", AbsoluteTime(at))
	got, err := ParseTime([]byte("261122101305336+"), time.Time{})
	require.NoError(t, err)
	require.True(t, at.Equal(got))

	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0:                                     "000000000000000R",
		1500 * time.Millisecond:               "000000000002000R",
		10*time.Minute + 3*time.Second:        "000000001003000R",
		26 * time.Hour:                        "000001020000000R",
		31 * 24 * time.Hour:                   "000031000000000R",
		400*24*time.Hour + 5*time.Hour + 6e10: "010110050100000R",
	} {
		s, err := RelativeTime(d)
		require.NoError(t, err)
		require.Equal(t, want, s)
		if d < 32*24*time.Hour {
			at, err := ParseTime([]byte(s), now)
			require.NoError(t, err)
			require.Equal(t, d.Round(time.Second), at.Sub(now).Round(time.Second))
		}
	}
	_, err = RelativeTime(-1)
	require.Error(t, err)
	for _, bad := range []string{"x", "261122101305336*", "261322101305336+", "26112210130533 +", "26112210130533!R"} {
		_, err := ParseTime([]byte(bad), now)
		require.Error(t, err, bad)
	}
}
