package dlr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRuleIsProposedFromPairs(t *testing.T) {
	for _, c := range []struct {
		pairs []Pair
		want  []string
	}{
		{[]Pair{{"00B8BE19", "b8be19"}}, []string{"hex"}},
		{[]Pair{{"00B8BE19", "00b8be19"}}, []string{"fold", "hex"}},
		{[]Pair{{"00B8BE19", "00B8BE19"}}, []string{"text", "fold", "hex"}},
		{[]Pair{{"1A", "26"}}, []string{"hex/decimal"}},
		{[]Pair{{"26", "1a"}}, []string{"decimal/hex"}},
		{[]Pair{{"0012345", "12345"}}, []string{"decimal", "hex"}},
		{[]Pair{{"12345", "12345"}, {"1A", "1A"}, {"1B", "1b"}}, []string{"fold", "hex"}},
		{[]Pair{{"7b9e4c1e-3f9f-4a0e-9d8b-2f1f6c3b8e21", "7B9E4C1E-3F9F-4A0E-9D8B-2F1F6C3B8E21"}}, []string{"fold"}},
		{[]Pair{{"1", "2"}}, nil},
		{nil, nil},
	} {
		got := Propose(c.pairs)
		for _, rule := range c.want {
			require.Contains(t, got, rule, "%v", c.pairs)
		}
		if len(c.want) == 0 {
			require.Empty(t, got)
			continue
		}
		require.Equal(t, c.want[0], got[0], "%v: %v", c.pairs, got)
	}
}
