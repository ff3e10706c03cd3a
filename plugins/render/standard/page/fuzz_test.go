package page

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

var spelled = regexp.MustCompile(wording.Labelled)

// Whatever a tenant writes, only the text and inert links come out, and nothing of the text is lost
// but the address behind words of its own.
func FuzzLinked(f *testing.F) {
	for _, s := range []string{"電話000-000-0000まで", "https://example.jp/?a=1&b=2\"x", "<b>https://e.example</b>", "0-0-0 00-00-000 https://", "javascript:alert(1)", "https://e.example:80/#a;b", "[こちら](https://e.example/)次", "[a.b](tel:03-1)[[x](tel:03-1234-5678)", "[<b>](http://e.example/%zz)", "＋８１－３－１２３４－５６７８", "03（1234）5678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := string(linked(s))
		root, err := html.Parse(strings.NewReader(out))
		require.NoError(t, err)
		for n := range root.Descendants() {
			if n.Type == html.ElementNode {
				require.Contains(t, []string{"html", "head", "body", "a"}, n.Data)
			}
			if n.Type == html.ElementNode && n.Data == "a" {
				require.Regexp(t, inert, attr(n, "href"))
				_, err := url.Parse(attr(n, "href"))
				require.NoError(t, err, "the host refuses the page")
			}
		}
		var plain strings.Builder
		z := html.NewTokenizer(strings.NewReader(out))
		for z.Next() != html.ErrorToken {
			if tok := z.Token(); tok.Type == html.TextToken {
				plain.WriteString(tok.Data)
			}
		}
		if !strings.ContainsAny(s, "\x00\r") { // an HTML tokenizer replaces these
			words := spelled.ReplaceAllStringFunc(s, func(whole string) string {
				if words := spelled.FindStringSubmatch(whole)[1]; !strings.Contains(plain.String(), whole) && !deceives(words) {
					return words
				}
				return whole
			})
			require.Equal(t, words, plain.String())
		}
	})
}

func FuzzParseColour(f *testing.F) {
	for _, s := range []string{"#00508c", "", "#ffffff", "red;}", "#-12345"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := parseColour(s)
		require.Regexp(t, `^#[0-9a-f]{6}$`, c.String())
		require.GreaterOrEqual(t, contrast(accentOf(c), white), contrastAA)
	})
}
