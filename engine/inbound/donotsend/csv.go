package donotsend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Limits of a file.
const (
	MaxFile = 16 << 20 // bytes
	MaxRows = 200_000
	// maxProblems are told of one file; whoever has so many has another file.
	maxProblems = 100
)

var columns = []string{"number", "reason", "note", "since", "by"}

// ReadCSV reads a file: a head line that names at least "number" (or 電話番号), then a number a line; "reason" and "note" (or
// 理由, 備考) may stand beside it, other columns are passed over, so that a file of WriteCSV can be read again. UTF-8 or
// Shift_JIS. Every line that cannot be used is a problem with the field "line N"; none is added then. The numbers are
// masked in it.
func ReadCSV(r io.Reader, by string, at time.Time) ([]Addition, message.Problems, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > MaxFile {
		return nil, message.Problems{{Field: "file", Code: "too_long", Limit: MaxFile, Got: int64(len(data)), Detail: "bytes"}}, nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		if data, err = japanese.ShiftJIS.NewDecoder().Bytes(data); err != nil {
			return nil, message.Problems{{Field: "file", Code: "pattern", Detail: "neither UTF-8 nor Shift_JIS"}}, nil
		}
	}
	cr := csv.NewReader(bytes.NewReader(data))
	cr.FieldsPerRecord, cr.ReuseRecord = -1, true
	head, err := cr.Read()
	if err != nil {
		return nil, message.Problems{{Field: "line 1", Code: "required", Detail: "the head line names the columns"}}, nil
	}
	number, reason, note := -1, -1, -1
	for i, name := range head {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "number", "電話番号":
			number = i
		case "reason", "理由":
			reason = i
		case "note", "備考":
			note = i
		}
	}
	if number < 0 {
		return nil, message.Problems{{Field: "line 1", Code: "required", Detail: "a column \"number\""}}, nil
	}
	return readRows(cr, number, reason, note, Addition{Reason: Import, By: by, At: at})
}

func readRows(cr *csv.Reader, number, reason, note int, like Addition) (additions []Addition, problems message.Problems, _ error) {
	for {
		row, err := cr.Read()
		if errors.Is(err, io.EOF) {
			return additions, problems, nil
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			return additions, append(problems, message.Problem{Field: fmt.Sprintf("line %d", parse.Line), Code: "pattern", Detail: "quotes do not fit"}), nil
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := cr.FieldPos(0)
		field := fmt.Sprintf("line %d", line)
		if len(problems) >= maxProblems {
			return additions, problems, nil
		}
		if len(additions) == MaxRows {
			return additions, append(problems, message.Problem{Field: field, Code: "too_many", Limit: MaxRows, Got: MaxRows + 1}), nil
		}
		cell := func(i int) string {
			if i < 0 || i >= len(row) {
				return ""
			}
			return strings.TrimSpace(row[i])
		}
		a := like
		a.Note = strings.Clone(strings.TrimPrefix(cell(note), "'"))
		if word := cell(reason); word != "" {
			a.Reason = Reason(strings.Clone(word))
		}
		if a.Number, err = carrier.ParseNumber(strings.TrimPrefix(cell(number), "'")); err != nil {
			var ne *carrier.NumberError
			errors.As(err, &ne)
			problems = append(problems, message.Problem{Field: field, Code: string(ne.Reason), Value: ne.Masked, Detail: ne.Reason.Text()})
			continue
		}
		for _, p := range a.Check() {
			p.Field = field + " " + p.Field
			problems = append(problems, p)
		}
		additions = append(additions, a)
	}
}

// Row is one line of WriteCSV.
type Row struct {
	Entry
	Number carrier.Number
}

// CSVWriter writes lists as ReadCSV reads them, in UTF-8 with a byte order mark.
type CSVWriter struct {
	out *bufio.Writer
	csv *csv.Writer
}

// NewCSVWriter writes the head line. Errors are those of Close.
func NewCSVWriter(w io.Writer) *CSVWriter {
	out := bufio.NewWriter(w)
	out.WriteString("\xef\xbb\xbf")
	c := &CSVWriter{out: out, csv: csv.NewWriter(out)}
	c.csv.UseCRLF = true
	_ = c.csv.Write(columns) // sticks until Close
	return c
}

// Write writes one entry. A note that a spreadsheet would take for a formula gets an apostrophe, which ReadCSV takes off.
func (c *CSVWriter) Write(r Row) error {
	note := r.Note
	if note != "" && strings.ContainsRune("=+-@\t\r'", rune(note[0])) {
		note = "'" + note
	}
	return c.csv.Write([]string{r.Number.National(), string(r.Reason), note, r.At.In(message.Tokyo).Format(time.RFC3339), r.By})
}

// Close flushes.
func (c *CSVWriter) Close() error {
	c.csv.Flush()
	return errors.Join(c.csv.Error(), c.out.Flush())
}

// Export writes all entries of a tenant that hold, newest first, with whole numbers.
func Export(ctx context.Context, l *List, t tenant.ID, w io.Writer) error {
	out := NewCSVWriter(w)
	q := Query{Limit: 500}
	for {
		page, next, err := l.Page(ctx, t, q)
		if err != nil {
			return err
		}
		for i := range page {
			n, err := l.Number(&page[i])
			if err == nil {
				err = out.Write(Row{page[i], n})
			}
			if err != nil {
				return err
			}
		}
		if q.Before = next; next.IsZero() {
			return out.Close()
		}
	}
}
