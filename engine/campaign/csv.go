package campaign

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Limits of a row. A full page of 10,830 characters with all else has well under 64 KiB.
const (
	maxRecord = 128 << 10 // bytes in UTF-8
	maxCells  = 512
)

var (
	errQuote  = errors.New("a quoted field does not end, or something follows its closing quote")
	errRecord = errors.New("the row is longer than 128 KiB")
	errCells  = errors.New("the row has more than 512 columns")
)

// csvReader reads rows as RFC 4180 and Excel write them, from UTF-8 text, in bounded memory. It is not encoding/csv because
// that gathers a whole file into one field after a stray quote, and cannot go on behind a faulty row: this one reports the
// row and goes on with the line after the one where it began.
//
// Lines end with \r\n, \n or \r; inside quotes such an end is \n. A quote inside an unquoted field is itself.
type csvReader struct {
	r     io.Reader
	comma byte // ',', '\t' or ';': what the first line has most of
	buf   []byte
	start int // of what is not yet read, in buf
	end   bool
	line  int64 // at start, from 1
	err   error // of r, but io.EOF
	gulp  int   // how much is read at least before a row is looked at again

	scratch []byte
	bounds  []int
	cells   []string
}

func newCSVReader(r io.Reader) *csvReader { return &csvReader{r: r, line: 1, gulp: 32 << 10} }

// next returns the next row and the line on which it starts. The cells are the caller's until the next call. A faulty row
// gives errQuote, errRecord or errCells, after which next goes on; any other error ends it, io.EOF at the end.
func (c *csvReader) next() (cells []string, line int64, err error) {
	for {
		if c.comma == 0 {
			for !bytes.ContainsAny(c.buf[c.start:], "\r\n") && len(c.buf)-c.start < maxRecord && c.fill() {
			}
			if c.err != nil {
				return nil, c.line, c.err
			}
			c.comma = separator(c.buf[c.start:])
		}
		rest := c.buf[c.start:]
		if len(rest) == 0 {
			if !c.fill() {
				return nil, c.line, c.fail()
			}
			continue
		}
		n, lines, err := c.parse(rest)
		if errors.Is(err, errMore) {
			if ended := c.end; len(rest) <= maxRecord && (c.fill() || !ended && c.err == nil) {
				continue // with more, or knowing that there is no more
			}
			if c.err != nil {
				return nil, c.line, c.err
			}
			if n, lines, err = 0, 0, errQuote; len(rest) > maxRecord {
				err = errRecord
			}
		}
		line = c.line
		if err != nil {
			return nil, line, errors.Join(err, c.skipLine())
		}
		c.start += n
		c.line += lines
		return c.cells, line, nil
	}
}

func (c *csvReader) fail() error {
	if c.err != nil {
		return c.err
	}
	return io.EOF
}

// fill reads more; false when there is no more. A row that is not whole has at most maxRecord bytes: there is room.
func (c *csvReader) fill() bool {
	if c.end {
		return false
	}
	if c.start > 0 {
		c.buf = c.buf[:copy(c.buf, c.buf[c.start:])]
		c.start = 0
	}
	if c.buf == nil {
		c.buf = make([]byte, 0, 2*maxRecord)
	}
	had := len(c.buf)
	for !c.end && len(c.buf)-had < c.gulp {
		n, err := c.r.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+n]
		if err != nil {
			c.end = true
			if err != io.EOF {
				c.err = err
			}
		}
	}
	return len(c.buf) > had && c.err == nil
}

// skipLine goes behind the next line end, however far it is.
func (c *csvReader) skipLine() error {
	for {
		rest := c.buf[c.start:]
		if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
			if rest[i] == '\r' && i+1 == len(rest) && c.fill() {
				continue
			}
			n := i + 1
			if rest[i] == '\r' && n < len(rest) && rest[n] == '\n' {
				n++
			}
			c.start += n
			c.line++
			return nil
		}
		c.start = len(c.buf)
		if !c.fill() {
			return c.err
		}
	}
}

var errMore = errors.New("more is needed")

// parse reads one row from the start of b into c.cells, and returns its length and lines.
func (c *csvReader) parse(b []byte) (n int, lines int64, err error) {
	c.scratch, c.bounds = c.scratch[:0], c.bounds[:0]
	i := 0
	for {
		if len(c.bounds) == maxCells {
			return 0, 0, errCells
		}
		if i < len(b) && b[i] == '"' {
			i++
			for {
				if i == len(b) {
					return 0, 0, errMore
				}
				ch := b[i]
				i++
				if ch == '"' {
					if i == len(b) && !c.end {
						return 0, 0, errMore
					}
					if i == len(b) || b[i] != '"' {
						break
					}
					i++
				}
				if ch == '\r' {
					if i == len(b) && !c.end {
						return 0, 0, errMore
					}
					if i < len(b) && b[i] == '\n' {
						i++
					}
					ch = '\n'
				}
				if ch == '\n' {
					lines++
				}
				c.scratch = append(c.scratch, ch)
			}
		} else {
			for i < len(b) && b[i] != c.comma && b[i] != '\n' && b[i] != '\r' {
				c.scratch = append(c.scratch, b[i])
				i++
			}
		}
		c.bounds = append(c.bounds, len(c.scratch))
		switch {
		case i == len(b) && !c.end:
			return 0, 0, errMore
		case i == len(b):
		case b[i] == c.comma:
			i++
			continue
		case b[i] == '\n':
			i++
			lines++
		case b[i] == '\r':
			if i+1 == len(b) && !c.end {
				return 0, 0, errMore
			}
			i++
			lines++
			if i < len(b) && b[i] == '\n' {
				i++
			}
		default:
			return 0, 0, errQuote
		}
		if i > maxRecord {
			return 0, 0, errRecord
		}
		text, from := string(c.scratch), 0
		c.cells = c.cells[:0]
		for _, to := range c.bounds {
			c.cells = append(c.cells, text[from:to])
			from = to
		}
		return i, lines, nil
	}
}

// separator is what the first line has most of outside quotes: Excel writes "Unicode text" with tabs, and CSV with
// semicolons in some countries.
func separator(b []byte) byte {
	counts, quoted := [3]int{}, false
	for _, ch := range b {
		if ch == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if ch == '\n' || ch == '\r' {
			break
		}
		if i := strings.IndexByte(",\t;", ch); i >= 0 {
			counts[i]++
		}
	}
	switch {
	case counts[1] > counts[0] && counts[1] >= counts[2]:
		return '\t'
	case counts[2] > counts[0]:
		return ';'
	}
	return ','
}
