package campaign

import (
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding is how the text of a file is written. The words are stored.
type Encoding string

const (
	UTF8    Encoding = "utf-8" // with or without BOM
	UTF16LE Encoding = "utf-16le"
	UTF16BE Encoding = "utf-16be"
	CP932   Encoding = "cp932" // what Windows calls Shift_JIS, with ①, ㈱, 髙, 﨑
)

// sniffer finds out the encoding from all of a file's bytes, in constant memory.
//
// A BOM decides. Without one, NUL bytes in the first 4 KiB mean UTF-16 (on the side of the zero bytes). Else the file is
// UTF-8 when nothing contradicts, or so little that it is rather UTF-8 with damaged bytes (one in ten multi-byte
// characters); and CP932 otherwise. One case is undecided by the bytes: half-width kana in pairs are also two-byte UTF-8
// (ﾃｽ is C3 BD, which is ý). When a file has nothing else beyond ASCII, it is CP932: such files are from Japanese systems.
type sniffer struct {
	head    []byte // the first 4 KiB
	rest    []byte // the start of a character that the last write cut
	short   int64  // two-byte sequences that could be half-width kana
	long    int64  // other valid multi-byte sequences
	invalid int64
	last    byte
	lines   int64
}

const sniffHead = 4 << 10

func (s *sniffer) Write(p []byte) (int, error) {
	n := len(p)
	if room := sniffHead - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(room, len(p))]...)
	}
	s.lines += int64(bytes.Count(p, []byte{'\n'}))
	if n > 0 {
		s.last = p[n-1]
	}
	if len(s.rest) > 0 {
		p = append(s.rest, p...)
	}
	s.scan(p, false)
	return n, nil
}

// scan counts what UTF-8 would make of p, and keeps a cut character unless it is the end.
func (s *sniffer) scan(p []byte, end bool) {
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			i++
			continue
		}
		if !end && !utf8.FullRune(p[i:]) {
			s.rest = append([]byte(nil), p[i:]...)
			return
		}
		r, size := utf8.DecodeRune(p[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			s.invalid++
		case size == 2 && p[i+1] >= 0xa1:
			s.short++
		default:
			s.long++
		}
		i += size
	}
	s.rest = nil
}

// result is the encoding, and the number of lines.
func (s *sniffer) result() (Encoding, int64) {
	s.scan(s.rest, true)
	lines := s.lines
	if s.last != '\n' && s.last != 0 {
		lines++
	}
	switch {
	case bytes.HasPrefix(s.head, []byte{0xef, 0xbb, 0xbf}):
		return UTF8, lines
	case bytes.HasPrefix(s.head, []byte{0xff, 0xfe}):
		return UTF16LE, lines
	case bytes.HasPrefix(s.head, []byte{0xfe, 0xff}):
		return UTF16BE, lines
	}
	var zeros [2]int
	for i, b := range s.head {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch {
	case zeros[0]+zeros[1] > 0 && zeros[0] > zeros[1]:
		return UTF16BE, lines
	case zeros[0]+zeros[1] > 0:
		return UTF16LE, lines
	case s.invalid > 0 && s.invalid*10 >= s.long, s.invalid == 0 && s.long == 0 && s.short > 0:
		return CP932, lines
	}
	return UTF8, lines
}

// decode gives the text of r as UTF-8 without a BOM; what cannot be read becomes U+FFFD.
func (e Encoding) decode(r io.Reader) io.Reader {
	var enc encoding.Encoding
	switch e {
	case UTF16LE:
		enc = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case UTF16BE:
		enc = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case CP932:
		enc = japanese.ShiftJIS
	default:
		enc = unicode.UTF8BOM
	}
	return transform.NewReader(r, enc.NewDecoder())
}
