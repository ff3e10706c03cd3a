package document

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128"
)

// gallery is for the eye: go test ./plugins/render/standard/document -run TestGallery -gallery DIR
var gallery = flag.String("gallery", "", "directory that every sample is written to as a PDF")

func TestGallery(t *testing.T) {
	if *gallery == "" {
		t.Skip("no -gallery")
	}
	for name, d := range samples() {
		require.NoError(t, os.WriteFile(filepath.Join(*gallery, name+".pdf"), draw(t, d), 0o644))
	}
}

func at(year, month, day, hour, minute, second int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(year, time.Month(month), day, hour-9, minute, second, 0, time.UTC))
}

func waterReceipt() *proto.Document {
	return &proto.Document{
		Kind: proto.DocumentKind_RECEIPT, Lang: "ja", Title: "水道料金（2～3月分）", Created: at(2026, 11, 24, 9, 30, 0),
		Issuer:  &proto.Issuer{Name: "〇〇県水道局", Address: "〇〇県〇〇市〇〇町1-2-3", Phone: "000-000-0000", RegistrationNumber: "T0000000000000"},
		Receipt: &proto.Receipt{Number: "199999999999", Issued: at(2026, 11, 24, 9, 30, 0), Paid: at(2026, 11, 22, 10, 19, 3), PayerName: "山田 太郎", MethodLabel: "コンビニ支払", Store: "コンビニA 〇〇駅前店", AgentReceiptNumber: "18111527393834"},
		Claim: &proto.Claim{Number: "20190621012403167", Yen: 7440, TaxYen: 551, Lines: []*proto.LineItem{
			{Name: "水道使用料", Quantity: 1, UnitYen: 4440, Yen: 4440}, {Name: "下水道使用料", Quantity: 2, UnitYen: 1500, Yen: 3000}}},
	}
}

func waterSheet() *proto.Document {
	d := waterReceipt()
	d.Kind, d.Receipt, d.PayerName = proto.DocumentKind_PAYMENT_SHEET, nil, "山田 太郎"
	d.Claim.Due = at(2026, 12, 31, 23, 59, 59)
	digits := "91" + "912345" + "0000000000000000012345" + "261231" + "0" + "007440"
	d.Voucher = &proto.Voucher{Barcode: digits + string(gs1128.CheckDigit(digits)), Expires: at(2026, 12, 31, 23, 59, 59)}
	return d
}

func samples() map[string]*proto.Document {
	large := waterReceipt()
	large.Issuer.RegistrationNumber = ""
	large.Claim = &proto.Claim{Number: "20210826016022339", Yen: 50000, TaxYen: -1}
	large.Receipt.PayerName = "𠮷田・髙﨑法律事務所 ﾊｺﾞ①〜−¥ 御中"
	english := waterReceipt()
	english.Lang = "en"
	letter := &proto.Document{
		Kind: proto.DocumentKind_NOTICE, Lang: "ja", Title: "水道料金のお知らせ", Created: at(2026, 11, 22, 9, 0, 0),
		Lead:   "拝啓　時下ますますご清栄のこととお慶び申し上げます。\n平素は格別のご高配を賜り、厚くお礼申し上げます。さて、2～3月分の水道料金につきまして、下記のとおりご案内申し上げます。お支払い期限までにお手続きをお願いいたします。",
		Issuer: waterReceipt().Issuer,
		Rows:   []*proto.Row{{Item: "お名前", Value: "山田 太郎 様"}, {Item: "お客様番号", Value: "00-0-000000"}, {Item: "水道使用水量", Value: "44m3"}, {Item: "今回指針", Value: "682"}, {Item: "ご案内", Value: "詳しくは https://www.example.jp/water をご覧ください。"}},
		Claim:  waterReceipt().Claim, Closing: "行き違いでご入金いただきました場合には、ご容赦ください。",
	}
	letter.Claim.Due = at(2026, 12, 31, 23, 59, 59)
	barcode := waterSheet()
	number := waterSheet()
	number.Voucher = &proto.Voucher{PaymentNumber: "1234-567-890123", ConfirmationNumber: "0042", Stores: []*proto.Store{{LabelJa: "コンビニA", LabelEn: "Konbini A"}, {LabelJa: "コンビニB", LabelEn: "Konbini B"}}}
	number.PayerName, number.Claim.Lines = "", nil
	own := waterSheet()
	own.Voucher = &proto.Voucher{PaymentNumber: "7123456789012"}
	own.Lead = "お支払い番号は、お客様専用の番号です。次回からのお支払いにもそのままお使いいただけます。ほかのご請求があるときは、店舗でお支払いになるご請求をお選びください。"
	said, saidLong := waterSheet(), waterSheet()
	said.Closing = "【冬の水道料金キャンペーン】\n口座振替に切り替えた方に、もれなく500円分のクーポンを進呈します（2027年1月末まで）。\n〇〇営業所：〇〇駅東口から徒歩3分　平日 9:00～17:00　https://www.example.jp/map"
	saidLong.Closing = string([]rune(strings.Repeat("お近くの店舗でご利用いただけるクーポンのご案内です。", 30))[:600])
	englishSheet := waterSheet()
	englishSheet.Lang = "en"
	all := map[string]*proto.Document{"invoice": waterInvoice(), "invoice-longest": longestInvoice(), "reading": waterReading(), "reading-longest": longestReading(), "sheet-barcode": barcode, "sheet-number": number, "sheet-en": englishSheet, "sheet-own": own, "sheet-said": said, "sheet-said-longest": saidLong, "receipt": waterReceipt(), "receipt-large": large, "receipt-en": english, "notice": letter, "notice-longest": longest(),
		"certificate": deliveryCertificate(5, false), "certificate-long": deliveryCertificate(24, true)}
	maps.Copy(all, receiptSamples())
	return all
}

