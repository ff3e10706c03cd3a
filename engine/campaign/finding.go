package campaign

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Finding is one thing to say about a row. Its value is masked.
type Finding struct {
	Row    int64  `json:"row,omitempty"`    // from 1, behind the header; 0: the header
	Line   int64  `json:"line"`             // on which the row starts, from 1
	Column string `json:"column,omitempty"` // header as in the file; where the file has none, what it would be
	message.Problem
}

// Text says what is wrong in the language ("ja", else English), without naming the place.
func (f *Finding) Text(lang string) string {
	if ja, ok := detailJA[f.Detail]; ok {
		if lang == "ja" {
			return ja
		}
		return f.Detail
	}
	p := f.Problem
	p.Field, p.Value = "", ""
	return strings.TrimLeft(p.Text(lang), "：: ")
}

// What this package says of rows and columns, in English; stable.
const (
	detailNoHeader      = "the first line names no column that is known"
	detailNoPhone       = "the column of phone numbers is missing"
	detailUnknownColumn = "there is no such column; a row of the table is named 表:…, a value of a template {…}"
	detailTwice         = "the column is there twice"
	detailPair          = "the column that belongs to it is missing"
	detailNoName        = "the cell has no column name"
	detailCells         = "the row has more cells than the header"
	detailEncoding      = "holds bytes that are no character in the file's encoding"
	detailQuote         = "a quoted field does not end, or something follows its closing quote"
	detailRecord        = "the row is longer than 128 KiB"
	detailTooManyCells  = "the row has more than 512 columns"
	detailScientific    = "a number that a spreadsheet has rounded (1.23E+10): give the column the format text and enter it again"
	detailZero          = "the leading zero that a spreadsheet dropped was restored"
	detailNumber        = "a whole number, as 7440 or 7,440"
	detailYes           = "有 or 無, 1 or 0"
	detailDay           = "a date, as 2026/12/31, 2026-12-31 or 令和8年12月31日"
	detailMoment        = "a date and time, as 2026/12/31 10:00"
	detailWindow        = "HH:MM-HH:MM"
)

var detailJA = map[string]string{
	detailNoHeader:      "1行目に列名が見つかりません",
	detailNoPhone:       "電話番号の列がありません",
	detailUnknownColumn: "対応していない列名です（表の行は「表:見出し」、テンプレートの差し込みは「{名前}」としてください）",
	detailTwice:         "同じ列が重複しています",
	detailPair:          "対になる列がありません（項目1と値1、品名1と単価1、書類名1と書類1、選択肢1と設問1など）",
	detailNoName:        "列名のない列に値があります",
	detailCells:         "列名の行より列の数が多くなっています",
	detailEncoding:      "読み取れない文字が含まれています",
	detailQuote:         "引用符（\"）の対応が正しくありません",
	detailRecord:        "1行が128KB（131,072バイト）を超えています",
	detailTooManyCells:  "列の数が512を超えています",
	detailScientific:    "表計算ソフトで丸められた値です（1.23E+10 など）。列の書式を「文字列」にして入力し直してください",
	detailZero:          "表計算ソフトで失われた先頭の0を補いました",
	detailNumber:        "整数で入力してください（7440、7,440 など）",
	detailYes:           "「有」「無」または 1・0 で入力してください",
	detailDay:           "日付を入力してください（2026/12/31、2026-12-31、令和8年12月31日 など）",
	detailMoment:        "日時を入力してください（2026/12/31 10:00 など）",
	detailWindow:        "時間帯を入力してください（9:00-18:00 など）",
}

// List is one of the lists of findings of an upload.
type List uint8

const (
	ListFaults   List = iota // rows that cannot be sent, or why the file cannot be read
	ListWarnings             // rows that can, but not quite as they stand
	ListRefusals             // rows that were good when checked and refused when released
)

var listNames = [3]string{"faults", "warnings", "refusals"}

func (l List) String() string { return listNames[l] }

