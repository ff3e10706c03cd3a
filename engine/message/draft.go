package message

import "time"

// Draft is a message as a sender gives it, by API (JSON), file or console, before anything was checked.
type Draft struct {
	Key       string            `json:"key,omitempty"`       // the sender's idempotency key, at most 128 printable ASCII
	To        string            `json:"to"`                  // mobile number, as people write it
	Recipient *Recipient        `json:"recipient,omitempty"` // what the sender knows of whom the number belongs to
	Class     string            `json:"class,omitempty"`     // default notice
	Text      string            `json:"text,omitempty"`      // with {url} where the link goes; or Template
	Template  string            `json:"template,omitempty"`  // name of a template of the tenant
	Vars      map[string]string `json:"vars,omitempty"`      // what the template's {names} stand for
	Sender    string            `json:"sender,omitempty"`    // sender profile; default "default"
	Reference string            `json:"reference,omitempty"` // 会員情報, at most 64 characters
	Send      *bool             `json:"send,omitempty"`      // false: only make the link; the sender delivers the URL
	SendAt    *time.Time        `json:"send_at,omitempty"`   // not before
	Window    *Window           `json:"window,omitempty"`    // hours of the day in Asia/Tokyo in which it may be sent
	// ValidUntil: not sent after this time; default 24 hours after SendAt (5 minutes for otp).
	ValidUntil *time.Time `json:"valid_until,omitempty"`
	Link       *Link      `json:"link,omitempty"`
	Identity   *Identity  `json:"identity,omitempty"` // nil: the link opens by a button alone
	Page       *Page      `json:"page,omitempty"`     // nil and no claim: a message without a link
	Claim      *Claim     `json:"claim,omitempty"`
}

// Recipient is what the sender knows of the recipient besides the number.
type Recipient struct {
	// RegisteredOn is the day, YYYY-MM-DD in Asia/Tokyo, on which the recipient gave the number to the sender. When it belongs
	// to another subscriber since, the message is not sent.
	RegisteredOn string `json:"registered_on,omitempty"`
	// Email is where the page offers to send a payment number to; nothing goes there unless the recipient asks for it. At most
	// 254 characters.
	Email string `json:"email,omitempty"`
}

// WantsSend reports whether the engine sends the SMS itself.
func (d *Draft) WantsSend() bool { return d.Send == nil || *d.Send }

// WantsLink reports whether the message has something behind a link.
func (d *Draft) WantsLink() bool { return d.Page != nil || d.Claim != nil }

// Window is a part of the day, "HH:MM" to "HH:MM" in Asia/Tokyo, From before To.
type Window struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Link is how long the link works.
type Link struct {
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // default 30 days after SendAt, at most 400 days
}

// Identity is what the recipient must know or hold before the page is shown.
type Identity struct {
	Items []IdentityItem `json:"items,omitempty"` // up to 4, asked at once
	Code  bool           `json:"code,omitempty"`  // then a one-time code to the message's own number
	// CodeDigits is how many digits the code has, 4 to 8; nil: as the tenant has it.
	CodeDigits *int64 `json:"code_digits,omitempty"`
}

// IdentityItem is one question with its expected answer. In a draft Value is the plain answer; it is never stored so.
type IdentityItem struct {
	Field string `json:"field"`           // birth_date, kana_name, customer_number, phone, postcode, passcode, free
	Label string `json:"label,omitempty"` // shown instead of the field's own label, at most 30 characters
	Level string `json:"level,omitempty"` // normalisation level; empty: the tenant's, else the module's default
	Value string `json:"value"`
}

