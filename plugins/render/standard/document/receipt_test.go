package document

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

// twoRates is a receipt over goods of both rates, and a deposit that is not taxed.
func twoRates() *proto.Document {
	d := waterReceipt()
	d.Title = "ご注文品"
	d.Claim = &proto.Claim{Number: "20261122000000001", Yen: 58_580, TaxYen: 5_080, Lines: []*proto.LineItem{
		{Name: "お弁当", Quantity: 10, UnitYen: 540, Yen: 5_400, TaxRate: 8}, {Name: "会場使用料", Quantity: 1, UnitYen: 51_480, Yen: 51_480, TaxRate: 10},
		{Name: "保証金", Quantity: 1, UnitYen: 1_700, Yen: 1_700}},
		Taxes: []*proto.RateTotal{{Rate: 10, Yen: 51_480, TaxYen: 4_680}, {Rate: 8, Yen: 5_400, TaxYen: 400}, {Rate: 0, Yen: 1_700}}}
	return d
}

func copied() *proto.Document {
	d := twoRates()
	d.Receipt.Copy, d.Receipt.Copied, d.Created = 2, at(2026, 12, 24, 10, 0, 0), at(2026, 12, 24, 10, 0, 0)
	return d
}

func refunded(yen int64, taxes ...*proto.RateTotal) *proto.Document {
	d := twoRates()
	d.Receipt.Number = "000000000003"
	d.Receipt.Refund = &proto.ReceiptRefund{Yen: yen, At: at(2026, 12, 1, 9, 0, 0), Corrects: "000000000001", CorrectsIssued: at(2026, 11, 24, 9, 30, 0), Taxes: taxes}
	return d
}

func receiptSamples() map[string]*proto.Document {
	card := twoRates()
	card.Receipt.Card, card.Receipt.MethodLabel, card.Receipt.Store = true, "クレジットカード", ""
	copiedRefund := refunded(58_580, twoRates().Claim.Taxes...)
	copiedRefund.Receipt.Copy, copiedRefund.Receipt.Copied = 1, at(2026, 12, 24, 10, 0, 0)
	english := refunded(1_700)
	english.Lang, english.Receipt.Copy, english.Receipt.Copied = "en", 1, at(2026, 12, 24, 10, 0, 0)
	plain := refunded(3_440)
	none := refunded(0)
	none.Receipt.Refund.At = nil
	plain.Issuer.RegistrationNumber, plain.Claim = "", &proto.Claim{Number: "1", Yen: 7_440, TaxYen: -1}
	return map[string]*proto.Document{"receipt-rates": twoRates(), "receipt-copy": copied(), "receipt-card": card, "receipt-refund-part": refunded(1_700), "receipt-refund-all": copiedRefund, "receipt-refund-en": english, "receipt-refund-plain": plain, "receipt-refund-none": none}
}

