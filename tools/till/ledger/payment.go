package ledger

import (
	"slices"
	"time"
)

// Method is a way to pay.
type Method string

const (
	KonbiniNumber  Method = "konbini_number"  // a number typed at the store's terminal
	KonbiniBarcode Method = "konbini_barcode" // 44 digits scanned at the till
	Card           Method = "card"            // the company's own page

	PayerNumber         Method = "payer_number"         // 13 digits of the payer's own, for all of his bills
	PayEasy             Method = "pay_easy"             // institution, number and confirmation number, at a bank
	CardRecurring       Method = "card_recurring"       // the company's page: the card is kept for later bills
	Wallet              Method = "wallet"               // the company's page
	AccountRegistration Method = "account_registration" // the company's page: 口座振替登録, no money moves
)

// Institution is the company's 収納機関番号, fictitious.
const Institution = "99081"

// Bank is where Pay-easy takes money, as a store's code.
const Bank = "bank"

// Redirects reports whether the payer goes to the company's own page.
func (m Method) Redirects() bool {
	switch m {
	case Card, CardRecurring, Wallet, AccountRegistration:
		return true
	}
	return false
}

// State is where a payment stands.
type State string

const (
	RequiresAction State = "requires_action" // the payer has to go to the card page
	Awaiting       State = "awaiting"        // 発番済
	Provisional    State = "provisional"     // 速報
	Confirmed      State = "confirmed"       // 確報, or card captured
	Failed         State = "failed"          // the card, wallet or account was declined
	Registered     State = "registered"      // the account was registered; no money moved
	Canceled       State = "canceled"
	Expired        State = "expired"
)

// Store is a chain of convenience stores.
type Store struct {
	Code    string `json:"code"`
	LabelJA string `json:"label_ja"`
	LabelEN string `json:"label_en"`
}

// chain is a store with the form of its numbers: how many digits the payment number has, its own leading digit and
// the check digit included, and how many the confirmation number.
type chain struct {
	Store
	lead                 byte
	number, confirmation int
}

// Numbers that no chain gives: their leading digits and how many there are, the check digit included.
const (
	payerLead           = '7'
	payerDigits         = 13
	payEasyLead         = '6'
	payEasyDigits       = 16
	payEasyConfirmation = 6
)

// Methods lists what the company takes.
var Methods = []Method{KonbiniNumber, KonbiniBarcode, Card, PayerNumber, PayEasy, CardRecurring, Wallet, AccountRegistration}

var chains = []chain{
	{Store{"konbini_a", "コンビニA", "Convenience Store A"}, '1', 13, 4},
	{Store{"konbini_b", "コンビニB", "Convenience Store B"}, '2', 12, 6},
	{Store{"konbini_c", "コンビニC", "Convenience Store C"}, '3', 11, 6},
	{Store{"konbini_d", "コンビニD", "Convenience Store D"}, '4', 11, 4},
	{Store{"konbini_e", "コンビニE", "Convenience Store E"}, '5', 14, 4},
}

// Stores lists the chains, all fictitious, in their order.
func Stores() []Store {
	var out []Store
	for _, c := range chains {
		out = append(out, c.Store)
	}
	return out
}

func chainOf(code string) (chain, bool) {
	i := slices.IndexFunc(chains, func(c chain) bool { return c.Code == code })
	if i < 0 {
		return chain{}, false
	}
	return chains[i], true
}

// Line is one line of the bill, for the payer's eyes.
type Line struct {
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
	UnitYen  int64  `json:"unit_yen"`
	Yen      int64  `json:"yen"`
}

// Request asks for a payment. Two requests with one attempt id must be equal.
type Request struct {
	AttemptID   string    `json:"attempt_id"` // the merchant's own, see Create
	Method      Method    `json:"method"`
	ClaimNumber string    `json:"claim_number,omitempty"`
	Yen         int64     `json:"yen"`
	TaxYen      int64     `json:"tax_yen"` // within yen; -1: not shown separately
	Due         time.Time `json:"due"`     // the last moment to pay
	Description string    `json:"description,omitempty"`
	Lines       []Line    `json:"lines,omitempty"`
	Store       string    `json:"store,omitempty"` // konbini_number only, where it is required
	Payer       string    `json:"payer,omitempty"` // payer_number only, where it is required: the merchant's key of who pays
	ReturnURL   string    `json:"return_url,omitempty"`
	CardID      string    `json:"card_id,omitempty"` // card_recurring: charge this card now, nobody is there
	WebhookURL  string    `json:"webhook_url"`
}

