package font

import "testing"

// What is shown has a glyph, whatever was given.
func FuzzShown(f *testing.F) {
	for _, s := range []string{"ﾊｺﾞ髙﨑①〜−¥", "𠮷", "\u3099か\u3099\u309a", "\xff\xfe", "a\u202eb", "\r\n\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Shown(s) {
			if r != '\n' && (r > 0xffff || !coverage()[r]) {
				t.Fatalf("%q shows %U", s, r)
			}
		}
	})
}

// The embedded font is trusted; a damaged one must end in an error or in no coverage, not in a panic.
func FuzzParseCoverage(f *testing.F) {
	f.Add([]byte(TTF[:1<<12]))
	f.Add([]byte("\x00\x01\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, ttf []byte) { _, _ = parseCoverage(ttf) })
}
