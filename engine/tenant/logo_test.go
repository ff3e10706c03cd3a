package tenant

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func picture(w, h int, noise bool) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			c := color.NRGBA{uint8(x / 20 * 40), 80, 160, 255}
			if noise {
				c = color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func TestLogoIsMadeAnew(t *testing.T) {
	var asPNG, asJPEG, asGIF bytes.Buffer
	require.NoError(t, png.Encode(&asPNG, picture(1200, 300, false)))
	require.NoError(t, jpeg.Encode(&asJPEG, picture(1200, 300, false), nil))
	require.NoError(t, gif.Encode(&asGIF, picture(100, 100, false), nil))
	for _, file := range [][]byte{asPNG.Bytes(), asJPEG.Bytes(), append(asPNG.Bytes(), "<script>"...)} {
		l, err := ReadLogo(file)
		require.NoError(t, err)
		require.LessOrEqual(t, len(l.PNG), MaxLogo)
		require.NotContains(t, string(l.PNG), "script")
		c, err := png.DecodeConfig(bytes.NewReader(l.PNG))
		require.NoError(t, err)
		require.Equal(t, []int{l.Width, l.Height}, []int{c.Width, c.Height})
		require.LessOrEqual(t, l.Width, logoWidth)
		require.LessOrEqual(t, l.Height, logoHeight)
		require.InDelta(t, 4, float64(l.Width)/float64(l.Height), 0.1)
		again, err := ReadLogo(file)
		require.NoError(t, err)
		require.Equal(t, l, again)
		require.Regexp(t, `^[0-9a-f]{24}\.png$`, l.Name)
	}
	noisy := &bytes.Buffer{}
	require.NoError(t, png.Encode(noisy, picture(300, 300, true)))
	l, err := ReadLogo(noisy.Bytes())
	require.NoError(t, err)
	require.LessOrEqual(t, len(l.PNG), MaxLogo, "made smaller until it is small enough")

	refused := func(code string, file []byte) {
		t.Helper()
		_, err := ReadLogo(file)
		var e *LogoError
		require.ErrorAs(t, err, &e)
		require.Equal(t, code, e.Code)
	}
	refused("pattern", asGIF.Bytes())
	refused("pattern", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))
	refused("pattern", asPNG.Bytes()[:asPNG.Len()/2])
	refused("pattern", nil)
	refused("too_long", make([]byte, MaxLogoFile+1))
	var wide, thin bytes.Buffer
	require.NoError(t, png.Encode(&wide, picture(4001, 10, false)))
	require.NoError(t, png.Encode(&thin, picture(100, 3, false)))
	refused("range", wide.Bytes())
	refused("range", thin.Bytes())
}

func FuzzLogo(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, png.Encode(&b, picture(40, 20, false)))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		if l, err := ReadLogo(file); err == nil && len(l.PNG) > MaxLogo {
			t.Fatal("too large")
		}
	})
}

func TestBrandIsSetAndKept(t *testing.T) {
	d, err := OpenDirectory(t.Context(), &memoryLog{})
	require.NoError(t, err)
	water := Tenant{ID: "water", Name: "〇〇県水道局", Brand: Brand{Phone: "000-000-0000"}}
	require.NoError(t, d.Apply(t.Context(), water))
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, picture(40, 20, false)))
	logo, err := ReadLogo(b.Bytes())
	require.NoError(t, err)
	set := func(to Brand) error {
		return d.SetBrand(t.Context(), "water", func(Brand) (Brand, error) { return to, nil })
	}
	require.NoError(t, set(Brand{Phone: "000-000-0001", Color: "#112233", Logo: logo}))
	found, ok := d.Now().Logo(logo.Name)
	require.True(t, ok)
	require.Equal(t, logo, found)
	require.NoError(t, d.Apply(t.Context(), water))
	require.Equal(t, logo, d.Now().Tenants["water"].Brand.Logo, "a file without a logo leaves it")
	require.NoError(t, set(Brand{Phone: "000-000-0001"}))
	_, ok = d.Now().Logo(logo.Name)
	require.False(t, ok, "what nobody shows is not served")

	err = set(Brand{Color: "red", Hours: strings.Repeat("あ", 81), Note: strings.Repeat("あ", 201), HoursEN: strings.Repeat("a", 81), NoteEN: strings.Repeat("a", 201)})
	for _, want := range []string{"brand.color", "brand.phone: is required", "brand.hours: has 81 characters, 80 are allowed", "brand.note: has 201", "brand.hours_en: has 81 characters, 80 are allowed", "brand.note_en: has 201"} {
		require.ErrorContains(t, err, want)
	}
	require.Error(t, d.SetBrand(t.Context(), "none", func(b Brand) (Brand, error) { return b, nil }))
}
