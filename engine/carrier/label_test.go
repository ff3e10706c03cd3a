package carrier

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLabelOfALanguageFallsBack(t *testing.T) {
	for _, c := range []struct {
		carrier Carrier
		ja, en  string
	}{
		{Carrier{Name: "rakuten", LabelJA: "楽天モバイル", LabelEN: "Rakuten Mobile"}, "楽天モバイル", "Rakuten Mobile"},
		{Carrier{Name: "rakuten", LabelJA: "楽天モバイル"}, "楽天モバイル", "楽天モバイル"},
		{Carrier{Name: "rakuten", LabelEN: "Rakuten Mobile"}, "rakuten", "Rakuten Mobile"},
		{Carrier{Name: "rakuten"}, "rakuten", "rakuten"},
	} {
		require.Equal(t, [2]string{c.ja, c.en}, [2]string{c.carrier.Label("ja"), c.carrier.Label("en")})
	}
}
