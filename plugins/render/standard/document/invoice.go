package document

import (
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// invoice is 請求書. It can serve as a qualified invoice where the issuer is registered and the tax of each rate is given
// (消費税法 57条の4 第1項: issuer and number, day, what, amount by rate, tax by rate, to whom).
func invoice(d *proto.Document) *sheet {
	lang := wording.Of(d.Lang)
	in := d.Invoice
	title := lang.Say("請求書", "Invoice")
	s := newSheet(title+" "+in.Number, d.Issuer.Name, string(lang), d.Created.AsTime())

	s.size(22)
	s.bold(func() { s.centred(s.y, spaced(lang, title)) })
	s.y += s.line() + 3
	s.aside([]string{lang.Say("No. %s", "No. %s", in.Number), lang.Say("発行日 %s", "Issued %s", lang.Date(in.Issued))})
	s.space(2)
	by := issuer(lang, d.Issuer)
	if d.Issuer.RegistrationNumber != "" {
		by = append(by, lang.Say("登録番号 %s", "Registration no. %s", d.Issuer.RegistrationNumber))
	}
	top := s.y // whom at the left, from whom at the right
	s.asideOf(by, width*0.45)
	below := s.y
	s.y = top
	if in.Addressee != "" {
		s.size(15)
		for _, l := range s.wrap(addressed(lang, in.Addressee), width*0.5) {
			s.write(margin, s.y, l)
			s.y += s.line()
		}
		s.pdf.Line(margin, s.y, margin+width*0.5, s.y)
	}
	s.y = max(s.y, below)
	s.space(3)
	if d.Lead != "" {
		s.paragraph(body, wording.Spelled(d.Lead))
	} else {
		s.paragraph(body, lang.Say("下記のとおりご請求申し上げます。", "We ask you to pay the following."))
	}
	s.space(3)
	tax := int64(-1)
	for _, t := range in.Taxes {
		tax = max(tax, 0) + t.TaxYen
	}
	if onTop := taxOnTop(in); onTop > 0 {
		tax = onTop
	}
	s.total(lang, lang.Say("ご請求金額", "To pay"), in.Yen, tax)

	var facts [][]string
	facts = add(facts, lang.Say("件名", "For"), d.Title)
	facts = add(facts, lang.Say("対象期間", "Period"), in.Period)
	facts = add(facts, lang.Say("お支払い期限", "Pay by"), lang.Until(in.Due))
	facts = add(facts, lang.Say("お振込先", "Transfer to"), in.PayTo)
	s.facts(facts)
	s.invoiceLines(lang, in)
	s.invoiceTaxes(lang, in)
	if in.Remarks != "" {
		s.heading(lang.Say("備考", "Remarks"))
		s.paragraph(body, in.Remarks)
	}
	return s
}

// taxOnTop is the tax that the lines are without; 0: they contain it.
func taxOnTop(in *proto.Invoice) int64 {
	rest := in.Yen
	for _, l := range in.Lines {
		rest -= l.Yen
	}
	return max(rest, 0)
}

func (s *sheet) invoiceLines(lang wording.Lang, in *proto.Invoice) {
	s.heading(lang.Say("明細", "Items"))
	dated, reduced := false, false
	for _, l := range in.Lines {
		dated = dated || l.Date != nil
		reduced = reduced || l.Rate == 8
	}
	columns := []column{{width: width - 103}, {width: 20, right: true}, {width: 30, right: true}, {width: 35, right: true}, {width: 18, right: true}}
	header := []string{lang.Say("品名", "Item"), lang.Say("数量", "Quantity"), lang.Say("単価", "Unit price"), lang.Say("金額", "Amount"), lang.Say("税率", "Tax")}
	if dated {
		columns[0].width -= 27
		columns = append([]column{{width: 27}}, columns...)
		header = append([]string{lang.Say("日付", "Day")}, header...)
	}
	var items [][]string
	row := func(day *timestamppb.Timestamp, texts ...string) {
		if dated {
			texts = append([]string{shortDay(day)}, texts...)
		}
		items = append(items, texts)
	}
	for _, l := range in.Lines {
		row(l.Date, l.Name, wording.Number(l.Quantity), lang.Yen(l.UnitYen), lang.Yen(l.Yen), rate(lang, l.Rate))
	}
	if tax := taxOnTop(in); tax > 0 {
		header[len(header)-2] = lang.Say("金額（税抜）", "Without tax")
		row(nil, lang.Say("小計（税抜）", "Subtotal without tax"), "", "", lang.Yen(in.Yen-tax), "")
		row(nil, lang.Say("消費税額", "Consumption tax"), "", "", lang.Yen(tax), "")
	}
	row(nil, lang.Say("合計（税込）", "Total, tax included"), "", "", lang.Yen(in.Yen), "")
	s.table(columns, header, items)
	if reduced {
		s.paragraph(small, lang.Say("※は軽減税率対象です。", "* at the reduced rate."))
	}
	s.space(3)
}

func (s *sheet) invoiceTaxes(lang wording.Lang, in *proto.Invoice) {
	if len(in.Taxes) == 0 {
		return
	}
	var rows [][]string
	for _, t := range in.Taxes {
		rows = append(rows, []string{lang.Say("%s対象（税込）", "At %s, tax included", rate(lang, t.Rate)), lang.Yen(t.Yen), lang.Yen(t.TaxYen)})
	}
	s.table([]column{{width: width - 85}, {width: 45, right: true}, {width: 40, right: true}},
		[]string{lang.Say("税率ごとの内訳", "By rate of tax"), lang.Say("金額", "Amount"), lang.Say("うち消費税額", "Tax within")}, rows)
}

// rate is a percentage; the reduced one is marked.
func rate(lang wording.Lang, percent uint32) string {
	switch percent {
	case 0:
		return ""
	case 8:
		return lang.Say("※8%", "*8%")
	}
	return strconv.Itoa(int(percent)) + "%"
}

// shortDay is a day in figures, in Japan. Nil gives "".
func shortDay(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().In(tokyo).Format("2006/01/02")
}
