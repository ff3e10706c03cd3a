package document

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io"
	"strings"
	"time"
	"unicode"

	"codeberg.org/go-pdf/fpdf"

	"github.com/kakitome/kakitome/plugins/render/standard/font"
)

// A4 in millimetres.
const (
	paperWidth  = 210.0
	paperHeight = 297.0
	margin      = 20.0
	width       = paperWidth - 2*margin
	bottom      = paperHeight - 22.0
)

const (
	body    = 10.5 // points
	small   = 9.0
	leading = 1.55 // line height in ems
	mm      = 25.4 / 72
	padding = 1.8 // inside a cell
)

// paper is what a sheet is written on, in millimetres from its top left corner: a PDF (book) or pixels (*raster).
type paper interface {
	AddPage()
	SetPage(n int)
	PageCount() int
	SetFontSize(points float64)
	GetFontSize() (points, millimetres float64)
	GetStringWidth(s string) float64
	Text(x, y float64, s string)
	SetTextRenderingMode(mode int)
	SetTextColor(r, g, b int)
	SetFillColor(r, g, b int)
	SetDrawColor(r, g, b int)
	SetLineWidth(width float64)
	Rect(x, y, w, h float64, style string)
	Line(x1, y1, x2, y2 float64)
	// Picture puts a PNG; one that cannot be read fails Output.
	Picture(x, y, w, h float64, png []byte)
	Output(w io.Writer) error
}

// book is a PDF.
type book struct{ *fpdf.Fpdf }

func (b book) Picture(x, y, w, h float64, png []byte) {
	options := fpdf.ImageOptions{ImageType: "PNG"}
	b.RegisterImageOptionsReader("logo", options, bytes.NewReader(png))
	b.ImageOptions("logo", x, y, w, h, false, options, 0, "")
}

// Where the issuer's logo stands: in the margin above the first page's text.
const (
	logoTop    = 7.0 // mm
	logoHeight = 10.0
	logoWidth  = 60.0
)

// logo puts the issuer's logo on the first page. Empty: there is none.
func (s *sheet) logo(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || c.Width == 0 || c.Height == 0 {
		return errors.New("the logo is no PNG")
	}
	scale := min(logoHeight/float64(c.Height), logoWidth/float64(c.Width))
	s.pdf.SetPage(1)
	s.pdf.Picture(margin, logoTop, float64(c.Width)*scale, float64(c.Height)*scale, b)
	s.pdf.SetPage(s.pdf.PageCount())
	return nil
}

// fit is how close what a document says stands.
type fit struct {
	body    float64 // points
	leading float64 // line height in ems
	padding float64 // millimetres inside a cell
	gap     float64 // of the room between parts
}

var (
	usual = fit{body, leading, padding, 1}
	// closer are tried in turn where a document should not take a second page.
	closer = []fit{{10, 1.4, 1.2, 0.8}, {9.5, 1.35, 1, 0.7}, {small, 1.3, 0.7, 0.5}}
)

// sheet is a document being written from top to bottom. y is where the next block begins.
type sheet struct {
	fit
	pdf      paper
	y        float64
	numbered bool // pages have numbers, also when there is one
}

// newSheet opens a PDF with its first page. The same arguments give the same bytes.
func newSheet(title, author, lang string, created time.Time) *sheet {
	return &sheet{fit: usual, pdf: newPDF(title, author, lang, created), y: margin}
}

func newPDF(title, author, lang string, created time.Time) book {
	pdf := fpdf.New("P", "mm", "A4", "")
	pdf.SetCatalogSort(true)
	pdf.SetCreationDate(created)
	pdf.SetModificationDate(created)
	pdf.SetTitle(oneLine(title), true)
	pdf.SetAuthor(oneLine(author), true)
	pdf.SetCreator("Kakitome", true)
	pdf.SetLang(lang)
	pdf.SetAutoPageBreak(false, 0)
	pdf.AddUTF8FontFromBytes("ipaexg", "", []byte(font.TTF)) // a copy: the writer scribbles on it
	pdf.SetFont("ipaexg", "", body)
	pdf.SetTextColor(0x1a, 0x1a, 0x1a)
	pdf.SetDrawColor(0x1a, 0x1a, 0x1a)
	pdf.AddPage()
	return book{pdf}
}

