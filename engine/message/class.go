package message

import "fmt"

// Class is what a message is for. It decides lane, quiet hours, what happens in doubt, and how long content is kept.
type Class string

const (
	Notice      Class = "notice"
	Billing     Class = "billing"
	Collection  Class = "collection"
	OTP         Class = "otp"
	LegalNotice Class = "legal_notice"
	Ad          Class = "ad"
)

// Classes lists them in the order in which they are shown.
var Classes = []Class{Notice, Billing, Collection, OTP, LegalNotice, Ad}

// ParseClass accepts exactly the stored words; an empty one is Notice.
func ParseClass(s string) (Class, error) {
	if s == "" {
		return Notice, nil
	}
	for _, c := range Classes {
		if string(c) == s {
			return c, nil
		}
	}
	return "", fmt.Errorf("unknown class %q", s)
}

// Lane orders what waits for the same carrier: a lane goes before all those after it.
type Lane string

const (
	LaneCode   Lane = "code"   // one-time codes
	LaneNotice Lane = "notice" // single messages
	LaneBulk   Lane = "bulk"   // what came as a file or a batch
)

// Lanes lists them, the most urgent first.
var Lanes = []Lane{LaneCode, LaneNotice, LaneBulk}

// Queue is where messages to a carrier wait for their turn in a lane.
func Queue(carrier string, lane Lane) string { return carrier + "/" + string(lane) }

// Via is how a message came (送信種別).
type Via string

const (
	ViaAPI     Via = "api"     // API
	ViaConsole Via = "console" // 個別
	ViaFile    Via = "file"    // 一括
	ViaEngine  Via = "engine"  // a code or a notice that the engine itself sends
	ViaCanary  Via = "canary"  // カナリア: a file's words to the tenant's own phone, before the file
	ViaResend  Via = "resend"  // 再送: follows up another message
)

// Vias lists them in the order in which they are shown.
var Vias = []Via{ViaConsole, ViaFile, ViaAPI, ViaEngine, ViaCanary, ViaResend}

// LaneOf is the lane of a message of this class that came this way.
func LaneOf(c Class, v Via, batch bool) Lane {
	switch {
	case c == OTP:
		return LaneCode
	case v == ViaFile || batch:
		return LaneBulk
	}
	return LaneNotice
}

// Doubt is what to do when a submission was written and no response was seen.
type Doubt string

const (
	DoubtResend Doubt = "resend" // at once, on any bind; when that gets no answer either, a few times more after a wait
	DoubtWait   Doubt = "wait"   // wait for a dlr for a time, then resend once
	DoubtFail   Doubt = "fail"   // never resend
)

// DefaultDoubt is the policy where the operator set none.
func (c Class) DefaultDoubt() Doubt {
	if c == OTP {
		return DoubtFail
	}
	return DoubtWait
}
