// Package coding turns text into the bytes of short messages and back: the
// alphabets GSM 7 bit, Latin-1, UCS-2, Shift-JIS and ISO-2022-JP, lengths as
// carriers count and bill them, and segments.
//
// GSM 7 is carried unpacked, one septet in an octet, as SMPP carriers take it
// under data_coding 0; GSM7Packed is for the few that want the septets packed
// as on the air. Characters of the extension table take two septets. UCS-2 is
// sent as UTF-16BE: an emoji or 𠮷 takes two units (a surrogate pair), which
// every phone sold in Japan shows. The Japanese alphabets are those of x/text.
//
// One short message holds 140 bytes. A longer text is cut into segments, joined
// by a user data header that the phone reads (3GPP TS 23.040 §9.2.3.24.1 and
// §9.2.3.24.8) or by sar TLVs from which the carrier makes one; or it goes
// whole as message_payload and the carrier cuts it (Join):
//
//	                       GSM 7   Latin-1   UCS-2   Shift-JIS, ISO-2022-JP
//	                      septets  letters   units   bytes
//	one segment              160      140      70     140
//	8-bit reference (6 B)    153      134      67     134
//	16-bit reference (7 B)   152      133      66     133
//
// A cut never falls inside a character: not inside an escape pair, a surrogate
// pair, or two bytes of a kanji; so a segment may hold one unit less. Every
// segment of ISO-2022-JP begins and ends in ASCII, and its escapes count. There
// are at most 255 segments.
//
// All functions are safe for concurrent use.
package coding

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
)

// Alphabet is the character set of a short message.
type Alphabet uint8

const (
	Auto       Alphabet = iota // GSM7 when it can write the whole text, else UCS2
	GSM7                       // GSM 03.38 default alphabet with its extension table, unpacked
	Latin1                     // ISO 8859-1
	UCS2                       // UTF-16BE
	GSM7Packed                 // GSM7 with its septets packed, seven bytes for eight; has no carriage return
	ShiftJIS                   // JIS X 0208 and half-width katakana, as Shift_JIS
	ISO2022JP                  // the same with escapes, 7 bit
)

// String returns the name for people and logs.
func (a Alphabet) String() string {
	switch a {
	case Auto:
		return "auto"
	case GSM7:
		return "gsm7"
	case Latin1:
		return "latin1"
	case UCS2:
		return "ucs2"
	case GSM7Packed:
		return "gsm7packed"
	case ShiftJIS:
		return "shift-jis"
	case ISO2022JP:
		return "iso-2022-jp"
	}
	return fmt.Sprintf("alphabet(%d)", uint8(a))
}

// DataCoding returns the data_coding to send with text of a. SMPP 3.4 §5.2.19
func (a Alphabet) DataCoding() byte {
	switch a {
	case Latin1:
		return 0x03
	case ShiftJIS:
		return 0x05
	case UCS2:
		return 0x08
	case ISO2022JP:
		return 0x0A
	}
	return 0x00
}

// FromDataCoding returns the alphabet of a received data_coding. ok is false
// for codings that this package cannot read (binary, Cyrillic, message classes
// with compression). Whether septets are packed is the carrier's habit and does
// not stand there: GSM7 is returned. SMPP 3.4 §5.2.19
func FromDataCoding(dc byte) (a Alphabet, ok bool) {
	switch dc {
	case 0x00, 0x01: // SMSC default; IA5 agrees with GSM 7 on letters and digits
		return GSM7, true
	case 0x03:
		return Latin1, true
	case 0x05:
		return ShiftJIS, true
	case 0x0A:
		return ISO2022JP, true
	case 0x08:
		return UCS2, true
	}
	if dc&0xF0 == 0xF0 && dc&0x04 == 0 { // GSM message class, 7 bit
		return GSM7, true
	}
	return 0, false
}

// ErrInvalidUTF8 reports text that is not UTF-8.
var ErrInvalidUTF8 = errors.New("text is not valid UTF-8")

