package smpp_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	marks   = regexp.MustCompile(`SMPP 3\.4 ((?:§[\d.]*\d|appendix [A-Z])(?:, (?:§[\d.]*\d|appendix [A-Z]))*)`)
	anyMark = regexp.MustCompile(`SMPP 3\.4 (§|appendix)`)
	broken  = regexp.MustCompile(`\n\s*// ?`) // a comment that goes on
)

// TestSpecTableMatchesTheMarks checks that each mark in the code is in
// spec.txt with its file, and each row of it has its marks.
func TestSpecTableMatchesTheMarks(t *testing.T) {
	code := make(map[string][]string) // section to files
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text = broken.ReplaceAll(text, []byte(" ")) // so that a mark may be too
		found := marks.FindAllSubmatch(text, -1)
		require.Len(t, found, len(anyMark.FindAll(text, -1)), "%s: a mark of another form", name)
		for _, m := range found {
			for section := range strings.SplitSeq(string(m[1]), ", ") {
				section = strings.TrimPrefix(section, "§")
				if !slices.Contains(code[section], name) {
					code[section] = append(code[section], name)
				}
			}
		}
		return nil
	}))
	text, err := os.ReadFile("spec.txt")
	require.NoError(t, err)
	table := make(map[string][]string)
	for row := range strings.Lines(string(text)) {
		if strings.HasPrefix(row, "#") {
			continue
		}
		columns := strings.Split(row, "|")
		require.Len(t, columns, 3, row)
		section := strings.TrimSpace(columns[0])
		require.NotContains(t, table, section, "twice")
		require.NotEmpty(t, strings.TrimSpace(columns[1]), section)
		table[section] = strings.Fields(columns[2])
	}
	for section, files := range code {
		slices.Sort(files)
		require.Equal(t, files, table[section], "marks of §%s and its row in spec.txt", section)
	}
	for section := range table {
		require.Contains(t, code, section, "row of spec.txt without a mark")
	}
	require.Greater(t, len(table), 40)
}
