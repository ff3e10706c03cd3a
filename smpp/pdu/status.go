package pdu

import (
	"fmt"
	"strings"
)

// Status is a command_status. SMPP 3.4 §5.1.3
type Status uint32

// The statuses of SMPP 3.4, named after the specification's ESME_R… codes.
const (
	StatusOK                        Status = 0x00
	StatusInvalidMessageLength      Status = 0x01
	StatusInvalidCommandLength      Status = 0x02
	StatusInvalidCommandID          Status = 0x03
	StatusInvalidBindStatus         Status = 0x04
	StatusAlreadyBound              Status = 0x05
	StatusInvalidPriority           Status = 0x06
	StatusInvalidRegisteredDelivery Status = 0x07
	StatusSystemError               Status = 0x08
	StatusInvalidSource             Status = 0x0A
	StatusInvalidDestination        Status = 0x0B
	StatusInvalidMessageID          Status = 0x0C
	StatusBindFailed                Status = 0x0D
	StatusInvalidPassword           Status = 0x0E
	StatusInvalidSystemID           Status = 0x0F
	StatusCancelFailed              Status = 0x11
	StatusReplaceFailed             Status = 0x13
	StatusMessageQueueFull          Status = 0x14
	StatusInvalidServiceType        Status = 0x15
	StatusInvalidNumberOfDests      Status = 0x33
	StatusInvalidListName           Status = 0x34
	StatusInvalidDestFlag           Status = 0x40
	StatusInvalidSubmitWithReplace  Status = 0x42
	StatusInvalidESMClass           Status = 0x43
	StatusCannotSubmitToList        Status = 0x44
	StatusSubmitFailed              Status = 0x45
	StatusInvalidSourceTON          Status = 0x48
	StatusInvalidSourceNPI          Status = 0x49
	StatusInvalidDestTON            Status = 0x50
	StatusInvalidDestNPI            Status = 0x51
	StatusInvalidSystemType         Status = 0x53
	StatusInvalidReplaceFlag        Status = 0x54
	StatusInvalidNumberOfMessages   Status = 0x55
	StatusThrottled                 Status = 0x58
	StatusInvalidSchedule           Status = 0x61
	StatusInvalidExpiry             Status = 0x62
	StatusInvalidDefaultMessageID   Status = 0x63
	StatusReceiverTemporaryError    Status = 0x64
	StatusReceiverPermanentError    Status = 0x65
	StatusReceiverRejected          Status = 0x66
	StatusQueryFailed               Status = 0x67
	StatusInvalidTLVStream          Status = 0xC0
	StatusTLVNotAllowed             Status = 0xC1
	StatusInvalidTLVLength          Status = 0xC2
	StatusMissingTLV                Status = 0xC3
	StatusInvalidTLVValue           Status = 0xC4
	StatusDeliveryFailure           Status = 0xFE
	StatusUnknownError              Status = 0xFF
)

var statusNames = map[Status]string{
	StatusOK:                        "ESME_ROK",
	StatusInvalidMessageLength:      "ESME_RINVMSGLEN",
	StatusInvalidCommandLength:      "ESME_RINVCMDLEN",
	StatusInvalidCommandID:          "ESME_RINVCMDID",
	StatusInvalidBindStatus:         "ESME_RINVBNDSTS",
	StatusAlreadyBound:              "ESME_RALYBND",
	StatusInvalidPriority:           "ESME_RINVPRTFLG",
	StatusInvalidRegisteredDelivery: "ESME_RINVREGDLVFLG",
	StatusSystemError:               "ESME_RSYSERR",
	StatusInvalidSource:             "ESME_RINVSRCADR",
	StatusInvalidDestination:        "ESME_RINVDSTADR",
	StatusInvalidMessageID:          "ESME_RINVMSGID",
	StatusBindFailed:                "ESME_RBINDFAIL",
	StatusInvalidPassword:           "ESME_RINVPASWD",
	StatusInvalidSystemID:           "ESME_RINVSYSID",
	StatusCancelFailed:              "ESME_RCANCELFAIL",
	StatusReplaceFailed:             "ESME_RREPLACEFAIL",
	StatusMessageQueueFull:          "ESME_RMSGQFUL",
	StatusInvalidServiceType:        "ESME_RINVSERTYP",
	StatusInvalidNumberOfDests:      "ESME_RINVNUMDESTS",
	StatusInvalidListName:           "ESME_RINVDLNAME",
	StatusInvalidDestFlag:           "ESME_RINVDESTFLAG",
	StatusInvalidSubmitWithReplace:  "ESME_RINVSUBREP",
	StatusInvalidESMClass:           "ESME_RINVESMCLASS",
	StatusCannotSubmitToList:        "ESME_RCNTSUBDL",
	StatusSubmitFailed:              "ESME_RSUBMITFAIL",
	StatusInvalidSourceTON:          "ESME_RINVSRCTON",
	StatusInvalidSourceNPI:          "ESME_RINVSRCNPI",
	StatusInvalidDestTON:            "ESME_RINVDSTTON",
	StatusInvalidDestNPI:            "ESME_RINVDSTNPI",
	StatusInvalidSystemType:         "ESME_RINVSYSTYP",
	StatusInvalidReplaceFlag:        "ESME_RINVREPFLAG",
	StatusInvalidNumberOfMessages:   "ESME_RINVNUMMSGS",
	StatusThrottled:                 "ESME_RTHROTTLED",
	StatusInvalidSchedule:           "ESME_RINVSCHED",
	StatusInvalidExpiry:             "ESME_RINVEXPIRY",
	StatusInvalidDefaultMessageID:   "ESME_RINVDFTMSGID",
	StatusReceiverTemporaryError:    "ESME_RX_T_APPN",
	StatusReceiverPermanentError:    "ESME_RX_P_APPN",
	StatusReceiverRejected:          "ESME_RX_R_APPN",
	StatusQueryFailed:               "ESME_RQUERYFAIL",
	StatusInvalidTLVStream:          "ESME_RINVOPTPARSTREAM",
	StatusTLVNotAllowed:             "ESME_ROPTPARNOTALLWD",
	StatusInvalidTLVLength:          "ESME_RINVPARLEN",
	StatusMissingTLV:                "ESME_RMISSINGOPTPARAM",
	StatusInvalidTLVValue:           "ESME_RINVOPTPARAMVAL",
	StatusDeliveryFailure:           "ESME_RDELIVERYFAILURE",
	StatusUnknownError:              "ESME_RUNKNOWNERR",
}

// String returns the name in the specification, such as "ESME_RTHROTTLED", or
// the number in hexadecimal for reserved and vendor statuses.
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("0x%08X", uint32(s))
}

// ParseStatus reads a status by its name ("ESME_RTHROTTLED", any case) or
// number ("0x58", "88").
func ParseStatus(text string) (Status, error) {
	upper := strings.ToUpper(strings.TrimSpace(text))
	for s, name := range statusNames {
		if name == upper {
			return s, nil
		}
	}
	var n uint32
	if _, err := fmt.Sscan(text, &n); err != nil {
		return 0, fmt.Errorf("command_status %q: neither a name such as ESME_RTHROTTLED nor a number", text)
	}
	return Status(n), nil
}
