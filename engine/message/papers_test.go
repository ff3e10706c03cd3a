package message

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func withPapers() Draft {
	amount, tax := int64(7440), int64(551)
	d := valid()
	d.Page.Invoice = &Invoice{
		Number: "2026-1", Date: "2026-11-30", To: "山田 太郎", Period: "10〜11月分", Due: "2026-12-31", PayTo: "〇〇銀行", Remarks: "備考",
		Lines: []InvoiceLine{{Date: "2026-11-01", Line: Line{Name: "水道料金", Quantity: 1, Unit: 6360, Amount: 6360, TaxRate: 10}}, {Line: Line{Name: "飲料水", Quantity: 10, Unit: 108, Amount: 1080, TaxRate: 8}}},
		Taxes: []InvoiceTax{{Rate: 10, Tax: 578}, {Rate: 8, Tax: 80}},
	}
	d.Page.Reading = &Reading{
		Customer: "00-0-000000", Name: "山田 太郎", Place: "〇〇市", From: "2026-09-25", To: "2026-11-24", ReadOn: "2026-11-24", NextOn: "2027-01-25",
		Values: []ReadingValue{{Name: "水道", Meter: "12-3", Unit: "m3", Previous: "638", Current: "682", Usage: "44.5"}}, Months: []ReadingMonth{{"9月分", "41"}},
		Lines: []ReadingLine{{"水道使用料", 7440}}, Amount: &amount, Tax: &tax, Remarks: "お知らせ",
	}
	return d
}

func TestDocumentsOfADraftHaveNoProblem(t *testing.T) {
	d := withPapers()
	require.Empty(t, d.Check())
	d.Page.Invoice.Lines, d.Page.Invoice.Taxes = nil, nil
	require.Empty(t, d.Check(), "the claim's lines")
	require.EqualValues(t, 7440, d.Page.Invoice.Total(d.Claim))
	d.Claim, d.Page.Invoice.Lines = nil, []InvoiceLine{{Line: Line{Name: "x", Quantity: 1, Unit: 5, Amount: 5}}}
	require.Empty(t, d.Check(), "without a claim")
}

// Each limit is enforced at the character after it, with field, limit and the length found, as readers count.
func TestLimitsOfDocuments(t *testing.T) {
	const one = "👨‍👩‍👧" // one character of five code points
	for field, c := range map[string]struct {
		limit int
		set   func(d *Draft, v string)
	}{
		"page.invoice.number":         {40, func(d *Draft, v string) { d.Page.Invoice.Number = v }},
		"page.invoice.to":             {60, func(d *Draft, v string) { d.Page.Invoice.To = v }},
		"page.invoice.subject":        {50, func(d *Draft, v string) { d.Page.Invoice.Subject = v }},
		"page.invoice.period":         {40, func(d *Draft, v string) { d.Page.Invoice.Period = v }},
		"page.invoice.pay_to":         {200, func(d *Draft, v string) { d.Page.Invoice.PayTo = v }},
		"page.invoice.remarks":        {600, func(d *Draft, v string) { d.Page.Invoice.Remarks = v }},
		"page.invoice.lines[0].name":  {50, func(d *Draft, v string) { d.Page.Invoice.Lines[0].Name = v }},
		"page.reading.customer":       {40, func(d *Draft, v string) { d.Page.Reading.Customer = v }},
		"page.reading.name":           {60, func(d *Draft, v string) { d.Page.Reading.Name = v }},
		"page.reading.place":          {100, func(d *Draft, v string) { d.Page.Reading.Place = v }},
		"page.reading.remarks":        {600, func(d *Draft, v string) { d.Page.Reading.Remarks = v }},
		"page.reading.values[0].name": {20, func(d *Draft, v string) { d.Page.Reading.Values[0].Name = v }},
		"page.reading.values[0].unit": {10, func(d *Draft, v string) { d.Page.Reading.Values[0].Unit = v }},
		"page.reading.months[0].label": {20, func(d *Draft, v string) {
			d.Page.Reading.Months[0].Label = v
		}},
		"page.reading.lines[0].name": {50, func(d *Draft, v string) { d.Page.Reading.Lines[0].Name = v }},

		// The page and its survey (FEATURES E02–E06, F02–F04).
		"page.title":                      {50, func(d *Draft, v string) { d.Page.Title = v }},
		"page.lead":                       {800, func(d *Draft, v string) { d.Page.Lead = v }},
		"page.addressee":                  {60, func(d *Draft, v string) { d.Page.Addressee = v }},
		"page.period":                     {40, func(d *Draft, v string) { d.Page.Period = v }},
		"page.closing":                    {600, func(d *Draft, v string) { d.Page.Closing = v }},
		"page.rows[0].item":               {50, func(d *Draft, v string) { d.Page.Rows[0].Item = v }},
		"page.rows[0].value":              {256, func(d *Draft, v string) { d.Page.Rows[0].Value = v }},
		"page.survey.lead":                {200, func(d *Draft, v string) { d.Page.Survey.Lead = v }},
		"page.survey.items[0].title":      {50, func(d *Draft, v string) { d.Page.Survey.Items[0].Title = v }},
		"page.survey.items[0].choices[1]": {50, func(d *Draft, v string) { d.Page.Survey.Items[0].Choices[1] = v }},
		"page.contact.name":               {40, func(d *Draft, v string) { d.Page.Contact = &Contact{Name: v} }},
		"page.contact.phone":              {20, func(d *Draft, v string) { d.Page.Contact = &Contact{Phone: v} }},
		"page.contact.hours":              {80, func(d *Draft, v string) { d.Page.Contact = &Contact{Hours: v} }},
	} {
		d := withPapers()
		c.set(&d, strings.Repeat(one, c.limit))
		require.Empty(t, d.Check(), field)
		c.set(&d, strings.Repeat(one, c.limit+1))
		require.Equal(t, Problems{{Field: field, Code: "too_long", Limit: int64(c.limit), Got: int64(c.limit + 1)}}, d.Check())
	}
}

