package carrier

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestPortedTableHoldsWhatItsFileSays: any numbers in any order are found with their carrier, and no others.
func TestPortedTableHoldsWhatItsFileSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Neighbours share a block, so blocks of none, one and many rows occur.
		numbers := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) uint64 {
			base := rapid.SampledFrom([]uint64{9000000000, 9000065535, 9009999990, 7000000000, 7009999990}).Draw(t, "base")
			return min(base+uint64(rapid.IntRange(0, 300).Draw(t, "n")), base/1e7*1e7+1e7-1)
		}), 0, 200, rapid.ID).Draw(t, "numbers")
		want := map[uint64]uint8{}
		var file strings.Builder
		for _, n := range numbers {
			want[n] = uint8(rapid.IntRange(0, 3).Draw(t, "carrier"))
			fmt.Fprintf(&file, "0%d,%s\n", n, boxView().carriers[want[n]].Name)
		}
		v := boxView()
		if err := v.loadPorted(strings.NewReader(file.String()), "ported.csv", 1000); err != nil {
			t.Fatal(err)
		}
		for _, n := range numbers {
			for _, near := range []uint64{n, n - 1, n + 1} {
				have, ok := v.ported.find(Number{near})
				owner, known := want[near]
				if ok != known || have != owner {
					t.Fatalf("%d: carrier %d, %v; want %d, %v", near, have, ok, owner, known)
				}
			}
		}
	})
}

func TestMalformedPortedLineIsNamedAndNotShown(t *testing.T) {
	for text, want := range map[string]string{
		"09000000001,au\n\n# x\n09000000002":    `:4: has one column, "09****02"`,
		"09000000001,au\n0900000000,au\n":       ":2: a ported number has 11 digits, this has 10",
		"090-0000-0001,au\n":                    `:1: column 1, "09****01", must be 4 to 11 digits`,
		"09000000001,au\n０９０００００００００２,au\n":     `:2: column 1, "０９****０２"`,
		"09000000001,\n":                        `:1: there is no carrier ""`,
		"docomo,09000000001\n":                  `:1: there is no carrier "09****01"`,
		"08012345678,au\n":                      ":1: 0801… can belong to people",
		"09000000001,au\n09000000001,docomo\n":  "the number 090-****-0001 stands there twice",
		"09000000001,au\n09000000001,au\n":      "the number 090-****-0001 stands there twice",
		strings.Repeat("09000000001,au,", 9000): ":1: ", // a file with other line ends
	} {
		err := boxView().loadPorted(strings.NewReader(text), "ported.csv", 1000)
		require.ErrorContains(t, err, want)
		require.NotRegexp(t, `[0-9]{7}`, err.Error())
	}
}

// changing is a file that another text takes the place of once it was read.
type changing struct {
	io.ReadSeeker
	next string
}

func (c *changing) Seek(int64, int) (int64, error) {
	c.ReadSeeker = strings.NewReader(c.next)
	return 0, nil
}

func TestFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	first := "09000000001,au\n09000000002,au\n"
	for _, next := range []string{"", "09000000001,au\n", first + "09000000003,au\n", "09000000001,au\n09009000002,au\n", "09000000001,au\n0900,au\n"} {
		v := boxView()
		err := v.loadPorted(&changing{strings.NewReader(first), next}, "ported.csv", 1000)
		require.ErrorIs(t, err, errChanged, "%q", next)
		require.Nil(t, v.ported.start)
	}
}

// portedFile is a file of n ported numbers in the order of no column, as an export from a database has them.
func portedFile(n int) []byte {
	names := []string{"docomo", "au", "softbank", "rakuten"}
	file := make([]byte, 0, n*21)
	for i := range uint64(n) {
		k := i * 7_654_321 % 20_000_000 // coprime: all different
		file = fmt.Appendf(file, "0%d,%s\n", (7+2*(k/10_000_000))*1e9+k%10_000_000, names[k%4])
	}
	return file
}

// TestImportNeedsTheMemoryOfItsTable counts everything that was allocated, freed or not, so that it does not depend on
// when the collector ran.
func TestImportNeedsTheMemoryOfItsTable(t *testing.T) {
	const rows = 200_000
	file := bytes.NewReader(portedFile(rows))
	v := boxView()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, v.loadPorted(file, "ported.csv", rows))
	runtime.ReadMemStats(&after)
	require.Len(t, v.ported.rows, rows)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*rows+512<<10))
}