// Voucher is what the payer shows or types.
type Voucher struct {
	PaymentNumber      string    `json:"payment_number,omitempty"`
	ConfirmationNumber string    `json:"confirmation_number,omitempty"`
	Barcode            string    `json:"barcode,omitempty"`     // 44 digits
	Institution        string    `json:"institution,omitempty"` // pay_easy
	Stores             []Store   `json:"stores"`
	Expires            time.Time `json:"expires"`
	ShownUntil         time.Time `json:"shown_until,omitzero"` // a barcode must not be shown after this, see Show; zero: until it expires
}

// View is all that a merchant may know of a payment, as of one moment.
type View struct {
	AttemptID          string     `json:"attempt_id"`
	PaymentID          string     `json:"payment_id"`     // 決済連携ID, YYYYMMDD and 9 digits
	ReceiptNumber      string     `json:"receipt_number"` // 決済受付番号, YYMMDD and 8 digits
	Method             Method     `json:"method"`
	State              State      `json:"state"`
	Yen                int64      `json:"yen"`
	PaidYen            int64      `json:"paid_yen"`            // all that stands, 速報 and 確報 together; twice yen when paid twice
	ProvisionalRevoked bool       `json:"provisional_revoked"` // 速報取消: something was taken and nothing of it stands
	ProvisionalAt      *time.Time `json:"provisional_at,omitempty"`
	ConfirmedAt        *time.Time `json:"confirmed_at,omitempty"`
	RedirectURL        string     `json:"redirect_url,omitempty"`
	Voucher            *Voucher   `json:"voucher,omitempty"`
	Store              string     `json:"store,omitempty"`        // where it was paid
	CardID             string     `json:"card_id,omitempty"`      // of card_recurring, once it is paid: names the kept card
	RefundedYen        int64      `json:"refunded_yen,omitempty"` // all that was given back of paid_yen
	RefundedAt         *time.Time `json:"refunded_at,omitempty"`  // the last of it
}

// Taking is one time that money was taken (収納).
type Taking struct {
	Number      int        `json:"number"` // within its payment, from 1
	Store       string     `json:"store"`  // a chain's code, or "card"
	At          time.Time  `json:"at"`     // 速報
	ConfirmedAt *time.Time `json:"confirmed_at,omitempty"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
}

// Open reports whether the taking still waits for 確報 or 速報取消.
func (t Taking) Open() bool { return t.ConfirmedAt == nil && t.RevokedAt == nil }

// Record is a payment as the company itself sees it.
type Record struct {
	View
	Merchant    string    `json:"merchant"`
	ClaimNumber string    `json:"claim_number,omitempty"`
	Description string    `json:"description,omitempty"`
	Lines       []Line    `json:"lines,omitempty"`
	TaxYen      int64     `json:"tax_yen"`
	ReturnURL   string    `json:"return_url,omitempty"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires"`
	Canceled    bool      `json:"canceled"`
	Takings     []Taking  `json:"takings"`
}

// Notice is a fact that a merchant has to hear, with the whole view of the payment right after it.
type Notice struct {
	ID       string // stable over deliveries
	Fact     int64  // the number of its fact; notices of one payment are owed in this order
	Event    string
	Occurred time.Time
	Merchant string
	URL      string // the payment's webhook_url
	View     View
}

// Events that a merchant hears of.
const (
	EventProvisional = "provisional"         // 速報
	EventRevoked     = "provisional_revoked" // 速報取消
	EventConfirmed   = "confirmed"           // 確報
	EventCaptured    = "card_captured"
	EventDeclined    = "card_declined"
	EventRefunded    = "refunded"
	EventAbandoned   = "card_abandoned"
	EventRegistered  = "account_registered"
)

// payment is the fold of one payment's facts. The ledger's lock guards it.
type payment struct {
	merchant string
	req      Request
	issued   issued
	created  time.Time
	last     time.Time // of the latest fact
	takings  []*Taking
	refunds  []refund
	shown    []shown // barcodes, the latest last
	canceled bool
	declined bool
	// registered: the account was; nothing follows.
	registered bool
}

