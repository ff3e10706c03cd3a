package message

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/rivo/uniseg"
)

// Problem is one fault of something that a person or program gave. It names the field and never holds a whole value,
// but for the sender's own names of things: a key or a claim number in a conflict.
type Problem struct {
	Field string `json:"field"` // path, e.g. "page.rows[3].value"
	Code  string `json:"code"`  // stable: required, too_long, too_short, too_many, pattern, unknown, range, mismatch, past, refused …
	Limit int64  `json:"limit,omitempty"`
	Got   int64  `json:"got,omitempty"`
	Value string `json:"value,omitempty"` // as given, masked (Mask)
	// Detail says more where Code is not enough; a stable English clause without personal data.
	Detail string `json:"detail,omitempty"`
}

func (p Problem) Error() string { return p.Text("en") }

// Problems is a set of faults; it is an error when it is not empty.
type Problems []Problem

func (ps Problems) Error() string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = p.Error()
	}
	return strings.Join(parts, "; ")
}

// Err returns nil for no problems.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Mask shows enough of a value to find it again and no more: of at most 8 characters the first, of more the first and last
// two.
func Mask(v string) string {
	r := []rune(strings.TrimSpace(v))
	switch {
	case len(r) == 0:
		return ""
	case len(r) <= 2:
		return "*"
	case len(r) <= 8:
		return string(r[0]) + "****"
	}
	return string(r[:2]) + "****" + string(r[len(r)-2:])
}

// Limits of a draft, in the characters that a reader counts (Length).
const (
	MaxTitle         = 50
	MaxLead          = 800
	MaxRows          = 30
	MaxRowItem       = 50
	MaxRowValue      = 256
	MaxSurveyLead    = 200
	MaxClosing       = 600
	MaxSheetMessage  = 600
	MaxSurveyItems   = 20
	MaxChoices       = 40
	MaxChoice        = 50
	MaxSurveyText    = 200
	MaxIdentityItems = 4
	MinCodeDigits    = 4
	MaxCodeDigits    = 8
	MaxAnswer        = 64  // as typed
	MaxRegistered    = 255 // of a question that another page answers; engine/identity holds the others to MaxAnswer
	MaxReference     = 64
	MaxKey           = 128
	MaxDocuments     = 5
	maxFileName      = 100 // of an attachment: an id or a name
	MaxAmount        = 9_999_999
	MaxLines         = 20
	MaxText          = 660 // characters of SMS text with the link in, where the tenant allows several segments
	SingleSegment    = 70  // UTF-16 units
)

// Length counts s as its readers do: grapheme clusters (UAX #29), so that が of two code points, 👨‍👩‍👧, 🇯🇵 and 葛󠄀 are one each.
func Length(s string) int {
	n := 0
	for _, r := range s {
		if !lone(r) {
			return uniseg.GraphemeClusterCount(s)
		}
		n++
	}
	return n
}

// lone: nothing combines with r, nor r with anything: Latin, kana, kanji, full-width forms, as almost all texts have.
func lone(r rune) bool {
	return r >= 0x20 && r < 0x300 && r != 0xad || r == '\n' || r >= 0x3041 && r <= 0x3096 || r >= 0x30a0 && r < 0xa000 || r >= 0x3000 && r < 0x302a || r >= 0xff01 && r < 0xff9e
}

// Units is the length of s in UTF-16 units, in which an SMS is counted (emoji and 𠮷 are 2).
func Units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

