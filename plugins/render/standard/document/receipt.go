package document

import (
	"strings"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/font"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// stampDuty is what a receipt on paper would be taxed from an amount on (印紙税法 別表第一 17号の1), up to the largest claim.
var stampDuty = []struct{ from, duty int64 }{{5_000_001, 2_000}, {3_000_001, 1_000}, {2_000_001, 600}, {1_000_001, 400}, {50_000, 200}}

// duty is the stamp of a paper receipt: of the amount without the tax where the tax is shown.
func duty(yen, tax int64) int64 {
	yen -= max(tax, 0)
	for _, s := range stampDuty {
		if yen >= s.from {
			return s.duty
		}
	}
	return 0
}

// receipt is titled 領収書 when it can serve as a simplified qualified invoice: with the issuer's number, which the host leaves out where
// anything else is missing, and the tax shown (消費税法 57条の4 第2項: tax amount or rate). Otherwise it is a 受領証 and says that it is not an invoice. After money went
// back it states what came in, what went back and what is left, and the receipt that it corrects; when it did not go back after all,
// what came in. f is how close it stands.
func receipt(d *proto.Document, f fit) *sheet {
	lang := wording.Of(d.Lang)
	r, c := d.Receipt, d.Claim
	invoice := d.Issuer.RegistrationNumber != "" && c.TaxYen >= 0
	title := lang.Say("受領証", "Acknowledgement of payment")
	if invoice {
		title = lang.Say("領収書", "Receipt")
	}
	correction := ""
	if r.Refund != nil {
		correction = lang.Say("（返金による訂正）", "(corrected: refund)")
		if r.Refund.Yen == 0 {
			correction = lang.Say("（訂正）", "(corrected)")
		}
	}
	s := newSheet(title+correction+" "+r.Number, d.Issuer.Name, string(lang), d.Created.AsTime())
	s.fit = f
	if r.Copy > 0 {
		s.again(lang, r)
	}
	s.size(22)
	s.bold(func() { s.centred(s.y, spaced(lang, title)) })
	s.y += s.line() + 1
	if correction != "" {
		s.size(12)
		s.centred(s.y, correction)
		s.y += s.line()
	}
	s.space(2)
	about := []string{lang.Say("No. %s", "No. %s", r.Number), lang.Say("発行日 %s", "Issued %s", lang.Date(r.Issued))}
	if r.Copy > 0 {
		about = append(about, lang.Say("再発行日 %s", "Reissued %s", lang.Date(r.Copied)))
	}
	s.aside(about)
	s.space(2)
	if r.PayerName != "" {
		s.size(15)
		for _, l := range s.wrap(addressed(lang, r.PayerName), width*0.75) {
			s.write(margin, s.y, l)
			s.y += s.line()
		}
		s.pdf.Line(margin, s.y, margin+width*0.75, s.y)
		s.space(5)
	}
	if r.Refund != nil {
		s.refund(lang, d)
	} else {
		s.amount(lang, c)
		s.paragraph(s.body, lang.Say("下記のとおり、上記の金額を領収いたしました。", "We received the above amount as follows."))
	}
	if d.Lead != "" {
		s.paragraph(s.body, d.Lead)
	}
	s.space(3)

	var facts [][]string
	subject := d.Title
	if len(c.Lines) == 0 && len(c.Taxes) == 1 && c.Taxes[0].Rate == reducedRate {
		subject += " ※"
	}
	facts = add(facts, lang.Say("内容", "For"), subject)
	facts = add(facts, lang.Say("お支払い日時", "Paid"), lang.Moment(r.Paid))
	facts = add(facts, lang.Say("お支払い方法", "Method"), r.MethodLabel)
	facts = add(facts, lang.Say("お支払い店舗", "Store"), r.Store)
	facts = add(facts, lang.Say("決済受付番号", "Payment no."), r.AgentReceiptNumber)
	facts = add(facts, lang.Say("請求番号", "Claim no."), c.Number)
	s.facts(append(facts, rows(d.Rows)...))
	if s.lines(lang, c); len(c.Lines) == 0 {
		s.taxes(lang, c)
	}

	by := issuer(lang, d.Issuer)
	if invoice {
		by = append(by, lang.Say("登録番号 %s", "Registration no. %s", d.Issuer.RegistrationNumber))
	}
	s.size(s.body)
	s.space(5)
	s.need(float64(len(by)+1) * s.line())
	s.aside(by)

	s.space(4)
	for _, note := range notes(lang, d, invoice) {
		s.paragraph(small, note)
	}
	if d.Closing != "" {
		s.paragraph(s.body, d.Closing)
	}
	return s
}

// again marks a copy that was given out before: 再発行 in a frame at the top, as a rubber stamp would be set.
func (s *sheet) again(lang wording.Lang, r *proto.Receipt) {
	text := lang.Say("再発行（%d回目）", "Copy no. %d", r.Copy)
	s.size(14)
	w := s.pdf.GetStringWidth(text) + 8
	height := s.line() + 1
	s.pdf.SetTextColor(0xb0, 0x1e, 0x23)
	s.pdf.SetDrawColor(0xb0, 0x1e, 0x23)
	s.pdf.Rect(margin, s.y, w, height, "D")
	s.bold(func() { s.write(margin+4, s.y+0.5, text) })
	s.pdf.SetTextColor(0x1a, 0x1a, 0x1a)
	s.pdf.SetDrawColor(0x1a, 0x1a, 0x1a)
}

// refund states what came in, what went back and what is left of it; or that nothing went back after all.
func (s *sheet) refund(lang wording.Lang, d *proto.Document) {
	r, c := d.Receipt.Refund, d.Claim
	var facts [][]string
	if r.Yen == 0 {
		s.amount(lang, c)
		s.paragraph(s.body, lang.Say("先にご案内した返金が完了しなかったため、領収金額を訂正いたします。", "The refund stated before was not completed; this corrects the amount received."))
		s.space(3)
	} else {
		s.total(lang, lang.Say("差引領収金額", "Left after the refund"), c.Yen-r.Yen, -1)
		s.paragraph(s.body, lang.Say("下記のとおり返金いたしましたので、領収金額を訂正いたします。", "We gave money back as follows; this corrects the amount received."))
		s.space(3)
		facts = add(facts, lang.Say("領収金額", "Received"), lang.Yen(c.Yen))
		facts = add(facts, lang.Say("返金額", "Given back"), lang.Yen(-r.Yen))
		facts = add(facts, lang.Say("返金日", "On"), lang.Date(r.At))
		for _, t := range r.Taxes {
			facts = append(facts, []string{lang.Say("返金の内訳 ", "Of it ") + rateLabel(lang, t), lang.Say("%s（うち消費税等 %s）", "%s (tax %s)", lang.Yen(-t.Yen), lang.Yen(-t.TaxYen))})
		}
		facts = add(facts, lang.Say("差引領収金額", "Left"), lang.Yen(c.Yen-r.Yen))
	}
	if r.Corrects != "" {
		facts = add(facts, lang.Say("訂正前の領収書", "Corrects receipt"), lang.Say("No. %s（%s発行）", "No. %s of %s", r.Corrects, lang.Date(r.CorrectsIssued)))
	}
	s.facts(facts)
}

// notes are the small print.
func notes(lang wording.Lang, d *proto.Document, invoice bool) (all []string) {
	r, c := d.Receipt, d.Claim
	note := func(ja, en string, args ...any) { all = append(all, lang.Say(ja, en, args...)) }
	received := c.Yen - r.Refund.GetYen()
	tax := c.TaxYen
	if r.Refund.GetYen() > 0 {
		tax = -1 // how much of it is left is not known where rates mix
	}
	switch stamp := duty(received, tax); {
	case stamp == 0:
	case r.Card:
		note("※クレジットカード利用。収入印紙は不要です。", "Paid with a credit card: no revenue stamp is needed.")
	default:
		note("※電子発行のため収入印紙は不要です（書面で交付する場合は収入印紙%s円が必要です）。", "Issued electronically: no revenue stamp is needed (handed over on paper, one of %s yen would be).", wording.Number(stamp))
	}
	switch {
	case !invoice:
		note("※この受領証は、適格請求書（インボイス）ではありません。", "This is not a qualified invoice for consumption tax.")
	case r.Refund.GetYen() > 0 && len(c.Taxes) > 0 && len(r.Refund.Taxes) == 0:
		note("※返金額の税率ごとの内訳は、発行者にお問い合わせください。", "Please ask the issuer how the refund falls on the rates of tax.")
	}
	return all
}

// rateLabel names a rate of tax; ※ marks 軽減税率.
func rateLabel(lang wording.Lang, t *proto.RateTotal) string {
	switch t.Rate {
	case 0:
		return lang.Say("非課税・対象外", "Not taxed")
	case reducedRate:
		return lang.Say("%d％対象（税込）※", "At %d%% with tax ※", t.Rate)
	}
	return lang.Say("%d％対象（税込）", "At %d%% with tax", t.Rate)
}

// reducedRate is 軽減税率, in percent.
const reducedRate = 8

// spaced sets a short Japanese title apart: 領　収　書.
func spaced(lang wording.Lang, title string) string {
	if lang == wording.English {
		return title
	}
	return strings.Join(strings.Split(title, ""), "　")
}

// addressed is a name with its form of address, as it can be drawn.
func addressed(lang wording.Lang, name string) string { return lang.Addressed(font.Shown(name)) }
