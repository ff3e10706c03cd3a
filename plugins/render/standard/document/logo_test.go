package document

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

// logo is a picture with transparent corners, as engine/tenant makes them.
func logo(t *testing.T) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 240, 60))
	for y := range 60 {
		for x := range 240 {
			if x > 10 && x < 230 {
				img.SetNRGBA(x, y, color.NRGBA{0x0b, 0x53, uint8(x), 0xff})
			}
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

func TestLogoStandsOnEachDocument(t *testing.T) {
	for _, name := range []string{"invoice", "receipt", "sheet-barcode"} {
		d := samples()[name]
		plain := draw(t, d)
		d.Logo = logo(t)
		with := draw(t, d)
		require.NoError(t, api.Validate(bytes.NewReader(with), model.NewDefaultConfiguration()), name)
		images, err := api.ExtractImagesRaw(bytes.NewReader(with), []string{"1"}, model.NewDefaultConfiguration())
		require.NoError(t, err)
		found := 0
		for _, page := range images {
			found += len(page)
		}
		require.Positive(t, found, name)
		require.Greater(t, len(with), len(plain), name)
		require.True(t, bytes.Equal(with, draw(t, d)), "%s: the same model gives the same bytes", name)
		d.Logo = []byte("<svg/>")
		_, refused := Render(d)
		require.Equal(t, "logo", refused.Field)
	}
	d := waterSheet()
	_, plain := drawPNG(t, d)
	d.Logo = logo(t)
	_, with := drawPNG(t, d)
	require.NotEqual(t, plain, with)
	d.Logo = []byte("x")
	_, refused := RenderPNG(d)
	require.Equal(t, proto.ErrorClass_INVALID, refused.Class)
}
