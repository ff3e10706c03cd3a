package document

import (
	"strings"
	"testing"
	"time"
)

// Every glyph of the text stands in a line, in order, and no line of several characters is too wide.
func FuzzWrap(f *testing.F) {
	for _, s := range []string{"あいうえ、お", "ab cdefgh ijklmnopqrstuvwxyz", "（（（（（（（", "、、、、、、", " a  b ", "\n\n"} {
		f.Add(s, 12)
	}
	s := newSheet("", "", "ja", time.Unix(0, 0))
	f.Fuzz(func(t *testing.T, text string, millimetres int) {
		if len(text) > 1<<10 {
			return
		}
		width := float64(max(5, min(millimetres, 200)))
		var all strings.Builder
		for _, l := range s.wrap(text, width) {
			if len([]rune(l)) > 1 && s.pdf.GetStringWidth(l) > width+1e-6 {
				t.Fatalf("line %q is wider than %v", l, width)
			}
			all.WriteString(l)
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got, want := squeeze(all.String()), squeeze(strings.Join(s.wrap(text, 1e9), "")); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}
