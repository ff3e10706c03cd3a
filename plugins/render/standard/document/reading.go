package document

import (
	"math/big"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// meterReading is 検針票: what the meter showed, what was used, what it will cost, and what was used in the months before.
func meterReading(d *proto.Document) *sheet {
	lang := wording.Of(d.Lang)
	m := d.MeterReading
	title := lang.Say("検針のお知らせ", "Meter reading")
	if d.Title != "" {
		title = d.Title
	}
	s := newSheet(title, d.Issuer.Name, string(lang), d.Created.AsTime())

	s.aside(append([]string{lang.Date(d.Created)}, issuer(lang, d.Issuer)...))
	s.space(4)
	s.size(18)
	s.bold(func() {
		for _, l := range s.wrap(title, width) {
			s.centred(s.y, l)
			s.y += s.line()
		}
	})
	s.space(3)
	if m.Name != "" {
		s.size(15)
		for _, l := range s.wrap(addressed(lang, m.Name), width*0.75) {
			s.write(margin, s.y, l)
			s.y += s.line()
		}
		s.space(3)
	}
	if d.Lead != "" {
		s.paragraph(body, d.Lead)
		s.space(3)
	}
	var facts [][]string
	facts = add(facts, lang.Say("お客様番号", "Customer no."), m.CustomerNumber)
	facts = add(facts, lang.Say("ご使用場所", "Place"), m.Place)
	if m.From != nil && m.To != nil {
		facts = add(facts, lang.Say("ご使用期間", "Period"), lang.Say("%s ～ %s", "%s to %s", lang.Date(m.From), lang.Date(m.To)))
	}
	facts = add(facts, lang.Say("検針日", "Read on"), lang.Date(m.Read))
	facts = add(facts, lang.Say("次回検針予定日", "Next reading"), lang.Date(m.Next))
	s.facts(facts)
	s.meterValues(lang, m)
	if m.Yen >= 0 {
		s.space(2)
		s.total(lang, lang.Say("請求予定金額", "Will be asked for"), m.Yen, m.TaxYen)
	}
	if len(m.Lines) > 0 {
		s.heading(lang.Say("料金の内訳", "What it is made of"))
		var rows [][]string
		for _, l := range m.Lines {
			rows = append(rows, []string{l.Name, lang.Yen(l.Yen)})
		}
		s.table([]column{{width: width - 45}, {width: 45, right: true}}, nil, rows)
	}
	s.meterMonths(lang, m)
	if m.Remarks != "" {
		s.heading(lang.Say("お知らせ", "Notes"))
		s.paragraph(body, m.Remarks)
	}
	return s
}

func (s *sheet) meterValues(lang wording.Lang, m *proto.MeterReading) {
	columns := []column{{width: width - 140}, {width: 35}, {width: 35, right: true}, {width: 35, right: true}, {width: 35, right: true}}
	header := []string{"", lang.Say("メーター番号", "Meter no."), lang.Say("前回指針", "Before"), lang.Say("今回指針", "Now"), lang.Say("ご使用量", "Used")}
	var rows [][]string
	for _, v := range m.Values {
		rows = append(rows, []string{v.Name, v.Meter, v.Previous, v.Current, v.Usage + v.Unit})
	}
	s.table(columns, header, rows)
	s.space(3)
}

// meterMonths draws a bar for each month, as long as what was used.
func (s *sheet) meterMonths(lang wording.Lang, m *proto.MeterReading) {
	if len(m.Months) == 0 {
		return
	}
	const label, figure = 40.0, 32.0 // mm
	unit := m.Values[0].Unit
	most := 0.0
	used := make([]float64, len(m.Months))
	for i, month := range m.Months {
		if n, ok := new(big.Rat).SetString(month.Usage); ok {
			used[i], _ = n.Float64()
			most = max(most, used[i])
		}
	}
	s.heading(lang.Say("これまでのご使用量", "What was used before"))
	s.size(small)
	for i, month := range m.Months {
		s.need(s.line() + 1)
		labels := s.wrap(month.Label, label)
		s.write(margin, s.y, labels[0])
		if most > 0 {
			s.pdf.SetFillColor(0x8a, 0x90, 0x99)
			s.pdf.Rect(margin+label, s.y+0.8, (width-label-figure)*used[i]/most, s.line()-1.6, "F")
		}
		text := month.Usage + unit
		s.write(margin+width-s.pdf.GetStringWidth(text), s.y, text)
		s.y += s.line()
	}
	s.space(2)
}
