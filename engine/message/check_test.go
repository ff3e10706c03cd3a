package message

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
)

func valid() Draft {
	tax := int64(551)
	return Draft{
		To: "090-0001-2345", Class: "billing", Text: "〇〇県水道局からお知らせです。{url}", Reference: "123456789012",
		Identity: &Identity{Items: []IdentityItem{{Field: "birth_date", Value: "19800101"}}},
		Page: &Page{Title: "水道料金のお知らせ", Lead: "ご確認ください。", Rows: []Row{{"お客様番号", "00-0-000000"}},
			Survey: &Survey{Items: []SurveyItem{{Title: "ご希望", Type: "radio", Choices: []string{"はい", "いいえ"}}}}},
		Claim: &Claim{Number: "2026-0001", Amount: 7440, Tax: &tax, Due: "2026-12-31", Lines: []Line{{"水道料金", 1, 7440, 7440, 0}}},
	}
}

func TestWholeDraftHasNoProblem(t *testing.T) {
	d := valid()
	require.Empty(t, d.Check())
}

func TestEachFaultNamesItsField(t *testing.T) {
	long := func(n int) string { return strings.Repeat("あ", n) }
	for field, spoil := range map[string]func(*Draft){
		"to":                           func(d *Draft) { d.To = " " },
		"key":                          func(d *Draft) { d.Key = "a b" },
		"class":                        func(d *Draft) { d.Class = "spam" },
		"reference":                    func(d *Draft) { d.Reference = long(65) },
		"text":                         func(d *Draft) { d.Text = "" },
		"template":                     func(d *Draft) { d.Template = "x" },
		"window.to":                    func(d *Draft) { d.Window = &Window{"10:00", "09:00"} },
		"window.from":                  func(d *Draft) { d.Window = &Window{"24:00", "25:00"} },
		"valid_until":                  func(d *Draft) { at := time.Now(); d.SendAt, d.ValidUntil = &at, &at },
		"identity.items":               func(d *Draft) { d.Identity.Items = make([]IdentityItem, 5) },
		"identity.items[0].value":      func(d *Draft) { d.Identity.Items[0].Value = "" },
		"page.title":                   func(d *Draft) { d.Page.Title = long(51) },
		"page.lead":                    func(d *Draft) { d.Page.Lead = long(801) },
		"page.closing":                 func(d *Draft) { d.Page.Closing = long(601) },
		"page.rows":                    func(d *Draft) { d.Page.Rows = make([]Row, 31) },
		"page.rows[0].item":            func(d *Draft) { d.Page.Rows[0].Item = long(51) },
		"page.rows[0].value":           func(d *Draft) { d.Page.Rows[0].Value = long(257) },
		"page.survey.lead":             func(d *Draft) { d.Page.Survey.Lead = long(201) },
		"page.survey.items":            func(d *Draft) { d.Page.Survey.Items = make([]SurveyItem, 21) },
		"page.survey.items[0].choices": func(d *Draft) { d.Page.Survey.Items[0].Choices = make([]string, 41) },
		"page.survey.items[0].type":    func(d *Draft) { d.Page.Survey.Items[0].Type = "slider" },
		"claim.number":                 func(d *Draft) { d.Claim.Number = "a/b" },
		"claim.amount":                 func(d *Draft) { d.Claim.Amount = 0 },
		"claim.tax":                    func(d *Draft) { *d.Claim.Tax = 7441 },
		"claim.due":                    func(d *Draft) { d.Claim.Due = "2026-02-30" },
		"claim.lines":                  func(d *Draft) { d.Claim.Lines[0] = Line{"水道料金", 1, 7000, 7000, 0} },
		"recipient.email":              func(d *Draft) { d.Recipient = &Recipient{Email: "taro@example.jp, hanako@example.jp"} },
		"claim.lines[0].amount":        func(d *Draft) { d.Claim.Lines[0].Unit = 1 },
	} {
		d := valid()
		spoil(&d)
		found := d.Check()
		has := false
		for _, p := range found {
			has = has || p.Field == field
			require.NotEmpty(t, p.Text("ja"))
			require.Contains(t, p.Text("en"), p.Field)
		}
		require.True(t, has, "%s: %v", field, found)
	}
}

func TestReferenceIsOneLine(t *testing.T) {
	for _, ref := range []string{"a\rb", "a\nb", "a\tb", "a\x00b", "a\u0085b"} {
		d := valid()
		d.Reference = ref
		require.Len(t, d.Check(), 1, "%q", ref)
		d = valid()
		d.Page.Lead = ref
		require.Equal(t, ref[1] < ' ' && ref[1] != 0, len(d.Check()) == 0, "%q, in a text", ref)
	}
}

