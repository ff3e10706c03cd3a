package campaign

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/engine/message"
)

type knownColumn struct {
	path  string // of message.Problem
	names []string
	set   func(r *row, cell string)
}

// known are the columns that stand for one field of a draft. A header is folded before it is compared: width, case, spaces
// and "_" do not matter. The first name is the one that faults give where a file has no such column.
var known = []knownColumn{
	{"to", []string{"電話番号", "携帯電話番号", "携帯番号", "phone", "to", "mobile"}, (*row).phone},
	{"recipient.registered_on", []string{"電話番号登録日", "番号登録日", "registered_on"}, func(r *row, v string) {
		r.recipient().RegisteredOn = r.day("recipient.registered_on", v)
	}},
	{"recipient.email", []string{"メールアドレス", "email"}, func(r *row, v string) { r.recipient().Email = v }},
	{"reference", []string{"会員情報", "会員番号", "reference"}, func(r *row, v string) { r.draft.Reference = r.identifier("reference", v) }},
	{"text", []string{"本文", "SMS本文", "text"}, func(r *row, v string) { r.words(&r.draft.Text, v) }},
	{"template", []string{"テンプレート", "template"}, func(r *row, v string) { r.words(&r.draft.Template, v) }},
	{"class", []string{"種別", "メッセージ種別", "class"}, func(r *row, v string) { r.draft.Class = class(v) }},
	{"sender", []string{"送信元", "sender"}, func(r *row, v string) { r.draft.Sender = v }},
	{"send", []string{"SMS送信", "送信", "send"}, func(r *row, v string) { send := r.yes("send", v); r.draft.Send = &send }},
	{"send_at", []string{"送信日時", "send_at"}, func(r *row, v string) { r.draft.SendAt = r.moment("send_at", v, false) }},
	{"valid_until", []string{"送信期限", "valid_until"}, func(r *row, v string) { r.draft.ValidUntil = r.moment("valid_until", v, true) }},
	{"window", []string{"送信時間帯", "window"}, (*row).window},
	{"link.expires_at", []string{"リンク有効期限", "URL有効期限", "link_expires_at"}, func(r *row, v string) {
		r.draft.Link = &message.Link{ExpiresAt: r.moment("link.expires_at", v, true)}
	}},
	{"identity.code", []string{"SMS認証", "code"}, func(r *row, v string) { r.identity().Code = r.yes("identity.code", v) }},
	{"identity.code_digits", []string{"認証番号の桁数", "code_digits"}, func(r *row, v string) { n := r.integer("identity.code_digits", v); r.identity().CodeDigits = &n }},
	{"page.title", []string{"タイトル", "title"}, func(r *row, v string) { r.page().Title = v }},
	{"page.lead", []string{"文頭", "lead"}, func(r *row, v string) { r.page().Lead = v }},
	{"page.addressee", []string{"ページ:お客様名", "page_addressee"}, func(r *row, v string) { r.page().Addressee = v }},
	{"page.period", []string{"ページ:対象期間", "page_period"}, func(r *row, v string) { r.page().Period = v }},
	{"page.closing", []string{"文末", "closing"}, func(r *row, v string) { r.page().Closing = v }},
	{"page.sheet_message", []string{"シートのお知らせ", "sheet_message"}, func(r *row, v string) { r.page().SheetMessage = v }},
	{"page.contact.name", []string{"問い合わせ先", "お問い合わせ先", "contact_name"}, func(r *row, v string) { r.contact().Name = v }},
	{"page.contact.phone", []string{"問い合わせ先電話番号", "お問い合わせ先電話番号", "contact_phone"}, func(r *row, v string) { r.contact().Phone = r.leadingZero("page.contact.phone", v) }},
	{"page.contact.hours", []string{"問い合わせ先受付時間", "お問い合わせ先受付時間", "contact_hours"}, func(r *row, v string) { r.contact().Hours = v }},
	{"page.survey.lead", []string{"アンケート説明文", "survey_lead"}, func(r *row, v string) { r.survey().Lead = v }},
	{"page.notice_pdf", []string{"PDF表示", "notice_pdf"}, func(r *row, v string) { r.page().NoticePDF = r.yes("page.notice_pdf", v) }},
	{"claim.number", []string{"請求番号", "claim_number"}, func(r *row, v string) { r.claim().Number = r.identifier("claim.number", v) }},
	{"claim.amount", []string{"請求金額", "金額", "amount"}, func(r *row, v string) { r.claim().Amount = r.integer("claim.amount", v) }},
	{"claim.tax", []string{"うち税", "うち消費税", "消費税", "tax"}, func(r *row, v string) { tax := r.integer("claim.tax", v); r.claim().Tax = &tax }},
	{"claim.tax_rate", []string{"税率", "tax_rate"}, func(r *row, v string) { r.claim().TaxRate = r.rate("claim.tax_rate", v) }},
	{"claim.due", []string{"支払期限", "支払期日", "due"}, func(r *row, v string) { r.claim().Due = r.day("claim.due", v) }},
	{"claim.methods", []string{"支払方法", "methods"}, func(r *row, v string) { r.methods = list(v) }},
	{"claim.payer", []string{"宛名", "payer"}, func(r *row, v string) { r.claim().Payer = v }},
	{"claim.promises", []string{"支払予定の確認", "promises"}, func(r *row, v string) { r.promises = r.yes("claim.promises", v) }},
	{"claim.debit", []string{"登録口座から引き落とし", "debit"}, func(r *row, v string) { r.debit = r.yes("claim.debit", v) }},
	{"claim.amend", []string{"請求変更", "amend"}, func(r *row, v string) { r.amend = r.yes("claim.amend", v) }},
	{"page.invoice.number", []string{"請求書:番号", "invoice_number"}, func(r *row, v string) { r.invoice().Number = r.identifier("page.invoice.number", v) }},
	{"page.invoice.date", []string{"請求書:発行日", "invoice_date"}, func(r *row, v string) { r.invoice().Date = r.day("page.invoice.date", v) }},
	{"page.invoice.to", []string{"請求書:宛名", "invoice_to"}, func(r *row, v string) { r.invoice().To = v }},
	{"page.invoice.subject", []string{"請求書:件名", "invoice_subject"}, func(r *row, v string) { r.invoice().Subject = v }},
	{"page.invoice.period", []string{"請求書:対象期間", "invoice_period"}, func(r *row, v string) { r.invoice().Period = v }},
	{"page.invoice.due", []string{"請求書:支払期限", "invoice_due"}, func(r *row, v string) { r.invoice().Due = r.day("page.invoice.due", v) }},
	{"page.invoice.pay_to", []string{"請求書:振込先", "invoice_pay_to"}, func(r *row, v string) { r.invoice().PayTo = v }},
	{"page.invoice.remarks", []string{"請求書:備考", "invoice_remarks"}, func(r *row, v string) { r.invoice().Remarks = v }},
	{"page.invoice.tax10", []string{"請求書:税額10%", "invoice_tax10"}, func(r *row, v string) { r.invoiceTax(10, "page.invoice.tax10", v) }},
	{"page.invoice.tax8", []string{"請求書:税額8%", "invoice_tax8"}, func(r *row, v string) { r.invoiceTax(8, "page.invoice.tax8", v) }},
	{"page.reading.read_on", []string{"検針票:検針日", "reading_on"}, func(r *row, v string) { r.reading().ReadOn = r.day("page.reading.read_on", v) }},
	{"page.reading.next_on", []string{"検針票:次回検針予定日", "reading_next"}, func(r *row, v string) { r.reading().NextOn = r.day("page.reading.next_on", v) }},
	{"page.reading.from", []string{"検針票:使用期間開始", "reading_from"}, func(r *row, v string) { r.reading().From = r.day("page.reading.from", v) }},
	{"page.reading.to", []string{"検針票:使用期間終了", "reading_to"}, func(r *row, v string) { r.reading().To = r.day("page.reading.to", v) }},
	{"page.reading.customer", []string{"検針票:お客様番号", "reading_customer"}, func(r *row, v string) { r.reading().Customer = r.identifier("page.reading.customer", v) }},
	{"page.reading.name", []string{"検針票:契約者", "reading_name"}, func(r *row, v string) { r.reading().Name = v }},
	{"page.reading.place", []string{"検針票:使用場所", "reading_place"}, func(r *row, v string) { r.reading().Place = v }},
	{"page.reading.lines", []string{"検針票:料金内訳", "reading_lines"}, (*row).readingLines},
	{"page.reading.months", []string{"検針票:過去の使用量", "reading_months"}, (*row).months},
	{"page.reading.amount", []string{"検針票:請求予定金額", "reading_amount"}, func(r *row, v string) { yen := r.integer("page.reading.amount", v); r.reading().Amount = &yen }},
	{"page.reading.tax", []string{"検針票:税額", "reading_tax"}, func(r *row, v string) { yen := r.integer("page.reading.tax", v); r.reading().Tax = &yen }},
	{"page.reading.remarks", []string{"検針票:お知らせ", "reading_remarks"}, func(r *row, v string) { r.reading().Remarks = v }},
	{"key", []string{"キー", "key"}, func(r *row, v string) { r.draft.Key = r.identifier("key", v) }},
}