var (
	claimNumber = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,39}$`)
	clock       = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// ValidKey reports whether a key is 1 to 128 printable ASCII characters without spaces.
func ValidKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return key != "" && len(key) <= MaxKey
}

// Check reports all faults that a draft has by itself: lengths, counts, patterns, sums. What needs a tenant, a carrier
// or the clock is checked by engine/intake. Field paths are those of the JSON form.
func (d *Draft) Check() Problems {
	var c checker
	if d.Key != "" && !ValidKey(d.Key) {
		c.add(Problem{Field: "key", Code: "pattern", Limit: MaxKey, Got: int64(len(d.Key)), Detail: "1 to 128 printable ASCII characters without spaces"})
	}
	c.required("to", d.To)
	if r := d.Recipient; r != nil && r.RegisteredOn != "" {
		if t, err := time.Parse(time.DateOnly, r.RegisteredOn); err != nil {
			c.add(Problem{Field: "recipient.registered_on", Code: "pattern", Value: Mask(r.RegisteredOn), Detail: "YYYY-MM-DD"})
		} else if t.Year() < 1980 {
			c.add(Problem{Field: "recipient.registered_on", Code: "range", Detail: "not before 1980"}) // mobile telephony began in 1979
		}
	}
	if r := d.Recipient; r != nil && r.Email != "" {
		if _, ok := ParseAddress(r.Email); !ok {
			c.add(Problem{Field: "recipient.email", Code: "pattern", Limit: MaxAddress, Got: int64(len(r.Email)), Value: MaskAddress(r.Email), Detail: "one e-mail address"})
		}
	}
	if _, err := ParseClass(d.Class); err != nil {
		c.add(Problem{Field: "class", Code: "unknown", Value: Mask(d.Class), Detail: "one of notice, billing, collection, otp, legal_notice, ad"})
	}
	c.line("reference", d.Reference, MaxReference)
	switch {
	case !d.WantsSend() && !d.WantsLink():
		c.add(Problem{Field: "page", Code: "required", Detail: "a message that is not sent needs a page or a claim"})
	case d.WantsSend() && d.Text == "" && d.Template == "":
		c.add(Problem{Field: "text", Code: "required"})
	case d.Text != "" && d.Template != "":
		c.add(Problem{Field: "template", Code: "mismatch", Detail: "give text or template, not both"})
	}
	if d.Window != nil {
		c.clock("window.from", d.Window.From)
		c.clock("window.to", d.Window.To)
		if clock.MatchString(d.Window.From) && clock.MatchString(d.Window.To) && d.Window.From >= d.Window.To {
			c.add(Problem{Field: "window.to", Code: "range", Detail: "must be later than window.from"})
		}
	}
	if d.SendAt != nil && d.ValidUntil != nil && !d.ValidUntil.After(*d.SendAt) {
		c.add(Problem{Field: "valid_until", Code: "range", Detail: "must be later than send_at"})
	}
	if d.Identity != nil {
		c.identity(d.Identity, d.WantsLink())
	}
	if d.Page != nil {
		c.page(d.Page)
		if d.Page.Invoice != nil {
			c.invoice(d.Page.Invoice, d.Claim)
		}
		if d.Page.Reading != nil {
			c.reading(d.Page.Reading)
		}
	}
	if d.Claim != nil {
		c.claim(d.Claim)
	}
	return c.found
}

type checker struct{ found Problems }

func (c *checker) add(p Problem) { c.found = append(c.found, p) }

func (c *checker) required(field, v string) { c.need(at(field), v) }

func (c *checker) need(p place, v string) {
	if strings.TrimSpace(v) == "" {
		c.add(Problem{Field: p.String(), Code: "required"})
	}
}

// place is the path of a field, of a list's nth element where leaf is set. It is put together only for a fault.
type place struct {
	name string
	n    int // -1: no element of a list
	leaf string
}

func at(name string) place { return place{name, -1, ""} }

func (p place) String() string {
	if p.n < 0 {
		return p.name
	}
	return fmt.Sprintf("%s[%d]%s", p.name, p.n, p.leaf)
}

// text checks length and that no control characters hide in v.
func (c *checker) text(field, v string, limit int, required bool) {
	c.textAt(at(field), v, limit, required)
}

// line checks what has to stand in one line.
func (c *checker) line(field, v string, limit int) {
	if i := strings.IndexAny(v, "\r\n\t"); i >= 0 {
		c.add(Problem{Field: field, Code: "pattern", Detail: fmt.Sprintf("holds the character %U", v[i])})
		return
	}
	c.text(field, v, limit, false)
}

func (c *checker) textAt(p place, v string, limit int, required bool) {
	if required {
		c.need(p, v)
	}
	if n, ok := plainLength(v); ok && n <= limit {
		return
	}
	if n := Length(v); n > limit {
		c.add(Problem{Field: p.String(), Code: "too_long", Limit: int64(limit), Got: int64(n)})
	}
	for _, r := range v {
		if (unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t') || r == unicode.ReplacementChar {
			c.add(Problem{Field: p.String(), Code: "pattern", Detail: fmt.Sprintf("holds the character %U", r)})
			return
		}
	}
}

// plainLength is the Length of a text in which nothing combines and nothing is a control character but line feeds;
// false for another.
func plainLength(s string) (n int, ok bool) {
	for _, r := range s {
		if !lone(r) || r >= 0x7f && r < 0xa0 {
			return 0, false
		}
		n++
	}
	return n, true
}

func (c *checker) clock(field, v string) {
	if !clock.MatchString(v) {
		c.add(Problem{Field: field, Code: "pattern", Value: Mask(v), Detail: "HH:MM, 00:00 to 23:59"})
	}
}

func (c *checker) count(field string, n, limit int) {
	if n > limit {
		c.add(Problem{Field: field, Code: "too_many", Limit: int64(limit), Got: int64(n)})
	}
}

func (c *checker) identity(id *Identity, link bool) {
	if !link {
		c.add(Problem{Field: "identity", Code: "mismatch", Detail: "there is no page or claim to protect"})
	}
	if n := id.CodeDigits; n != nil && (*n < MinCodeDigits || *n > MaxCodeDigits) {
		c.add(Problem{Field: "identity.code_digits", Code: "range", Limit: MaxCodeDigits, Got: *n, Detail: "4 to 8 digits"})
	}
	c.count("identity.items", len(id.Items), MaxIdentityItems)
	var seen map[string]bool
	if len(id.Items) > MaxIdentityItems { // else a look at those before is as good
		seen = map[string]bool{}
	}
	for i, it := range id.Items {
		field := place{"identity.items", i, ".field"}
		c.need(field, it.Field)
		c.textAt(place{"identity.items", i, ".value"}, it.Value, MaxRegistered, true)
		c.textAt(place{"identity.items", i, ".label"}, it.Label, 30, false)
		twice := seen[it.Field] || seen == nil && slices.ContainsFunc(id.Items[:i], func(o IdentityItem) bool { return o.Field == it.Field })
		if twice && it.Field != "" {
			c.add(Problem{Field: field.String(), Code: "mismatch", Value: Mask(it.Field), Detail: "asked twice"})
		}
		if seen != nil {
			seen[it.Field] = true
		}
	}
}

func (c *checker) page(p *Page) {
	c.text("page.title", p.Title, MaxTitle, true)
	c.text("page.lead", p.Lead, MaxLead, false)
	c.text("page.closing", p.Closing, MaxClosing, false)
	c.text("page.addressee", p.Addressee, MaxAddressee, false)
	c.text("page.period", p.Period, MaxPeriod, false)
	c.text("page.sheet_message", p.SheetMessage, MaxSheetMessage, false)
	c.count("page.rows", len(p.Rows), MaxRows)
	for i, r := range p.Rows {
		c.textAt(place{"page.rows", i, ".item"}, r.Item, MaxRowItem, true)
		c.textAt(place{"page.rows", i, ".value"}, r.Value, MaxRowValue, false)
	}
	if p.Contact != nil {
		c.text("page.contact.name", p.Contact.Name, 40, false)
		c.text("page.contact.phone", p.Contact.Phone, 20, false)
		c.text("page.contact.hours", p.Contact.Hours, 80, false)
	}
	c.count("page.documents", len(p.Documents), MaxDocuments)
	for i, a := range p.Documents {
		c.textAt(place{"page.documents", i, ""}, a.ID, maxFileName, true)
		c.textAt(place{"page.documents", i, ".title"}, a.Title, MaxTitle, false)
	}
	if p.Survey != nil {
		c.survey(p.Survey)
	}
}

func (c *checker) survey(s *Survey) {
	c.text("page.survey.lead", s.Lead, MaxSurveyLead, false)
	c.count("page.survey.items", len(s.Items), MaxSurveyItems)
	if len(s.Items) == 0 {
		c.add(Problem{Field: "page.survey.items", Code: "required"})
	}
	for i, it := range s.Items {
		field := fmt.Sprintf("page.survey.items[%d]", i)
		c.text(field+".title", it.Title, MaxTitle, true)
		switch it.Type {
		case "radio", "check":
			c.count(field+".choices", len(it.Choices), MaxChoices)
			if least := 2; it.Type == "radio" && len(it.Choices) < least || len(it.Choices) == 0 {
				c.add(Problem{Field: field + ".choices", Code: "too_short", Limit: int64(least), Got: int64(len(it.Choices))})
			}
			for j, ch := range it.Choices {
				c.textAt(place{field + ".choices", j, ""}, ch, MaxChoice, true)
			}
		case "text":
			if len(it.Choices) > 0 {
				c.add(Problem{Field: field + ".choices", Code: "mismatch", Detail: "a text item has no choices"})
			}
		default:
			c.add(Problem{Field: field + ".type", Code: "unknown", Value: Mask(it.Type), Detail: "one of radio, check, text"})
		}
	}
}

func (c *checker) claim(cl *Claim) {
	if !claimNumber.MatchString(cl.Number) {
		c.add(Problem{Field: "claim.number", Code: "pattern", Value: Mask(cl.Number), Detail: "1 to 40 of A-Z, a-z, 0-9 and -"})
	}
	if cl.Amount < 1 || cl.Amount > MaxAmount {
		c.add(Problem{Field: "claim.amount", Code: "range", Limit: MaxAmount, Got: cl.Amount, Detail: "yen, 1 to 9,999,999"})
	}
	if cl.Tax != nil && (*cl.Tax < 0 || *cl.Tax > cl.Amount) {
		c.add(Problem{Field: "claim.tax", Code: "range", Limit: cl.Amount, Got: *cl.Tax, Detail: "yen, included in the amount"})
	}
	if _, err := cl.DueTime(); err != nil {
		c.add(Problem{Field: "claim.due", Code: "pattern", Value: Mask(cl.Due), Detail: "YYYY-MM-DD"})
	}
	c.text("claim.payer", cl.Payer, 40, false)
	before := len(c.found)
	c.rate("claim", cl.TaxRate)
	if cl.TaxRate != 0 && len(cl.Lines) > 0 {
		c.add(Problem{Field: "claim.tax_rate", Code: "mismatch", Got: cl.TaxRate, Detail: "only without lines: a line states its own"})
	}
	c.count("claim.lines", len(cl.Lines), MaxLines)
	for i, l := range cl.Lines {
		c.item(fmt.Sprintf("claim.lines[%d]", i), l)
	}
	switch sum := SumOf(cl.Lines); {
	case len(cl.Lines) > 0 && sum != cl.Amount && (cl.Tax == nil || *cl.Tax <= 0 || sum+*cl.Tax != cl.Amount):
		c.add(Problem{Field: "claim.lines", Code: "mismatch", Limit: cl.Amount, Got: sum, Detail: "the lines add up to the amount, or with the tax stated to it"})
	case len(c.found) == before:
		c.taxes(cl)
	}
}

// taxes checks what the lines, or the claim's own rate, say of tax, once they are right by themselves.
func (c *checker) taxes(cl *Claim) {
	lines := Rated(cl.Lines, cl.TaxRate, cl.Amount)
	totals := RateTotals(lines, Floor, cl.WithoutTax())
	for _, t := range totals {
		if t.Yen < 0 {
			c.add(Problem{Field: "claim.lines", Code: "range", Got: t.Yen, Detail: fmt.Sprintf("the lines taxed at %d percent come to less than nothing", t.Rate)})
			return
		}
	}
	if cl.Tax == nil || totals == nil {
		return
	}
	if _, ok := TaxesOf(lines, cl.Amount, *cl.Tax); !ok {
		c.add(Problem{Field: "claim.tax", Code: "mismatch", Limit: SumTax(totals), Got: *cl.Tax, Detail: "the tax of the rates stated, rounded once for each"})
	}
}

// Tokyo is the zone in which days, due dates and quiet hours are meant. It has had no changes since 1951.
var Tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// Day is the day of a moment in Tokyo, YYYY-MM-DD.
func Day(at time.Time) string { return at.In(Tokyo).Format(time.DateOnly) }

// Midnight is when the day of a moment began in Tokyo.
func Midnight(at time.Time) time.Time {
	y, m, d := at.In(Tokyo).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, Tokyo)
}

// DueTime is the last moment to pay: the due day's 23:59:59 in Asia/Tokyo.
func (cl *Claim) DueTime() (time.Time, error) {
	day, err := time.ParseInLocation("2006-01-02", cl.Due, Tokyo)
	if err != nil {
		return time.Time{}, err
	}
	return day.Add(24*time.Hour - time.Second), nil
}
