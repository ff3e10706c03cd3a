package callback

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The types of notices. They are part of the API: never renamed.
const (
	MessageAccepted    = "message.accepted"
	MessageSubmitted   = "message.submitted"
	MessageInDoubt     = "message.in_doubt"
	MessageDelivered   = "message.delivered"
	MessageUndelivered = "message.undelivered"
	MessageRefused     = "message.refused"
	MessageLapsed      = "message.lapsed"
	MessageCanceled    = "message.canceled"
	MessageOpened      = "message.opened"
	MessageIdentified  = "message.identified"
	MessageViewed      = "message.viewed"
	MessageAnswered    = "message.answered"
	MessagePromised    = "message.promised" // すでにお支払い済み, or until when it will be paid: what the recipient said
	MessageDisowned    = "message.disowned" // お心当たりのない方: whoever has the link says that it is for somebody else
	MessageReceived    = "message.received" // an incoming SMS (engine/inbound)

	ClaimIssued     = "claim.issued"   // 発番
	ClaimAccepted   = "claim.accepted" // 受付: 速報
	ClaimPartly     = "claim.partly_paid"
	ClaimConfirmed  = "claim.confirmed"  // 確定: 確報
	ClaimRefunded   = "claim.refunded"   // 返金: all or a part of it went back
	ClaimRevoked    = "claim.revoked"    // 速報取消
	ClaimCanceled   = "claim.canceled"   // 取消: the payer or the agent canceled the attempt
	ClaimExpired    = "claim.expired"    // the attempt's term ended
	ClaimOverdue    = "claim.overdue"    // its due date passed and it was not paid
	ClaimSettled    = "claim.settled"    // 消込
	ClaimRegistered = "claim.registered" // 口座振替登録: no money moved
	ClaimWithdrawn  = "claim.withdrawn"
	ClaimAlert      = "claim.alert" // 要対応

	UploadReleased = "upload.released" // rows become messages from here on
	UploadStopped  = "upload.stopped"  // a canary did not arrive: a person decides
	UploadPaused   = "upload.paused"
	UploadResumed  = "upload.resumed"
	UploadCanceled = "upload.canceled"
	UploadDone     = "upload.done" // every row is with the engine; an upload that was canceled: no message is left that could be sent

	// Sent about the callback itself, whatever Events it asked for.
	CallbackChallenge = "callback.challenge"
	CallbackTest      = "callback.test"
)

// Types lists what a callback can ask for.
var Types = []string{
	MessageAccepted, MessageSubmitted, MessageInDoubt, MessageDelivered, MessageUndelivered, MessageRefused, MessageLapsed, MessageCanceled,
	MessageOpened, MessageIdentified, MessageViewed, MessageAnswered, MessagePromised, MessageDisowned, MessageReceived,
	ClaimIssued, ClaimAccepted, ClaimPartly, ClaimConfirmed, ClaimRegistered, ClaimRefunded, ClaimRevoked, ClaimCanceled, ClaimExpired, ClaimOverdue, ClaimSettled, ClaimWithdrawn, ClaimAlert,
	UploadReleased, UploadStopped, UploadPaused, UploadResumed, UploadCanceled, UploadDone,
}

// wants reports whether a callback asks for a type: by its name, by "message.*", "claim.*" or "upload.*", or by naming none.
func wants(cb *tenant.Callback, typ string) bool {
	if len(cb.Events) == 0 {
		return true
	}
	group, _, _ := strings.Cut(typ, ".")
	return slices.Contains(cb.Events, typ) || slices.Contains(cb.Events, group+".*")
}

// knownEvent reports whether a callback may ask for it.
func knownEvent(event string) bool {
	return event == "message.*" || event == "claim.*" || event == "upload.*" || slices.Contains(Types, event)
}

// Position orders the notices of a stream: the event's number, and which of its notices.
type Position uint64

// maxPerEvent is how many notices one event can lead to.
const maxPerEvent = 4

// At is the position of an event's n-th notice.
func At(seq uint32, n int) Position { return Position(seq)*maxPerEvent + Position(n) }

// Notice is one thing that a stream tells.
type Notice struct {
	Pos  Position
	Type string
	At   time.Time
	// Data is the notice's "data" for a callback. It is called once for each try.
	Data func(s Sealed, cb *tenant.Callback) (any, error)
}

// Sealed opens what is sealed. It is engine/store.
type Sealed interface {
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
}

// Source tells of the streams of one kind.
type Source interface {
	// May lists the types of the notices that an event of this type may lead to: where a callback wants none of them, the
	// stream is not looked at.
	May(event byte) []string
	// Tell returns the notices of a stream's events in order. More events only add notices.
	Tell(events []store.Event) ([]Notice, error)
}

// ID is the webhook-id of a notice: the same at each try, and at a replay.
func ID(ref store.Ref, pos Position) string {
	return fmt.Sprintf("evt_%c%s_%d", ref.Kind, ref.ID, pos)
}

// Body is what is posted.
type Body struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it happened
	Tenant    tenant.ID `json:"tenant"`
	Data      any       `json:"data"`
}

func (b Body) encode() []byte {
	data, err := json.Marshal(b)
	if err != nil {
		panic("BUG: callback body: " + err.Error())
	}
	return data
}
