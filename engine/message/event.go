package message

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// Type is what happened. Values are stored.
type Type byte

const (
	Accepted    Type = 1  // Head (SMS受付日時)
	LookedUp    Type = 2  // Lookup (キャリア確認日時)
	Submitting  Type = 3  // Submission: committed before the first byte is written (SMS送信依頼日時)
	Submitted   Type = 4  // Submission with SMSCID: response 0 (SMS送信OK)
	Retrying    Type = 5  // Submission with Status and Until: tried again then
	InDoubt     Type = 6  // Submission: written, no response; what follows is in Policy
	Refused     Type = 7  // Submission with Status or Reason: for good
	Delivered   Type = 8  // Report (SMS送信日時)
	Undelivered Type = 9  // Report (不達)
	Lapsed      Type = 10 // its validity ended before it was sent
	Canceled    Type = 11 // Act: before sending
	Revoked     Type = 12 // Act: the link is closed
	Opened      Type = 13 // Opening (期限付URL認証日時)
	Tried       Type = 14 // Try: a counted answer to identity or code
	CodeSent    Type = 15 // Code
	Identified  Type = 16 // all steps passed (認証日時)
	Viewed      Type = 17 // first sight of the page in an identified session (アクセス日時)
	Answered    Type = 18 // Answer (回答済み)
	Locked      Type = 19 // Lock: after too many tries
	Unlocked    Type = 20 // Act
	Kept        Type = 21 // Keeping: it outlives its term, its content was sealed anew
	Resent      Type = 22 // Resending: another message followed it up (再送)
	Promised    Type = 23 // Promise: what its recipient said of the payment
	CodeHeld    Type = 24 // a code was asked for and none went out: what was answered before did not match, or it could not be sent
	Disowned    Type = 25 // Disowning: whoever has the link says that it is for somebody else (お心当たりのない方)
	Readmitted  Type = 26 // Act: that was a mistake, says the sender
	Mailed      Type = 27 // Mailing: what the claim is paid with by e-mail, asked for by its recipient or ordered by its sender
	MailSent    Type = 28 // Mailing: the mail relay has it
	MailFailed  Type = 29 // Mailing with Reason: for good
	LinkMoved   Type = 30 // LinkEnd: its link ends at another time than was said when it was accepted
)

