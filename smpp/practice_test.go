package smpp_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	practiceRow  = regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]*) \|$`)
	practiceTest = regexp.MustCompile("`((?:smpp|engine)/[a-z/]+)`|((?:Test|Fuzz)[A-Z]\\w+)")
)

// TestPracticeNamesTestsThatExist checks docs/smpp-practice.md: 28 groups, each
// with tests that are there.
func TestPracticeNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/smpp-practice.md")
	require.NoError(t, err)
	rows := practiceRow.FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, 28)
	for i, row := range rows {
		require.Equal(t, strconv.Itoa(i+1), row[1])
		var source string
		found := 0
		for _, m := range practiceTest.FindAllStringSubmatch(row[2], -1) {
			if m[1] != "" {
				source = testsOf(t, m[1])
				continue
			}
			require.Contains(t, source, "func "+m[2]+"(", "group %s", row[1])
			found++
		}
		require.NotZero(t, found, "group %s names no test", row[1])
	}
}

// testsOf returns the text of the tests of a package.
func testsOf(t *testing.T, pkg string) string {
	files, err := filepath.Glob("../" + pkg + "/*_test.go")
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(b)
	}
	return all.String()
}
