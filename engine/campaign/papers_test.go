package campaign

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func TestInvoiceAndReadingOfARow(t *testing.T) {
	header := []string{"電話番号", "タイトル", "請求書：番号", "請求書:発行日", "請求書:宛名", "請求書:税額10%", "invoice_tax8", "請求書:備考", "品名1", "数量1", "単価1", "税率1", "品名2", "単価2", "tax_rate2",
		"検針票:検針日", "検針票:使用量", "検針票:前回指針", "reading_current", "検針票:単位", "検針票:過去の使用量", "検針票:請求予定金額"}
	cells := []string{"09000010001", "水道料金", "S-1", "令和8年11月30日", "山田太郎", "100円", "8", "備考", "水道", "2", "550", "10%", "飲料水", "108", "8",
		"2026/11/24", "1,044", "638", "1682", "m3", "10月分=41；9月分＝38.5", "1208"}
	r := one(t, header, cells)
	require.Empty(t, r.faults)
	require.Nil(t, r.draft.Claim, "lines of an invoice make no claim")
	yen := int64(1208)
	require.Equal(t, &message.Invoice{
		Number: "S-1", Date: "2026-11-30", To: "山田太郎", Remarks: "備考",
		Lines: []message.InvoiceLine{{Line: message.Line{Name: "水道", Quantity: 2, Unit: 550, Amount: 1100, TaxRate: 10}}, {Line: message.Line{Name: "飲料水", Quantity: 1, Unit: 108, Amount: 108, TaxRate: 8}}},
		Taxes: []message.InvoiceTax{{Rate: 10, Tax: 100}, {Rate: 8, Tax: 8}},
	}, r.draft.Page.Invoice)
	require.Equal(t, &message.Reading{
		ReadOn: "2026-11-24", Values: []message.ReadingValue{{Unit: "m3", Previous: "638", Current: "1682", Usage: "1044"}},
		Months: []message.ReadingMonth{{Label: "10月分", Usage: "41"}, {Label: "9月分", Usage: "38.5"}}, Amount: &yen,
	}, r.draft.Page.Reading)
	r.draft.Text = "x"
	require.Empty(t, r.draft.Check())

	// With a claim the lines are the claim's, and the invoice has none of its own.
	withClaim := one(t, append(header, "請求番号", "請求金額", "支払期限"), append(cells, "C-1", "1208", "2030/01/01"))
	require.Len(t, withClaim.draft.Claim.Lines, 2)
	require.Empty(t, withClaim.draft.Page.Invoice.Lines)
	require.Equal(t, int64(8), withClaim.draft.Page.Invoice.Items(withClaim.draft.Claim)[1].TaxRate)
	withClaim.draft.Text = "x"
	require.Empty(t, withClaim.draft.Check())

	// A claim without lines has a rate of its own.
	rated := one(t, []string{"電話番号", "タイトル", "請求番号", "請求金額", "うち税", "税率", "支払期限"}, []string{"09000010001", "水道料金", "C-1", "7440", "551", "８％", "2030/01/01"})
	require.Empty(t, rated.faults)
	require.Equal(t, int64(8), rated.draft.Claim.TaxRate)
	rated.draft.Text = "x"
	require.Empty(t, rated.draft.Check())
}

// Defaults of an upload are not changed by a row, and a fault names the column.
func TestFaultsOfDocumentsNameTheirColumn(t *testing.T) {
	cols, faults := readHeader([]string{"電話番号", "請求書:番号", "請求書:税額10%", "品名1", "単価1", "税率1", "検針票:使用量", "検針票:過去の使用量"}, 1, nil)
	require.Empty(t, faults)
	defaults := message.Draft{Text: "x", Page: &message.Page{Title: "t", Invoice: &message.Invoice{Date: "2026-11-30", Number: "default"}, Reading: &message.Reading{ReadOn: "2026-11-24"}}}
	c := newConverter(cols, defaults)
	r := c.convert(1, 2, []string{"09000010001", "あ", "99999", "水道", "100", "7", "x", "10月分=y"})
	where := map[string]string{}
	for _, f := range r.found(r.draft.Check()) {
		where[f.Field] = f.Column
	}
	require.Equal(t, map[string]string{
		"page.invoice.lines[0].tax_rate": "税率1", "page.invoice.taxes[0].rate": "請求書:税額10%", "page.invoice.taxes": "",
		"page.reading.values[0].usage": "検針票:使用量", "page.reading.months[0].usage": "検針票:過去の使用量",
	}, where)
	require.Equal(t, "default", defaults.Page.Invoice.Number)
	require.Empty(t, defaults.Page.Reading.Values)
}

