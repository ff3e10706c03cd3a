package payment

import (
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Words of a phase. The codes (Phase) are stable; what people read is chosen here and nowhere else.

type words struct{ ja, en string }

func (w words) in(lang string) string {
	if lang == "en" {
		return w.en
	}
	return w.ja
}

var payerWords = map[Phase]words{
	Unpaid:        {"お支払い前", "Not paid yet"},
	InProgress:    {"お支払い手続き中", "Payment in progress"},
	AwaitingMoney: {"お支払い前", "Not paid yet"},
	Accepted:      {"お支払情報（受付）", "Payment received"},
	PartlyPaid:    {"お支払情報（一部入金）", "Partly paid"},
	Paid:          {"お支払情報（確定）", "Payment confirmed"},
	PartRefunded:  {"一部ご返金済み", "Partly refunded"},
	AllRefunded:   {"ご返金済み", "Refunded"},
	IsRegistered:  {"口座振替のお申し込み済み", "Registered for direct debit"},
	SettledElse:   {"お支払い済み", "Paid"},
	IsWithdrawn:   {"お支払いは不要になりました", "No payment is needed any more"},
	Overdue:       {"お支払い期限を過ぎています", "Past the due date"},
}

// PayerLabel is the phase as the payer reads it.
func PayerLabel(ph Phase, lang string) string { return payerWords[ph].in(lang) }

var consoleWords = map[Phase]words{
	Unpaid:        {"未払い", "Unpaid"},
	InProgress:    {"決済手続き中", "In progress"},
	AwaitingMoney: {"決済手続き中", "In progress"},
	Accepted:      {"決済手続き完了（速報）", "Completed (provisional)"},
	PartlyPaid:    {"一部入金", "Partly paid"},
	Paid:          {"決済手続き完了（確報）", "Completed (confirmed)"},
	PartRefunded:  {"一部返金", "Partly refunded"},
	AllRefunded:   {"返金済み", "Refunded"},
	IsRegistered:  {"口座振替登録済み", "Registered for direct debit"},
	SettledElse:   {"消込済み", "Settled elsewhere"},
	IsWithdrawn:   {"請求取消", "Withdrawn"},
	Overdue:       {"期限切れ", "Overdue"},
}

// ConsoleLabel is the phase as the console's timeline calls it (ステータス).
func ConsoleLabel(ph Phase, lang string) string { return consoleWords[ph].in(lang) }

// ColumnLabel is what the column 決済/回答 of the list shows: 決済完了 once money was received, else "----".
func ColumnLabel(ph Phase, lang string) string {
	switch ph {
	case Accepted:
		return words{"決済完了（速報）", "Paid (provisional)"}.in(lang)
	case Paid:
		return words{"決済完了", "Paid"}.in(lang)
	case PartlyPaid:
		return words{"一部入金", "Partly paid"}.in(lang)
	case PartRefunded, AllRefunded, IsRegistered:
		return consoleWords[ph].in(lang)
	case SettledElse:
		return words{"消込済み", "Settled"}.in(lang)
	}
	return "----"
}

var attemptWords = map[string]words{
	AttemptStarted: {"手続き開始", "Started"},
	AttemptUnknown: {"確認中", "Being checked"},
	RequiresAction: {"決済画面へ案内", "At the agent's page"},
	Awaiting:       {"発番済み", "Number issued"},
	IsProvisional:  {"速報", "Provisional"},
	IsConfirmed:    {"確報", "Confirmed"},
	HasFailed:      {"失敗", "Failed"},
	WasCanceled:    {"取消", "Canceled"},
	HasExpired:     {"期限切れ", "Expired"},
	WasRegistered:  {"口座振替登録", "Registered for direct debit"},
	PartPaid:       {"一部入金", "Partly paid"},
	WasPartBack:    {"一部返金", "Partly refunded"},
	WasRefunded:    {"返金済み", "Refunded"},
	WasChargedBack: {"チャージバック", "Charged back"},
}

// AttemptLabel is an attempt's phase as the console shows it.
func AttemptLabel(phase, lang string) string { return attemptWords[phase].in(lang) }

var alertWords = map[string]words{
	SecondPayment:       {"多重支払い", "Paid more than once"},
	AmountDiffers:       {"金額相違", "Amount differs"},
	PaidAfterExpiry:     {"期限後の支払い", "Paid after the due date"},
	PaidAfterCancel:     {"取消後の支払い", "Paid with a canceled number"},
	PaidAfterWithdrawal: {"請求取消後の支払い", "Paid after the claim was withdrawn"},
	RevokedAfterConfirm: {"確報後の速報取消", "Revoked after it was confirmed"},
	Overpaid:            {"過入金", "Paid too much"},
	ChargedBack:         {"チャージバック", "Charged back"},
	RefundFailed:        {"返金未完了", "Refund not completed"},
	DepositInDoubt:      {"重複の疑いがある入金", "Transfer that may be counted already"},
}

// AlertLabel is an alert's code as the console shows it (要対応).
func AlertLabel(code, lang string) string { return alertWords[code].in(lang) }

// MethodLabel is a method's name as its module gives it; the code where the module is not there.
func (p *Payments) MethodLabel(module, code, lang string) string {
	if m, ok := p.method(module, code); ok {
		return words{m.LabelJa, m.LabelEn}.in(lang)
	}
	return code
}

// MethodKind is what a method is, as its module says; unspecified where the module is not there.
func (p *Payments) MethodKind(module, code string) proto.MethodKind {
	m, _ := p.method(module, code)
	return m.GetKind()
}

// StoreLabel is a store's name as the module gave it, with the attempt or in its description; else the code.
func (p *Payments) StoreLabel(a *Attempt, code, lang string) string {
	if a.Voucher != nil {
		for _, st := range a.Voucher.Stores {
			if st.Code == code {
				return words{st.JA, st.EN}.in(lang)
			}
		}
	}
	if m, ok := p.method(a.Module, a.Method); ok {
		for _, st := range m.Stores {
			if st.Code == code {
				return words{st.LabelJa, st.LabelEn}.in(lang)
			}
		}
	}
	return code
}

// Timeline is 決済手続き状況 of a message's timeline. Zero times: not yet.
type Timeline struct {
	Phase         Phase
	Method        string // code
	MethodLabel   string // 決済方法
	AgentID       string // 決済連携ID
	ReceiptNumber string // 決済受付番号
	StartedAt     time.Time
	IssuedAt      time.Time
	ProvisionalAt time.Time
	ConfirmedAt   time.Time
	ReceiptAt     time.Time
	PaidStore     string // label
	Alerts        []Alert
	RegisteredAt  time.Time // 口座振替登録
}

// Timeline is what a message that carries the claim shows of it.
func (p *Payments) Timeline(s *State, now time.Time, lang string) Timeline {
	tl := Timeline{Phase: s.PhaseAt(now), Alerts: s.Alerts, RegisteredAt: s.RegisteredAt()}
	if r := s.Receipt(); r != nil {
		tl.ReceiptAt = r.Issued
	}
	a := s.Current()
	if a == nil {
		return tl
	}
	tl.Method, tl.MethodLabel = a.Method, p.MethodLabel(a.Module, a.Method, lang)
	tl.AgentID, tl.ReceiptNumber = a.AgentID, a.AgentReceipt
	tl.StartedAt, tl.IssuedAt = a.StartedAt, a.IssuedAt
	tl.ProvisionalAt, tl.ConfirmedAt = a.ProvisionalAt, a.ConfirmedAt
	if a.PaidStore != "" {
		tl.PaidStore = p.StoreLabel(a, a.PaidStore, lang)
	}
	return tl
}

// JSON is a claim as the API shows it.
type JSON struct {
	Number     string        `json:"number"`
	State      Phase         `json:"state"`
	Amount     int64         `json:"amount"`
	Tax        *int64        `json:"tax,omitempty"`
	TaxRate    int64         `json:"tax_rate,omitempty"` // percent, of a claim without lines
	Due        string        `json:"due"`                // YYYY-MM-DD
	Methods    []string      `json:"methods,omitempty"`
	Received   int64         `json:"received"`            // yen, 速報 and 確報
	Confirmed  int64         `json:"confirmed"`           // yen, 確報
	Refunded   int64         `json:"refunded,omitempty"`  // yen of Confirmed that went back
	Remaining  int64         `json:"remaining,omitempty"` // yen still to come of a claim that is partly paid
	Overpaid   int64         `json:"overpaid,omitempty"`  // yen that came in beyond Amount and did not go back
	PaidAt     time.Time     `json:"paid_at,omitzero"`
	Debit      bool          `json:"debit,omitempty"`        // it is debited from an account that is registered for it
	Registered time.Time     `json:"registered_at,omitzero"` // an account for direct debit was (口座振替登録)
	Created    time.Time     `json:"created_at"`
	Attempts   []AttemptJSON `json:"attempts"`
	Alerts     []Alert       `json:"alerts,omitempty"`
	Receipt    string        `json:"receipt_number,omitempty"` // of the one that holds
	Receipts   []ReceiptJSON `json:"receipts,omitempty"`       // in order of issue
	Messages   []ulid.ULID   `json:"messages"`
}

// ReceiptJSON is a receipt as the API shows it.
type ReceiptJSON struct {
	Number   string    `json:"number"`
	Issued   time.Time `json:"issued_at"`
	Refunded int64     `json:"refunded,omitempty"` // yen that had gone back when it was issued
	Corrects string    `json:"corrects,omitempty"` // number of the receipt before
	Copies   int       `json:"copies,omitempty"`   // given out after the first, marked 再発行
}

// AttemptJSON is one attempt as the API shows it. Numbers and pages to pay with are the payer's and not shown.
type AttemptJSON struct {
	ID            ulid.ULID `json:"id"`
	Method        string    `json:"method"`
	State         string    `json:"state"`
	Reason        string    `json:"reason,omitempty"`
	Amount        int64     `json:"amount"`
	StartedAt     time.Time `json:"started_at"`
	IssuedAt      time.Time `json:"issued_at,omitzero"`
	ProvisionalAt time.Time `json:"provisional_at,omitzero"`
	ConfirmedAt   time.Time `json:"confirmed_at,omitzero"`
	EndedAt       time.Time `json:"ended_at,omitzero"`
	AgentID       string    `json:"agent_payment_id,omitempty"`
	AgentReceipt  string    `json:"agent_receipt_number,omitempty"`
	Store         string    `json:"store,omitempty"`
	Received      int64     `json:"received"`
	Refunded      int64     `json:"refunded,omitempty"`
	RefundedAt    time.Time `json:"refunded_at,omitzero"`
	Refunding     int64     `json:"refunding,omitempty"` // asked for, not yet known to be done
}

// Rest is what is still to come of a claim that is partly paid, and what came in beyond what was asked for; both in yen.
func (s *State) Rest() (remaining, over int64) {
	have := s.Received - s.Refunded
	if s.Phase == PartlyPaid {
		remaining = s.Amount - have
	}
	return remaining, max(0, have-s.Amount)
}

// SettledRest is what was settled elsewhere of a claim that was partly paid; 0: nothing, or all of it.
func (s *State) SettledRest() int64 {
	if s.SettledBy == nil || s.settledHad == 0 {
		return 0
	}
	return s.Amount - s.settledHad
}

// JSON is the claim as the API shows it at a time (GET /v1/claims/{number}).
func (s *State) JSON(now time.Time) JSON {
	j := JSON{
		Number: s.Number, State: s.PhaseAt(now), Amount: s.Amount, TaxRate: s.TaxRate, Due: message.Day(s.Due), Methods: s.Methods,
		Received: s.Received, Confirmed: s.Confirmed, Refunded: s.Refunded, PaidAt: s.PaidAt(), Created: s.MadeAt, Attempts: []AttemptJSON{},
		Alerts: s.Alerts, Messages: s.Messages, Debit: s.Debit, Registered: s.RegisteredAt(),
	}
	j.Remaining, j.Overpaid = s.Rest()
	if s.Tax >= 0 {
		j.Tax = &s.Tax
	}
	for _, r := range s.Receipts {
		j.Receipt = r.Number
		j.Receipts = append(j.Receipts, ReceiptJSON{r.Number, r.Issued, r.Refunded, r.Corrects, r.Copies})
	}
	for _, a := range s.Attempts {
		j.Attempts = append(j.Attempts, AttemptJSON{
			ID: a.ID, Method: a.Method, State: a.Phase, Reason: a.Reason, Amount: a.Yen, StartedAt: a.StartedAt, IssuedAt: a.IssuedAt,
			ProvisionalAt: a.ProvisionalAt, ConfirmedAt: a.ConfirmedAt, EndedAt: a.EndedAt, AgentID: a.AgentID,
			AgentReceipt: a.AgentReceipt, Store: a.PaidStore, Received: a.Received,
			Refunded: a.Refunded, RefundedAt: a.RefundedAt, Refunding: a.Refunding,
		})
	}
	return j
}

// Printable reports whether a payment sheet can be made of a voucher: of a barcode, or one number for stores. Accounts, Pay-easy
// and numbers that differ by store have none, nor has what may be shown for a while only: paper cannot be drawn anew.
func Printable(v *proto.Voucher) bool {
	return v.ShownUntil == nil && (v.Barcode != "" || v.PaymentNumber != "" && v.Institution == "" && v.Account == nil)
}

// VoucherOf is an attempt's number or barcode as a renderer takes it at a time; nil when there is none, it must not be shown, or its
// time on a screen is over (Stale).
func VoucherOf(a *Attempt, now time.Time) *proto.Voucher {
	if a.Voucher == nil || a.Void || a.Phase != Awaiting && a.Phase != PartPaid || a.Stale(now) {
		return nil
	}
	v := &proto.Voucher{
		PaymentNumber: a.Voucher.PaymentNumber, ConfirmationNumber: a.Voucher.ConfirmationNumber, Barcode: a.Voucher.Barcode,
	}
	v.Institution = a.Voucher.Institution
	if b := a.Voucher.Account; b != nil {
		v.Account = &proto.BankAccount{Bank: b.Bank, Branch: b.Branch, Kind: b.Kind, Number: b.Number, Holder: b.Holder, Reference: b.Reference}
	}
	if !a.Voucher.Expires.IsZero() {
		v.Expires = timestamppb.New(a.Voucher.Expires)
	}
	if !a.Voucher.ShownUntil.IsZero() {
		v.ShownUntil = timestamppb.New(a.Voucher.ShownUntil)
	}
	for _, st := range a.Voucher.Stores {
		v.Stores = append(v.Stores, &proto.Store{Code: st.Code, LabelJa: st.JA, LabelEn: st.EN})
	}
	return v
}
