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
		"𠮷田 𣘺本 𡈽屋":              "吉田 橋本 土屋", // out of reach: the same in its common form
		"\U0002f80f":            "兔",        // as Unicode decomposes it
		"𩸽":                     "〓",        // it has no other form
		"葛\U000e0100飾":          "葛飾",       // a variant is asked for: the base character stays
		"か\u3099は\u309aン\u3099": "がぱン゛",     // as an iPhone or a Mac may send them
		"神\ufa19":               "神\ufa19",  // a compatibility ideograph in a name stays what it is
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

// A kanji gives way to one that is shown, and only where it cannot be shown itself.
func TestEveryVariantIsShown(t *testing.T) {
	require.Len(t, variants(), len(strings.Fields(ofJIS+" "+ofNames)), "none stands twice")
	for outside, inside := range variants() {
		require.Greater(t, outside, rune(0xffff), "%c", outside)
		require.LessOrEqual(t, inside, rune(0xffff), "%c", inside)
		require.True(t, coverage()[inside], "%c", inside)
	}
}

func TestLicenceIsBesideTheFont(t *testing.T) {
	text, err := os.ReadFile("LICENSE")
	require.NoError(t, err)
	require.Contains(t, string(text), "IPA Font License Agreement v1.0")
	require.Contains(t, string(text), "IPAフォントライセンスv1.0")
	require.True(t, strings.HasPrefix(TTF, "\x00\x01\x00\x00"))
}