// longest fills every limit of the page and has a value of nothing but line feeds.
func longest() *proto.Document {
	full := func(s string, n int) string { return string([]rune(strings.Repeat(s, n))[:n]) }
	d := &proto.Document{Kind: proto.DocumentKind_NOTICE, Lang: "ja", Created: at(2026, 11, 22, 9, 0, 0), Issuer: waterReceipt().Issuer, Title: full("長い題名のお知らせ", 50), Lead: full("文頭の文章です。", 800), Closing: full("文末の文章です。", 600), Claim: waterReceipt().Claim}
	for range 28 {
		d.Rows = append(d.Rows, &proto.Row{Item: full("長い項目の名前", 50), Value: full("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 128) + full("値（あたい）、", 128)})
	}
	d.Rows = append(d.Rows, &proto.Row{Item: "改行だけ", Value: strings.Repeat("あ\n", 127) + "最後の行"})
	for range 60 {
		d.Claim.Lines = append(d.Claim.Lines, &proto.LineItem{Name: full("とても長い品名", 50), Quantity: 1234, UnitYen: 123456, Yen: 299999999})
	}
	return d
}

func draw(t *testing.T, d *proto.Document) []byte {
	t.Helper()
	pdf, refused := Render(d)
	require.Nil(t, refused)
	return pdf
}

func TestDocumentsAreValidPDF(t *testing.T) {
	conf := model.NewDefaultConfiguration()
	for name, d := range samples() {
		pdf := draw(t, d)
		require.NoError(t, api.Validate(bytes.NewReader(pdf), conf), name)
		require.Less(t, len(pdf), 400<<10, "%s: the font is embedded as a subset", name)
		pages, err := api.PageCount(bytes.NewReader(pdf), conf)
		require.NoError(t, err)
		require.Equal(t, strings.HasSuffix(name, "long") || strings.HasSuffix(name, "longest"), pages > 1, name)
	}
}

// The text can be selected: what pdftotext reads is what was written.
func TestTextIsSelectable(t *testing.T) {
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is not installed")
	}
	read := func(name string) string {
		cmd := exec.Command(tool, "-layout", "-", "-")
		cmd.Stdin = bytes.NewReader(draw(t, samples()[name]))
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Join(strings.Fields(string(out)), " ")
	}
	text := read("receipt")
	for _, want := range []string{"領 収 書", "No. 199999999999", "発行日 2026年11月24日（火）", "山田 太郎 様", "7,440円", "（うち消費税等相当額 551円）", "お支払い日時 2026年11月22日（日） 10:19", "コンビニA 〇〇駅前店", "18111527393834", "20190621012403167", "水道使用料 1 4,440円 4,440円", "〇〇県水道局", "登録番号 T0000000000000"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "収入印紙")
	require.NotContains(t, text, "インボイス")

	text = read("receipt-large")
	for _, want := range []string{"受 領 証", "吉田・髙﨑法律事務所 ﾊｺﾞ①〜−¥ 御中", "50,000円", "※電子発行のため収入印紙は不要です（書面で交付する場合は収入印紙200円が必要です）。", "※この受領証は、適格請求書（インボイス）ではありません。"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "消費税等相当額")

	text = read("notice")
	for _, want := range []string{"水道料金のお知らせ", "山田 太郎 様", "お支払い期限 2026年12月31日（木）", "https://www.example.jp/water"} {
		require.Contains(t, text, want)
	}
	text = read("notice-longest")
	require.Equal(t, 60, strings.Count(text, "299,999,999円"), "no line is lost between pages")
	require.Contains(t, text, "最後の行")
	require.Regexp(t, regexp.MustCompile(`1 / \d+`), text)
	require.Regexp(t, `[ぁ-ん一-龠]`, text)

	text = read("receipt-en")
	for _, want := range []string{"Receipt", "Issued 24 November 2026", "¥7,440", "Registration no. T0000000000000"} {
		require.Contains(t, text, want)
	}
}

func TestSameModelSameBytes(t *testing.T) {
	for name, d := range samples() {
		first := draw(t, d)
		require.True(t, bytes.Equal(first, draw(t, d)), name)
	}
}

func TestDrawnAtOnce(t *testing.T) {
	want := draw(t, waterReceipt())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			pdf, refused := Render(waterReceipt())
			if refused != nil || !bytes.Equal(want, pdf) {
				t.Error("another document came out")
			}
		})
	}
	wg.Wait()
}

