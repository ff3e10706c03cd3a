package message

import (
	"net/mail"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestAddressesAsPeopleTypeThem(t *testing.T) {
	for typed, want := range map[string]string{
		"taro@example.jp":                     "taro@example.jp",
		" Taro.Yamada+bills@Example.CO.JP \n": "Taro.Yamada+bills@example.co.jp",
		"ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ":                     "taro@example.jp",
		"a..b.@docomo.ne.jp":                  `"a..b."@docomo.ne.jp`,
		`"a..b."@docomo.ne.jp`:                `"a..b."@docomo.ne.jp`,
		"x@xn--eckwd4c7cu47r2wf.jp":           "x@xn--eckwd4c7cu47r2wf.jp",
		"o'hara@example.jp":                   "o'hara@example.jp",
	} {
		got, ok := ParseAddress(typed)
		require.True(t, ok, "%q", typed)
		require.Equal(t, want, got)
		again, ok := ParseAddress(got)
		require.True(t, ok)
		require.Equal(t, got, again)
	}
	for _, typed := range []string{
		"", "taro", "@example.jp", "taro@", "taro@localhost", "taro@[127.0.0.1]", "taro@127.0.0.1", "taro@example", "taro@example..jp",
		"taro@-example.jp", "taro@example.j", "taro@example.jp, hanako@example.jp", "taro@example.jp;x", "<taro@example.jp>", "太郎 <taro@example.jp>",
		"taro@example.jp\r\nBcc: all@example.jp", "taro@example.jp\nSubject: x", "ta ro@example.jp", "taro\x00@example.jp", "太郎@example.jp",
		"taro@例え.jp", `"a\"b"@example.jp`, `"a b"@example.jp`, "a@b@example.jp", strings.Repeat("a", 65) + "@example.jp",
		"a@" + strings.Repeat("a", 64) + ".jp", "a@" + strings.Repeat("abcdefgh.", 30) + "jp", strings.Repeat("a", 5000),
	} {
		_, ok := ParseAddress(typed)
		require.False(t, ok, "%q", typed)
	}
}

func TestMaskedAddressShowsLittle(t *testing.T) {
	require.Equal(t, "t***@e***.jp", MaskAddress("taro@example.co.jp"))
	require.Equal(t, "a***@d***.jp", MaskAddress(`"a..b."@docomo.ne.jp`))
	require.Equal(t, "***", MaskAddress("taro"))
	require.Equal(t, "***", MaskAddress(""))
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"taro@example.jp", `"a..b."@docomo.ne.jp`, "taro@example.jp\r\nBcc: x@example.jp", "＠", "ｔ＠ｅ．ｊｐ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		a, ok := ParseAddress(typed)
		masked := MaskAddress(typed)
		if !ok {
			return
		}
		if masked == a {
			t.Fatalf("%q is not masked", typed)
		}
		if len(a) > MaxAddress || strings.ContainsFunc(a, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || strings.ContainsRune("<>,;:()[]\\", r) }) {
			t.Fatalf("%q became %q", typed, a)
		}
		if p, err := mail.ParseAddress(a); err != nil || p.Name != "" {
			t.Fatalf("%q is no address to others: %v", a, err)
		}
	})
}