// ParseList reads the name of a list.
func ParseList(s string) (List, error) {
	for i, name := range listNames {
		if s == name {
			return List(i), nil
		}
	}
	return 0, fmt.Errorf("unknown list %q", s)
}

// perRow bounds the findings of one row.
const perRow = 20

// page makes the stream of one page of a list: the findings as lines of JSON, sealed.
func (c *Campaigns) page(st *State, l List, n int, findings []Finding) (store.Change, error) {
	ref := derive(st.ref, l.String(), n)
	var plain []byte
	for i := range findings {
		plain = append(append(plain, encode(&findings[i])...), '\n')
	}
	return c.sealed(st, ref, plain)
}

func (c *Campaigns) readPage(ctx context.Context, scope tenant.Scope, st *State, l List, n int) ([]Finding, error) {
	plain, err := c.open(ctx, scope, derive(st.ref, l.String(), n))
	if err != nil {
		return nil, fmt.Errorf("page %d of the %s of upload %s: %w", n, l, st.ID, err)
	}
	findings := make([]Finding, 0, st.lists[l][n])
	for line := range strings.Lines(string(plain)) {
		var f Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return nil, fmt.Errorf("page %d of the %s of upload %s: %w", n, l, st.ID, err)
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// each calls fn with the findings of a list from the place offset on, in the order of lines, until fn returns false.
func (c *Campaigns) each(ctx context.Context, scope tenant.Scope, st *State, l List, offset int64, fn func(*Finding) bool) error {
	for n, length := range st.lists[l] {
		if offset >= int64(length) {
			offset -= int64(length)
			continue
		}
		page, err := c.readPage(ctx, scope, st, l, n)
		if err != nil {
			return err
		}
		for i := int(offset); i < len(page); i++ {
			if !fn(&page[i]) {
				return nil
			}
		}
		offset = 0
	}
	return nil
}

// Findings returns up to limit (1 to 1,000) entries of a list from the place offset on, in the order of lines.
// State.Faults, Warnings and Refusals say how many there are.
func (c *Campaigns) Findings(ctx context.Context, scope tenant.Scope, id ulid.ULID, l List, offset int64, limit int) ([]Finding, error) {
	st, err := c.load(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 1), 1000)
	found := []Finding{}
	err = c.each(ctx, scope, st, l, max(offset, 0), func(f *Finding) bool {
		found = append(found, *f)
		return len(found) < limit
	})
	return found, err
}

// WriteCSV writes all findings of an upload for a spreadsheet: UTF-8 with BOM, CRLF, no cell that could be a formula.
// Values are masked. The language is that of heads and reasons ("ja", else English).
func (c *Campaigns) WriteCSV(ctx context.Context, scope tenant.Scope, id ulid.ULID, lang string, w io.Writer) error {
	st, err := c.load(ctx, scope, id)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	head := []string{"kind", "line", "row", "column", "value (masked)", "code", "reason"}
	kinds := [3]string{"fault", "warning", "refused at release"}
	if lang == "ja" {
		head = []string{"区分", "行番号", "データ番号", "列名", "値（一部）", "コード", "理由"}
		kinds = [3]string{"エラー", "注意", "送信時エラー"}
	}
	if err := out.Write(head); err != nil {
		return err
	}
	var failed error
	for _, l := range []List{ListFaults, ListRefusals, ListWarnings} {
		err := c.each(ctx, scope, st, l, 0, func(f *Finding) bool {
			failed = out.Write([]string{kinds[l], strconv.FormatInt(f.Line, 10), strconv.FormatInt(f.Row, 10), message.Cell(f.Column), message.Cell(f.Value), f.Code, message.Cell(f.Text(lang))})
			return failed == nil
		})
		if err != nil || failed != nil {
			return fmt.Errorf("write findings of upload %s: %w", id, cmp.Or(err, failed))
		}
	}
	out.Flush()
	return out.Error()
}
