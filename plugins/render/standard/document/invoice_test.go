package document

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func waterInvoice() *proto.Document {
	return &proto.Document{
		Kind: proto.DocumentKind_INVOICE, Lang: "ja", Title: "水道料金", Created: at(2026, 11, 24, 9, 30, 0), Issuer: waterReceipt().Issuer,
		Invoice: &proto.Invoice{
			Number: "2026-0001234", Issued: at(2026, 11, 24, 0, 0, 0), Addressee: "山田 太郎", Period: "2026年10月〜11月分", Due: at(2026, 12, 31, 23, 59, 59), Yen: 8520,
			Lines: []*proto.InvoiceLine{
				{Date: at(2026, 11, 1, 0, 0, 0), Name: "水道使用料", Quantity: 1, UnitYen: 4440, Yen: 4440, Rate: 10},
				{Date: at(2026, 11, 1, 0, 0, 0), Name: "下水道使用料", Quantity: 2, UnitYen: 1500, Yen: 3000, Rate: 10},
				{Date: at(2026, 11, 3, 0, 0, 0), Name: "備蓄用飲料水", Quantity: 10, UnitYen: 108, Yen: 1080, Rate: 8},
			},
			Taxes: []*proto.InvoiceTax{{Rate: 10, Yen: 7440, TaxYen: 676}, {Rate: 8, Yen: 1080, TaxYen: 80}},
			PayTo: "〇〇銀行 本店営業部\n普通 1234567 マルマルケンスイドウキョク", Remarks: "お振込手数料はお客様のご負担でお願いいたします。",
		},
	}
}

func longestInvoice() *proto.Document {
	full := func(s string, n int) string { return string([]rune(strings.Repeat(s, n))[:n]) }
	d := waterInvoice()
	d.Title, d.Invoice.Addressee, d.Invoice.Period = full("とても長い件名", 50), full("とても長い宛名株式会社", 60), full("対象期間", 40)
	d.Invoice.PayTo, d.Invoice.Remarks = full("お振込先の銀行", 200), full("備考の文章です。", 600)
	d.Invoice.Lines, d.Invoice.Yen = nil, 0
	for i := range 60 {
		d.Invoice.Lines = append(d.Invoice.Lines, &proto.InvoiceLine{Name: full(fmt.Sprintf("とても長い品名その%02d", i), 50), Quantity: 1234, UnitYen: 8100, Yen: 9995400, Rate: 10})
		d.Invoice.Yen += 9995400
	}
	d.Invoice.Taxes = []*proto.InvoiceTax{{Rate: 10, Yen: d.Invoice.Yen, TaxYen: 54520363}}
	return d
}

func waterReading() *proto.Document {
	d := &proto.Document{
		Kind: proto.DocumentKind_METER_READING, Lang: "ja", Title: "水道使用量のお知らせ", Created: at(2026, 11, 24, 9, 30, 0), Issuer: waterReceipt().Issuer,
		MeterReading: &proto.MeterReading{
			CustomerNumber: "00-0-000000", Name: "山田 太郎", Place: "〇〇県〇〇市〇〇町4-5-6 〇〇マンション 203", From: at(2026, 9, 25, 0, 0, 0), To: at(2026, 11, 24, 0, 0, 0),
			Read: at(2026, 11, 24, 0, 0, 0), Next: at(2027, 1, 25, 0, 0, 0), Yen: 7440, TaxYen: 551,
			Values:  []*proto.MeterValue{{Name: "水道", Meter: "12-345678", Unit: "m3", Previous: "638", Current: "682", Usage: "44"}},
			Lines:   []*proto.LineItem{{Name: "水道使用料", Yen: 4440}, {Name: "下水道使用料", Yen: 3000}},
			Remarks: "次回の検針まで、メーターの上に物を置かないようお願いいたします。",
		},
	}
	for i, used := range []string{"40", "38.5", "41", "0", "52", "47"} {
		d.MeterReading.Months = append(d.MeterReading.Months, &proto.MeterMonth{Label: fmt.Sprintf("2026年%d月分", i+1), Usage: used})
	}
	return d
}

