package pdu

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Tag names an optional parameter. SMPP 3.4 §5.3.1
type Tag uint16

// The optional parameters of SMPP 3.4; any other tag is carried as it is.
// SMPP 3.4 §5.3.2
const (
	TagDestAddrSubunit          Tag = 0x0005
	TagDestNetworkType          Tag = 0x0006
	TagDestBearerType           Tag = 0x0007
	TagDestTelematicsID         Tag = 0x0008
	TagSourceAddrSubunit        Tag = 0x000D
	TagSourceNetworkType        Tag = 0x000E
	TagSourceBearerType         Tag = 0x000F
	TagSourceTelematicsID       Tag = 0x0010
	TagQoSTimeToLive            Tag = 0x0017
	TagPayloadType              Tag = 0x0019
	TagAdditionalStatusInfoText Tag = 0x001D
	TagReceiptedMessageID       Tag = 0x001E
	TagMSMsgWaitFacilities      Tag = 0x0030
	TagPrivacyIndicator         Tag = 0x0201
	TagSourceSubaddress         Tag = 0x0202
	TagDestSubaddress           Tag = 0x0203
	TagUserMessageReference     Tag = 0x0204
	TagUserResponseCode         Tag = 0x0205
	TagSourcePort               Tag = 0x020A
	TagDestinationPort          Tag = 0x020B
	TagSARMsgRefNum             Tag = 0x020C
	TagLanguageIndicator        Tag = 0x020D
	TagSARTotalSegments         Tag = 0x020E
	TagSARSegmentSeqnum         Tag = 0x020F
	TagSCInterfaceVersion       Tag = 0x0210
	TagCallbackNumPresInd       Tag = 0x0302
	TagCallbackNumAtag          Tag = 0x0303
	TagNumberOfMessages         Tag = 0x0304
	TagCallbackNum              Tag = 0x0381
	TagDPFResult                Tag = 0x0420
	TagSetDPF                   Tag = 0x0421
	TagMSAvailabilityStatus     Tag = 0x0422
	TagNetworkErrorCode         Tag = 0x0423
	TagMessagePayload           Tag = 0x0424
	TagDeliveryFailureReason    Tag = 0x0425
	TagMoreMessagesToSend       Tag = 0x0426
	TagMessageState             Tag = 0x0427
	TagUSSDServiceOp            Tag = 0x0501
	TagDisplayTime              Tag = 0x1201
	TagSMSSignal                Tag = 0x1203
	TagMSValidity               Tag = 0x1204
	TagAlertOnMessageDelivery   Tag = 0x130C
	TagITSReplyType             Tag = 0x1380
	TagITSSessionInfo           Tag = 0x1383
)

// TLVs is a run of encoded optional parameters, in the order sent and with
// duplicates. SMPP 3.4 §3.2.4
//
//	| tag 2 | length 2 | value … |
//
// The zero value has none.
type TLVs []byte

// All gives tags and values in order, up to the first that is cut short. The
// values are parts of t.
func (t TLVs) All() iter.Seq2[Tag, []byte] {
	return func(yield func(Tag, []byte) bool) {
		for len(t) >= 4 {
			n := 4 + int(binary.BigEndian.Uint16(t[2:]))
			if n > len(t) || !yield(Tag(binary.BigEndian.Uint16(t)), t[4:n:n]) {
				return
			}
			t = t[n:]
		}
	}
}

// Get returns the first value of tag, a part of t.
func (t TLVs) Get(tag Tag) (value []byte, ok bool) {
	for len(t) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(t[2:]))
		if n > len(t) {
			break
		}
		if Tag(binary.BigEndian.Uint16(t)) == tag {
			return t[4:n:n], true
		}
		t = t[n:]
	}
	return nil, false
}

// Uint returns the first value of tag as a big-endian number of 1, 2 or 4
// bytes.
func (t TLVs) Uint(tag Tag) (v uint32, ok bool) {
	b, ok := t.Get(tag)
	if !ok {
		return 0, false
	}
	switch len(b) {
	case 1:
		return uint32(b[0]), true
	case 2:
		return uint32(binary.BigEndian.Uint16(b)), true
	case 4:
		return binary.BigEndian.Uint32(b), true
	}
	return 0, false
}

// CString returns the first value of tag without its closing NUL; a carrier
// that forgets the NUL is understood too.
func (t TLVs) CString(tag Tag) (v []byte, ok bool) {
	b, ok := t.Get(tag)
	if n := len(b); n > 0 && b[n-1] == 0 {
		b = b[:n-1]
	}
	return b, ok
}

// AppendTLV appends one parameter. The value is at most 65,535 bytes.
func AppendTLV[T []byte | string](t TLVs, tag Tag, value T) (TLVs, error) {
	if len(value) > 0xFFFF {
		return t, &FieldError{Field: fmt.Sprintf("tlv 0x%04X", uint16(tag)), Len: len(value), Limit: 0xFFFF, Err: ErrTooLong}
	}
	t = binary.BigEndian.AppendUint16(t, uint16(tag))
	t = binary.BigEndian.AppendUint16(t, uint16(len(value)))
	return append(t, value...), nil
}

// AppendCString appends a parameter that is a C-octet string of at most limit
// bytes without its NUL, such as receipted_message_id (64). SMPP 3.4 §3.1
func (t TLVs) AppendCString(tag Tag, v string, limit int) (TLVs, error) {
	if err := checkCString(fmt.Sprintf("tlv 0x%04X", uint16(tag)), v, min(limit, 0xFFFE)); err != nil {
		return t, err
	}
	t = binary.BigEndian.AppendUint16(t, uint16(tag))
	t = binary.BigEndian.AppendUint16(t, uint16(len(v)+1))
	return append(append(t, v...), 0), nil
}

// AppendUint8 appends a parameter of one byte.
func (t TLVs) AppendUint8(tag Tag, v uint8) TLVs {
	return append(t, byte(tag>>8), byte(tag), 0, 1, v)
}

// AppendUint16 appends a parameter of two bytes.
func (t TLVs) AppendUint16(tag Tag, v uint16) TLVs {
	return append(t, byte(tag>>8), byte(tag), 0, 2, byte(v>>8), byte(v))
}

// wholeTLVs returns the length of the well-formed beginning of b.
func wholeTLVs(b []byte) int {
	off := 0
	for len(b)-off >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(b[off+2:]))
		if n > len(b)-off {
			break
		}
		off += n
	}
	return off
}
