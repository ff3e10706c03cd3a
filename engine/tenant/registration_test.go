package tenant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegistrationNumbersAreCheckedByTheirDigit(t *testing.T) {
	// 7000012050002 is 国税庁's own corporate number, 7123456789012 the worked example of the rule.
	for number, want := range map[string]string{
		"": "", "T7000012050002": "", "T7123456789012": "", "T9000000000000": "",
		"T7000012050003": "check digit 7, by the other digits it is 6", "T0000000000000": "by the other digits it is 9",
		"T70000120500020": "T and 13 digits", "7000012050002": "T and 13 digits", "T７000012050002": "T and 13 digits",
	} {
		i := Issuer{Registration: number}
		if want == "" {
			require.Empty(t, i.fault(), number)
			require.Equal(t, number, i.Registered())
			continue
		}
		require.Contains(t, i.fault(), want, number)
		require.Empty(t, i.Registered(), "it stands on no document")
	}
	i := Issuer{Registration: "T0000000000000", Individual: true}
	require.Empty(t, i.fault())
	require.Equal(t, "T0000000000000", i.Registered())
}
