package document

import (
	"bytes"
	"image"
	_ "image/png"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128/gs1128test"
)

// A scanner reads the barcode from the sheet as a printer of 300 dots an inch puts it on paper, and it is as wide and as high
// as 標準料金代理収納 allows.
func TestBarcodeOnPaperIsRead(t *testing.T) {
	tool, err := exec.LookPath("pdftoppm")
	if err != nil {
		t.Skip("pdftoppm is not installed")
	}
	require.Less(t, module*308, 60.0, "the field with its quiet zones")
	require.GreaterOrEqual(t, barHeight, 10.0)
	d := waterSheet()
	cmd := exec.Command(tool, "-r", "300", "-gray", "-png", "-singlefile", "-")
	cmd.Stdin = bytes.NewReader(draw(t, d))
	out, err := cmd.Output()
	require.NoError(t, err)
	img, _, err := image.Decode(bytes.NewReader(out))
	require.NoError(t, err)
	require.Equal(t, d.Voucher.Barcode, gs1128test.Scan(t, img, true))
}

func TestPaymentSheetSaysHowToPay(t *testing.T) {
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is not installed")
	}
	read := func(d *proto.Document) string {
		cmd := exec.Command(tool, "-layout", "-", "-")
		cmd.Stdin = bytes.NewReader(draw(t, d))
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Join(strings.Fields(string(out)), " ")
	}
	text := read(samples()["sheet-barcode"])
	for _, want := range []string{"お支払いシート", "山田 太郎 様", "7,440円", "2026年12月31日（木）", "20190621012403167", "(91)912345-0000000000000000012345", "〇〇県水道局"} {
		require.Contains(t, text, want)
	}
	text = read(samples()["sheet-number"])
	for _, want := range []string{"1234-567-890123", "0042", "コンビニA、コンビニB"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "様")
	require.Contains(t, read(samples()["sheet-en"]), "Pay by")
	require.NotContains(t, text, "お知らせ", "no frame for nothing")
	text = read(samples()["sheet-said"])
	require.Contains(t, text, "お知らせ 【冬の水道料金キャンペーン】")
	require.Contains(t, text, "https://www.example.jp/map")
	require.Contains(t, strings.ReplaceAll(read(samples()["sheet-said-longest"]), " ", ""), samples()["sheet-said-longest"].Closing)
}

func TestPaymentSheetNeedsWhatIsPaidWith(t *testing.T) {
	for name, spoil := range map[string]func(*proto.Document){
		"no claim":      func(d *proto.Document) { d.Claim = nil },
		"no voucher":    func(d *proto.Document) { d.Voucher = nil },
		"empty voucher": func(d *proto.Document) { d.Voucher = &proto.Voucher{} },
		"check digit":   func(d *proto.Document) { d.Voucher.Barcode = d.Voucher.Barcode[:43] + "x" },
	} {
		d := waterSheet()
		spoil(d)
		_, refused := Render(d)
		require.NotNil(t, refused, name)
		require.Equal(t, proto.ErrorClass_INVALID, refused.Class, name)
	}
}
