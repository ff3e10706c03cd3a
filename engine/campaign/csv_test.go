package campaign

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

type csvRow struct {
	line  int64
	cells []string
	err   error
}

func readAll(t testing.TB, r io.Reader, gulp int) []csvRow {
	t.Helper()
	var all []csvRow
	c := newCSVReader(r)
	c.gulp = gulp
	for {
		cells, line, err := c.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.True(t, err == nil || isRowError(err), "%v", err)
		all = append(all, csvRow{line, slices.Clone(cells), err})
		require.Less(t, len(all), 1_000_000)
	}
}

func TestRowsAsExcelWritesThem(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []csvRow
	}{
		"crlf and quotes":       {"a,b\r\n\"1,\"\"x\"\"\",\"two\r\nlines\"\r\nc,d", []csvRow{{1, []string{"a", "b"}, nil}, {2, []string{`1,"x"`, "two\nlines"}, nil}, {4, []string{"c", "d"}, nil}}},
		"old Mac":               {"a,b\r1,2\r", []csvRow{{1, []string{"a", "b"}, nil}, {2, []string{"1", "2"}, nil}}},
		"tabs":                  {"a\tb,c\td\n1\t2\t\n", []csvRow{{1, []string{"a", "b,c", "d"}, nil}, {2, []string{"1", "2", ""}, nil}}},
		"semicolons":            {"a;b\n1,5;2\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, []string{"1,5", "2"}, nil}}},
		"empty lines":           {"a,b\n\n,\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, []string{""}, nil}, {3, []string{"", ""}, nil}}},
		"a quote inside":        {"a,b\n5\" pipe,x\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, []string{`5" pipe`, "x"}, nil}}},
		"text behind a quote":   {"a,b\n\"x\"y,z\n1,2\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, nil, errQuote}, {3, []string{"1", "2"}, nil}}},
		"a quote that is open":  {"a,b\n\"x,y\n1,2\n3,4\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, nil, errQuote}, {3, []string{"1", "2"}, nil}, {4, []string{"3", "4"}, nil}}},
		"a row that is endless": {"a,b\n\"" + strings.Repeat("x", 3*maxRecord) + "\n1,2\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, nil, errRecord}, {3, []string{"1", "2"}, nil}}},
		"too many columns":      {"a,b\n" + strings.Repeat(",", maxCells) + "\n1,2\n", []csvRow{{1, []string{"a", "b"}, nil}, {2, nil, errCells}, {3, []string{"1", "2"}, nil}}},
		"nothing":               {"", nil},
	} {
		for how, gulp := range map[string]int{"whole": 32 << 10, "in bytes": 1 + len(c.text)/1000} {
			got := readAll(t, iotest.OneByteReader(strings.NewReader(c.text)), gulp)
			require.Len(t, got, len(c.want), "%s %s: %v", name, how, got)
			for i := range got {
				require.Equal(t, c.want[i].line, got[i].line, "%s %s", name, how)
				if c.want[i].err != nil {
					require.ErrorIs(t, got[i].err, c.want[i].err, "%s %s", name, how)
				} else {
					require.NoError(t, got[i].err, "%s %s", name, how)
					require.Equal(t, c.want[i].cells, got[i].cells, "%s %s", name, how)
				}
			}
		}
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("disk is gone")
	c := newCSVReader(io.MultiReader(strings.NewReader("a,b\n1,2\n"), iotest.ErrReader(broken)))
	for range 3 {
		if _, _, err := c.next(); err != nil {
			require.ErrorIs(t, err, broken)
			return
		}
	}
	t.Fatal("the error was lost")
}

func TestFileOfQuotesIsNoCSV(t *testing.T) {
	r := openRoom(t)
	r.run()
	id := r.upload([]byte("phone,text\n" + strings.Repeat("\"x\"y,z\n", giveUp+5)))
	require.Equal(t, ReasonNotCSV, r.until(id, Failed).Reason)
}
