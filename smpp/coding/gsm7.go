package coding

import "unicode/utf8"

const escape = 0x1B

// gsmBasic is the default alphabet of 3GPP TS 23.038 §6.2.1, by septet.
var gsmBasic = [128]rune([]rune("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ" +
	" !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§" +
	"¿abcdefghijklmnopqrstuvwxyzäöñüà"))

// gsmExtension is the extension table of 3GPP TS 23.038 §6.2.1.1, reached by
// an escape septet.
var gsmExtension = map[byte]rune{
	0x0A: '\f', 0x14: '^', 0x28: '{', 0x29: '}', 0x2F: '\\',
	0x3C: '[', 0x3D: '~', 0x3E: ']', 0x40: '|', 0x65: '€',
}

// gsmLow holds the septet of each rune below 0x100: 0xFF when there is none,
// with bit 7 set for the extension table. gsmHigh holds the others.
var gsmLow, gsmHigh = func() (low [256]byte, high map[rune]byte) {
	for i := range low {
		low[i] = 0xFF
	}
	high = make(map[rune]byte)
	set := func(r rune, septet byte) {
		if r < 0x100 {
			low[r] = septet
		} else {
			high[r] = septet
		}
	}
	for septet, r := range gsmBasic {
		if septet != escape {
			set(r, byte(septet))
		}
	}
	for septet, r := range gsmExtension {
		set(r, septet|0x80)
	}
	return low, high
}()

// gsmSeptet returns the septet of r, bit 7 set when it needs an escape.
func gsmSeptet(r rune) (septet byte, ok bool) {
	if r < 0x100 {
		return gsmLow[r], gsmLow[r] != 0xFF
	}
	if r > 'Ω' && r != '€' { // Ω is the highest letter of the alphabet: kana and kanji leave here
		return 0, false
	}
	septet, ok = gsmHigh[r]
	return septet, ok
}

func gsmUnits(r rune) int {
	septet, ok := gsmSeptet(r)
	switch {
	case !ok:
		return 0
	case septet&0x80 != 0:
		return 2
	}
	return 1
}

func appendGSM(dst []byte, r rune) []byte {
	septet, _ := gsmSeptet(r)
	if septet&0x80 != 0 {
		return append(dst, escape, septet&0x7F)
	}
	return append(dst, septet)
}

func decodeGSM(out, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == escape && i+1 < len(b) {
			i++
			if r, ok := gsmExtension[b[i]]; ok {
				out = utf8.AppendRune(out, r)
				continue
			}
			c = b[i] // 3GPP TS 23.038 §6.2.1.1: an unknown escape shows the basic character
		}
		switch {
		case c == escape:
			out = append(out, ' ')
		case c > 0x7F:
			out = utf8.AppendRune(out, utf8.RuneError)
		default:
			out = utf8.AppendRune(out, gsmBasic[c])
		}
	}
	return out
}
