package message

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOccasionsFitTheirPlaces(t *testing.T) {
	seen := map[string]bool{}
	fill := strings.NewReplacer("{company}", "〇〇県〇〇市水道局", "{phone}", "0000-000-000", "{yesterday}", "12月31日", "{url}", strings.Repeat("x", 34))
	for _, o := range Occasions {
		require.False(t, seen[o.Code] || seen[o.LabelJA], o.Code)
		seen[o.Code], seen[o.LabelJA] = true, true
		require.LessOrEqual(t, Units(fill.Replace(o.Text)), SingleSegment, "%s in one SMS", o.Code)
		require.Equal(t, 1, strings.Count(o.Text, "{url}"), o.Code)
		for what, c := range map[string]struct {
			text  string
			limit int
		}{"title": {o.Title, MaxTitle}, "lead": {o.Lead, MaxLead}, "closing": {o.Closing, MaxClosing}} {
			text := fill.Replace(c.text)
			require.NotEmpty(t, text, o.Code)
			require.LessOrEqual(t, Length(text), c.limit, "%s of %s", what, o.Code)
			require.NotContains(t, text, "{", "%s of %s", what, o.Code)
		}
		_, err := ParseClass(string(o.Class))
		require.NoError(t, err)
		for _, name := range []string{o.Name(), OccasionPrefix + o.LabelJA} {
			found, ok := FindOccasion(name)
			require.True(t, ok)
			require.Equal(t, o.Code, found.Code)
		}
	}
	for _, name := range []string{"", "reminder", "std:", "std:none"} {
		_, ok := FindOccasion(name)
		require.False(t, ok, name)
	}
	require.Equal(t, "11月27日", Yesterday(time.Date(2026, 11, 28, 0, 0, 0, 0, Tokyo)))
	require.Equal(t, "12月31日", Yesterday(time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC)), "the day of Japan")
}
