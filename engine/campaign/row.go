package campaign

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/engine/message"
)

// converter makes drafts of rows.
type converter struct {
	columns  *columns
	defaults message.Draft

	items, lines, documents, questions []int // numbers of 項目, 品名, 書類 and 設問 in order
}

func newConverter(c *columns, defaults message.Draft) *converter {
	return &converter{columns: c, defaults: defaults, items: c.numbers(columnItem), lines: c.numbers(columnLine), documents: c.numbers(columnDocument), questions: c.numbers(columnQuestion)}
}

// row is one row on its way to a draft.
type row struct {
	number   int64 // from 1, behind the header
	line     int64
	draft    message.Draft
	faults   []Finding
	warnings []Finding
	restored bool
	own      bool   // has a key of its own
	carrier  string // that it would be sent to; empty: it would not, or was not asked for

	columns *columns
	cells   []string
	methods []string
	amend   bool
	// promises: the page asks how the payment stands.
	promises bool
	// debit: once an account is registered, the claim is debited from it.
	debit bool
	at    []placed // paths that depend on the row
	had   struct{ page, claim, identity, words, vars, recipient, invoice, reading, contact, survey bool }
}

// convert makes a draft of a row. Its faults are those of form; what is left to intake is left to it.
func (c *converter) convert(number, line int64, cells []string) *row {
	r := &row{number: number, line: line, draft: c.defaults, columns: c.columns, cells: cells}
	if n := len(c.columns.all); len(cells) > n {
		for _, extra := range cells[n:] {
			if strings.TrimSpace(extra) != "" {
				r.fault("row", message.Problem{Code: "too_many", Limit: int64(n), Got: int64(len(cells)), Detail: detailCells})
				break
			}
		}
		r.cells = cells[:n]
	}
	for i, cell := range r.cells {
		col := &c.columns.all[i]
		if strings.ContainsRune(cell, utf8.RuneError) {
			r.faults = append(r.faults, r.finding(col.header, "encoding", message.Problem{Code: "encoding", Detail: detailEncoding}))
			continue
		}
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		switch col.kind {
		case columnField:
			known[col.index].set(r, cell)
		case columnAnswer:
			r.answer(i, message.IdentityItem{Field: answers[col.index].field, Value: cell})
		case columnFree:
			r.answer(i, message.IdentityItem{Field: "free", Label: col.name, Value: cell})
		case columnModule:
			r.answer(i, message.IdentityItem{Field: col.name, Level: col.level, Value: cell})
		case columnTable:
			if col.index < 0 {
				r.faults = append(r.faults, r.finding(col.header, "row", message.Problem{Code: "unknown", Detail: detailNoName}))
				continue
			}
			p := r.page()
			r.mark("page.rows", len(p.Rows), "", i)
			p.Rows = append(p.Rows, message.Row{Item: col.name, Value: cell})
		case columnVar:
			r.vars()[col.name] = cell
		}
	}
	c.table(r)
	c.moneyLines(r)
	c.papers(r)
	c.survey(r)
	if r.had.claim {
		if len(r.methods) > 0 {
			r.draft.Claim.Methods = r.methods
		}
		r.draft.Claim.Amend = r.draft.Claim.Amend || r.amend
		r.draft.Claim.Promises = r.draft.Claim.Promises || r.promises
		r.draft.Claim.Debit = r.draft.Claim.Debit || r.debit
	}
	r.own = r.draft.Key != ""
	return r
}

// cell is the trimmed cell of a numbered column, and its place.
func (r *row) cell(kind columnKind, n int) (string, int) {
	i, ok := r.columns.one[kind][n]
	if !ok || i >= len(r.cells) {
		return "", i
	}
	return strings.TrimSpace(r.cells[i]), i
}

// table adds 項目n and 値n as rows of the table.
func (c *converter) table(r *row) {
	for _, n := range c.items {
		item, i := r.cell(columnItem, n)
		value, v := r.cell(columnValue, n)
		if item == "" && value == "" {
			continue
		}
		p := r.page()
		r.mark("page.rows", len(p.Rows), "item", i)
		r.mark("page.rows", len(p.Rows), "", v)
		p.Rows = append(p.Rows, message.Row{Item: item, Value: value})
	}
}