// answers are the columns of expected answers: "認証:" and the Japanese name, or the field's own name, with "identity:" before
// it where the name alone is another column's (phone).
var answers = []struct{ field, name string }{
	{"birth_date", "生年月日"},
	{"kana_name", "氏名カナ"},
	{"customer_number", "お客様番号"},
	{"phone", "電話番号"},
	{"postcode", "郵便番号"},
	{"passcode", "暗証番号"},
}

// freeKey stands before a question in the sender's own words: "自由認証:ペットの名前".
const (
	freeKey = "自由認証:"
	freeEN  = "identity:free:"
)

// numbered are columns that end in a number: 項目1, 値1 … 項目30, 値30 of the table, 品名1, 数量1, 単価1, 税率1 … of the claim, or of the
// invoice where there is no claim, 書類1, 書類名1 … 書類5 of uploaded PDFs, 設問1, 形式1,
// 選択肢1, 必須1 … 設問20 of the survey.
var numbered = []struct {
	kind  columnKind
	names []string
	most  int
}{
	{columnItem, []string{"項目", "item"}, message.MaxRows},
	{columnValue, []string{"値", "内容", "value"}, message.MaxRows},
	{columnLine, []string{"品名", "line"}, message.MaxLines},
	{columnQuantity, []string{"数量", "quantity"}, message.MaxLines},
	{columnUnit, []string{"単価", "unit"}, message.MaxLines},
	{columnRate, []string{"税率", "taxrate"}, message.MaxLines},
	{columnQuestion, []string{"設問", "question"}, message.MaxSurveyItems},
	{columnType, []string{"設問の形式", "形式", "questiontype"}, message.MaxSurveyItems},
	{columnChoices, []string{"選択肢", "choices"}, message.MaxSurveyItems},
	{columnRequired, []string{"必須", "required"}, message.MaxSurveyItems},
	{columnDocument, []string{"書類", "document"}, message.MaxDocuments},
	{columnDocumentTitle, []string{"書類名", "書類の表示名", "documenttitle"}, message.MaxDocuments},
}