// finish closes the document, with page numbers below when there are several, or the document asks for them.
func (s *sheet) finish(w io.Writer) error {
	if total := s.pdf.PageCount(); total > 1 || s.numbered {
		for i := range total {
			s.pdf.SetPage(i + 1)
			s.pdf.SetFontSize(small - 1) // two steps, so that the size is written on this page too
			s.size(small)
			s.centred(paperHeight-12, fmt.Sprintf("%d / %d", i+1, total))
		}
	}
	if err := s.pdf.Output(w); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}

func (s *sheet) size(points float64) { s.pdf.SetFontSize(points) }

// line is the height of a line of the present size.
func (s *sheet) line() float64 {
	points, _ := s.pdf.GetFontSize()
	return points * mm * s.leading
}

// space leaves room below.
func (s *sheet) space(height float64) { s.y += height * s.gap }

// need begins a new page when the block does not fit on this one.
func (s *sheet) need(height float64) {
	if s.y+height > bottom {
		s.pdf.AddPage()
		s.y = margin
	}
}

// write puts one line with its top at y.
func (s *sheet) write(x, y float64, text string) {
	points, _ := s.pdf.GetFontSize()
	s.pdf.Text(x, y+points*mm*(s.leading/2+0.36), text) // the baseline, so that the glyphs stand amid the line
}

func (s *sheet) centred(y float64, text string) {
	text = font.Shown(text)
	s.write((paperWidth-s.pdf.GetStringWidth(text))/2, y, text)
}

// bold thickens what draw writes: the font has one weight.
func (s *sheet) bold(draw func()) {
	s.pdf.SetLineWidth(0.12)
	s.pdf.SetTextRenderingMode(2)
	draw()
	s.pdf.SetTextRenderingMode(0)
	s.pdf.SetLineWidth(0.2)
}

// paragraph writes wrapped text over the full width.
func (s *sheet) paragraph(points float64, text string) {
	s.size(points)
	for _, l := range s.wrap(text, width) {
		s.need(s.line())
		s.write(margin, s.y, l)
		s.y += s.line()
	}
}

// heading writes the title of a part and keeps it with what follows.
func (s *sheet) heading(text string) {
	s.space(5)
	s.size(12)
	s.need(s.line() + 14)
	s.bold(func() { s.write(margin, s.y, font.Shown(text)) })
	s.y += s.line() + 0.5
}

// column is one column of a table.
type column struct {
	width float64 // millimetres
	right bool    // amounts
	tint  bool    // a header column
}

// table writes rows under an optional header, which is written again on each page.
func (s *sheet) table(columns []column, header []string, rows [][]string) {
	s.tableOf(s.body, columns, header, rows)
}

// tableOf is table in another size.
func (s *sheet) tableOf(points float64, columns []column, header []string, rows [][]string) {
	s.size(points)
	room := int((bottom-margin-4*s.padding)/s.line()) - 1 // lines of a row that has a page to itself, below a header
	if header != nil {
		s.need(2 * (s.line() + 2*s.padding))
		s.row(columns, s.cells(columns, header), true)
	}
	for _, r := range rows {
		for cells := s.cells(columns, r); cells != nil; {
			var rest [][]string
			cells, rest = split(cells, room)
			if height := s.height(cells); s.y+height > bottom {
				s.need(height)
				if header != nil {
					s.row(columns, s.cells(columns, header), true)
				}
			}
			s.row(columns, cells, false)
			cells = rest
		}
	}
}