// papers are 書類n with 書類名n: a row that names any has none of the defaults'.
func (c *converter) papers(r *row) {
	var all []message.Attachment
	for _, n := range c.documents {
		id, i := r.cell(columnDocument, n)
		title, t := r.cell(columnDocumentTitle, n)
		if id == "" && title == "" {
			continue
		}
		r.mark("page.documents", len(all), "title", t)
		r.mark("page.documents", len(all), "", i)
		all = append(all, message.Attachment{ID: id, Title: title})
	}
	if len(all) > 0 {
		r.page().Documents = all
	}
}

// moneyLines adds 品名n, 数量n, 単価n and 税率n as lines of the claim, or of the invoice where there is no claim: an invoice without
// lines has those of its claim.
func (c *converter) moneyLines(r *row) {
	invoice := r.had.invoice || r.draft.Page != nil && r.draft.Page.Invoice != nil
	claim := r.draft.Claim != nil || !invoice
	for _, n := range c.lines {
		name, i := r.cell(columnLine, n)
		quantity, q := r.cell(columnQuantity, n)
		unit, u := r.cell(columnUnit, n)
		rate, t := r.cell(columnRate, n)
		if name == "" && quantity == "" && unit == "" && rate == "" {
			continue
		}
		list, k := "page.invoice.lines", 0
		if claim {
			list, k = "claim.lines", len(r.claim().Lines)
		} else {
			k = len(r.invoice().Lines)
		}
		at := fmt.Sprintf("%s[%d]", list, k)
		r.mark(list, k, "name", i)
		r.mark(list, k, "quantity", q)
		r.mark(list, k, "tax_rate", t)
		r.mark(list, k, "", u)
		line := message.Line{Name: name, Quantity: 1}
		if quantity != "" {
			line.Quantity = r.integer(at+".quantity", quantity)
		}
		line.Unit = r.integer(at+".unit", unit)
		line.Amount = line.Quantity * line.Unit
		if rate != "" {
			line.TaxRate = r.rate(at+".tax_rate", rate)
		}
		if claim {
			r.claim().Lines = append(r.claim().Lines, line)
		} else {
			r.invoice().Lines = append(r.invoice().Lines, message.InvoiceLine{Line: line})
		}
	}
}

// The parts of a draft are the row's own once it changes them; until then they are the defaults'.

func (r *row) page() *message.Page {
	if !r.had.page {
		r.had.page = true
		p := message.Page{}
		if r.draft.Page != nil {
			p = *r.draft.Page
			p.Rows = slices.Clone(p.Rows)
		}
		r.draft.Page = &p
	}
	return r.draft.Page
}

func (r *row) recipient() *message.Recipient {
	if !r.had.recipient {
		r.had.recipient = true
		of := message.Recipient{}
		if r.draft.Recipient != nil {
			of = *r.draft.Recipient
		}
		r.draft.Recipient = &of
	}
	return r.draft.Recipient
}

func (r *row) invoice() *message.Invoice {
	p := r.page()
	if !r.had.invoice {
		r.had.invoice = true
		in := message.Invoice{}
		if p.Invoice != nil {
			in = *p.Invoice
			in.Lines, in.Taxes = slices.Clone(in.Lines), slices.Clone(in.Taxes)
		}
		p.Invoice = &in
	}
	return p.Invoice
}

// invoiceTax adds the tax of a rate, of the column of a path.
func (r *row) invoiceTax(rate int64, path, v string) {
	in := r.invoice()
	r.mark("page.invoice.taxes", len(in.Taxes), "", r.columns.field[path])
	in.Taxes = append(in.Taxes, message.InvoiceTax{Rate: rate, Tax: r.integer(path, v)})
}

func (r *row) reading() *message.Reading {
	p := r.page()
	if !r.had.reading {
		r.had.reading = true
		m := message.Reading{}
		if p.Reading != nil {
			m = *p.Reading
			m.Values, m.Months, m.Lines = slices.Clone(m.Values), slices.Clone(m.Months), slices.Clone(m.Lines)
		}
		p.Reading = &m
	}
	return p.Reading
}

// meter is the meter at a place; those before it are there too, and lack what their columns do not say.
func (r *row) meter(i int) *message.ReadingValue {
	m := r.reading()
	for len(m.Values) <= i {
		m.Values = append(m.Values, message.ReadingValue{})
	}
	return &m.Values[i]
}

