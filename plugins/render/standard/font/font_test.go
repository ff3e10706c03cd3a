package font

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingIsShownAsNothing(t *testing.T) {
	for given, want := range map[string]string{
		"ﾊｺﾞ髙﨑①〜−¥":             "ﾊｺﾞ髙﨑①〜−¥",
		"𠮷田":                    "〓田",      // outside of the font
		"葛\U000e0100飾":          "葛飾",      // a variant is asked for: the base character stays
		"か\u3099は\u309aン\u3099": "がぱン゛",    // as an iPhone or a Mac may send them
		"神\ufa19":               "神\ufa19", // a compatibility ideograph in a name stays what it is
		"a\tb\r\nc\u200bd":      "a b\ncd",
		"😀":                     "〓",
		"":                      "",
	} {
		require.Equal(t, want, Shown(given))
	}
}

func TestJapaneseIsCovered(t *testing.T) {
	for _, r := range "あんアンｱﾝ々〆〇一龠①⑳㈱№℡ⅠⅩ￥～－∥…―「」『』（）、。・ー゛゜０９ＡＺ" {
		require.True(t, coverage()[r], "%c", r)
	}
	require.False(t, coverage()['™'])
	require.False(t, coverage()[0xffff])
}

func TestLicenceIsBesideTheFont(t *testing.T) {
	text, err := os.ReadFile("LICENSE")
	require.NoError(t, err)
	require.Contains(t, string(text), "IPA Font License Agreement v1.0")
	require.Contains(t, string(text), "IPAフォントライセンスv1.0")
	require.True(t, strings.HasPrefix(TTF, "\x00\x01\x00\x00"))
}
