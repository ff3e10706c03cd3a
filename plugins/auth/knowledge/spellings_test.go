package main

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

//go:embed testdata/spellings.txt
var spellings string

// spelling is a line of testdata/spellings.txt.
type spelling struct{ field, typed, want string }

func readSpellings(t testing.TB) []spelling {
	var all []spelling
	for line := range strings.Lines(spellings) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		require.Len(t, parts, 3, line)
		all = append(all, spelling{parts[0], parts[1], parts[2]})
	}
	return all
}

func TestRealWorldSpellings(t *testing.T) {
	all := readSpellings(t)
	require.GreaterOrEqual(t, len(all), 150)
	for _, s := range all {
		field, level, _ := strings.Cut(s.field, "/")
		form := ask(t, &proto.CanonicalItem{Field: field, Level: level, Value: s.typed})[0]
		if s.want == "!" {
			require.NotNil(t, form.Error, "%s %q became %q", s.field, s.typed, form.Form)
			continue
		}
		require.Nil(t, form.Error, "%s %q", s.field, s.typed)
		require.Equal(t, s.want, form.Form, "%s %q", s.field, s.typed)
	}
}
