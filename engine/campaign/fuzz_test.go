package campaign

import (
	"bytes"
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func FuzzDecode(f *testing.F) {
	for _, e := range []Encoding{UTF8, CP932, UTF16LE, UTF16BE} {
		f.Add(encoded(f, e, true, waterBill))
		f.Add(encoded(f, e, false, waterBill)[:37])
	}
	f.Add([]byte{0xff, 0xfe, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := detect(b, 3)
		require.Equal(t, e, detect(b, 1<<20), "the encoding does not depend on how the file came")
		text, err := io.ReadAll(e.decode(bytes.NewReader(b)))
		require.NoError(t, err)
		require.True(t, utf8.Valid(text))
	})
}

func FuzzRows(f *testing.F) {
	f.Add(waterBill)
	f.Add("a,b\n\"x\"y,z\n\"open\n1,2")
	f.Add("a\tb\r1\t\"2\r3\"\r")
	f.Add("\"\"\"\",\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		got := readAll(t, strings.NewReader(text), 32<<10)
		again := readAll(t, iotest.OneByteReader(strings.NewReader(text)), 1)
		require.Equal(t, len(got), len(again), "rows do not depend on how the text came")
		for i := range got {
			require.Equal(t, got[i].cells, again[i].cells)
			require.Equal(t, got[i].line, again[i].line)
		}
		for i := 1; i < len(got); i++ {
			require.Greater(t, got[i].line, got[i-1].line)
		}
		// What encoding/csv takes too it reads alike. It has no lone CR, and leaves out empty lines.
		if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") || separator([]byte(text)) != ',' {
			return
		}
		std := csv.NewReader(strings.NewReader(text))
		std.FieldsPerRecord = -1
		std.LazyQuotes = false
		want, err := std.ReadAll()
		if err != nil {
			return
		}
		var rows [][]string
		for _, r := range got {
			require.NoError(t, r.err)
			if len(r.cells) != 1 || r.cells[0] != "" {
				rows = append(rows, r.cells)
			}
		}
		want = slices.DeleteFunc(want, func(r []string) bool { return len(r) == 1 && r[0] == "" })
		require.Equal(t, len(want), len(rows))
		for i := range want {
			require.Equal(t, want[i], rows[i])
		}
	})
}

func FuzzConvert(f *testing.F) {
	f.Add("電話番号,本文,表:a,項目1,値1,品名1,単価1,数量1,支払期限,送信日時", "9000010001,x,1,b,2,c,10,2,令和8年12月31日,2026/12/31 10:00")
	f.Add("phone,amount,tax,code,window,{x},birth_date,amend", "9.0E+09,-1,x,有,9:00-18:00,y,S60.1.2,1,2,3")
	f.Fuzz(func(t *testing.T, header, cells string) {
		cols, faults := readHeader(strings.Split(header, ","), 1, func(name string) bool { return len(name) == 3 })
		if len(faults) > 0 {
			return
		}
		r := newConverter(cols, message.Draft{Page: &message.Page{Title: "t"}}).convert(1, 2, strings.Split(cells, ","))
		for _, found := range append(append(r.faults, r.warnings...), r.found(r.draft.Check())...) {
			require.EqualValues(t, 2, found.Line)
			require.NotEmpty(t, found.Code)
			require.NotEmpty(t, found.Text("ja"))
			require.NotEmpty(t, found.Text("en"))
			require.LessOrEqual(t, utf8.RuneCountInString(found.Value), 16)
		}
	})
}
