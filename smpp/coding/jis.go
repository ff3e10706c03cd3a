package coding

import (
	"sync"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
)

// jisTable holds the code of each character of the basic plane in one of the
// Japanese alphabets, 0 for none. What does not decode to itself is left out:
// a character is never changed silently.
type jisTable [1 << 16]uint16

// shiftJIS holds codes of one byte (below 0x100) or two.
var shiftJIS = sync.OnceValue(func() *jisTable {
	return newJISTable(japanese.ShiftJIS, func(b []byte) uint16 {
		if len(b) == 1 {
			return uint16(b[0])
		}
		return uint16(b[0])<<8 | uint16(b[1])
	})
})

// iso2022JP holds codes of two bytes of JIS X 0208, or of one byte: ASCII and
// the half-width katakana of JIS X 0201, told apart by the character. The
// escapes around them are written by pen.
var iso2022JP = sync.OnceValue(func() *jisTable {
	return newJISTable(japanese.ISO2022JP, func(b []byte) uint16 {
		switch {
		case len(b) == 1 && (b[0] == escape || b[0] == 0x0E || b[0] == 0x0F): // would shift the alphabet
			return 0
		case len(b) == 1:
			return uint16(b[0])
		case b[1] == '$':
			return uint16(b[3])<<8 | uint16(b[4])
		}
		return uint16(b[3])
	})
})

func newJISTable(e encoding.Encoding, code func([]byte) uint16) *jisTable {
	t := new(jisTable)
	enc, dec := e.NewEncoder(), e.NewDecoder()
	for r := rune(1); r < 1<<16; r++ {
		if r == 0xFFFD {
			continue
		}
		b, err := enc.Bytes([]byte(string(r)))
		if err != nil {
			continue
		}
		if back, err := dec.Bytes(b); err == nil && string(back) == string(r) {
			t[r] = code(b)
		}
	}
	return t
}

func (t *jisTable) of(r rune) uint16 {
	if r < 0 || r >= 1<<16 {
		return 0
	}
	return t[r]
}

// Sets that ISO-2022-JP switches between by an escape of three bytes; a text
// begins and ends in ASCII.
const (
	setASCII byte = iota
	setJIS
	setKatakana
)

var jisEscapes = [...]string{setASCII: "\x1b(B", setJIS: "\x1b$B", setKatakana: "\x1b(I"}

const jisEscape = 3 // bytes

// jisSet returns the set that holds r, whose code is given.
func jisSet(r rune, code uint16) byte {
	switch {
	case code > 0xFF:
		return setJIS
	case r > 0x7F:
		return setKatakana
	}
	return setASCII
}
