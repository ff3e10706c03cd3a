package email

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// letter is one mail, ready to be sent.
type letter struct {
	id        string // of the mail
	at        time.Time
	sender    string // the display name of From
	to        string
	subject   string
	body      string
	sheet     []byte // PDF; empty: none
	sheetName string
}

// letter writes the mail as the claim stands now. nil: it is not sent, for the reason.
func (e *Emails) letter(ctx context.Context, ref store.Ref, s *state) (l *letter, reason string, err error) {
	t := e.o.Directory().Tenants[ref.Tenant]
	if t == nil {
		return nil, ReasonObsolete, nil
	}
	to, err := e.o.Store.Open(ref.Tenant, ref.ID.String()+"/address", s.Sealed)
	if errors.Is(err, store.ErrErased) {
		return nil, ReasonErased, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("open an address: %w", err)
	}
	scope := tenant.Only(ref.Tenant)
	events, err := e.o.Store.Load(ctx, scope, store.Ref{Tenant: ref.Tenant, Kind: store.Message, ID: s.Message})
	if err != nil {
		return nil, "", fmt.Errorf("load message of a mail: %w", err)
	}
	var head message.Head
	if err := (message.Event{Type: message.Type(events[0].Type), At: events[0].At, Data: events[0].Data}).Decode(&head); err != nil {
		return nil, "", err
	}
	claim, err := e.o.Claims.Claim(ctx, scope, s.Claim)
	if err != nil {
		return nil, "", err
	}
	a := payable(&claim, s, e.o.Now())
	if a == nil {
		return nil, ReasonObsolete, nil
	}
	v := payment.VoucherOf(a, e.o.Now())
	if v == nil || v.ShownUntil != nil { // a mail is read when it is read
		return nil, ReasonObsolete, nil
	}
	lang := s.Lang
	l = &letter{id: strings.ToLower(ref.ID.String()), at: s.at, sender: name(t, lang), to: string(to)}
	l.subject = fmt.Sprintf(say(lang, "【%s】お支払い番号のご案内", "[%s] Your payment number"), l.sender)
	if v.Account != nil {
		l.subject = fmt.Sprintf(say(lang, "【%s】お振込先のご案内", "[%s] Where to transfer the money"), l.sender)
	}
	if payment.Printable(v) {
		l.sheet, err = e.o.Sheets.Document(ctx, t.ID, page.PaymentSheet(t, page.SheetWords{}, sheetClaim(&claim), v, lang, a.IssuedAt))
		if l.sheetName = "payment-" + claim.Number + ".pdf"; err != nil { // the page has it as well
			e.o.Log.Warn("payment sheet of a mail", "tenant", t.ID, "err", err)
			l.sheet = nil
		}
	}
	l.body = body(t, &claim, a, v, e.o.Claims.MethodLabel(a.Module, a.Method, lang), head.URL, lang, len(l.sheet) > 0, s.By == "")
	return l, "", nil
}

// sheetClaim is the claim as the sheet shows it: without its lines, which name what was bought.
func sheetClaim(c *payment.State) *proto.Claim {
	return page.ClaimOf(&message.Claim{Number: c.Number, Amount: c.Amount, Due: message.Day(c.Due)})
}

func say(lang, ja, en string) string {
	if lang == "en" {
		return en
	}
	return ja
}

func name(t *tenant.Tenant, lang string) string {
	if lang == "en" && t.NameEN != "" {
		return line(t.NameEN)
	}
	return line(t.Name)
}

// line makes one line of a text from outside.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }), " ")
}

// body says what to pay, with what, and by when; wanted: whoever reads it asked for it. It names nobody and nothing that was bought: mailboxes are read by others.
func body(t *tenant.Tenant, c *payment.State, a *payment.Attempt, v *proto.Voucher, method, url, lang string, sheet, wanted bool) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	row := func(ja, en, value string) {
		if value != "" {
			put("%s: %s", say(lang, ja, en), line(value))
		}
	}
	put(say(lang, "%sからのお知らせです。", "This is a notice from %s."), name(t, lang))
	if wanted {
		put("%s\n", say(lang, "お客様のご依頼により、お支払いに必要な番号をお送りします。お支払いはまだ完了していません。",
			"You asked for the numbers that you pay with. The payment is not made yet."))
	} else {
		put("%s\n", say(lang, "お支払いに必要な番号をお送りします。お支払いはまだ完了していません。", "These are the numbers that you pay with. The payment is not made yet."))
	}
	row("お支払い金額", "To pay", message.Yen(c.Amount-c.Received, lang))
	if c.Received > 0 {
		row("ご入金済み", "Paid so far", message.Yen(c.Received, lang))
	}
	row("お支払い期限", "Pay by", message.LongDay(c.Due, lang))
	row("請求番号", "Claim no.", c.Number)
	row("お支払い方法", "Method", method)
	put("")
	if acc := v.Account; acc != nil {
		row("金融機関", "Bank", acc.Bank+" "+acc.Branch)
		row("口座", "Account", acc.Kind+" "+acc.Number)
		row("口座名義", "Holder", acc.Holder)
		row("お名前の前に付ける番号", "Number to write before your name", acc.Reference)
	}
	row("収納機関番号", "Institution number", v.Institution)
	row(payNumber(v), "Payment number", v.PaymentNumber)
	row("確認番号", "Confirmation number", v.ConfirmationNumber)
	var stores []string
	for _, s := range v.Stores {
		if label := say(lang, s.LabelJa, s.LabelEn); label != "" {
			stores = append(stores, label)
		}
	}
	row("お支払いいただける店舗", "Where to pay", strings.Join(stores, say(lang, "、", ", ")))
	if v.Barcode != "" && !sheet {
		put(say(lang, "バーコードは、次のページでご確認ください。", "You find the barcode on the page below."))
	} else if v.Barcode != "" {
		put(say(lang, "バーコードは、次のページまたは添付のお支払いシート（PDF）でご確認ください。", "You find the barcode on the page below or on the attached sheet (PDF)."))
	} else if sheet {
		put(say(lang, "印刷用のお支払いシート（PDF）を添付しています。", "A payment sheet to print is attached (PDF)."))
	}
	if url != "" {
		put("\n%s\n%s", say(lang, "お支払い状況の確認:", "To see how the payment stands:"), url)
	}
	put("\n%s", say(lang, "すでにお支払い済みの場合は、重ねてお支払いにならないようご注意ください。", "If you have paid meanwhile, please do not pay again."))
	put("%s\n", say(lang, "このメールは送信専用です。お心当たりのない場合は、お手数ですが破棄してください。", "Nobody reads answers to this mail. If you did not ask for it, please delete it."))
	put("%s", say(lang, "お問い合わせ先", "Contact"))
	put("%s", name(t, lang))
	row("電話", "Phone", t.Brand.Phone)
	row("受付時間", "Hours", t.Brand.HoursIn(lang))
	return b.String()
}

// payNumber is what the number is called where it is typed.
func payNumber(v *proto.Voucher) string {
	if v.Institution != "" {
		return "お客様番号（納付番号）"
	}
	return "お支払い番号"
}
