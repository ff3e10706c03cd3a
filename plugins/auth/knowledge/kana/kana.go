// Package kana brings names written in kana to one form, so that what a company registered and what a person types can
// be compared byte by byte.
//
// The steps, in this order:
//
//  1. width: half-width kana, full-width letters and digits become ordinary ones (NFKC). The free-standing marks ゛ and
//     ゜ are attached first, because NFKC alone would part them from their kana by a space.
//  2. hiragana becomes katakana; the repetition marks ゝ ゞ ヽ ヾ are written out.
//  3. every dash that follows a kana is ー; a dash that stands free is a separator. Spaces are dropped: family name and
//     given name are compared joined.
//  4. from Small on: small kana become large (全銀 has no small ones).
//  5. at Reading: spellings of one sound fall together.
//
// Letters and digits may stand in a name (JOHN スミス, A-1ビル), but what has no kana at all is none.
//
// A result given back in is not changed any more.
package kana

import (
	"errors"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Level says how much is taken for the same.
type Level int

const (
	Width   Level = 1 // L1: width, spaces, hiragana and katakana
	Small   Level = 2 // L2: also small and large kana
	Reading Level = 3 // L3: also ヴ and the バ row, ヂ and ジ, ヅ and ズ, ヲ and オ, ヰ and イ, ヱ and エ, with and without ー and ・
)

// MaxRunes bounds a name as it is given. 全銀 allows 40.
const MaxRunes = 100

// The faults of a name. None repeats the name.
var (
	ErrEmpty   = errors.New("no kana in it: a name in katakana is needed")
	ErrTooLong = errors.New("longer than 100 characters")
	ErrNotKana = errors.New("a character that is neither kana, letter, digit nor one of ()./&'")
)

// attached puts the free-standing voicing marks where NFKC composes them with their kana.
var attached = strings.NewReplacer("\u309B", "\u3099", "\u309C", "\u309A")

// Canonical gives name's form at level.
func Canonical(name string, level Level) (string, error) {
	runes := 0
	for range name {
		if runes++; runes > MaxRunes {
			return "", ErrTooLong
		}
	}
	s := join(norm.NFKC.String(attached.Replace(name)))
	s = norm.NFKC.String(s) // a mark that stood apart from its kana by a space
	s, err := spell(s)
	if err != nil {
		return "", err
	}
	if level >= Small {
		s = strings.Map(large, s)
	}
	if level >= Reading {
		s = reading.Replace(s)
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return katakana(r) && r != 'ー' }) {
		return "", ErrEmpty
	}
	return s, nil
}

// join turns s into katakana, drops what only separates, and decides about each dash by what stands right before it.
func join(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	var before rune // the character before, a space included
	for _, r := range s {
		if 'ぁ' <= r && r <= 'ゖ' || r == 'ゝ' || r == 'ゞ' {
			r += 'ァ' - 'ぁ'
		}
		r = unicode.ToUpper(r)
		switch {
		case unicode.IsSpace(r):
		case invisible(r):
			continue
		case dash(r) || r == 'ー':
			if katakana(before) {
				r = 'ー'
				b.WriteRune(r)
			} else if letter(before) {
				r = '-'
				b.WriteRune(r)
			}
		default:
			b.WriteRune(r)
		}
		before = r
	}
	return strings.TrimRight(b.String(), "-")
}

// spell writes the repetition marks out and refuses what has no place in a name.
func spell(s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s))
	var before rune
	for _, r := range s {
		switch {
		case r == 'ヽ' || r == 'ヾ':
			if !katakana(before) || before == 'ー' {
				return "", ErrNotKana
			}
			r = repeated(before, r == 'ヾ')
		case katakana(r) || r == '・' || letter(r) || strings.ContainsRune("()./&'-", r):
		default:
			return "", ErrNotKana
		}
		b.WriteRune(r)
		before = r
	}
	return b.String(), nil
}

// repeated is what ヽ, or ヾ when voiced, stands for after before.
func repeated(before rune, voiced bool) rune {
	plain, _ := splitVoice(before)
	if !voiced {
		return plain
	}
	if c := []rune(norm.NFC.String(string(plain) + "\u3099")); len(c) == 1 {
		return c[0]
	}
	return plain
}

func splitVoice(r rune) (plain rune, voiced bool) {
	d := []rune(norm.NFD.String(string(r)))
	return d[0], len(d) > 1
}

func katakana(r rune) bool {
	return 'ァ' <= r && r <= 'ヺ' || r == 'ー' || 'ㇰ' <= r && r <= 'ㇿ'
}

func letter(r rune) bool { return 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' }

// dash reports the many characters that are typed for ー.
func dash(r rune) bool {
	return unicode.Is(unicode.Pd, r) || strings.ContainsRune("−⁻₋─━╴╶⏤〜~∼", r)
}

// invisible reports what comes along when a name is copied from a document.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r)
}

// large turns a small kana into the large one.
func large(r rune) rune {
	if i := strings.IndexRune(smallKana, r); i >= 0 {
		return []rune(largeKana)[i/len("ァ")] // every kana here takes the same three bytes
	}
	return r
}

const (
	smallKana = "ァィゥェォッャュョヮヵヶㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿ"
	largeKana = "アイウエオツヤユヨワカケクシストヌハヒフヘホムラリルレロ"
)

// reading works on large kana: ヴァ has become ヴア by then.
var reading = strings.NewReplacer(
	"ヴア", "バ", "ヴイ", "ビ", "ヴエ", "ベ", "ヴオ", "ボ", "ヴユ", "ビユ", "ヴヨ", "ビヨ", "ヴヤ", "ビヤ", "ヴ", "ブ",
	"ヷ", "バ", "ヸ", "ビ", "ヹ", "ベ", "ヺ", "ボ",
	"ヂ", "ジ", "ヅ", "ズ", "ヲ", "オ", "ヰ", "イ", "ヱ", "エ",
	"ー", "", "・", "",
)