func TestEachFaultOfADocumentNamesItsField(t *testing.T) {
	for field, spoil := range map[string]func(*Draft){
		"page.invoice.date":               func(d *Draft) { d.Page.Invoice.Date = "" },
		"page.invoice.due":                func(d *Draft) { d.Page.Invoice.Due = "2026-02-30" },
		"page.invoice.lines":              func(d *Draft) { d.Page.Invoice.Lines[0].Unit, d.Page.Invoice.Lines[0].Amount = 6361, 6361 },
		"page.invoice.lines[0].amount":    func(d *Draft) { d.Page.Invoice.Lines[0].Unit = 1 },
		"page.invoice.lines[1].quantity":  func(d *Draft) { d.Page.Invoice.Lines[1].Quantity = 0 },
		"page.invoice.lines[0].date":      func(d *Draft) { d.Page.Invoice.Lines[0].Date = "11/1" },
		"page.invoice.lines[0].tax_rate":  func(d *Draft) { d.Page.Invoice.Lines[0].TaxRate = 5 },
		"page.invoice.taxes":              func(d *Draft) { d.Page.Invoice.Taxes = d.Page.Invoice.Taxes[:1] },
		"page.invoice.taxes[1].rate":      func(d *Draft) { d.Page.Invoice.Taxes[1].Rate = 10 },
		"page.invoice.taxes[0].tax":       func(d *Draft) { d.Page.Invoice.Taxes[0].Tax = 6361 },
		"page.reading.read_on":            func(d *Draft) { d.Page.Reading.ReadOn = "令和8年" },
		"page.reading.to":                 func(d *Draft) { d.Page.Reading.To = "2026-09-24" },
		"page.reading.values":             func(d *Draft) { d.Page.Reading.Values = nil },
		"page.reading.values[0].usage":    func(d *Draft) { d.Page.Reading.Values[0].Usage = "" },
		"page.reading.values[0].current":  func(d *Draft) { d.Page.Reading.Values[0].Current = "1.2345" },
		"page.reading.values[0].previous": func(d *Draft) { d.Page.Reading.Values[0].Previous = "-1" },
		"page.reading.months":             func(d *Draft) { d.Page.Reading.Months = make([]ReadingMonth, 25) },
		"page.reading.months[0].usage":    func(d *Draft) { d.Page.Reading.Months[0].Usage = "x" },
		"page.reading.lines[0].amount":    func(d *Draft) { d.Page.Reading.Lines[0].Amount = MaxAmount + 1 },
		"page.reading.amount":             func(d *Draft) { d.Page.Reading.Amount = nil },
		"page.reading.tax":                func(d *Draft) { *d.Page.Reading.Tax = 7441 },
	} {
		d := withPapers()
		spoil(&d)
		var fields []string
		for _, p := range d.Check() {
			fields = append(fields, p.Field)
			if p.Detail != "" && p.Detail != "YYYY-MM-DD" {
				require.NotEqual(t, p.Detail, detail(p.Detail, "ja"), "%s is said in Japanese too", p.Detail)
			}
		}
		require.Contains(t, fields, field)
	}
	d := withPapers()
	d.Page.Invoice.Lines = make([]InvoiceLine, 61)
	ps := d.Check()
	require.Contains(t, ps, Problem{Field: "page.invoice.lines", Code: "too_many", Limit: 60, Got: 61})
}
