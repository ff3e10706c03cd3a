// Package font holds the typeface of the documents: IPAex Gothic 004.01, unchanged, under the IPA Font License
// Agreement v1.0 beside it (LICENSE). A document embeds only the glyphs that it shows, which the licence allows.
//
// The typeface covers JIS X 0213, but the PDF writer reaches the Basic Multilingual Plane only, and some names are written
// with what neither has (𠮷). A kanji outside of it is shown in the form of it that is inside (variants.go), and a
// character that has none, or no glyph, as 〓 (geta): never as nothing.
package font

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// TTF is the font file. A string, because the PDF writer scribbles on its input: give it a copy of its own.
//
//go:embed ipaexg.ttf
var TTF string

// Missing stands for a character that the typeface cannot show.
const Missing = '〓'

// Shown gives the text as the typeface can show it: kana with separate voicing marks are composed, variation
// selectors and other invisible characters dropped (their base character stays), a kanji out of reach takes its common
// form, the rest without a glyph becomes Missing. Line feeds and ideographic spaces stay, other white space becomes a space.
func Shown(s string) string {
	covered := coverage()
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range composeKana(s) {
		if r > 0xffff {
			r = common(r)
		}
		switch {
		case r == '\r':
		case r == '\n' || r == '\u3000':
			b.WriteRune(r)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Cf, r), unicode.IsControl(r):
		case r <= 0xffff && covered[r]:
			b.WriteRune(r)
		default:
			b.WriteRune(Missing)
		}
	}
	return b.String()
}

// composeKana joins a kana and a combining (semi-)voiced sound mark. Nothing else is normalised: canonical
// composition would replace compatibility ideographs in names (神 by 神).
func composeKana(s string) string {
	if !strings.ContainsAny(s, "\u3099\u309a") {
		return s
	}
	var out []rune
	for _, r := range s {
		if (r == '\u3099' || r == '\u309a') && len(out) > 0 {
			if c := []rune(norm.NFC.String(string([]rune{out[len(out)-1], r}))); len(c) == 1 {
				out[len(out)-1] = c[0]
				continue
			}
			r += 2 // the spacing form, U+309B or U+309C
		}
		out = append(out, r)
	}
	return string(out)
}

// coverage tells for each character of the Basic Multilingual Plane whether the font has a glyph.
var coverage = sync.OnceValue(func() *[1 << 16]bool {
	covered, err := parseCoverage([]byte(TTF))
	if err != nil {
		panic("BUG: embedded font: " + err.Error())
	}
	return covered
})

// parseCoverage reads the cmap subtable of format 4 for Windows, Unicode BMP. OpenType 1.9 cmap, format 4.
func parseCoverage(ttf []byte) (*[1 << 16]bool, error) {
	u16 := func(at int) int {
		if at < 0 || at+2 > len(ttf) {
			return 0
		}
		return int(binary.BigEndian.Uint16(ttf[at:]))
	}
	u32 := func(at int) int { return u16(at)<<16 | u16(at+2) }

	cmap := 0
	for i := range u16(4) {
		if entry := 12 + i*16; entry+4 <= len(ttf) && string(ttf[entry:entry+4]) == "cmap" {
			cmap = u32(entry + 8)
		}
	}
	table := 0
	for i := range u16(cmap + 2) {
		entry := cmap + 4 + i*8
		if u16(entry) == 3 && u16(entry+2) == 1 {
			table = cmap + u32(entry+4)
		}
	}
	if cmap == 0 || table == 0 || u16(table) != 4 {
		return nil, fmt.Errorf("no cmap subtable of format 4 for Windows, Unicode BMP")
	}

	covered := new([1 << 16]bool)
	segments := u16(table+6) / 2
	ends := table + 14
	starts := ends + 2*segments + 2
	deltas := starts + 2*segments
	offsets := deltas + 2*segments
	for i := range segments {
		for c := u16(starts + 2*i); c <= u16(ends+2*i) && c < 0xffff; c++ {
			glyph := c + u16(deltas+2*i)
			if offset := u16(offsets + 2*i); offset != 0 {
				glyph = u16(offsets + 2*i + offset + 2*(c-u16(starts+2*i)))
				if glyph != 0 {
					glyph += u16(deltas + 2*i)
				}
			}
			covered[c] = glyph&0xffff != 0
		}
	}
	return covered, nil
}