type columnKind uint8

const (
	columnField  columnKind = iota // known[index]
	columnAnswer                   // answers[index]
	columnFree                     // "自由認証:<question>": an expected answer to a question in the sender's words
	columnModule                   // "認証:<field>/<level>": an expected answer to a field of any module
	columnTable                    // "表:<name>": a row of the table
	columnVar                      // a value for {name}
	columnItem                     // index is the number, from 1
	columnValue
	columnLine
	columnQuantity
	columnUnit
	columnRate
	columnQuestion
	columnType
	columnChoices
	columnRequired
	columnDocument
	columnDocumentTitle
)

type column struct {
	header string // as in the file
	kind   columnKind
	index  int
	name   string // of columnFree, columnModule (the field), columnTable and columnVar
	level  string // of columnModule; empty: the module's default
}

// columns are what the first row of a file says.
type columns struct {
	all   []column
	field map[string]int // path → place in the row
	one   map[columnKind]map[int]int
}

// fold makes headers comparable.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '_' || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(s))
}

var (
	byName   = map[string]column{}
	usual    = map[string]string{} // path → the first name of its column
	tableKey = fold("表:")
	tableEN  = "row:"
	freeKeys = []string{fold(freeKey), fold(freeEN)}
	varKey   = fold("変数:")
)