// 領収書 needs a registered issuer and the tax; without either it is a 受領証.
func TestReceiptWithoutTaxOrRegistrationIsNoInvoice(t *testing.T) {
	title := func(d *proto.Document) string {
		info, err := api.PDFInfo(bytes.NewReader(draw(t, d)), "", nil, false, model.NewDefaultConfiguration())
		require.NoError(t, err)
		return info.Title
	}
	d := waterReceipt()
	require.Equal(t, "領収書 199999999999", title(d))
	d.Claim.TaxYen = -1
	require.Equal(t, "受領証 199999999999", title(d))
	d = waterReceipt()
	d.Issuer.RegistrationNumber = ""
	require.Equal(t, "受領証 199999999999", title(d))
}

func TestWhatCannotBeDrawnIsRefused(t *testing.T) {
	refuse := func(field string, change func(*proto.Document)) {
		t.Helper()
		d := waterReceipt()
		change(d)
		pdf, refused := Render(d)
		require.Nil(t, pdf)
		require.NotNil(t, refused)
		require.Equal(t, field, refused.Field)
	}
	refuse("kind", func(d *proto.Document) { d.Kind = 0 })
	refuse("created", func(d *proto.Document) { d.Created = nil })
	refuse("issuer.name", func(d *proto.Document) { d.Issuer = nil })
	refuse("issuer.registration_number", func(d *proto.Document) { d.Issuer.RegistrationNumber = "T12" })
	refuse("receipt", func(d *proto.Document) { d.Receipt.Number = "" })
	refuse("claim", func(d *proto.Document) { d.Claim = nil })
	_, refused := Render(nil)
	require.Equal(t, "document", refused.Field)
}

func TestLinesBreakAsInPrint(t *testing.T) {
	s := newSheet("", "", "ja", time.Unix(0, 0))
	s.size(10)
	em := 10 * mm
	for _, c := range []struct {
		width float64
		text  string
		want  []string
	}{
		{4.2, "あいうえ、お", []string{"あいう", "え、お"}},      // 、 does not begin a line
		{4.2, "あいう（えお", []string{"あいう", "（えお"}},      // （ does not end one
		{4.2, "ab cdefgh", []string{"ab", "cdefgh"}}, // words stay whole
		{4.2, "あ\n\nい", []string{"あ", "", "い"}},
		{4.2, "ああああああ", []string{"ああああ", "ああ"}},
		{2.2, "、、、、、", []string{"、、", "、、", "、"}}, // nothing else to do
	} {
		require.Equal(t, c.want, s.wrap(c.text, c.width*em), c.text)
	}
	require.Equal(t, []string{""}, s.wrap("", em))
}

func BenchmarkReceipt(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := Render(waterReceipt()); refused != nil {
			b.Fatal(refused)
		}
	}
}
