package pdu

import "fmt"

// Command is a command_id. SMPP 3.4 §5.1.2.1
type Command uint32

// The command set of SMPP 3.4.
const (
	CmdGenericNack         Command = 0x80000000
	CmdBindReceiver        Command = 0x00000001
	CmdBindReceiverResp    Command = 0x80000001
	CmdBindTransmitter     Command = 0x00000002
	CmdBindTransmitterResp Command = 0x80000002
	CmdQuerySM             Command = 0x00000003
	CmdQuerySMResp         Command = 0x80000003
	CmdSubmitSM            Command = 0x00000004
	CmdSubmitSMResp        Command = 0x80000004
	CmdDeliverSM           Command = 0x00000005
	CmdDeliverSMResp       Command = 0x80000005
	CmdUnbind              Command = 0x00000006
	CmdUnbindResp          Command = 0x80000006
	CmdReplaceSM           Command = 0x00000007
	CmdReplaceSMResp       Command = 0x80000007
	CmdCancelSM            Command = 0x00000008
	CmdCancelSMResp        Command = 0x80000008
	CmdBindTransceiver     Command = 0x00000009
	CmdBindTransceiverResp Command = 0x80000009
	CmdOutbind             Command = 0x0000000B
	CmdEnquireLink         Command = 0x00000015
	CmdEnquireLinkResp     Command = 0x80000015
	CmdSubmitMulti         Command = 0x00000021
	CmdSubmitMultiResp     Command = 0x80000021
	CmdAlertNotification   Command = 0x00000102
	CmdDataSM              Command = 0x00000103
	CmdDataSMResp          Command = 0x80000103
)

const responseBit Command = 0x80000000

var commandNames = map[Command]string{
	CmdGenericNack:         "generic_nack",
	CmdBindReceiver:        "bind_receiver",
	CmdBindReceiverResp:    "bind_receiver_resp",
	CmdBindTransmitter:     "bind_transmitter",
	CmdBindTransmitterResp: "bind_transmitter_resp",
	CmdQuerySM:             "query_sm",
	CmdQuerySMResp:         "query_sm_resp",
	CmdSubmitSM:            "submit_sm",
	CmdSubmitSMResp:        "submit_sm_resp",
	CmdDeliverSM:           "deliver_sm",
	CmdDeliverSMResp:       "deliver_sm_resp",
	CmdUnbind:              "unbind",
	CmdUnbindResp:          "unbind_resp",
	CmdReplaceSM:           "replace_sm",
	CmdReplaceSMResp:       "replace_sm_resp",
	CmdCancelSM:            "cancel_sm",
	CmdCancelSMResp:        "cancel_sm_resp",
	CmdBindTransceiver:     "bind_transceiver",
	CmdBindTransceiverResp: "bind_transceiver_resp",
	CmdOutbind:             "outbind",
	CmdEnquireLink:         "enquire_link",
	CmdEnquireLinkResp:     "enquire_link_resp",
	CmdSubmitMulti:         "submit_multi",
	CmdSubmitMultiResp:     "submit_multi_resp",
	CmdAlertNotification:   "alert_notification",
	CmdDataSM:              "data_sm",
	CmdDataSMResp:          "data_sm_resp",
}

// String returns the name in the specification, such as "submit_sm", or the
// number in hexadecimal.
func (c Command) String() string {
	if name, ok := commandNames[c]; ok {
		return name
	}
	return fmt.Sprintf("0x%08X", uint32(c))
}

// Known reports whether c is a command of SMPP 3.4.
func (c Command) Known() bool {
	_, ok := commandNames[c]
	return ok
}

// IsResponse reports whether c answers another PDU. generic_nack does.
func (c Command) IsResponse() bool { return c&responseBit != 0 }

// Response returns the command that answers c.
func (c Command) Response() Command { return c | responseBit }

// IsBind reports whether c is one of the three bind requests.
func (c Command) IsBind() bool {
	return c == CmdBindReceiver || c == CmdBindTransmitter || c == CmdBindTransceiver
}
