package message

import (
	"fmt"
	"strings"
	"time"
)

// Invoice is 請求書, a document of its own behind the page.
type Invoice struct {
	Number  string        `json:"number"`            // 1 to 40 characters
	Date    string        `json:"date"`              // YYYY-MM-DD, 発行日
	To      string        `json:"to,omitempty"`      // 宛名, 60; default the claim's payer, else the page's addressee
	Subject string        `json:"subject,omitempty"` // 件名, 50; default the page's title
	Period  string        `json:"period,omitempty"`  // 対象期間, 40; default the page's
	Due     string        `json:"due,omitempty"`     // YYYY-MM-DD; default the claim's
	Lines   []InvoiceLine `json:"lines,omitempty"`   // at most 60; none: those of the claim
	Taxes   []InvoiceTax  `json:"taxes,omitempty"`   // by rate; none: not shown
	PayTo   string        `json:"pay_to,omitempty"`  // お振込先, 200
	Remarks string        `json:"remarks,omitempty"` // 備考, 600
}

// InvoiceLine is one item, of a day where it says one.
type InvoiceLine struct {
	Date string `json:"date,omitempty"` // YYYY-MM-DD
	Line
}

// InvoiceTax is the tax within all lines of a rate.
type InvoiceTax struct {
	Rate int64 `json:"rate"` // 10 or 8
	Tax  int64 `json:"tax"`  // yen
}

// Limits of an invoice and a meter reading, in characters as a reader counts them (Length) or in entries.
const (
	MaxDocumentNumber = 40
	MaxAddressee      = 60
	MaxPeriod         = 40
	MaxInvoiceLines   = 60
	MaxPayTo          = 200
	MaxRemarks        = 600
)

// Total is what an invoice asks for: the sum of its lines, or of those of the claim, which may be nil, with the tax where they
// are without it.
func (in *Invoice) Total(cl *Claim) int64 {
	if in.WithoutTax(cl) {
		return cl.Amount
	}
	return in.sum(cl)
}

func (in *Invoice) sum(cl *Claim) (sum int64) {
	for _, l := range in.Items(cl) {
		sum += l.Amount
	}
	return sum
}

// WithoutTax reports whether the lines are without tax (税抜): those of such a claim, or lines of the invoice's own that with its taxes
// add up to the claim's amount. Where there is no claim they contain it.
func (in *Invoice) WithoutTax(cl *Claim) bool {
	if cl == nil {
		return false
	}
	if len(in.Lines) == 0 {
		return cl.WithoutTax()
	}
	tax := in.tax()
	return tax > 0 && in.sum(cl)+tax == cl.Amount
}

func (in *Invoice) tax() (tax int64) {
	for _, t := range in.Taxes {
		tax += t.Tax
	}
	return tax
}

// Items are the lines of an invoice, or of the claim where it has none of its own.
func (in *Invoice) Items(cl *Claim) []InvoiceLine {
	if len(in.Lines) > 0 || cl == nil {
		return in.Lines
	}
	items := make([]InvoiceLine, len(cl.Lines))
	for i, l := range cl.Lines {
		items[i] = InvoiceLine{Line: l}
	}
	return items
}

// Fits reports whether the invoice can be of the claim as it is now: its amount and lines may have been changed since.
func (in *Invoice) Fits(cl *Claim) bool {
	var c checker
	c.invoice(in, cl)
	return len(c.found) == 0
}

