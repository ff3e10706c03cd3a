package document

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"sync"

	xdraw "golang.org/x/image/draw"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/kakitome/kakitome/plugins/render/standard/font"
)

// raster is paper made of pixels, in shades of grey; its pages stand below each other in one PNG. A millimetre is scale
// pixels, which the image says itself (PNG §11.3.4.3 pHYs), so that a program that prints it gives it its size.
type raster struct {
	scale         float64 // pixels in a millimetre
	width, height float64 // of a page, in millimetres
	pages         []*image.Gray
	page          int // the one that is drawn on
	points        float64
	faces         map[float64]xfont.Face // by size in points; a face is for one goroutine
	fill, stroke  color.Gray
	ink           color.Gray // of text
	line          float64    // millimetres
	bold          bool
	broken        error // of a picture
}

func newRaster(scale, width, height float64) *raster {
	r := &raster{scale: scale, width: width, height: height, faces: map[float64]xfont.Face{}, points: body, line: 0.2, ink: color.Gray{0x1a}}
	r.AddPage()
	return r
}

// typeface is parsed once: glyphs are read from the file's bytes as they are drawn.
var typeface = sync.OnceValue(func() *opentype.Font {
	f, err := opentype.Parse([]byte(font.TTF))
	if err != nil {
		panic("BUG: embedded font: " + err.Error())
	}
	return f
})

func (r *raster) pixels(mm float64) int { return int(math.Round(mm * r.scale)) }

func (r *raster) AddPage() {
	p := image.NewGray(image.Rect(0, 0, r.pixels(r.width), r.pixels(r.height)))
	for i := range p.Pix {
		p.Pix[i] = 0xff
	}
	r.pages = append(r.pages, p)
	r.page = len(r.pages) - 1
}

func (r *raster) SetPage(n int)                     { r.page = n - 1 }
func (r *raster) PageCount() int                    { return len(r.pages) }
func (r *raster) SetFontSize(points float64)        { r.points = points }
func (r *raster) GetFontSize() (points, mm float64) { return r.points, r.points * 25.4 / 72 }
func (r *raster) SetTextColor(red, green, blue int) { r.ink = grey(red, green, blue) }
func (r *raster) SetFillColor(red, green, blue int) { r.fill = grey(red, green, blue) }
func (r *raster) SetDrawColor(red, green, blue int) { r.stroke = grey(red, green, blue) }
func (r *raster) SetLineWidth(mm float64)           { r.line = mm }
func (r *raster) SetTextRenderingMode(mode int)     { r.bold = mode == 2 }

func grey(red, green, blue int) color.Gray {
	return color.GrayModel.Convert(color.RGBA{uint8(red), uint8(green), uint8(blue), 0xff}).(color.Gray)
}

func (r *raster) face() xfont.Face {
	f, ok := r.faces[r.points]
	if !ok {
		var err error
		f, err = opentype.NewFace(typeface(), &opentype.FaceOptions{Size: r.points * mm * r.scale, DPI: 72, Hinting: xfont.HintingNone})
		if err != nil {
			panic("BUG: face of the embedded font: " + err.Error())
		}
		r.faces[r.points] = f
	}
	return f
}

func (r *raster) GetStringWidth(s string) float64 {
	return float64(xfont.MeasureString(r.face(), s)) / 64 / r.scale
}

// Text writes s with its baseline at y.
func (r *raster) Text(x, y float64, s string) {
	at := func(mm float64) fixed.Int26_6 { return fixed.Int26_6(math.Round(mm * r.scale * 64)) }
	d := xfont.Drawer{Dst: r.pages[r.page], Src: image.NewUniform(r.ink), Face: r.face(), Dot: fixed.Point26_6{X: at(x), Y: at(y)}}
	d.DrawString(s)
	if r.bold {
		d.Dot = fixed.Point26_6{X: at(x) + fixed.I(1), Y: at(y)}
		d.DrawString(s)
	}
}

// Rect fills a rectangle (style "F") or draws its outline ("D").
func (r *raster) Rect(x, y, w, h float64, style string) {
	if style == "F" {
		r.block(r.pixels(x), r.pixels(y), r.pixels(x+w), r.pixels(y+h), r.fill)
		return
	}
	r.Line(x, y, x+w, y)
	r.Line(x, y+h, x+w, y+h)
	r.Line(x, y, x, y+h)
	r.Line(x+w, y, x+w, y+h)
}

// Line draws a line from left to right or from top to bottom: the documents have no others.
func (r *raster) Line(x1, y1, x2, y2 float64) {
	thick := max(r.pixels(r.line), 1)
	left, top, right, bottom := r.pixels(x1), r.pixels(y1), r.pixels(x2), r.pixels(y2)
	r.block(left, top, max(right, left+thick), max(bottom, top+thick), r.stroke)
}

// Picture draws a PNG in grey.
func (r *raster) Picture(x, y, w, h float64, b []byte) {
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		r.broken = fmt.Errorf("a picture: %w", err)
		return
	}
	area := image.Rect(r.pixels(x), r.pixels(y), r.pixels(x+w), r.pixels(y+h))
	xdraw.CatmullRom.Scale(r.pages[r.page], area, img, img.Bounds(), xdraw.Over, nil)
}

func (r *raster) block(left, top, right, bottom int, c color.Gray) {
	p := r.pages[r.page]
	area := image.Rect(left, top, right, bottom).Intersect(p.Rect)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		row := p.Pix[p.PixOffset(area.Min.X, y):p.PixOffset(area.Max.X, y)]
		for i := range row {
			row[i] = c.Y
		}
	}
}

// Output writes the pages as one PNG. The same pages give the same bytes.
func (r *raster) Output(w io.Writer) error {
	if r.broken != nil {
		return r.broken
	}
	all := r.pages[0]
	if len(r.pages) > 1 { // pages are as wide as each other, and their rows follow one another
		all = &image.Gray{Stride: all.Stride, Rect: image.Rect(0, 0, all.Rect.Dx(), all.Rect.Dy()*len(r.pages))}
		for _, p := range r.pages {
			all.Pix = append(all.Pix, p.Pix...)
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, all); err != nil {
		return fmt.Errorf("write png: %w", err)
	}
	const header = 8 + 25 // signature and IHDR
	b := out.Bytes()
	for _, part := range [][]byte{b[:header], physical(r.scale), b[header:]} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// physical is the chunk that says how many pixels a metre has. PNG §11.3.4.3
func physical(scale float64) []byte {
	perMetre := uint32(math.Round(scale * 1000))
	chunk := binary.BigEndian.AppendUint32(nil, 9)
	chunk = append(chunk, "pHYs"...)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1) // the unit is the metre
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
}