func TestProblemsSayLimitAndLengthAndMaskTheValue(t *testing.T) {
	d := valid()
	d.Page.Title = strings.Repeat("あ", 51)
	require.Equal(t, "page.title: has 51 characters, the limit is 50", d.Check()[0].Text("en"))
	require.Equal(t, "page.title：50文字以内で入力してください（現在 51文字）", d.Check()[0].Text("ja"))
	d = valid()
	d.Claim.Due = "2026年12月末日"
	require.NotContains(t, d.Check()[0].Text("ja"), "12月")
}

func TestEveryFixedDetailHasJapanese(t *testing.T) {
	d := valid()
	d.Key, d.Class, d.Template, d.Window = " ", "x", "x", &Window{"x", "y"}
	d.Claim = &Claim{Number: "/", Due: "x", Lines: []Line{{"a", 1, 2, 3, 0}}}
	d.Identity.Items = append(d.Identity.Items, d.Identity.Items[0])
	d.Page.Survey.Items[0].Type = "x"
	for _, p := range d.Check() {
		if p.Detail != "" && p.Detail != "YYYY-MM-DD" {
			require.NotEqual(t, p.Detail, detail(p.Detail, "ja"))
		}
	}
}

// A reason is said once, in the reader's language, and a warning does not call itself a refusal.
func TestProblemsWithADetailSayIt(t *testing.T) {
	for want, p := range map[string]Problem{
		"to：固定電話にはSMSを送信できません [031****78]":           {Field: "to", Code: "landline", Value: "031****78", Detail: "is a landline number, which takes no SMS"},
		"key：同じキーが別の内容で使用されています [2026-000001]":       {Field: "key", Code: "conflict", Value: "2026-000001", Detail: "the key was used for another message"},
		"claim.number：この請求は消込済み、または取り消されています [A-1]":  {Field: "claim.number", Code: "conflict", Value: "A-1", Detail: "the claim was settled or withdrawn"},
		"text：SMSを送信しないため使用されません":                    {Field: "text", Code: "unused", Detail: "is ignored: the message is not sent"},
		"text：形式が正しくありません (使用できない文字が含まれています：U+FFFD)": {Field: "text", Code: "pattern", Detail: "holds the character U+FFFD"},
		"claim.amount：形式が正しくありません (この数値は指定できません)":    {Field: "claim.amount", Code: "pattern", Detail: "JSON number does not fit"},
		"class：登録されていない値です (notice、billing のいずれか)":   {Field: "class", Code: "unknown", Detail: "one of notice, billing"},
		"phase：受け付けできません [done]":                     {Field: "phase", Code: "conflict", Value: "done"},
	} {
		require.Equal(t, want, p.Text("ja"))
		require.NotContains(t, p.Text("en"), "is refused (landline)")
	}
	require.Equal(t, "to: is a landline number, which takes no SMS", Problem{Field: "to", Code: "landline", Detail: "is a landline number, which takes no SMS"}.Text("en"))
	require.Equal(t, "phase: is refused (conflict) [done]", Problem{Field: "phase", Code: "conflict", Value: "done"}.Text("en"))
}

func TestLengthCountsWhatReadersSee(t *testing.T) {
	for s, n := range map[string]int{"": 0, "か゛": 2, "が": 1, "葛󠄀": 1, "𠮷野": 2, "abc": 3, "👨‍👩‍👧": 1, "🇯🇵": 1, "👍🏽": 1, "ｶﾞ": 1, "a\r\nb": 3, "1️⃣": 1, "か\u3099": 1} {
		require.Equal(t, n, Length(s), "%q", s)
	}
	require.Equal(t, 3, Units("𠮷野"))
	for r := rune(0); r < 0x20000; r++ { // the short way counts as the long one does
		if lone(r) {
			require.Equal(t, 3, uniseg.GraphemeClusterCount("か"+string(r)+"1"), "%U", r)
		}
	}
}

func TestDueIsTheEndOfTheDayInTokyo(t *testing.T) {
	at, err := (&Claim{Due: "2026-12-31"}).DueTime()
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 12, 31, 14, 59, 59, 0, time.UTC), at.UTC())
}

// TestPlainTextIsCheckedAsAnyOther: the short way by which nearly all texts go finds what the long one would.
func TestPlainTextIsCheckedAsAnyOther(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		s := "あ" + string(r) + "1"
		n, ok := plainLength(s)
		if !ok {
			continue
		}
		fault := unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' || r == unicode.ReplacementChar
		if n != Length(s) || fault {
			t.Fatalf("%U: %d characters, not %d", r, n, Length(s))
		}
	}
	_, ok := plainLength("a\xff")
	require.False(t, ok)
}

func TestCellsOfSpreadsheetsAreHarmless(t *testing.T) {
	for _, v := range []string{"=1+1", "+81", "-1", "@x", "＝x", "\tx"} {
		require.Equal(t, "'"+v, Cell(v))
	}
	require.Empty(t, Cell(""))
	require.Equal(t, "\xff=", Cell("\xff="))
	require.Equal(t, "電話番号", Cell("電話番号"))
}