// meterColumns are those of each meter of 検針票: 検針票:使用量 of the first, 検針票:使用量2 of the second.
var meterColumns = []struct {
	field string
	names []string
	set   func(r *row, path string, m *message.ReadingValue, cell string)
}{
	{"name", []string{"検針票:計量名称", "reading_meter_name"}, func(_ *row, _ string, m *message.ReadingValue, v string) { m.Name = v }},
	{"meter", []string{"検針票:メーター番号", "reading_meter"}, func(r *row, path string, m *message.ReadingValue, v string) { m.Meter = r.identifier(path, v) }},
	{"unit", []string{"検針票:単位", "reading_unit"}, func(_ *row, _ string, m *message.ReadingValue, v string) { m.Unit = v }},
	{"previous", []string{"検針票:前回指針", "reading_previous"}, func(_ *row, _ string, m *message.ReadingValue, v string) { m.Previous = decimal(v) }},
	{"current", []string{"検針票:今回指針", "reading_current"}, func(_ *row, _ string, m *message.ReadingValue, v string) { m.Current = decimal(v) }},
	{"usage", []string{"検針票:使用量", "reading_usage"}, func(_ *row, _ string, m *message.ReadingValue, v string) { m.Usage = decimal(v) }},
}

func init() {
	for i := range message.MaxReadingValues {
		for _, c := range meterColumns {
			path, set, names := fmt.Sprintf("page.reading.values[%d].%s", i, c.field), c.set, slices.Clone(c.names)
			for k := range names {
				if i > 0 {
					names[k] += strconv.Itoa(i + 1)
				}
			}
			known = append(known, knownColumn{path, names, func(r *row, v string) { set(r, path, r.meter(i), v) }})
		}
	}
	for i, k := range known {
		usual[k.path] = k.names[0]
		for _, name := range k.names {
			byName[fold(name)] = column{kind: columnField, index: i}
		}
	}
	for i, a := range answers {
		for _, name := range []string{"認証:" + a.name, "identity:" + a.field, a.field} {
			if _, taken := byName[fold(name)]; !taken {
				byName[fold(name)] = column{kind: columnAnswer, index: i}
			}
		}
	}
}

// modulePattern is the header of a field by the name that its module gives it: 認証:oidc/name_birthdate.
var modulePattern = regexp.MustCompile(`^(?:認証|identity): ?([a-z][a-z0-9_]{0,31})(?:/([a-z0-9_]{1,32}))?$`)

// isVar reports whether a plain header is a variable of one of the tenant's templates.
type isVar func(name string) bool

// readHeader understands the first row, or says all that is wrong with it.
func readHeader(cells []string, line int64, variable isVar) (*columns, []Finding) {
	c := &columns{field: map[string]int{}, one: map[columnKind]map[int]int{}}
	var faults []Finding
	fault := func(header, code, detail string) {
		faults = append(faults, Finding{Line: line, Column: headerName(header), Problem: message.Problem{Field: "header", Code: code, Detail: detail}})
	}
	understood := 0
	seen := map[string]bool{}
	for i, header := range cells {
		header = strings.TrimSpace(header)
		col, ok := parseHeader(header, variable)
		col.header = headerName(header)
		switch {
		case header == "":
			col.kind, col.index = columnTable, -1 // its cells must be empty
			ok = true
		case !ok:
			fault(header, "unknown", detailUnknownColumn)
		case seen[fold(header)] || c.taken(col):
			fault(header, "mismatch", detailTwice)
		default:
			understood++
		}
		if ok && header != "" {
			c.put(col, i)
		}
		seen[fold(header)] = true
		c.all = append(c.all, col)
	}
	if understood == 0 {
		return nil, []Finding{{Line: line, Problem: message.Problem{Field: "header", Code: "required", Detail: detailNoHeader}}}
	}
	if _, ok := c.field["to"]; !ok {
		faults = append(faults, Finding{Line: line, Column: known[0].names[0], Problem: message.Problem{Field: "to", Code: "required", Detail: detailNoPhone}})
	}
	for _, pair := range [][2]columnKind{{columnItem, columnValue}, {columnValue, columnItem}, {columnLine, columnUnit}, {columnUnit, columnLine}, {columnQuantity, columnLine}, {columnRate, columnLine}, {columnDocumentTitle, columnDocument}, {columnType, columnQuestion}, {columnChoices, columnQuestion}, {columnRequired, columnQuestion}} {
		for n, i := range c.one[pair[0]] {
			if _, ok := c.one[pair[1]][n]; !ok {
				fault(cells[i], "mismatch", detailPair)
			}
		}
	}
	return c, faults
}