// cells wraps the texts of a row into the lines of its cells.
func (s *sheet) cells(columns []column, texts []string) [][]string {
	out := make([][]string, len(columns))
	for i, c := range columns {
		out[i] = s.wrap(texts[i], c.width-2*s.padding)
	}
	return out
}

// split cuts a row after n lines. Rest is nil when nothing is left.
func split(cells [][]string, n int) (head, rest [][]string) {
	head = make([][]string, len(cells))
	for i, lines := range cells {
		head[i] = lines[:min(n, len(lines))]
		if len(lines) > n {
			if rest == nil {
				rest = make([][]string, len(cells))
			}
			rest[i] = lines[n:]
		}
	}
	return head, rest
}

// height is that of a row.
func (s *sheet) height(cells [][]string) float64 {
	lines := 1
	for _, c := range cells {
		lines = max(lines, len(c))
	}
	return float64(lines)*s.line() + 2*s.padding
}

// row writes one row where it stands.
func (s *sheet) row(columns []column, cells [][]string, header bool) {
	height := s.height(cells)
	x := margin
	for i, c := range columns {
		if header || c.tint {
			s.pdf.SetFillColor(0xef, 0xf1, 0xf4)
			s.pdf.Rect(x, s.y, c.width, height, "F")
		}
		for j, l := range cells[i] {
			at := x + s.padding
			if c.right {
				at = x + c.width - s.padding - s.pdf.GetStringWidth(l)
			}
			s.write(at, s.y+s.padding+float64(j)*s.line(), l)
		}
		x += c.width
	}
	s.pdf.SetDrawColor(0x8a, 0x90, 0x99)
	s.pdf.Line(margin, s.y, x, s.y)
	s.pdf.Line(margin, s.y+height, x, s.y+height)
	s.pdf.SetDrawColor(0x1a, 0x1a, 0x1a)
	s.y += height
}

// Characters that do not begin or end a line. JIS X 4051 §6.1, the usual ones.
const (
	notFirst = "、。，．,.・：；:;？！?!゛゜ヽヾゝゞ々ー）)」』】］］〕〉》｝}ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ%％円様"
	notLast  = "（(「『【［〔〈《｛{￥¥"
)

// wrap breaks text into lines of at most the width, at line feeds, between ideographs, and in Latin text at spaces; a
// word that is longer than a line is broken where it ends.
func (s *sheet) wrap(text string, width float64) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(strings.TrimRight(font.Shown(text), "\n "), "\n") {
		rest := []rune(paragraph)
		for {
			n := s.fitting(rest, width)
			if n == len(rest) {
				lines = append(lines, string(rest))
				break
			}
			cut := n
			for cut > 0 && !breakable(rest[cut-1], rest[cut]) {
				cut--
			}
			if cut == 0 || n-cut > n/2 && !unicode.IsSpace(rest[cut-1]) {
				cut = n
			}
			lines = append(lines, strings.TrimRight(string(rest[:cut]), " "))
			for cut < len(rest) && rest[cut] == ' ' {
				cut++
			}
			rest = rest[cut:]
		}
	}
	return lines
}

// fitting counts the runes that fit into the width, at least one.
func (s *sheet) fitting(runes []rune, width float64) int {
	total := 0.0
	for i, r := range runes {
		total += s.pdf.GetStringWidth(string(r))
		if total > width && i > 0 {
			return i
		}
	}
	return len(runes)
}

// breakable tells whether a line may end between the two.
func breakable(before, after rune) bool {
	if strings.ContainsRune(notFirst, after) || strings.ContainsRune(notLast, before) {
		return false
	}
	if before == ' ' || before == '-' && unicode.IsLetter(after) {
		return true
	}
	return after != ' ' && (before > 0x2e7f || after > 0x2e7f)
}

// oneLine is for the document's properties.
func oneLine(s string) string { return strings.Join(strings.Fields(font.Shown(s)), " ") }