// RuneError reports a character that the alphabet asked for cannot write.
type RuneError struct {
	Alphabet Alphabet
	Rune     rune
	Offset   int // in bytes of the text
}

func (e *RuneError) Error() string {
	return fmt.Sprintf("character %q at byte %d: not in %v", e.Rune, e.Offset, e.Alphabet)
}

// Choose returns GSM7 when it can write all of text, else UCS2.
func Choose(text string) Alphabet {
	for _, r := range text {
		if gsmUnits(r) == 0 {
			return UCS2
		}
	}
	return GSM7
}

// units returns how many units r takes in a wherever it stands, 0 when a
// cannot write it. ISO-2022-JP has none: see pen.cost.
func (a Alphabet) units(r rune) int {
	switch a {
	case GSM7:
		return gsmUnits(r)
	case GSM7Packed:
		if !packable(r) {
			return 0
		}
		return gsmUnits(r)
	case Latin1:
		if r <= 0xFF {
			return 1
		}
		return 0
	case ShiftJIS:
		switch code := shiftJIS().of(r); {
		case code == 0:
			return 0
		case code <= 0xFF:
			return 1
		}
		return 2
	}
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// Append appends text in alphabet a (Auto chooses) to dst. The error is
// [ErrInvalidUTF8] or a [*RuneError]; dst is then returned unchanged.
func Append(dst []byte, a Alphabet, text string) ([]byte, error) {
	if a == Auto {
		a = Choose(text)
	}
	out, p := dst, pen{alphabet: a}
	for i, r := range text {
		units, _ := p.cost(r)
		if err := a.check(text, i, r, units); err != nil {
			return dst, err
		}
		out, p = p.append(out, r)
	}
	return p.close(out, len(dst), 0), nil
}

// check refuses what is not a character, or one that takes no units in a.
func (a Alphabet) check(text string, i int, r rune, units int) error {
	if r == utf8.RuneError {
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
			return fmt.Errorf("byte %d: %w", i, ErrInvalidUTF8)
		}
	}
	if units == 0 {
		return &RuneError{Alphabet: a, Rune: r, Offset: i}
	}
	return nil
}

// Decode reads bytes of alphabet a. What cannot be read, such as half a
// surrogate pair or an odd last byte, becomes U+FFFD: a message from a phone
// is shown as far as it can be. Auto reads as GSM7.
func Decode(a Alphabet, b []byte) string { return DecodeBehind(a, 0, b) }

// DecodeBehind is Decode for text behind a user data header of so many bytes,
// its length byte included; 0 is none. Only packed septets are moved by it.
func DecodeBehind(a Alphabet, header int, b []byte) string {
	out := make([]byte, 0, len(b)+len(b)/2)
	switch a {
	case UCS2:
		for i := 0; i < len(b); i += 2 {
			if i+1 == len(b) {
				out = utf8.AppendRune(out, utf8.RuneError)
				break
			}
			r := rune(b[i])<<8 | rune(b[i+1])
			if r >= 0xD800 && r < 0xDC00 && i+3 < len(b) {
				if lo := rune(b[i+2])<<8 | rune(b[i+3]); lo >= 0xDC00 && lo < 0xE000 {
					r = 0x10000 + (r-0xD800)<<10 + (lo - 0xDC00)
					i += 2
				}
			}
			out = utf8.AppendRune(out, r) // a lone surrogate is written as U+FFFD
		}
	case Latin1:
		for _, c := range b {
			out = utf8.AppendRune(out, rune(c))
		}
	case GSM7Packed:
		out = decodePacked(out, b, header)
	case ShiftJIS, ISO2022JP:
		var e encoding.Encoding = japanese.ShiftJIS
		if a == ISO2022JP {
			e = japanese.ISO2022JP
		}
		text, _ := e.NewDecoder().Bytes(b) // what cannot be read is U+FFFD in it
		return string(text)
	default:
		out = decodeGSM(out, b)
	}
	return string(out)
}