// headerName is a header as it may be shown. Where a file has no header its first row is personal.
func headerName(h string) string {
	digits := 0
	for _, r := range h {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if digits > 3 {
		return message.Mask(h)
	}
	if r := []rune(h); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return h
}

func (c *columns) taken(col column) bool {
	switch col.kind {
	case columnField:
		_, ok := c.field[known[col.index].path]
		return ok
	case columnVar:
		_, ok := c.field["vars."+col.name]
		return ok
	case columnModule, columnTable:
		return false
	}
	_, ok := c.one[col.kind][col.index]
	return ok
}

func (c *columns) put(col column, i int) {
	switch col.kind {
	case columnField:
		c.field[known[col.index].path] = i
	case columnVar:
		c.field["vars."+col.name] = i
	case columnModule, columnTable:
	default:
		if c.one[col.kind] == nil {
			c.one[col.kind] = map[int]int{}
		}
		c.one[col.kind][col.index] = i
	}
}

func parseHeader(header string, variable isVar) (column, bool) {
	folded := fold(header)
	if col, ok := byName[folded]; ok {
		return col, true
	}
	for _, prefix := range freeKeys {
		if strings.HasPrefix(folded, prefix) {
			words := norm.NFC.String(strings.ReplaceAll(header, "：", ":"))
			name := strings.TrimSpace(words[strings.LastIndex(words, ":")+1:])
			return column{kind: columnFree, name: name}, name != ""
		}
	}
	if m := modulePattern.FindStringSubmatch(norm.NFKC.String(header)); m != nil {
		return column{kind: columnModule, name: m[1], level: m[2]}, true
	}
	for _, prefix := range []string{tableKey, tableEN} {
		if strings.HasPrefix(folded, prefix) {
			_, name, _ := strings.Cut(norm.NFC.String(strings.ReplaceAll(header, "：", ":")), ":")
			name = strings.TrimSpace(name)
			return column{kind: columnTable, name: name}, name != ""
		}
	}
	if name, ok := strings.CutPrefix(header, "{"); ok && strings.HasSuffix(name, "}") && name != "url}" && len(name) > 1 {
		return column{kind: columnVar, name: strings.TrimSuffix(name, "}")}, true
	}
	if strings.HasPrefix(folded, varKey) {
		_, name, _ := strings.Cut(strings.ReplaceAll(header, "：", ":"), ":")
		return column{kind: columnVar, name: strings.TrimSpace(name)}, name != ""
	}
	for _, n := range numbered {
		for _, name := range n.names {
			if rest, ok := strings.CutPrefix(folded, name); ok {
				if k, err := strconv.Atoi(rest); err == nil && k >= 1 && k <= n.most {
					return column{kind: n.kind, index: k}, true
				}
			}
		}
	}
	if variable != nil && variable(header) {
		return column{kind: columnVar, name: header}, true
	}
	return column{}, false
}

// numbers lists the numbers of a numbered column in order.
func (c *columns) numbers(kind columnKind) []int {
	var all []int
	for n := range c.one[kind] {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// namePattern finds the {names} of a text or template.
var namePattern = regexp.MustCompile(`\{([^{}]+)\}`)
