package document

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128/gs1128test"
)

func drawPNG(t *testing.T, d *proto.Document) (image.Image, []byte) {
	t.Helper()
	b, refused := RenderPNG(d)
	require.Nil(t, refused)
	img, err := png.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	return img, b
}

// bars measures the symbol on a row of pixels: what is white before it, its width, and what is white behind it.
func bars(img image.Image, y int) (before, width, after int) {
	dark := func(x int) bool { r, _, _, _ := img.At(x, y).RGBA(); return r < 0x8000 }
	first, last := -1, -1
	for x := range img.Bounds().Dx() {
		if dark(x) {
			if first < 0 {
				first = x
			}
			last = x
		}
	}
	return first, last - first + 1, img.Bounds().Dx() - last - 1
}

func TestBarcodeAloneHasItsWidthAndQuietZones(t *testing.T) {
	d := waterSheet()
	d.Kind = proto.DocumentKind_BARCODE
	img, b := drawPNG(t, d)
	require.Equal(t, d.Voucher.Barcode, gs1128test.Scan(t, img, false))
	before, width, after := bars(img, img.Bounds().Dy()/3)
	require.Equal(t, gs1128.Modules*symbolPixels, width, "each module is a whole number of pixels")
	require.GreaterOrEqual(t, before, gs1128.Quiet*symbolPixels)
	require.GreaterOrEqual(t, after, gs1128.Quiet*symbolPixels)
	perMetre := float64(binary.BigEndian.Uint32(b[33+8:]))
	require.Equal(t, "pHYs", string(b[33+4:33+8]))
	require.InDelta(t, module, symbolPixels/perMetre*1000, 0.0001, "printed as large as it says, a module has its width")
	require.GreaterOrEqual(t, float64(img.Bounds().Dy())/perMetre*1000, barHeight)
}

func TestSheetAsImageIsRead(t *testing.T) {
	d := waterSheet()
	img, b := drawPNG(t, d)
	require.Equal(t, d.Voucher.Barcode, gs1128test.Scan(t, img, true))
	require.InDelta(t, paperWidth/paperHeight, float64(img.Bounds().Dx())/float64(img.Bounds().Dy()), 0.001)
	_, same := drawPNG(t, waterSheet())
	require.True(t, bytes.Equal(b, same), "the same model gives the same bytes")
	require.Less(t, len(b), 1<<20)

	long := waterSheet()
	for range 60 {
		long.Claim.Lines = append(long.Claim.Lines, &proto.LineItem{Name: "水道使用料", Quantity: 1, UnitYen: 1, Yen: 1})
	}
	pages, _ := drawPNG(t, long)
	require.Greater(t, pages.Bounds().Dy(), img.Bounds().Dy(), "pages stand below each other")
}

func TestImagesOfOtherDocumentsAreRefused(t *testing.T) {
	for field, d := range map[string]*proto.Document{"form": waterReceipt(), "document": nil, "voucher.barcode": {Kind: proto.DocumentKind_BARCODE, Voucher: &proto.Voucher{Barcode: "91"}},
		"voucher": {Kind: proto.DocumentKind_PAYMENT_SHEET}} {
		_, refused := RenderPNG(d)
		require.NotNil(t, refused, field)
		require.Equal(t, field, refused.Field)
	}
	d := waterSheet()
	d.Kind = proto.DocumentKind_BARCODE
	_, refused := Render(d)
	require.Equal(t, proto.ErrorClass_NOT_SUPPORTED, refused.Class)
}

func TestImageGallery(t *testing.T) {
	if *gallery == "" {
		t.Skip("no -gallery")
	}
	number := samples()["sheet-number"]
	code := waterSheet()
	code.Kind = proto.DocumentKind_BARCODE
	for name, d := range map[string]*proto.Document{"sheet-barcode": waterSheet(), "sheet-number": number, "barcode": code} {
		_, b := drawPNG(t, d)
		require.NoError(t, os.WriteFile(filepath.Join(*gallery, name+".png"), b, 0o644))
	}
}
