package message

import (
	"fmt"
	"regexp"
	"strings"
)

// Reading is 検針票, a document of its own behind the page: what meters showed and what was used.
type Reading struct {
	Customer string         `json:"customer,omitempty"` // お客様番号, 40
	Name     string         `json:"name,omitempty"`     // ご契約者, 60
	Place    string         `json:"place,omitempty"`    // ご使用場所, 100
	From     string         `json:"from,omitempty"`     // YYYY-MM-DD, the first day of ご使用期間
	To       string         `json:"to,omitempty"`       // YYYY-MM-DD, its last
	ReadOn   string         `json:"read_on"`            // YYYY-MM-DD, 検針日
	NextOn   string         `json:"next_on,omitempty"`  // YYYY-MM-DD, 次回検針予定日
	Values   []ReadingValue `json:"values"`             // 1 to 8
	Months   []ReadingMonth `json:"months,omitempty"`   // what was used before, in order, at most 24
	Lines    []ReadingLine  `json:"lines,omitempty"`    // 料金の内訳, at most 20
	Amount   *int64         `json:"amount,omitempty"`   // 請求予定金額 in yen; nil: not said
	Tax      *int64         `json:"tax,omitempty"`      // yen included in Amount; nil: not shown separately
	Remarks  string         `json:"remarks,omitempty"`  // 600
}

// ReadingValue is one meter, or one of its registers. Quantities are decimals, "638" or "12.5".
type ReadingValue struct {
	Name     string `json:"name,omitempty"`  // 20: 水道, 昼間
	Meter    string `json:"meter,omitempty"` // メーター番号, 20
	Unit     string `json:"unit,omitempty"`  // 10: m3, kWh
	Previous string `json:"previous,omitempty"`
	Current  string `json:"current,omitempty"`
	Usage    string `json:"usage"`
}

// ReadingMonth is what was used at another time.
type ReadingMonth struct {
	Label string `json:"label"` // 20: 2026年1月分
	Usage string `json:"usage"`
}

// ReadingLine is a part of what it costs.
type ReadingLine struct {
	Name   string `json:"name"` // 50
	Amount int64  `json:"amount"`
}

// Limits of a meter reading.
const (
	MaxPlace         = 100
	MaxReadingLabel  = 20
	MaxReadingUnit   = 10
	MaxReadingValues = 8
	MaxReadingMonths = 24
)

var quantity = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,3})?$`)

func (c *checker) reading(r *Reading) {
	const at = "page.reading."
	c.text(at+"customer", r.Customer, MaxDocumentNumber, false)
	c.text(at+"name", r.Name, MaxAddressee, false)
	c.text(at+"place", r.Place, MaxPlace, false)
	c.date(at+"read_on", r.ReadOn, true)
	for _, day := range [][2]string{{"from", r.From}, {"to", r.To}, {"next_on", r.NextOn}} {
		c.date(at+day[0], day[1], false)
	}
	switch {
	case (r.From == "") != (r.To == ""):
		c.add(Problem{Field: at + "to", Code: "mismatch", Detail: "give both from and to"})
	case r.From > r.To:
		c.add(Problem{Field: at + "to", Code: "range", Detail: "must not be before from"})
	}
	c.text(at+"remarks", r.Remarks, MaxRemarks, false)
	c.count(at+"values", len(r.Values), MaxReadingValues)
	if len(r.Values) == 0 {
		c.add(Problem{Field: at + "values", Code: "required"})
	}
	for i, v := range r.Values {
		field := fmt.Sprintf("%svalues[%d].", at, i)
		c.text(field+"name", v.Name, MaxReadingLabel, false)
		c.text(field+"meter", v.Meter, MaxReadingLabel, false)
		c.text(field+"unit", v.Unit, MaxReadingUnit, false)
		c.quantity(field+"previous", v.Previous, false)
		c.quantity(field+"current", v.Current, false)
		c.quantity(field+"usage", v.Usage, true)
	}
	c.count(at+"months", len(r.Months), MaxReadingMonths)
	for i, m := range r.Months {
		field := fmt.Sprintf("%smonths[%d].", at, i)
		c.text(field+"label", m.Label, MaxReadingLabel, true)
		c.quantity(field+"usage", m.Usage, true)
	}
	c.count(at+"lines", len(r.Lines), MaxLines)
	for i, l := range r.Lines {
		field := fmt.Sprintf("%slines[%d].", at, i)
		c.text(field+"name", l.Name, MaxTitle, true)
		if l.Amount < -MaxAmount || l.Amount > MaxAmount {
			c.add(Problem{Field: field + "amount", Code: "range", Limit: MaxAmount, Got: l.Amount})
		}
	}
	if r.Amount != nil && (*r.Amount < 0 || *r.Amount > MaxAmount) {
		c.add(Problem{Field: at + "amount", Code: "range", Limit: MaxAmount, Got: *r.Amount})
	}
	switch {
	case r.Tax == nil:
	case r.Amount == nil:
		c.add(Problem{Field: at + "amount", Code: "required"})
	case *r.Tax < 0 || *r.Tax > *r.Amount:
		c.add(Problem{Field: at + "tax", Code: "range", Limit: *r.Amount, Got: *r.Tax, Detail: "yen, included in the amount"})
	}
}

// quantity checks a decimal.
func (c *checker) quantity(field, v string, required bool) {
	switch {
	case strings.TrimSpace(v) == "" && required:
		c.add(Problem{Field: field, Code: "required"})
	case v != "" && !quantity.MatchString(v):
		c.add(Problem{Field: field, Code: "pattern", Value: Mask(v), Detail: "up to 9 digits, and 3 behind a point"})
	}
}