func TestDocumentsOfARow(t *testing.T) {
	header := []string{"電話番号", "書類1", "書類名1", "書類２", "document_title2", "書類3"}
	cols, faults := readHeader(header, 1, nil)
	require.Empty(t, faults)
	defaults := message.Draft{Text: "x", Page: &message.Page{Title: "t", Documents: []message.Attachment{{ID: "共通.pdf"}}}}
	c := newConverter(cols, defaults)
	r := c.convert(1, 2, []string{"09000010001", "請求明細.pdf", "11月分のご請求明細", "", "", "01ARZ3NDEKTSV4RRFFQ69G5FAV"})
	require.Empty(t, r.faults)
	require.Equal(t, []message.Attachment{{ID: "請求明細.pdf", Title: "11月分のご請求明細"}, {ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}, r.draft.Page.Documents)
	require.Empty(t, r.draft.Check())
	require.Equal(t, []message.Attachment{{ID: "共通.pdf"}}, c.convert(2, 3, []string{"09000010001"}).draft.Page.Documents, "the upload's own where a row names none")

	r = c.convert(3, 4, []string{"09000010001", "", "表示名だけ", "", strings.Repeat("長", 51), "無い.pdf"})
	where := map[string]string{}
	for _, f := range r.found(append(r.draft.Check(), message.Problem{Field: "page.documents[2]", Code: "unknown"})) {
		where[f.Field] = f.Column + " " + f.Code + " " + f.Value
	}
	require.Equal(t, map[string]string{"page.documents[0]": "書類1 required ", "page.documents[1]": "書類２ required ", "page.documents[1].title": "document_title2 too_long " + message.Mask(strings.Repeat("長", 51)), "page.documents[2]": "書類3 unknown " + message.Mask("無い.pdf")}, where)

	_, faults = readHeader([]string{"電話番号", "書類名1"}, 1, nil)
	require.Equal(t, detailPair, faults[0].Detail)
}

func TestSurveyAndContactOfARow(t *testing.T) {
	header := []string{"電話番号", "シートのお知らせ", "問い合わせ先", "問い合わせ先電話番号", "お問い合わせ先受付時間", "アンケート説明文", "設問1", "形式1", "選択肢1", "必須1", "設問2", "設問の形式2", "選択肢2", "設問３", "question_type4", "question4", "choices4"}
	cols, faults := readHeader(header, 1, nil)
	require.Empty(t, faults)
	defaults := message.Draft{Text: "x", Page: &message.Page{Title: "t", Contact: &message.Contact{Name: "本社", Hours: "平日"}, Survey: &message.Survey{Lead: "共通", Items: []message.SurveyItem{{Title: "共通の設問", Type: "text"}}}}}
	c := newConverter(cols, defaults)
	r := c.convert(1, 2, []string{"09000010001", "クーポン", "", "0312345678", "土日、祝日を除く", "", "ご都合", "１つ選択", "午前;午後、夕方；終日", "有", "ご関心", "複数回答", "時給|業務内容|その他", "ご希望", "text", "ご意見", ""})
	require.Empty(t, r.faults)
	require.Equal(t, "クーポン", r.draft.Page.SheetMessage)
	require.Equal(t, &message.Contact{Name: "本社", Phone: "0312345678", Hours: "土日、祝日を除く"}, r.draft.Page.Contact)
	require.Equal(t, &message.Survey{Lead: "共通", Items: []message.SurveyItem{
		{Title: "ご都合", Type: "radio", Choices: []string{"午前", "午後、夕方", "終日"}, Required: true}, {Title: "ご関心", Type: "check", Choices: []string{"時給", "業務内容", "その他"}},
		{Title: "ご希望", Type: "text"}, {Title: "ご意見", Type: "text"},
	}}, r.draft.Page.Survey)
	require.Empty(t, r.draft.Check())
	require.Equal(t, defaults.Page.Survey, c.convert(2, 3, []string{"09000010001"}).draft.Page.Survey)
	require.Equal(t, "本社", defaults.Page.Contact.Name)
	require.Empty(t, defaults.Page.Contact.Phone)

	r = c.convert(3, 4, []string{"09000010001", strings.Repeat("が", 601), "", strings.Repeat("0", 21), "", "", "一択", "ラジオボタン", "午前", "たぶん", "", "複数選択", "a;" + strings.Repeat("長", 51), "自由", "星", "評価", ""})
	where := map[string]string{}
	for _, f := range append(r.faults, r.found(r.draft.Check())...) {
		where[f.Field] = f.Column + " " + f.Code
	}
	require.Equal(t, map[string]string{
		"page.sheet_message": "シートのお知らせ too_long", "page.contact.phone": "問い合わせ先電話番号 too_long", "page.survey.items[0].choices": "選択肢1 too_short", "page.survey.items[0].required": "必須1 pattern",
		"page.survey.items[1].title": "設問2 required", "page.survey.items[1].choices[1]": "選択肢2 too_long", "page.survey.items[3].type": "question_type4 unknown",
	}, where)
}

// TestReadingOfSeveralMeters: the columns of the second meter on end in its number, and a fault names its column.
func TestReadingOfSeveralMeters(t *testing.T) {
	header := []string{"電話番号", "タイトル", "検針票:検針日", "検針票:計量名称", "検針票:使用量", "検針票:計量名称2", "reading_usage2", "検針票:料金内訳"}
	r := one(t, header, []string{"09000010001", "電気", "2026/11/24", "昼間", "120", "夜間", "80.5", "基本料金=1,200；従量料金＝3240円"})
	require.Empty(t, r.faults)
	require.Equal(t, []message.ReadingValue{{Name: "昼間", Usage: "120"}, {Name: "夜間", Usage: "80.5"}}, r.draft.Page.Reading.Values)
	require.Equal(t, []message.ReadingLine{{Name: "基本料金", Amount: 1200}, {Name: "従量料金", Amount: 3240}}, r.draft.Page.Reading.Lines)
	r.draft.Text = "x"
	require.Empty(t, r.draft.Check())
	bad := one(t, header, []string{"09000010001", "電気", "2026/11/24", "昼間", "120", "夜間", "", "基本料金=無料"})
	bad.draft.Text = "x"
	columns := map[string]bool{}
	for _, f := range append(bad.faults, bad.found(bad.draft.Check())...) {
		columns[f.Column] = true
	}
	require.Equal(t, map[string]bool{"reading_usage2": true, "検針票:料金内訳": true}, columns)
}