var typeNames = map[Type]string{
	Accepted: "accepted", LookedUp: "looked_up", Submitting: "submitting", Submitted: "submitted", Retrying: "retrying",
	InDoubt: "in_doubt", Refused: "refused", Delivered: "delivered", Undelivered: "undelivered", Lapsed: "lapsed",
	Canceled: "canceled", Revoked: "revoked", Opened: "opened", Tried: "tried", CodeSent: "code_sent",
	Identified: "identified", Viewed: "viewed", Answered: "answered", Locked: "locked", Unlocked: "unlocked", Kept: "kept",
	Resent: "resent", Promised: "promised",
	CodeHeld: "code_held", Disowned: "disowned", Readmitted: "readmitted",
	Mailed: "mailed", MailSent: "mail_sent", MailFailed: "mail_failed", LinkMoved: "link_moved",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Event is one event of a message: Data is the type named beside the constant, as Encode stores it, or empty.
type Event struct {
	Type Type
	At   time.Time
	Data []byte
}

// Head is the immutable record of an accepted message. What is personal is inside SMS and Page, sealed by engine/store.
type Head struct {
	V          int       `json:"v"` // 1
	No         string    `json:"no"`
	Class      Class     `json:"class"`
	Via        Via       `json:"via"`
	Lane       Lane      `json:"lane"`
	By         string    `json:"by,omitempty"` // who gave it: "key:<name>", "user:<login>", "engine"
	For        ulid.ULID `json:"for,omitzero"` // the message whose recipient this one-time code identifies
	Campaign   ulid.ULID `json:"campaign,omitzero"`
	Sender     string    `json:"sender,omitempty"`  // sender profile
	Carrier    string    `json:"carrier,omitempty"` // as known at acceptance
	Parts      int       `json:"parts,omitempty"`   // SMS segments; 0: not sent by us
	SendAt     time.Time `json:"send_at,omitzero"`
	Window     *Window   `json:"window,omitempty"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Masked     string    `json:"masked"` // 080-****-9008, for people who may not see more

	Token       string    `json:"token,omitempty"` // with its path letter, "a/SQND01gr…"; empty: no link
	URL         string    `json:"url,omitempty"`   // as put into the text
	LinkExpires time.Time `json:"link_expires,omitzero"`
	StateUntil  time.Time `json:"state_until,omitzero"`  // paid or issued states are shown until then at least
	Answers     []Answer  `json:"answers,omitempty"`     // what must be known
	Code        bool      `json:"code,omitempty"`        // then a one-time code
	CodeDigits  int       `json:"code_digits,omitempty"` // 0: as the tenant has it
	Claim       ulid.ULID `json:"claim,omitzero"`
	Survey      bool      `json:"survey,omitempty"`

	Resends   ulid.ULID `json:"resends,omitzero"`   // the message that this one follows up; without a token it carries its link
	Answering ulid.ULID `json:"answering,omitzero"` // the message for which Answers were hashed; zero: this one

	Commit *Commitment `json:"commit,omitempty"` // to what was accepted; nil: its class is not certified

	SMS  []byte `json:"sms"`            // sealed SMS, aad "<id>/sms"
	Page []byte `json:"page,omitempty"` // sealed Content, aad "<id>/page"
}

// Commitment binds a message to its content without telling anything of it (engine/certificate): 32 bytes each, empty where
// there is no such part. What blinds them is sealed with the content, and ends with it.
type Commitment struct {
	Text   []byte `json:"text,omitempty"` // the SMS, its link left out
	Page   []byte `json:"page,omitempty"`
	Number []byte `json:"number,omitempty"`
}

// Answer is an expected answer: Hash is keyed (engine/store Keyed, purpose "identity/<message id>/<field>").
type Answer struct {
	Field string `json:"field"`
	Label string `json:"label,omitempty"`
	Level string `json:"level,omitempty"`
	Hash  []byte `json:"hash"`
	// OneIn is with how many guesses somebody who knows nothing of the person hits it once, 0: not known. It is not stored.
	OneIn uint64 `json:"-"`
}

// SMS is the sealed part that dispatch needs.
type SMS struct {
	Number     string `json:"number"` // E.164, +81…
	Text       string `json:"text"`   // final, link included; for otp only until it is used
	Reference  string `json:"reference,omitempty"`
	Registered string `json:"registered,omitempty"` // YYYY-MM-DD: not sent when the number changed hands since
	Blind      []byte `json:"blind,omitempty"`      // of the head's commitments
}

// Content is the sealed part that the link shows.
type Content struct {
	Page    Page     `json:"page"`
	Methods []string `json:"methods,omitempty"` // offered here; empty: all of the tenant
	// Promises: the page asks how the payment stands, whatever the class. Email is where it offers to send payment numbers to.
	Promises bool   `json:"promises,omitempty"`
	Email    string `json:"email,omitempty"`
}

// Lookup is the data of LookedUp.
type Lookup struct {
	Carrier string `json:"carrier"`
	By      string `json:"by"`
}

// Where a Lookup's carrier comes from.
const (
	ByPorted = "ported" // the operator's table of ported numbers
	ByModule = "module" // a lookup module
	ByRange  = "range"  // the ranges of numbers
)

// Submission is the data of Submitting, Submitted, Retrying, InDoubt, Refused.
type Submission struct {
	Part    int       `json:"part"`              // from 1
	Attempt int       `json:"attempt,omitempty"` // from 1
	Carrier string    `json:"carrier,omitempty"`
	Bind    string    `json:"bind,omitempty"`
	SMSCID  string    `json:"smsc_id,omitempty"` // normalised by the carrier's rule
	Status  uint32    `json:"status,omitempty"`  // command_status
	Reason  string    `json:"reason,omitempty"`  // stable word: no_sender, unknown_carrier, changed_hands, permanent, retries_spent, …
	Policy  Doubt     `json:"policy,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Written time.Time `json:"written,omitzero"` // Submitted: when the connection took the request
}

// ReasonLookup as the Reason of Retrying: whose the number is could not be found out then. It uses up nothing.
const ReasonLookup = "lookup_failed"

// ReasonTemporary as the Reason of Retrying: the carrier could not take it then. It uses up a step of the back-off.
const ReasonTemporary = "temporary"

// Report is the data of Delivered and Undelivered.
type Report struct {
	Part    int       `json:"part"`
	Carrier string    `json:"carrier"`
	Bind    string    `json:"bind,omitempty"`
	State   string    `json:"state"`         // DELIVRD, UNDELIV, EXPIRED, …
	Err     string    `json:"err,omitempty"` // as the carrier wrote it
	Done    time.Time `json:"done,omitzero"` // the carrier's clock
}

// Act is something that a person or a program did.
type Act struct {
	By     string `json:"by"` // "user:<login>", "key:<name>", "engine"
	Reason string `json:"reason,omitempty"`
}

// Opening is the data of Opened.
type Opening struct {
	Doubtful string `json:"doubtful,omitempty"` // why it may have been a machine: "early", "scanner"
}

// Try is the data of Tried. It never says which item failed.
type Try struct {
	Step string `json:"step"` // identity, code
	OK   bool   `json:"ok"`
}

// Code is the data of CodeSent. Only the keyed hash of a code is kept.
type Code struct {
	Hash    []byte    `json:"hash"` // Keyed, purpose "code/<message id>"
	Until   time.Time `json:"until"`
	Message ulid.ULID `json:"message"` // the otp message that carries it
}

// Lock is the data of Locked.
type Lock struct {
	Until time.Time `json:"until"` // zero: until somebody unlocks it
	// Step is identity where a one-time code follows the questions: then only they are closed, and whoever has come to the code
	// goes on. Empty: all is closed.
	Step string `json:"step,omitempty"`
}

// Answer to a survey: sealed JSON of map item index → answers, aad "<id>/answer".
type SurveyAnswer struct {
	Sealed []byte `json:"sealed"`
}

// Resending is the data of Resent.
type Resending struct {
	Message ulid.ULID `json:"message"`
	Run     ulid.ULID `json:"run"` // of engine/followup; zero: it was sent again by itself
	// Replaced: the link had ended, and the other message has a new one with the same content.
	Replaced bool `json:"replaced,omitempty"`
}

// What a recipient can promise.
const (
	PromisePaid = "already_paid" // すでにお支払い済み
	PromisePay  = "will_pay"     // 明日/明後日までにお支払い
)

// Promise is the data of Promised. The last one counts.
type Promise struct {
	Word string `json:"word"`
	By   string `json:"by"` // YYYY-MM-DD in Asia/Tokyo: the last day on which it can be kept
}

// Disowning is the data of Disowned.
type Disowning struct {
	// Entry of the do-not-send list that was made with it. Zero: the number stood there before.
	Entry ulid.ULID `json:"entry,omitzero"`
}

// Broken reports whether the last day of the promise is over.
func (p *Promise) Broken(now time.Time) bool { return Day(now) > p.By }

// Mailing is the data of Mailed, MailSent and MailFailed; the latter two have Mail and Reason alone.
type Mailing struct {
	Mail    ulid.ULID `json:"mail"`
	Attempt ulid.ULID `json:"attempt,omitzero"` // to pay the claim, whose number it is
	To      string    `json:"to,omitempty"`     // masked
	Key     []byte    `json:"key,omitempty"`    // keyed hash of the address
	Reason  string    `json:"reason,omitempty"` // stable word: obsolete, refused, gave_up, erased
	By      string    `json:"by,omitempty"`     // of Mailed: who of the sender ordered it, as in Act; empty: the recipient
}

// LinkEnd is the data of LinkMoved.
type LinkEnd struct {
	Act
	Until      time.Time `json:"until"`       // as Head.LinkExpires
	StateUntil time.Time `json:"state_until"` // as Head.StateUntil
}

// Encode gives the stored form of an event's data: the compact one (record.go) where the type has it, else JSON. It cannot
// fail for the types of this package.
func Encode(data any) []byte {
	if h, ok := data.(*Head); ok {
		return Append(make([]byte, 0, 512+len(h.SMS)+len(h.Page)), h)
	}
	if data == nil {
		return nil
	}
	return Append(nil, data)
}

// Append is Encode behind dst. Pointers are encoded without an allocation where the type has a compact form.
func Append(dst []byte, data any) []byte {
	switch d := data.(type) {
	case nil:
		return dst
	case record:
		return appendRecord(dst, d)
	case Head:
		return appendRecord(dst, &d)
	case Submission:
		return appendRecord(dst, &d)
	case Report:
		return appendRecord(dst, &d)
	case SMS:
		return appendRecord(dst, &d)
	case Content:
		return appendRecord(dst, &d)
	}
	b, err := json.Marshal(data)
	if err != nil {
		panic("BUG: message event data: " + err.Error())
	}
	return append(dst, b...)
}

// Decode reads what Encode gave into v. Bytes in v may alias data.
func Decode(data []byte, v any) error { return decode(data, v, false) }

// decode is Decode; with lent also strings alias the data.
func decode(data []byte, v any, lent bool) error {
	if len(data) == 0 {
		return nil
	}
	switch r, compact := v.(record); {
	case data[0] == '{':
		return json.Unmarshal(data, v)
	case compact && data[0] == recordVersion:
		return parseFields(data[1:], r, lent)
	}
	return errRecord
}

// Decode reads an event's data into v. Bytes in v may alias the event's.
func (e Event) Decode(v any) error { return e.decode(v, false) }

func (e Event) decode(v any, lent bool) error {
	if err := decode(e.Data, v, lent); err != nil {
		return fmt.Errorf("event %s: %w", e.Type, err)
	}
	return nil
}