// issued is what the company chose at creation.
type issued struct {
	ReceiptNumber string    `json:"receipt_number"`
	Number        string    `json:"number,omitempty"`
	Confirmation  string    `json:"confirmation,omitempty"`
	Barcode       string    `json:"barcode,omitempty"`
	ShownUntil    time.Time `json:"shown_until,omitzero"`
	Token         string    `json:"token,omitempty"` // of the card page
	Expires       time.Time `json:"expires"`
}

// standing lists the takings that were not revoked.
func (p *payment) standing() []*Taking {
	var out []*Taking
	for _, t := range p.takings {
		if t.RevokedAt == nil {
			out = append(out, t)
		}
	}
	return out
}

func (p *payment) state(now time.Time) State {
	standing := p.standing()
	switch {
	case slices.ContainsFunc(standing, func(t *Taking) bool { return t.ConfirmedAt != nil }):
		return Confirmed
	case len(standing) > 0:
		return Provisional
	case p.registered:
		return Registered
	case p.canceled:
		return Canceled
	case p.declined:
		return Failed
	case now.After(p.issued.Expires):
		return Expired
	case p.req.Method.Redirects():
		return RequiresAction
	}
	return Awaiting
}

// view is the payment as of now. redirect is where the card pages begin.
func (p *payment) view(id, redirect string, now time.Time) View {
	v := View{
		AttemptID: p.req.AttemptID, PaymentID: id, ReceiptNumber: p.issued.ReceiptNumber, Method: p.req.Method,
		State: p.state(now), Yen: p.req.Yen,
	}
	standing := p.standing()
	v.ProvisionalRevoked = len(p.takings) > 0 && len(standing) == 0
	for _, t := range standing {
		v.PaidYen += p.req.Yen
		v.Store = t.Store
		if v.ProvisionalAt == nil {
			v.ProvisionalAt = &t.At
		}
		if v.ConfirmedAt == nil {
			v.ConfirmedAt = t.ConfirmedAt
		}
	}
	for i := range p.refunds {
		v.RefundedYen, v.RefundedAt = v.RefundedYen+p.refunds[i].yen, &p.refunds[i].at
	}
	switch p.req.Method {
	case Card, CardRecurring, Wallet, AccountRegistration:
		if p.req.CardID == "" {
			v.RedirectURL = redirect + p.issued.Token
		}
		if v.Store = ""; p.req.Method == CardRecurring && len(standing) > 0 {
			if v.CardID = p.req.CardID; v.CardID == "" {
				v.CardID = cardPrefix + id
			}
		}
	case PayerNumber:
		v.Voucher = &Voucher{PaymentNumber: p.issued.Number, Stores: Stores(), Expires: p.issued.Expires}
	case PayEasy:
		v.Voucher = &Voucher{Institution: Institution, PaymentNumber: p.issued.Number, ConfirmationNumber: p.issued.Confirmation,
			Stores: []Store{}, Expires: p.issued.Expires}
	case KonbiniNumber:
		c, _ := chainOf(p.req.Store)
		v.Voucher = &Voucher{PaymentNumber: p.issued.Number, ConfirmationNumber: p.issued.Confirmation,
			Stores: []Store{c.Store}, Expires: p.issued.Expires}
	case KonbiniBarcode:
		now := p.shown[len(p.shown)-1]
		v.Voucher = &Voucher{Barcode: now.Barcode, ShownUntil: now.Until, Stores: Stores(), Expires: p.issued.Expires}
	}
	return v
}

func (p *payment) record(id, redirect string, now time.Time) Record {
	r := Record{
		View: p.view(id, redirect, now), Merchant: p.merchant, ClaimNumber: p.req.ClaimNumber,
		Description: p.req.Description, Lines: p.req.Lines, TaxYen: p.req.TaxYen, ReturnURL: p.req.ReturnURL,
		Created: p.created, Expires: p.issued.Expires, Canceled: p.canceled, Takings: []Taking{},
	}
	for _, t := range p.takings {
		r.Takings = append(r.Takings, *t)
	}
	return r
}