// Page is what the link shows. FEATURES of the trade: 50 + 800 + 30 × (50 + 256) + 200 + 600 = 10,830 characters.
type Page struct {
	Title     string       `json:"title"`               // at most 50 characters
	Lead      string       `json:"lead,omitempty"`      // 文頭, 800
	Addressee string       `json:"addressee,omitempty"` // to whom it is, shown with 様; 60; only behind an identity check
	Period    string       `json:"period,omitempty"`    // 対象期間: 2026年2～3月分; 40
	Rows      []Row        `json:"rows,omitempty"`      // インフォメーション, 30
	Closing   string       `json:"closing,omitempty"`   // 文末, 600
	Contact   *Contact     `json:"contact,omitempty"`   // default the tenant's
	Documents []Attachment `json:"documents,omitempty"` // uploaded PDFs, at most 5
	// SheetMessage is printed on the claim's payment sheet, in a place of its own: a new product, a coupon, the way to a shop; 600.
	SheetMessage string `json:"sheet_message,omitempty"`
	// NoticePDF offers the page itself as a PDF.
	NoticePDF bool     `json:"notice_pdf,omitempty"`
	Survey    *Survey  `json:"survey,omitempty"`
	Invoice   *Invoice `json:"invoice,omitempty"` // 請求書 as a PDF
	Reading   *Reading `json:"reading,omitempty"` // 検針票 as a PDF
}

// Row is one line of the table: 50 characters left, 256 right.
type Row struct {
	Item  string `json:"item"`
	Value string `json:"value"`
}

// Contact is whom the recipient asks.
type Contact struct {
	Name  string `json:"name,omitempty"`  // 40
	Phone string `json:"phone,omitempty"` // 20
	Hours string `json:"hours,omitempty"` // 80
}

// Survey is answered once. At most 20 items.
type Survey struct {
	Lead  string       `json:"lead,omitempty"` // アンケート説明文, 200
	Items []SurveyItem `json:"items"`
}

// SurveyItem is one question: radio and check have 2 to 40 choices of 50 characters; text takes 200.
type SurveyItem struct {
	Title    string   `json:"title"` // 50
	Type     string   `json:"type"`  // radio, check, text
	Choices  []string `json:"choices,omitempty"`
	Required bool     `json:"required,omitempty"`
}

// Claim is the money asked for. The number is the sender's; the same number with the same amount is the same claim.
type Claim struct {
	Number string `json:"number"`        // 1 to 40 of A-Z a-z 0-9 and -
	Amount int64  `json:"amount"`        // yen, 1 to 9,999,999
	Tax    *int64 `json:"tax,omitempty"` // yen included in Amount; nil: not shown separately
	// TaxRate is the rate of the tax in percent, of a claim without lines: 10, or 8 for 軽減税率. 0: none is told.
	TaxRate int64    `json:"tax_rate,omitempty"`
	Due     string   `json:"due"`               // YYYY-MM-DD; until 23:59:59 in Asia/Tokyo
	Lines   []Line   `json:"lines,omitempty"`   // at most 20; when given they add up to Amount, or, without tax (税抜), with Tax to it
	Methods []string `json:"methods,omitempty"` // codes; empty: all that the tenant has
	Payer   string   `json:"payer,omitempty"`   // name for the receipt, at most 40 characters
	Amend   bool     `json:"amend,omitempty"`   // change the amount or due date of an existing claim that is not paid
	// Promises asks on the page how the payment stands: すでにお支払い済み, 明日/明後日までにお支払い. A collection message always asks.
	Promises bool `json:"promises,omitempty"`
	// Debit: once the payer has registered an account for direct debit, this claim is debited from it, and nothing else can be paid
	// it with. Without it a registration leaves the claim to be paid as before.
	Debit bool `json:"debit,omitempty"`
}

// Line is one item of a claim: Amount = Quantity × Unit.
type Line struct {
	Name     string `json:"name"` // 50
	Quantity int64  `json:"quantity"`
	Unit     int64  `json:"unit"`
	Amount   int64  `json:"amount"`
	// TaxRate is the consumption tax in percent that the line contains, or that comes on top of it: 10, or 8 for 軽減税率. 0: none; or nothing is told, where no
	// line of the claim states a rate.
	TaxRate int64 `json:"tax_rate,omitempty"`
}