// readingLines reads 基本料金=1,200;従量料金=3240.
func (r *row) readingLines(v string) {
	m := r.reading()
	m.Lines = nil
	for part := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ';' || c == '；' || c == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, yen, _ := strings.Cut(strings.ReplaceAll(part, "＝", "="), "=")
		m.Lines = append(m.Lines, message.ReadingLine{Name: strings.TrimSpace(name), Amount: r.integer("page.reading.lines", yen)})
	}
}

// months reads 2026年9月分=41;2026年8月分=40.
func (r *row) months(v string) {
	m := r.reading()
	m.Months = nil
	for part := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ';' || c == '；' || c == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		label, usage, _ := strings.Cut(strings.ReplaceAll(part, "＝", "="), "=")
		m.Months = append(m.Months, message.ReadingMonth{Label: strings.TrimSpace(label), Usage: decimal(usage)})
	}
}

// decimal is a quantity as people write it, without the commas of thousands.
func decimal(v string) string { return strings.ReplaceAll(narrow(v), ",", "") }

func (r *row) claim() *message.Claim {
	if !r.had.claim {
		r.had.claim = true
		cl := message.Claim{}
		if r.draft.Claim != nil {
			cl = *r.draft.Claim
			cl.Lines = slices.Clone(cl.Lines)
		}
		r.draft.Claim = &cl
	}
	return r.draft.Claim
}

func (r *row) identity() *message.Identity {
	if !r.had.identity {
		r.had.identity = true
		id := message.Identity{}
		if r.draft.Identity != nil {
			id = *r.draft.Identity
			id.Items = slices.Clone(id.Items)
		}
		r.draft.Identity = &id
	}
	return r.draft.Identity
}

func (r *row) vars() map[string]string {
	if !r.had.vars {
		r.had.vars = true
		if r.draft.Vars = maps.Clone(r.draft.Vars); r.draft.Vars == nil {
			r.draft.Vars = map[string]string{}
		}
	}
	return r.draft.Vars
}

// words sets the text or the template of the row, which has neither by default then.
func (r *row) words(at *string, v string) {
	if !r.had.words {
		r.had.words = true
		r.draft.Text, r.draft.Template = "", ""
	}
	*at = v
}

// placed says where the parts of the nth entry of a list stand in the file.
type placed struct {
	list  string // page.rows
	n     int
	field string // item; empty: all that is not said
	i     int    // place in cells
}

// mark notes where a part of a list's entry stands.
func (r *row) mark(list string, n int, field string, i int) {
	r.at = append(r.at, placed{list, n, field, i})
}

// answer adds an expected answer of a cell.
func (r *row) answer(i int, it message.IdentityItem) {
	id := r.identity()
	r.mark("identity.items", len(id.Items), "", i)
	switch at := fmt.Sprintf("identity.items[%d].value", len(id.Items)); it.Field {
	case "customer_number", "passcode":
		it.Value = r.identifier(at, it.Value)
	case "phone":
		it.Value = r.leadingZero(at, it.Value)
	}
	id.Items = append(id.Items, it)
}

// place where a path of a problem stands in the file; -1: in none of its columns.
func (r *row) placeOf(path string) int {
	if i, ok := r.columns.field[path]; ok {
		return i
	}
	if list, rest, ok := strings.Cut(path, "["); ok {
		if i, ok := r.columns.field[list]; ok { // claim.methods[0]
			return i
		}
		number, field, _ := strings.Cut(rest, "]")
		part, _, _ := strings.Cut(strings.TrimPrefix(field, "."), "[") // choices[3]
		n, err := strconv.Atoi(number)
		for _, p := range r.at {
			if err == nil && p.list == list && p.n == n && (p.field == "" || p.field == part) {
				return p.i
			}
		}
	}
	if strings.HasPrefix(path, "window.") {
		if i, ok := r.columns.field["window"]; ok {
			return i
		}
	}
	return -1
}

// columnOf is the header of the path's column; where the file has none, what it would be called.
func (r *row) columnOf(path string) string {
	if i := r.placeOf(path); i >= 0 {
		return r.columns.all[i].header
	}
	if name, ok := usual[path]; ok {
		return name
	}
	base, _, _ := strings.Cut(path, "[")
	return usual[base]
}

