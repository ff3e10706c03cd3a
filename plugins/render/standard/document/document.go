// Package document draws the PDFs on A4: the payer's receipt, the notice, the invoice, the meter reading, the certificate of
// delivery and the payment sheet, which is drawn as an image too, as its barcode is alone (raster.go).
//
// The typeface (package font) is embedded as a subset, so that the text can be selected and searched and looks the
// same on each machine. The same model gives the same bytes: the document's date is the model's, and nothing else
// enters. Render keeps nothing and is safe for concurrent use; a call takes a copy of the font (6 MB) while it draws.
package document

import (
	"fmt"
	"strings"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/font"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// MaxBytes is the largest document that the contract lets through.
const MaxBytes = 5 << 20

// Render draws one document. The error is for operators and holds nothing of the payer.
func Render(d *proto.Document) ([]byte, *proto.Error) {
	if d == nil {
		return nil, invalid("document", "no document")
	}
	if d.Created == nil {
		return nil, invalid("created", "a document needs its date")
	}
	if d.Issuer.GetName() == "" {
		return nil, invalid("issuer.name", "a document needs its issuer")
	}
	if n := d.Issuer.RegistrationNumber; n != "" && !registered(n) {
		return nil, invalid("issuer.registration_number", "want T and 13 digits")
	}
	var s *sheet
	switch d.Kind {
	case proto.DocumentKind_NOTICE:
		s = notice(d)
	case proto.DocumentKind_RECEIPT:
		if d.Receipt.GetNumber() == "" || d.Receipt.Issued == nil {
			return nil, invalid("receipt", "a receipt needs a number and the day of issue")
		}
		if d.Claim == nil {
			return nil, invalid("claim", "a receipt needs the claim")
		}
		if r := d.Receipt.Refund; r != nil && (r.Yen < 0 || r.Yen > d.Claim.Yen || r.Yen > 0 && r.At == nil || r.Yen == 0 && r.Corrects == "") {
			return nil, invalid("receipt.refund", "a refund is of 1 yen up to the claim's amount and has a day; 0 corrects a receipt that told of one")
		}
		if d.Receipt.Copy > 0 && d.Receipt.Copied == nil {
			return nil, invalid("receipt.copied", "a copy needs its day")
		}
		s = receipt(d, usual)
		for _, f := range closer {
			if s.pdf.PageCount() == 1 {
				break
			}
			if near := receipt(d, f); near.pdf.PageCount() == 1 {
				s = near
			}
		}
	case proto.DocumentKind_CERTIFICATE:
		if len(d.Certificate.GetParts()) == 0 {
			return nil, invalid("certificate.parts", "a certificate needs what it certifies")
		}
		s = certificate(d)
	case proto.DocumentKind_PAYMENT_SHEET:
		var refused *proto.Error
		if s, refused = paymentSheet(d, nil); refused != nil {
			return nil, refused
		}
	case proto.DocumentKind_INVOICE:
		if d.Invoice.GetNumber() == "" || d.Invoice.Issued == nil || len(d.Invoice.Lines) == 0 {
			return nil, invalid("invoice", "an invoice needs its number, its day and what it is for")
		}
		s = invoice(d)
	case proto.DocumentKind_METER_READING:
		if d.MeterReading.GetRead() == nil || len(d.MeterReading.Values) == 0 {
			return nil, invalid("meter_reading", "a meter reading needs its day and what the meter showed")
		}
		s = meterReading(d)
	case proto.DocumentKind_BARCODE:
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "document", Field: "form", Message: "a barcode alone is an image"}
	default:
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "document", Field: "kind", Message: "unknown document " + d.Kind.String()}
	}
	if err := s.logo(d.Logo); err != nil {
		return nil, invalid("logo", err.Error())
	}
	return finish(s)
}

func tooLarge(n int) string { return fmt.Sprintf("document of %d bytes, at most %d", n, MaxBytes) }

// registered tells whether n has the form of a qualified invoice issuer's number.
func registered(n string) bool {
	return len(n) == 14 && n[0] == 'T' && strings.Trim(n[1:], "0123456789") == ""
}

// notice is a letter: sender and date, title, lead, table, claim, closing.
func notice(d *proto.Document) *sheet {
	lang := wording.Of(d.Lang)
	s := newSheet(d.Title, d.Issuer.Name, string(lang), d.Created.AsTime())
	s.aside(append([]string{lang.Date(d.Created)}, issuer(lang, d.Issuer)...))
	s.space(6)
	if d.Title != "" {
		s.size(17)
		s.bold(func() {
			for _, l := range s.wrap(d.Title, width) {
				s.centred(s.y, l)
				s.y += s.line()
			}
		})
		s.space(4)
	}
	if d.PayerName != "" {
		s.size(15)
		for _, l := range s.wrap(addressed(lang, d.PayerName), width*0.75) {
			s.write(margin, s.y, l)
			s.y += s.line()
		}
		s.space(3)
	}
	if d.Lead != "" {
		s.paragraph(body, wording.Spelled(d.Lead))
		s.space(3)
	}
	s.facts(append(add(nil, lang.Say("対象期間", "Period"), d.Period), rows(d.Rows)...))
	if c := d.Claim; c != nil {
		s.heading(lang.Say("お支払い内容", "Amount to pay"))
		s.amount(lang, c)
		var facts [][]string
		facts = add(facts, lang.Say("お支払い期限", "Pay by"), lang.Until(c.Due))
		facts = add(facts, lang.Say("請求番号", "Claim no."), c.Number)
		s.facts(facts)
		s.lines(lang, c)
	}
	if d.Closing != "" {
		s.space(5)
		s.paragraph(body, wording.Spelled(d.Closing))
	}
	return s
}

