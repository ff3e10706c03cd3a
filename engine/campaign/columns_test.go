package campaign

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryColumnIsInTheDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/csv.md")
	require.NoError(t, err)
	told := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\|([^|]+)\|([^|]+)\|`).FindAllStringSubmatch(string(doc), -1) {
		for _, name := range regexp.MustCompile(`[、,・…（）]`).Split(row[1]+","+row[2], -1) {
			told[fold(name)] = true
		}
	}
	for _, k := range known {
		if strings.HasPrefix(k.path, "page.reading.values[") && !strings.HasPrefix(k.path, "page.reading.values[0]") {
			continue // as those of the first meter, with a number
		}
		for _, name := range k.names {
			require.True(t, told[fold(name)], name)
		}
	}
	for _, a := range answers {
		require.True(t, told[fold("認証:"+a.name)], a.name)
		require.True(t, told[fold(a.field)] || told[fold("identity:"+a.field)], a.field)
	}
	for _, n := range numbered {
		for _, name := range n.names {
			require.True(t, told[fold(name+"1")], name)
		}
	}
	require.True(t, told[fold(freeKey+"質問")] && told[fold(freeEN+"question")])
}