func (r *row) finding(column, path string, p message.Problem) Finding {
	p.Field = path
	return Finding{Row: r.number, Line: r.line, Column: column, Problem: p}
}

// found makes findings of the problems that intake has with the row's draft.
func (r *row) found(ps message.Problems) []Finding {
	var all []Finding
	for _, p := range ps {
		if (p.Field == "claim.tax" || p.Field == "claim.lines") && slices.ContainsFunc(r.faults, func(f Finding) bool { return f.Field == "claim.amount" }) {
			continue // compared with an amount that could not be read
		}
		column := r.columnOf(p.Field)
		if slices.ContainsFunc(r.faults, func(f Finding) bool { return f.Field == p.Field || column != "" && f.Column == column }) {
			continue // said already, and better
		}
		if i := r.placeOf(p.Field); (p.Value == "" || p.Field == "key") && i >= 0 && i < len(r.cells) {
			p.Value = message.Mask(r.cells[i])
		}
		all = append(all, r.finding(column, p.Field, p))
	}
	return all
}

func (r *row) fault(path string, p message.Problem) {
	r.faults = append(r.faults, r.finding(r.columnOf(path), path, p))
}

// narrow makes digits, Latin letters and signs half-width.
func narrow(s string) string { return strings.TrimSpace(norm.NFKC.String(s)) }

// scientific is what Excel makes of a long number: 9.01235E+09.
var scientific = regexp.MustCompile(`^-?[0-9](\.[0-9]+)?[Ee]\+[0-9]{1,3}$`)

// rate is a rate of tax in percent: 10, 8%.
func (r *row) rate(path, v string) int64 { return r.integer(path, strings.TrimSuffix(narrow(v), "%")) }

// identifier refuses a number that Excel has rounded.
func (r *row) identifier(path, v string) string {
	if strings.ContainsAny(v, "EeＥｅ") && scientific.MatchString(narrow(v)) {
		r.fault(path, message.Problem{Code: "scientific", Value: message.Mask(v), Detail: detailScientific})
		return ""
	}
	return v
}

func (r *row) phone(v string) { r.draft.To = r.leadingZero("to", v) }

var bareMobile = regexp.MustCompile(`^[6-9]0[1-9][0-9]{7}$|^[79]00[0-9]{7}$`)

// leadingZero restores the zero that Excel dropped from a mobile number, and says so.
func (r *row) leadingZero(path, v string) string {
	if v[0] == '0' {
		return v
	}
	if v = r.identifier(path, v); v == "" {
		return ""
	}
	if bareMobile.MatchString(narrow(v)) {
		w := r.finding(r.columnOf(path), path, message.Problem{Code: "zero_restored", Value: message.Mask(v), Detail: detailZero})
		r.warnings = append(r.warnings, w)
		r.restored = r.restored || path == "to"
		return "0" + narrow(v)
	}
	return v
}

var amountPattern = regexp.MustCompile(`^-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)$`)