func longestReading() *proto.Document {
	full := func(s string, n int) string { return string([]rune(strings.Repeat(s, n))[:n]) }
	d := waterReading()
	m := d.MeterReading
	d.Title, d.Lead = full("長い題名のお知らせ", 50), ""
	m.Name, m.Place, m.Remarks = full("とても長い契約者名", 60), full("とても長い使用場所", 100), full("お知らせの文章です。", 600)
	m.Values, m.Months, m.Lines = nil, nil, nil
	for range 8 {
		m.Values = append(m.Values, &proto.MeterValue{Name: full("昼間の計量", 20), Meter: full("1234567890", 20), Unit: full("kWh単位", 10), Previous: "123456789.123", Current: "123456789.999", Usage: "999999999.999"})
	}
	for i := range 24 {
		m.Months = append(m.Months, &proto.MeterMonth{Label: full(fmt.Sprintf("%d番目の使用月の名前です", i), 20), Usage: "999999999.999"})
	}
	for range 20 {
		m.Lines = append(m.Lines, &proto.LineItem{Name: full("とても長い内訳", 50), Yen: 9999999})
	}
	return d
}

func pdfText(t *testing.T, d *proto.Document) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is not installed")
	}
	cmd := exec.Command(tool, "-layout", "-", "-")
	cmd.Stdin = bytes.NewReader(draw(t, d))
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestInvoiceSaysWhatAQualifiedInvoiceMust(t *testing.T) {
	text := pdfText(t, waterInvoice())
	for _, want := range []string{"請 求 書", "No. 2026-0001234", "発行日 2026年11月24日", "山田 太郎 様", "〇〇県水道局", "登録番号 T0000000000000", "8,520円", "（うち消費税等相当額 756円）",
		"お支払い期限 2026年12月31日", "2026/11/01 水道使用料 1 4,440円 4,440円 10%", "備蓄用飲料水 10 108円 1,080円 ※8%", "※は軽減税率対象です。", "10%対象（税込） 7,440円 676円",
		"※8%対象（税込） 1,080円 80円", "普通 1234567", "お振込手数料"} {
		require.Contains(t, text, want)
	}
	plain := waterInvoice()
	plain.Issuer.RegistrationNumber, plain.Invoice.Taxes, plain.Invoice.Addressee, plain.Lang = "", nil, "", "en"
	text = pdfText(t, plain)
	require.Contains(t, text, "Invoice")
	require.NotContains(t, text, "Registration")
	require.NotContains(t, text, "By rate of tax")
	require.Equal(t, 60, strings.Count(pdfText(t, longestInvoice()), "9,995,400円"), "no line is lost between pages")
}

func TestMeterReadingShowsWhatWasUsed(t *testing.T) {
	text := pdfText(t, waterReading())
	for _, want := range []string{"水道使用量のお知らせ", "山田 太郎 様", "お客様番号 00-0-000000", "検針日 2026年11月24日", "次回検針予定日 2027年1月25日", "12-345678 638 682 44m3", "7,440円", "下水道使用料 3,000円",
		"2026年2月分 38.5m3", "2026年4月分 0m3"} {
		require.Contains(t, text, want)
	}
	long := pdfText(t, longestReading())
	require.Equal(t, 20, strings.Count(long, "9,999,999円"))
	require.Equal(t, 24, strings.Count(long, "番目"), "no month is lost between pages")
	none := waterReading()
	none.MeterReading.Yen, none.MeterReading.Months = -1, nil
	text = pdfText(t, none)
	require.NotContains(t, text, "請求予定金額")
	require.NotContains(t, text, "これまでのご使用量")
}

func TestInvoiceAndReadingNeedWhatTheySay(t *testing.T) {
	for field, d := range map[string]*proto.Document{
		"invoice":       {Kind: proto.DocumentKind_INVOICE, Created: at(2026, 1, 1, 0, 0, 0), Issuer: waterReceipt().Issuer, Invoice: &proto.Invoice{Number: "1"}},
		"meter_reading": {Kind: proto.DocumentKind_METER_READING, Created: at(2026, 1, 1, 0, 0, 0), Issuer: waterReceipt().Issuer, MeterReading: &proto.MeterReading{Read: at(2026, 1, 1, 0, 0, 0)}},
	} {
		_, refused := Render(d)
		require.Equal(t, field, refused.Field)
	}
}

// TestInvoiceOfLinesWithoutTax shows what they add up to, the tax and the total.
func TestInvoiceOfLinesWithoutTax(t *testing.T) {
	in := &proto.Invoice{Yen: 11_000, Lines: []*proto.InvoiceLine{{Name: "空室管理費", Quantity: 1, UnitYen: 10_000, Yen: 10_000, Rate: 10}}}
	require.Equal(t, int64(1_000), taxOnTop(in))
	in.Yen = 10_000
	require.Zero(t, taxOnTop(in))
}