func (c *checker) invoice(in *Invoice, cl *Claim) {
	const at = "page.invoice."
	c.text(at+"number", in.Number, MaxDocumentNumber, true)
	c.date(at+"date", in.Date, true)
	c.text(at+"to", in.To, MaxAddressee, false)
	c.text(at+"subject", in.Subject, MaxTitle, false)
	c.text(at+"period", in.Period, MaxPeriod, false)
	c.date(at+"due", in.Due, false)
	c.text(at+"pay_to", in.PayTo, MaxPayTo, false)
	c.text(at+"remarks", in.Remarks, MaxRemarks, false)
	c.count(at+"lines", len(in.Lines), MaxInvoiceLines)
	if len(in.Items(cl)) == 0 {
		c.add(Problem{Field: at + "lines", Code: "required", Detail: "an invoice has lines of its own or those of the claim"})
	}
	for i, l := range in.Lines {
		field := fmt.Sprintf("%slines[%d]", at, i)
		c.date(field+".date", l.Date, false)
		c.item(field, l.Line)
	}
	if sum := in.Total(cl); len(in.Lines) > 0 && cl != nil && sum != cl.Amount {
		c.add(Problem{Field: at + "lines", Code: "mismatch", Limit: cl.Amount, Got: sum, Detail: "the lines add up to the amount"})
	} else if len(in.Lines) > 0 && (sum < 0 || sum > MaxInvoiceTotal) {
		c.add(Problem{Field: at + "lines", Code: "range", Limit: MaxInvoiceTotal, Got: sum, Detail: "the sum of the lines, 0 to 999,999,999 yen"})
	}
	c.invoiceTaxes(in, cl)
}

// MaxInvoiceTotal is the most that an invoice without a claim may ask for, in yen.
const MaxInvoiceTotal = 999_999_999

// invoiceTaxes: where they are shown, each rate of the lines has its tax, once, and no more than its lines hold.
func (c *checker) invoiceTaxes(in *Invoice, cl *Claim) {
	c.count("page.invoice.taxes", len(in.Taxes), 2)
	sums := map[int64]int64{}
	for _, l := range in.Items(cl) {
		if l.TaxRate != 0 {
			sums[l.TaxRate] += l.Amount
		}
	}
	if want := cl.taxOnTop(); len(in.Taxes) > 0 && len(in.Lines) == 0 && want > 0 && in.tax() != want {
		c.add(Problem{Field: "page.invoice.taxes", Code: "mismatch", Limit: want, Got: in.tax(), Detail: "the tax of the claim, whose lines are without it"})
		return
	}
	for i, t := range in.Taxes {
		field := fmt.Sprintf("page.invoice.taxes[%d]", i)
		sum, has := sums[t.Rate]
		switch {
		case !has:
			c.add(Problem{Field: field + ".rate", Code: "mismatch", Got: t.Rate, Detail: "no line has this rate of tax, or it stands twice"})
		case t.Tax < min(sum, 0) || t.Tax > max(sum, 0):
			c.add(Problem{Field: field + ".tax", Code: "range", Limit: sum, Got: t.Tax, Detail: "yen, included in the lines of this rate"})
		}
		delete(sums, t.Rate)
	}
	if len(in.Taxes) > 0 && len(sums) > 0 {
		c.add(Problem{Field: "page.invoice.taxes", Code: "required", Detail: "the tax of each rate of the lines"})
	}
}

// item is one line of money: amount = quantity × unit.
func (c *checker) item(field string, l Line) {
	c.text(field+".name", l.Name, MaxTitle, true)
	if l.Quantity < 1 || l.Quantity > 999_999 {
		c.add(Problem{Field: field + ".quantity", Code: "range", Limit: 999_999, Got: l.Quantity})
	} else if l.Unit > MaxAmount || l.Unit < -MaxAmount || l.Quantity*l.Unit != l.Amount {
		c.add(Problem{Field: field + ".amount", Code: "mismatch", Got: l.Amount, Detail: "quantity × unit"})
	}
	c.rate(field, l.TaxRate)
}

// rate checks a rate of tax; 0: none is stated.
func (c *checker) rate(field string, rate int64) {
	if rate != 0 && rate != StandardRate && rate != ReducedRate {
		c.add(Problem{Field: field + ".tax_rate", Code: "unknown", Got: rate, Detail: "percent, one of 10, 8"})
	}
}

// date checks a day as YYYY-MM-DD.
func (c *checker) date(field, v string, required bool) {
	if strings.TrimSpace(v) == "" {
		if required {
			c.add(Problem{Field: field, Code: "required"})
		}
		return
	}
	if _, err := time.Parse(time.DateOnly, v); err != nil {
		c.add(Problem{Field: field, Code: "pattern", Value: Mask(v), Detail: "YYYY-MM-DD"})
	}
}