// said is what pdftotext reads, with single spaces.
func said(t *testing.T, d *proto.Document) string {
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

func TestReceiptsSayWhatTheyAre(t *testing.T) {
	all := receiptSamples()
	for name, c := range map[string]struct{ want, not []string }{
		"receipt-rates": {[]string{"領 収 書", "お弁当 ※ 10 540円 5,400円", "10％対象（税込） 51,480円 4,680円", "8％対象（税込）※ 5,400円 400円", "非課税・対象外 1,700円", "※は軽減税率対象品目です。", "登録番号 T0000000000000",
			"収入印紙は不要です（書面で交付する場合は収入印紙200円が必要です）"}, []string{"再発行", "返金", "インボイス"}},
		"receipt-copy":         {[]string{"再発行（2回目）", "再発行日 2026年12月24日", "発行日 2026年11月24日", "No. 199999999999", "58,580円"}, []string{"返金"}},
		"receipt-card":         {[]string{"※クレジットカード利用。収入印紙は不要です。"}, []string{"書面で交付"}},
		"receipt-refund-part":  {[]string{"（返金による訂正）", "差引領収金額", "56,880円", "返金額 -1,700円", "返金日 2026年12月1日", "No. 000000000001（2026年11月24日（火）発行）", "No. 000000000003", "税率ごとの内訳は、発行者に"}, []string{"再発行", "返金の内訳"}},
		"receipt-refund-all":   {[]string{"再発行（1回目）", "0円", "返金額 -58,580円", "返金の内訳 10％対象（税込） -51,480円（うち消費税等 -4,680円）", "-5,400円（うち消費税等 -400円）"}, []string{"内訳は、発行者に", "印紙"}},
		"receipt-refund-en":    {[]string{"Receipt", "(corrected: refund)", "Copy no. 1", "Given back ¥-1,700", "Corrects receipt No. 000000000001"}, []string{"返金"}},
		"receipt-refund-none":  {[]string{"領 収 書", "（訂正）", "58,580円", "返金が完了しなかったため", "No. 000000000001（2026年11月24日（火）発行）", "収入印紙200円"}, []string{"返金額", "差引", "返金による訂正"}},
		"receipt-refund-plain": {[]string{"受 領 証", "（返金による訂正）", "4,000円", "適格請求書（インボイス）ではありません"}, []string{"登録番号", "内訳は、発行者に"}},
	} {
		text := said(t, all[name])
		for _, want := range c.want {
			require.Contains(t, text, want, name)
		}
		for _, not := range c.not {
			require.NotContains(t, text, not, name)
		}
	}
}

// 印紙税法 別表第一 17号の1: of the amount without the tax where it is shown.
func TestStampDuty(t *testing.T) {
	for _, c := range []struct{ yen, tax, want int64 }{
		{49_999, -1, 0}, {50_000, -1, 200}, {54_999, 5_000, 0}, {55_000, 5_000, 200}, {1_000_000, -1, 200}, {1_000_001, -1, 400}, {1_100_000, 100_000, 200},
		{2_000_001, 0, 600}, {3_000_001, 0, 1_000}, {5_000_001, 0, 2_000}, {9_999_999, 0, 2_000},
	} {
		require.Equal(t, c.want, duty(c.yen, c.tax), c)
	}
}

func TestRefundsAndCopiesNeedTheirDays(t *testing.T) {
	for field, change := range map[string]func(*proto.Document){
		"receipt.refund": func(d *proto.Document) { d.Receipt.Refund.Yen = 58_581 },
		"receipt.copied": func(d *proto.Document) { d.Receipt.Copy = 1 },
	} {
		d := refunded(1)
		change(d)
		_, refused := Render(d)
		require.NotNil(t, refused)
		require.Equal(t, field, refused.Field)
	}
	d := refunded(1)
	d.Receipt.Refund.At = nil
	_, refused := Render(d)
	require.Equal(t, "receipt.refund", refused.Field)
	d = refunded(0)
	d.Receipt.Refund.Corrects = ""
	_, refused = Render(d)
	require.Equal(t, "receipt.refund", refused.Field)
}

// What cannot stand on one page stands on more as it usually does, and nothing is lost.
func TestReceiptOfManyItemsTakesMorePages(t *testing.T) {
	d := twoRates()
	d.Claim.Lines = nil
	for i := range 40 {
		d.Claim.Lines = append(d.Claim.Lines, &proto.LineItem{Name: fmt.Sprintf("品目%02d", i), Quantity: 1, UnitYen: 1_000, Yen: 1_000, TaxRate: 10})
	}
	pages, err := api.PageCount(bytes.NewReader(draw(t, d)), model.NewDefaultConfiguration())
	require.NoError(t, err)
	require.Greater(t, pages, 1)
	text := said(t, d)
	for i := range 40 {
		require.Contains(t, text, fmt.Sprintf("品目%02d", i))
	}
	require.Contains(t, text, "登録番号 T0000000000000")
}
