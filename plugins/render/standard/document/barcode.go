package document

import (
	"bytes"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128"
)

// Pixels of one module of the symbol: of a sheet, so that a page of A4 has some 270 dots an inch, and of the symbol alone.
const (
	sheetPixels  = 2
	symbolPixels = 4
)

// RenderPNG draws one document as an image: a payment sheet, or the barcode alone.
func RenderPNG(d *proto.Document) ([]byte, *proto.Error) {
	if d == nil {
		return nil, invalid("document", "no document")
	}
	var s *sheet
	var refused *proto.Error
	switch d.Kind {
	case proto.DocumentKind_PAYMENT_SHEET:
		s, refused = paymentSheet(d, newRaster(sheetPixels/module, paperWidth, paperHeight))
	case proto.DocumentKind_BARCODE:
		s, refused = barcode(d)
	default:
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "document", Field: "form", Message: "no image of " + d.Kind.String()}
	}
	if refused != nil {
		return nil, refused
	}
	if d.Kind == proto.DocumentKind_PAYMENT_SHEET {
		if err := s.logo(d.Logo); err != nil {
			return nil, invalid("logo", err.Error())
		}
	}
	return finish(s)
}

// barcode is the symbol of the voucher as it stands on a sheet, with what is printed below it, and white on every side: ten
// modules and more left and right, as GS1 General Specifications §5.4.6 wants.
func barcode(d *proto.Document) (*sheet, *proto.Error) {
	bars, err := gs1128.Encode(d.Voucher.GetBarcode())
	if err != nil {
		return nil, invalid("voucher.barcode", err.Error())
	}
	const edge = 2.0    // mm above and below
	const figures = 7.5 // points: the longer line is as wide as the symbol
	line := figures * mm * leading
	r := newRaster(symbolPixels/module, (gs1128.Modules+2*gs1128.Quiet)*module, barHeight+2*line+2*edge)
	s := &sheet{fit: usual, pdf: r, y: edge}
	s.symbol(gs1128.Quiet*module, bars)
	s.y += barHeight + 0.5
	first, second := gs1128.Human(d.Voucher.Barcode)
	s.size(figures)
	s.centredOn(r.width, s.y, first)
	s.centredOn(r.width, s.y+s.line()*0.9, second)
	return s, nil
}

// symbol draws bars from their left edge on.
func (s *sheet) symbol(left float64, bars []gs1128.Bar) {
	s.pdf.SetFillColor(0, 0, 0)
	for _, b := range bars {
		s.pdf.Rect(left+float64(b.X)*module, s.y, float64(b.Width)*module, barHeight, "F")
	}
}

// centredOn writes text amid paper of a width.
func (s *sheet) centredOn(width, y float64, text string) {
	s.write((width-s.pdf.GetStringWidth(text))/2, y, text)
}

// finish closes a document and holds it to the size that the contract lets through.
func finish(s *sheet) ([]byte, *proto.Error) {
	var out bytes.Buffer
	if err := s.finish(&out); err != nil {
		return nil, &proto.Error{Class: proto.ErrorClass_INTERNAL, Code: "output", Message: err.Error()}
	}
	if out.Len() > MaxBytes {
		return nil, invalid("document", tooLarge(out.Len()))
	}
	return out.Bytes(), nil
}
