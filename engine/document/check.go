package document

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
)

// RefusedError says why a file is not kept. Code is stable: too_large, not_pdf, encrypted, active, opaque.
type RefusedError struct {
	Code   string
	Detail string // English, without content of the file
	Limit  int64
	Got    int64
}

func (e *RefusedError) Error() string { return "document is refused: " + e.Detail }

// Check refuses what is no PDF, or what does more than show pages: scripts, programs to launch, files inside, forms that
// run, or parts that cannot be looked into.
//
// It is a scanner, not a parser: a parser decides what an object is and can decide otherwise than the program that later
// opens the file; the scanner looks for the names that active content cannot do without, everywhere in the bytes, inside
// comments, strings and streams too, with their escapes (#4A is J) undone, and in the object streams, which it inflates.
// Names of two letters would be found by chance in compressed data and are looked for
// outside of streams only; each of them is useless without one of the longer ones. ISO 32000-1 §7.3.5, §7.5.7, §12.6.
//
// It keeps careless and common bad files out: a writer that aims at this scanner can hide an object stream from it. What
// then remains is the viewer of the recipient's browser, which keeps a file's scripts from the page; the file is sent with
// nosniff, as a PDF and nothing else.
func Check(pdf []byte) error {
	if len(pdf) > MaxBytes {
		return &RefusedError{Code: "too_large", Detail: "larger than 5 MiB", Limit: MaxBytes, Got: int64(len(pdf))}
	}
	tail := pdf[max(0, len(pdf)-1024):]
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || !bytes.Contains(tail, []byte("%%EOF")) ||
		!bytes.Contains(tail, []byte("startxref")) || !bytes.Contains(pdf, []byte("endobj")) {
		return &RefusedError{Code: "not_pdf", Detail: "not a complete PDF"}
	}
	if err := scanNames(pdf, longNames); err != nil {
		return err
	}
	return scanStreams(pdf)
}

// What a name means for the file.
var longNames = map[string]string{
	"JavaScript": "active", "Launch": "active", "Rendition": "active", "SubmitForm": "active", "ImportData": "active",
	"GoToE": "active", "RichMedia": "active",
	"EmbeddedFile": "active", "Encrypt": "encrypted", // an empty tree of EmbeddedFiles is common and holds nothing
}

// shortNames are looked for outside of stream data.
var shortNames = map[string]string{"JS": "active", "EF": "active", "XFA": "active"}

const longestName = len("RunLengthDecode")

func refusedName(name, code string) error {
	detail := "holds active content (" + name + ")"
	if code == "encrypted" {
		detail = "is encrypted"
	}
	return &RefusedError{Code: code, Detail: detail}
}

// scanNames looks for names that begin with "/" and end at a delimiter. ISO 32000-1 §7.2.2.
func scanNames(b []byte, names map[string]string) error {
	name := make([]byte, 0, longestName+1)
	for {
		i := bytes.IndexByte(b, '/')
		if i < 0 {
			return nil
		}
		b = b[i+1:]
		name = name[:0]
		for j := 0; j < len(b) && len(name) <= longestName && !delimiter(b[j]); j++ {
			c := b[j]
			if c == '#' && j+2 < len(b) {
				if hi, lo := unhex(b[j+1]), unhex(b[j+2]); hi >= 0 && lo >= 0 {
					c = byte(hi<<4 | lo)
					j += 2
				}
			}
			name = append(name, c)
		}
		if code, ok := names[string(name)]; ok {
			return refusedName(string(name), code)
		}
	}
}

func delimiter(c byte) bool {
	switch c {
	case 0, '\t', '\n', '\f', '\r', ' ', '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

const (
	maxObjectStream  = 16 << 20 // inflated; writers put some hundred objects into one
	maxObjectStreams = 64 << 20 // all of a file
)

var (
	streamWord    = []byte("stream")
	endstreamWord = []byte("endstream")
	objWord       = []byte("obj")
)

// scanStreams looks at what stands between streams for the short names, and into the streams that hold objects.
func scanStreams(pdf []byte) error {
	budget := int64(maxObjectStreams)
	from := 0
	for {
		i := bytes.Index(pdf[from:], streamWord)
		if i < 0 {
			return scanNames(pdf[from:], shortNames)
		}
		at := from + i
		if err := scanNames(pdf[from:at], shortNames); err != nil {
			return err
		}
		gap := pdf[from:at]
		dict := gap
		if j := bytes.LastIndex(dict, objWord); j >= 0 {
			dict = dict[j:]
		}
		data := pdf[at+len(streamWord):]
		data = bytes.TrimPrefix(data, []byte("\r"))
		data = bytes.TrimPrefix(data, []byte("\n"))
		if objects(gap) {
			n, err := scanObjects(dict, data, budget, objects(dict))
			if err != nil {
				return err
			}
			budget -= n
		}
		end := bytes.Index(data, endstreamWord)
		if end < 0 {
			return scanNames(data, shortNames)
		}
		from = len(pdf) - len(data) + end + len(endstreamWord)
	}
}

// objects reports whether a stream's dictionary is one that readers take objects from. They need First and N, whatever
// Type says. ISO 32000-1 §7.5.7.
func objects(dict []byte) bool {
	return scanNames(dict, map[string]string{"ObjStm": "opaque", "First": "opaque"}) != nil
}

// scanObjects inflates an object stream and looks for names in it. sure says that the stream's own dictionary calls it
// one, rather than something near it: then what cannot be looked into is refused.
func scanObjects(dict, data []byte, budget int64, sure bool) (int64, error) {
	opaque := func(why string) error {
		if !sure {
			return nil
		}
		return &RefusedError{Code: "opaque", Detail: "has an object stream that " + why}
	}
	if scanNames(dict, unusual) != nil {
		return 0, opaque("is encoded in an unusual way")
	}
	plain := data
	if z, err := zlib.NewReader(bytes.NewReader(data)); err == nil {
		limit := min(budget, maxObjectStream)
		plain, err = io.ReadAll(io.LimitReader(z, limit+1))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, zlib.ErrChecksum) {
			return int64(len(plain)), opaque("cannot be inflated")
		}
		if int64(len(plain)) > limit {
			return limit, &RefusedError{Code: "opaque", Detail: "has streams that inflate too far", Limit: maxObjectStreams, Got: int64(len(plain))}
		}
	} else if end := bytes.Index(plain, endstreamWord); end >= 0 {
		plain = plain[:end]
	}
	// It begins with the numbers and places of its objects; anything else is encoded once more.
	if start := bytes.TrimLeft(plain, "\x00\t\n\f\r "); len(start) == 0 || start[0] < '0' || start[0] > '9' {
		return int64(len(plain)), opaque("cannot be read")
	}
	if err := scanNames(plain, longNames); err != nil {
		return 0, err
	}
	return int64(len(plain)), scanNames(plain, shortNames)
}

// unusual are the filters and parameters that no writer uses for object streams.
var unusual = map[string]string{
	"LZWDecode": "opaque", "LZW": "opaque", "ASCIIHexDecode": "opaque", "AHx": "opaque", "ASCII85Decode": "opaque",
	"A85": "opaque", "RunLengthDecode": "opaque", "RL": "opaque", "Crypt": "opaque", "Predictor": "opaque",
	"FFilter": "opaque",
}
