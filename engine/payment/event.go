package payment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
)

// Type is what happened to a claim. Values are stored.
type Type byte

const (
	Made          Type = 1  // Head
	Joined        Type = 2  // Join: one more message carries the claim
	Amended       Type = 3  // Terms
	Withdrawn     Type = 4  // Act: the sender no longer asks for it
	Settled       Type = 5  // Settlement: paid elsewhere (消込)
	Resolved      Type = 6  // Resolution: somebody dealt with alerts
	Started       Type = 7  // Start: committed before the agent is asked
	Unknown       Type = 8  // Doubt: the agent was asked and no answer was seen
	Issued        Type = 9  // Fact: 発番, or a page of the agent to go to
	Provisional   Type = 10 // Fact: 速報
	Revoked       Type = 11 // Fact: 速報取消
	Confirmed     Type = 12 // Fact: 確報, or a card captured
	Failed        Type = 13 // Fact
	Canceled      Type = 14 // Fact
	Expired       Type = 15 // Fact
	ReceiptIssued Type = 16 // Receipt
	ReceiptKept   Type = 17 // Copy
	Refunded      Type = 18 // Fact: money of a confirmed payment went back, by a refund or a chargeback
	RefundAsked   Type = 19 // Refund: committed before the agent is asked
	RefundRefused Type = 20 // Doubt: the agent surely did nothing, or what it did came to nothing
	Deposited     Type = 21 // Deposit: a transfer to the attempt's account
	ReceiptCopied Type = 22 // Reissue: a copy marked 再発行 was given out
	PayerTold     Type = 23 // Join: a message told the payer that the money has come
	Registered    Type = 24 // Fact: an account for direct debit was registered; no money moved
	WentOverdue   Type = 25 // Lapse: the due date passed and it was not paid; once for each due date
	Doubted       Type = 26 // Deposit: one that may be counted already; it counts by a Deposited of the same id alone
)