// integer reads yen or a count: 7,440 ￥7440 7440円.
func (r *row) integer(path, v string) int64 {
	n := narrow(v)
	if scientific.MatchString(n) {
		r.identifier(path, v)
		return 0
	}
	n = strings.TrimSpace(strings.TrimSuffix(strings.TrimLeft(n, `¥\`), "円"))
	if amountPattern.MatchString(n) && len(n) < 16 {
		if k, err := strconv.ParseInt(strings.ReplaceAll(n, ",", ""), 10, 64); err == nil {
			return k
		}
	}
	r.fault(path, message.Problem{Code: "pattern", Value: message.Mask(v), Detail: detailNumber})
	return 0
}

// yes reads 有/無, 1/0 and their like.
func (r *row) yes(path, v string) bool {
	switch strings.ToLower(narrow(v)) {
	case "有", "あり", "する", "はい", "1", "true", "yes", "y", "○", "〇", "on":
		return true
	case "無", "なし", "しない", "いいえ", "0", "false", "no", "n", "×", "off", "-":
		return false
	}
	r.fault(path, message.Problem{Code: "pattern", Value: message.Mask(v), Detail: detailYes})
	return false
}

var classes = map[string]message.Class{
	"お知らせ": message.Notice, "通知": message.Notice, "請求": message.Billing, "督促": message.Collection,
	"認証": message.OTP, "法定通知": message.LegalNotice, "債権譲渡通知": message.LegalNotice, "広告": message.Ad,
}

func class(v string) string {
	if c, ok := classes[narrow(v)]; ok {
		return string(c)
	}
	return v
}

func (r *row) window(v string) {
	from, to, ok := strings.Cut(strings.NewReplacer("~", "-", "～", "-", "〜", "-", "−", "-", "–", "-").Replace(narrow(v)), "-")
	if !ok {
		r.fault("window", message.Problem{Code: "pattern", Value: message.Mask(v), Detail: detailWindow})
		return
	}
	pad := func(s string) string {
		if s = strings.TrimSpace(s); len(s) == 4 {
			s = "0" + s
		}
		return s
	}
	r.draft.Window = &message.Window{From: pad(from), To: pad(to)}
}

// list reads codes between ; , 、 / or spaces.
func list(v string) []string {
	return strings.FieldsFunc(narrow(v), func(r rune) bool { return strings.ContainsRune(";,、/| ", r) })
}

var dayPattern = regexp.MustCompile(`^(?:(令和|R|r)\s*)?([0-9]{1,4}|元)(?:[-/.]|年\s*)([0-9]{1,2})(?:[-/.]|月\s*)([0-9]{1,2})日?`)

// date reads 2026/12/31, 2026-12-31, 2026.12.31, 2026年12月31日, 20261231, 令和8年12月31日, R8.12.31, and gives what follows.
func date(v string) (day time.Time, rest string, ok bool) {
	v = narrow(v)
	if len(v) >= 8 && len(strings.TrimLeft(v[:8], "0123456789")) == 0 && (len(v) == 8 || v[8] == ' ') {
		v = v[:4] + "-" + v[4:6] + "-" + v[6:]
	}
	m := dayPattern.FindStringSubmatch(v)
	if m == nil {
		return time.Time{}, "", false
	}
	year, _ := strconv.Atoi(m[2])
	if m[2] == "元" {
		year = 1
	}
	if m[1] != "" {
		if year < 1 || year > 99 {
			return time.Time{}, "", false
		}
		year += 2018
	} else if len(m[2]) != 4 {
		return time.Time{}, "", false
	}
	month, _ := strconv.Atoi(m[3])
	dom, _ := strconv.Atoi(m[4])
	day = time.Date(year, time.Month(month), dom, 0, 0, 0, 0, message.Tokyo)
	if day.Year() != year || int(day.Month()) != month || day.Day() != dom {
		return time.Time{}, "", false
	}
	return day, v[len(m[0]):], true
}

// day is the date in the form of a claim's due date.
func (r *row) day(path, v string) string {
	day, rest, ok := date(v)
	if !ok || strings.TrimLeft(rest, " 0:") != "" { // Excel may add 0:00
		r.fault(path, message.Problem{Code: "pattern", Value: message.Mask(v), Detail: detailDay})
		return ""
	}
	return day.Format(time.DateOnly)
}

var clockPattern = regexp.MustCompile(`^[ T]*([0-9]{1,2})(?::|時)([0-9]{2})(?:分|:([0-9]{2}))?$`)

// moment reads a date with or without a time in Asia/Tokyo, or RFC 3339. Without a time it is the day's first moment, or
// its last.
func (r *row) moment(path, v string, last bool) *time.Time {
	if t, err := time.Parse(time.RFC3339, narrow(v)); err == nil {
		return &t
	}
	bad := func() *time.Time {
		r.fault(path, message.Problem{Code: "pattern", Value: message.Mask(v), Detail: detailMoment})
		return nil
	}
	day, rest, ok := date(v)
	if !ok {
		return bad()
	}
	if rest == "" {
		if last {
			day = day.Add(24*time.Hour - time.Second)
		}
		return &day
	}
	m := clockPattern.FindStringSubmatch(rest)
	if m == nil {
		return bad()
	}
	h, _ := strconv.Atoi(m[1])
	min, _ := strconv.Atoi(m[2])
	sec, _ := strconv.Atoi("0" + m[3])
	if h > 23 || min > 59 || sec > 59 {
		return bad()
	}
	day = day.Add(time.Duration(h)*time.Hour + time.Duration(min)*time.Minute + time.Duration(sec)*time.Second)
	return &day
}
