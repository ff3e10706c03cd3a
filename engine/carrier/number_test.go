package carrier

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumberIsReadAsPeopleWriteIt(t *testing.T) {
	for _, s := range []string{
		"08012349008", "080-1234-9008", "080 1234 9008", "０８０－１２３４－９００８", "０８０　１２３４　９００８", "080ー1234ー9008",
		"+818012349008", "+81 80-1234-9008", "818012349008", "81-080-1234-9008", "+81-080-1234-9008", "+81(0)80-1234-9008",
		"＋８１８０１２３４９００８", "010-81-80-1234-9008", " (080) 1234-9008 ", "080‐1234−9008",
	} {
		n, err := ParseNumber(s)
		require.NoError(t, err, s)
		require.Equal(t, "+818012349008", n.E164(), s)
		require.Equal(t, "818012349008", string(n.AppendE164(nil)))
		require.Equal(t, "08012349008", n.National())
		require.Equal(t, "080-****-9008", n.Masked())
		require.Equal(t, "9008", n.Last4())
		require.False(t, n.Simulated())
	}
	for _, s := range []string{"06012345678", "07012345678", "09012345678", "060-9999-0000"} {
		_, err := ParseNumber(s)
		require.NoError(t, err, s)
	}
	n, err := ParseNumber("090-0001-0007")
	require.NoError(t, err)
	require.True(t, n.Simulated())
	require.Equal(t, "0007", n.Last4())
}

func TestEachRefusedNumberHasItsReason(t *testing.T) {
	for s, want := range map[string]Reason{
		"03-1234-5678": Landline, "0312345678": Landline, "06-6123-4567": Landline, "+81 3 1234 5678": Landline, "0995123456": Landline,
		"050-1234-5678": IPPhone, "020-1234-5678": M2M, "0204-123-4567": M2M, "02001234567890": M2M,
		"0120-123-456": Special, "0570-055-877": Special, "0800-123-4567": Special, "0600-123-4567": Special, "0990-123-456": Special, "110": Special, "0077-1234-567": Special,
		"+1 650 253 0000": Foreign, "+82 10 1234 5678": Foreign, "010-1-650-253-0000": Foreign,
		"": Malformed, "0901234567": Malformed, "090123456789": Malformed, "9012345678": Malformed, "hello": Malformed, "090-1234-567x": Malformed,
		"090+12345678": Malformed, "++819012345678": Malformed, "+": Malformed, "０９０": Malformed, "03012345678": Malformed, "000": Malformed,
	} {
		_, err := ParseNumber(s)
		var ne *NumberError
		require.True(t, errors.As(err, &ne), s)
		require.Equal(t, want, ne.Reason, s)
		require.NotEmpty(t, ne.Reason.Text())
		if len(s) > 9 {
			require.NotContains(t, err.Error(), s[3:len(s)-2])
		}
	}
}

func TestNumberNeverPrintsPlain(t *testing.T) {
	n, err := ParseNumber("08012349008")
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		require.Equal(t, "080-****-9008", fmt.Sprintf(verb, n))
		require.NotContains(t, fmt.Sprintf(verb, []Number{n}), "1234")
		require.NotContains(t, fmt.Sprintf(verb, struct{ To Number }{n}), "1234")
	}
	b, err := json.Marshal(map[string]any{"to": n})
	require.NoError(t, err)
	require.JSONEq(t, `{"to":"080-****-9008"}`, string(b))
	require.Equal(t, "080-****-9008", n.LogValue().String())
}