var typeNames = map[Type]string{
	Made: "made", Joined: "joined", Amended: "amended", Withdrawn: "withdrawn", Settled: "settled_elsewhere",
	Resolved: "resolved", Started: "attempt_started", Unknown: "attempt_unknown", Issued: "attempt_issued",
	Provisional: "provisional", Revoked: "provisional_revoked", Confirmed: "confirmed", Failed: "attempt_failed",
	Canceled: "attempt_canceled", Expired: "attempt_expired", ReceiptIssued: "receipt_issued", ReceiptKept: "receipt_kept",
	Refunded: "refunded", RefundAsked: "refund_asked", RefundRefused: "refund_refused", Deposited: "deposited",
	ReceiptCopied: "receipt_reissued", PayerTold: "payer_told",
	Registered: "account_registered", WentOverdue: "overdue", Doubted: "deposit_doubted",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Terms is what the sender asks for: the data of Amended, and a part of Head.
type Terms struct {
	Amount  int64     `json:"amount"`             // yen
	Tax     int64     `json:"tax"`                // yen within Amount; -1: not shown separately
	TaxRate int64     `json:"tax_rate,omitempty"` // percent, of a claim without lines; 0: not told
	Due     time.Time `json:"due"`                // the last moment to pay
	Methods []string  `json:"methods,omitempty"`
	Debit   bool      `json:"debit,omitempty"`  // it is debited from an account that is registered for it
	Sealed  []byte    `json:"sealed,omitempty"` // sealed Content, aad "<claim id>/content"
	By      string    `json:"by,omitempty"`     // of Amended; as in message.Act
	Reason  string    `json:"reason,omitempty"` // of Amended
}

// Content is the sealed part of a claim.
type Content struct {
	Payer string         `json:"payer,omitempty"`
	Lines []message.Line `json:"lines,omitempty"`
	// Subject is what is paid for: the title of the page that asked for it. Empty: the claim was made before it was kept.
	Subject string `json:"subject,omitempty"`
}

// Head is the immutable beginning of a claim.
type Head struct {
	V      int    `json:"v"` // 1
	Number string `json:"number"`
	Terms
}

// Join is the data of Joined and PayerTold.
type Join struct {
	Message ulid.ULID `json:"message"`
}

// Resolution is the data of Resolved.
type Resolution struct {
	Alerts []string `json:"alerts"` // Alert.Key of those that were open
	message.Act
}

// Start is the data of Started.
type Start struct {
	ID     ulid.ULID `json:"attempt"`
	Agent  string    `json:"agent"`  // name of the tenant's contract
	Module string    `json:"module"` // "payment/sandbox"
	Method string    `json:"method"`
	Store  string    `json:"store,omitempty"`
	Yen    int64     `json:"yen"`
	Due    time.Time `json:"due"`
	// Final says that canceling this method makes sure that it cannot be paid (cancel_blocks_payment).
	Final   bool      `json:"final,omitempty"`
	Message ulid.ULID `json:"message,omitzero"` // the message whose link was used
	By      string    `json:"by,omitempty"`
	Place   string    `json:"place,omitempty"` // of the method's pool: a bank account, for one
	// Payer is the key of who registers a card (CARD_RECURRING): his other claims can be charged to it.
	Payer string `json:"payer,omitempty"`
	// Of a charge by the sender's order: the attempt that registered the card, and the order's own key and reason.
	Card   ulid.ULID `json:"card,omitzero"`
	Key    string    `json:"key,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Lapse is the data of WentOverdue.
type Lapse struct {
	Due time.Time `json:"due"`
}

// Doubt is the data of Unknown and RefundRefused.
type Doubt struct {
	Attempt ulid.ULID `json:"attempt"`
	Reason  string    `json:"reason"`
	Refund  ulid.ULID `json:"refund,omitzero"` // of RefundRefused
	// Late, of RefundRefused: it came to nothing after whoever asked had been told that it was ordered.
	Late bool `json:"late,omitempty"`
}

// Refund is the data of RefundAsked.
type Refund struct {
	ID      ulid.ULID `json:"refund"`
	Attempt ulid.ULID `json:"attempt"`
	Yen     int64     `json:"yen"`
	Key     string    `json:"key,omitempty"` // of whoever asked: the same key is the same refund
	message.Act
}

// Deposit is the data of Deposited and Doubted: money that adds to what came before. The same id is the same money.
type Deposit struct {
	Attempt ulid.ULID `json:"attempt"`
	ID      string    `json:"deposit"` // the bank's, or of what the statement says
	Yen     int64     `json:"yen"`
	Paid    time.Time `json:"paid"`
	// Series: another id of the same series is other money; one of another series may be the same. Deposits from before there were
	// series have none.
	Series string `json:"series,omitempty"`
	// Of one that was in doubt: who said that it is other money, and why.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// The states of an agent's payment, as stored. They are those of proto.PaymentState.
const (
	RequiresAction  = "requires_action"
	Awaiting        = "awaiting"
	IsProvisional   = "provisional"
	IsConfirmed     = "confirmed"
	HasFailed       = "failed"
	WasCanceled     = "canceled"
	HasExpired      = "expired"
	WasRegistered   = "registered" // of an account for direct debit
	sourceHost      = "host"       // a fact that we state ourselves: a refusal, a cancel, the end of a term
	sourceCreate    = "create"
	sourceGet       = "get"
	sourceCancel    = "cancel"
	sourceNotice    = "notice"
	sourceRefund    = "refund"
	sourceRenew     = "renew" // an answer to RefreshVoucher
	sourceReport    = "report"
	maxStateWord    = 16
	maxRedirect     = 2048
	maxVoucherField = 64
	maxAgentID      = 128
	maxStores       = 32
)

// Store is a place where a number can be paid.
type Store struct {
	Code string `json:"code"`
	JA   string `json:"label_ja"`
	EN   string `json:"label_en,omitempty"`
}

// Voucher is what the payer shows or types.
type Voucher struct {
	PaymentNumber      string    `json:"payment_number,omitempty"`
	ConfirmationNumber string    `json:"confirmation_number,omitempty"`
	Barcode            string    `json:"barcode,omitempty"` // 44 digits
	Stores             []Store   `json:"stores,omitempty"`
	Expires            time.Time `json:"expires,omitzero"`
	Institution        string    `json:"institution,omitempty"` // Pay-easy: 収納機関番号
	Account            *Account  `json:"account,omitempty"`     // bank transfer
	// ShownUntil is the end of its time on a screen: then it must not be drawn, and another one is asked for. Zero: Expires.
	ShownUntil time.Time `json:"shown_until,omitzero"`
}

// Account is where a transfer goes.
type Account struct {
	Bank      string `json:"bank"`
	Branch    string `json:"branch"`
	Kind      string `json:"kind"`
	Number    string `json:"number"`
	Holder    string `json:"holder"`
	Reference string `json:"reference,omitempty"` // what the payer writes before the name
}

// View is all that an agent says of one payment.
type View struct {
	State         string    `json:"state"`
	Yen           int64     `json:"yen,omitempty"`
	Paid          int64     `json:"paid,omitempty"`    // all that stands
	Revoked       bool      `json:"revoked,omitempty"` // 速報取消: something was taken and nothing of it stands
	ProvisionalAt time.Time `json:"provisional_at,omitzero"`
	ConfirmedAt   time.Time `json:"confirmed_at,omitzero"`
	AgentID       string    `json:"agent_id,omitempty"`       // 決済連携ID
	ReceiptNumber string    `json:"receipt_number,omitempty"` // 決済受付番号
	Redirect      string    `json:"redirect,omitempty"`
	Voucher       *Voucher  `json:"voucher,omitempty"`
	Store         string    `json:"store,omitempty"` // where it was paid
	Refunded      int64     `json:"refunded,omitempty"`
	RefundedAt    time.Time `json:"refunded_at,omitzero"` // of the last change of Refunded
	ChargedBack   bool      `json:"charged_back,omitempty"`
	Registration  string    `json:"registration,omitempty"` // what names the card that was registered to its agent
}

// Fact is one view of one attempt.
type Fact struct {
	Attempt ulid.ULID `json:"attempt"`
	View    View      `json:"view"`
	// Seen orders views of the same payment: the agent's time where it gave one, else ours.
	Seen   time.Time `json:"seen"`
	From   string    `json:"from"`             // create, get, cancel, renew, notice, host
	Notice string    `json:"notice,omitempty"` // the agent's id of the notice
	Reason string    `json:"reason,omitempty"` // of Failed: the class of the refusal and the agent's code
}

// Type is the event that the fact is stored as.
func (f *Fact) Type() Type {
	switch v := &f.View; {
	case v.State == IsConfirmed && !v.RefundedAt.IsZero():
		return Refunded
	case v.State == IsConfirmed:
		return Confirmed
	case v.State == IsProvisional:
		return Provisional
	case v.Revoked:
		return Revoked
	case v.State == WasRegistered:
		return Registered
	case v.State == HasFailed:
		return Failed
	case v.State == WasCanceled:
		return Canceled
	case v.State == HasExpired:
		return Expired
	}
	return Issued
}

// level orders what facts can say: 0 open, 1 ended without money, 2 money taken or taken back, 3 confirmed.
func (f *Fact) level() int {
	switch f.Type() {
	case Confirmed, Refunded:
		return 3
	case Provisional, Revoked:
		return 2
	case Failed, Canceled, Expired, Registered:
		return 1
	}
	return 0
}

// standing is the money of a fact.
func (f *Fact) standing(asked int64) int64 {
	if f.level() < 2 || f.Type() == Revoked {
		return 0
	}
	if f.View.Paid > 0 {
		return f.View.Paid
	}
	return cmp.Or(f.View.Yen, asked)
}

// compare is a total order of facts of one attempt: by level, then by time, then money that stands before money that
// does not, then by content alone, so that two different facts are never equal.
func (f *Fact) compare(g *Fact) int {
	if c := cmp.Or(
		cmp.Compare(f.level(), g.level()),
		f.Seen.Compare(g.Seen),
		cmp.Compare(f.standing(1), g.standing(1)),
	); c != 0 {
		return c
	}
	return cmp.Compare(f.View.key(), g.View.key())
}

func (v *View) key() string { return string(encode(v)) }

// shownUntil is when what it has to pay with must be gone from every screen; zero: there is no such time.
func (v *View) shownUntil() time.Time {
	if v.Voucher == nil {
		return time.Time{}
	}
	return v.Voucher.ShownUntil
}

// until is shownUntil of the fact's view; zero of none.
func (f *Fact) until() time.Time {
	if f == nil {
		return time.Time{}
	}
	return f.View.shownUntil()
}

// Receipt is the data of ReceiptIssued.
type Receipt struct {
	Number string    `json:"number"`
	Issued time.Time `json:"issued"`
	Model  []byte    `json:"model"` // sealed proto.Document, aad "<claim id>/receipt"
	// Of a receipt that corrects: how much had gone back, and the number of the receipt before; empty: there was none.
	Refunded int64  `json:"refunded,omitempty"`
	Corrects string `json:"corrects,omitempty"`
	Lang     string `json:"lang,omitempty"` // as it was asked for
}

// Copy is the data of ReceiptKept.
type Copy struct {
	Document string `json:"document"`         // id in engine/document
	Number   string `json:"number,omitempty"` // of the receipt; empty: the first
	By       string `json:"by,omitempty"`     // who got the first copy
}

// Reissue is the data of ReceiptCopied.
type Reissue struct {
	Number string `json:"number"` // of the receipt
	N      int    `json:"n"`      // 1: the first copy after the one that was issued
	By     string `json:"by"`     // who got it
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: payment event data: " + err.Error())
	}
	return b
}
