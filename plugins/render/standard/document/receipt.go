package document

import (
	"strings"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/font"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// stampDuty is the amount from which a receipt on paper would need a revenue stamp.
const stampDuty = 50_000

// receipt is titled 領収書 when it can serve as a simplified qualified invoice: a registered issuer, and the tax shown
// (消費税法 57条の4 第2項: tax amount or rate). Otherwise it is a 受領証 and says that it is not an invoice.
func receipt(d *proto.Document) *sheet {
	lang := wording.Of(d.Lang)
	r, c := d.Receipt, d.Claim
	invoice := d.Issuer.RegistrationNumber != "" && c.TaxYen >= 0
	title := lang.Say("受領証", "Acknowledgement of payment")
	if invoice {
		title = lang.Say("領収書", "Receipt")
	}
	s := newSheet(title+" "+r.Number, d.Issuer.Name, string(lang), d.Created.AsTime())

	s.size(22)
	s.bold(func() { s.centred(s.y, spaced(lang, title)) })
	s.y += s.line() + 3
	s.aside([]string{lang.Say("No. %s", "No. %s", r.Number), lang.Say("発行日 %s", "Issued %s", lang.Date(r.Issued))})
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
	s.amount(lang, c)
	s.paragraph(body, lang.Say("下記のとおり、上記の金額を領収いたしました。", "We received the above amount as follows."))
	if d.Lead != "" {
		s.paragraph(body, d.Lead)
	}
	s.space(3)

	var facts [][]string
	facts = add(facts, lang.Say("内容", "For"), d.Title)
	facts = add(facts, lang.Say("お支払い日時", "Paid"), lang.Moment(r.Paid))
	facts = add(facts, lang.Say("お支払い方法", "Method"), r.MethodLabel)
	facts = add(facts, lang.Say("お支払い店舗", "Store"), r.Store)
	facts = add(facts, lang.Say("決済受付番号", "Payment no."), r.AgentReceiptNumber)
	facts = add(facts, lang.Say("請求番号", "Claim no."), c.Number)
	s.facts(append(facts, rows(d.Rows)...))
	s.lines(lang, c)

	by := issuer(lang, d.Issuer)
	if invoice {
		by = append(by, lang.Say("登録番号 %s", "Registration no. %s", d.Issuer.RegistrationNumber))
	}
	s.size(body)
	s.space(5)
	s.need(float64(len(by)+1) * s.line())
	s.aside(by)

	s.space(4)
	if c.Yen >= stampDuty {
		s.paragraph(small, lang.Say("※電子発行のため収入印紙は不要です。", "Issued electronically: no revenue stamp is needed."))
	}
	if !invoice {
		s.paragraph(small, lang.Say("※この受領証は、適格請求書（インボイス）ではありません。", "This is not a qualified invoice for consumption tax."))
	}
	if d.Closing != "" {
		s.paragraph(body, d.Closing)
	}
	return s
}

// spaced sets a short Japanese title apart: 領　収　書.
func spaced(lang wording.Lang, title string) string {
	if lang == wording.English {
		return title
	}
	return strings.Join(strings.Split(title, ""), "　")
}

// addressed adds 様 to a name that has no form of address yet.
func addressed(lang wording.Lang, name string) string {
	name = strings.TrimSpace(font.Shown(name))
	if lang == wording.English || strings.HasSuffix(name, "様") || strings.HasSuffix(name, "御中") {
		return name
	}
	return name + " 様"
}