// aside writes short lines at the right edge: who and when.
func (s *sheet) aside(lines []string) { s.asideOf(lines, width*0.6) }

// asideOf is aside in a part of the width.
func (s *sheet) asideOf(lines []string, part float64) {
	s.size(s.body)
	for _, text := range lines {
		for _, l := range s.wrap(text, part) {
			s.write(paperWidth-margin-s.pdf.GetStringWidth(l), s.y, l)
			s.y += s.line()
		}
	}
}

// amount writes what a claim asks for.
func (s *sheet) amount(lang wording.Lang, c *proto.Claim) {
	s.total(lang, lang.Say("合計金額", "Total"), c.Yen, c.TaxYen)
}

// total writes an amount large in a box, with the tax when it is shown (not negative).
func (s *sheet) total(lang wording.Lang, label string, yen, tax int64) {
	const height = 20.0
	s.need(height)
	s.pdf.SetFillColor(0xef, 0xf1, 0xf4)
	s.pdf.Rect(margin, s.y, width, height, "F")
	s.size(s.body)
	s.write(margin+5, s.y+height/2-s.line()/2, label)
	s.size(24)
	top := s.y + height/2 - s.line()/2
	if tax >= 0 {
		top -= 2.5
	}
	s.bold(func() { s.centred(top, lang.Yen(yen)) })
	if tax >= 0 {
		s.size(small)
		s.centred(s.y+height-s.line()-1.2, lang.Say("（うち消費税等相当額 %s）", "(including consumption tax %s)", lang.Yen(tax)))
	}
	s.y += height + 3
}

// facts writes a table of items and values; nothing when there are none.
func (s *sheet) facts(facts [][]string) {
	if len(facts) > 0 {
		s.table([]column{{width: 55, tint: true}, {width: width - 55}}, nil, facts)
		s.space(3)
	}
}

// lines writes what the claim is made of, with total and tax.
func (s *sheet) lines(lang wording.Lang, c *proto.Claim) {
	if len(c.Lines) == 0 {
		return
	}
	s.heading(lang.Say("明細", "Items"))
	columns := []column{{width: width - 85}, {width: 20, right: true}, {width: 30, right: true}, {width: 35, right: true}}
	var items [][]string
	for _, l := range c.Lines {
		quantity, unit := "", ""
		if l.Quantity != 0 {
			quantity, unit = wording.Number(l.Quantity), lang.Yen(l.UnitYen)
		}
		name := l.Name
		if l.TaxRate == reducedRate {
			name += " ※"
		}
		items = append(items, []string{name, quantity, unit, lang.Yen(l.Yen)})
	}
	amount := lang.Say("金額", "Amount")
	sum, without := wording.WithoutTax(c)
	if without {
		amount = lang.Say("金額（税抜）", "Without tax")
		items = append(items, []string{lang.Say("小計（税抜）", "Subtotal without tax"), "", "", lang.Yen(sum)}, []string{lang.Say("消費税額", "Consumption tax"), "", "", lang.Yen(c.TaxYen)})
	}
	items = append(items, []string{lang.Say("合計", "Total"), "", "", lang.Yen(c.Yen)})
	if c.TaxYen >= 0 && !without {
		items = append(items, []string{lang.Say("（うち消費税等相当額）", "(including consumption tax)"), "", "", lang.Yen(c.TaxYen)})
	}
	s.table(columns, []string{lang.Say("品名", "Item"), lang.Say("数量", "Quantity"), lang.Say("単価", "Unit price"), amount}, items)
	s.taxes(lang, c)
	s.space(3)
}

// taxes writes what the items come to by their rate of tax.
func (s *sheet) taxes(lang wording.Lang, c *proto.Claim) {
	if len(c.Taxes) == 0 {
		return
	}
	s.space(3)
	var totals [][]string
	reduced := false
	for _, t := range c.Taxes {
		tax := ""
		if t.Rate > 0 {
			tax = lang.Yen(t.TaxYen)
		}
		totals = append(totals, []string{rateLabel(lang, t), lang.Yen(t.Yen), tax})
		reduced = reduced || t.Rate == reducedRate
	}
	columns := []column{{width: width - 85}, {width: 40, right: true}, {width: 45, right: true}}
	s.table(columns, []string{lang.Say("税率", "Rate of tax"), lang.Say("合計（税込）", "Total with tax"), lang.Say("うち消費税等", "Tax in it")}, totals)
	if reduced {
		s.paragraph(small, lang.Say("※は軽減税率対象品目です。", "※ Items at the reduced rate of tax."))
	}
}

func issuer(lang wording.Lang, i *proto.Issuer) []string {
	lines := []string{i.Name}
	if i.Address != "" {
		lines = append(lines, i.Address)
	}
	if i.Phone != "" {
		lines = append(lines, lang.Say("電話 %s", "Phone %s", i.Phone))
	}
	return lines
}

func rows(given []*proto.Row) [][]string {
	var out [][]string
	for _, r := range given {
		out = append(out, []string{r.Item, r.Value})
	}
	return out
}

// add appends a fact that has a value.
func add(facts [][]string, item, value string) [][]string {
	if font.Shown(value) == "" {
		return facts
	}
	return append(facts, []string{item, value})
}

func invalid(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_INVALID, Code: "model", Field: field, Message: message}
}
