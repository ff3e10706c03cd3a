package web

import (
	"bytes"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// maxWeight is what a phone loads for a page at the most, in bytes: heads and bodies of all answers.
const maxWeight = 30_000

// loads are the addresses that a browser asks for by itself when it shows a page.
func loads(t testing.TB, page string) (addresses []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	defer func() {
		addresses = slices.DeleteFunc(addresses, func(a string) bool { return strings.HasPrefix(a, "data:") })
	}()
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "src", a.Key == "srcset", a.Key == "poster", a.Key == "background", a.Key == "data" && n.Data == "object", a.Key == "href" && n.Data != "a":
				addresses = append(addresses, a.Val)
			case a.Key == "style":
				addresses = append(addresses, inStyle(a.Val)...)
			}
		}
		if n.Data == "style" && n.FirstChild != nil {
			addresses = append(addresses, inStyle(n.FirstChild.Data)...)
		}
	}
	return addresses
}

var fetched = regexp.MustCompile(`(?i)url\(\s*["']?([^"')]*)|@import\s*["']([^"']*)`)

func inStyle(css string) (addresses []string) {
	for _, m := range fetched.FindAllStringSubmatch(css, -1) {
		addresses = append(addresses, m[1]+m[2])
	}
	return addresses
}

// weight counts what the page that is shown costs: itself, and what it loads that the browser has not got yet.
func (b *browser) weight(has map[string]bool) int {
	b.t.Helper()
	size := func(s shown) int {
		head, err := httputil.DumpResponse(&http.Response{StatusCode: s.status, ProtoMajor: 1, ProtoMinor: 1, Header: s.header}, false)
		require.NoError(b.t, err)
		return len(head) + len(s.body)
	}
	page := b.shown
	sum := size(page)
	for _, address := range loads(b.t, page.body) {
		at, err := url.Parse(address)
		require.NoError(b.t, err)
		require.Empty(b.t, at.Host, "a foreign address: %s", address)
		if has[address] {
			continue
		}
		got := b.get(address)
		require.Equal(b.t, http.StatusOK, got.status, address)
		has[address] = strings.Contains(got.header.Get("Cache-Control"), "immutable")
		sum += size(got)
	}
	b.shown = page
	return sum
}

// A stranger with a small phone and little left of the month's data waits for no page: all of the first one, with a logo as large
// as it may be, is below 30 kB, and so is each page that follows. Nobody else is asked for anything.
func TestEveryPageOfABillIsLight(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.remembers(3)
	w.menus(true)
	w.must(w.tenants.SetBrand(t.Context(), "water", func(b tenant.Brand) (tenant.Brand, error) {
		b.Hours, b.Note = "平日 9:00～18:00、土曜日 9:00～17:00", "通話料はお客様のご負担となります。"
		b.Logo = &tenant.Logo{PNG: bytes.Repeat([]byte{1}, tenant.MaxLogo), Name: "0123456789abcdef01234567.png", Width: 480, Height: 128}
		return b, nil
	}))
	w.offer("konbini_number", "card", "transfer", "pay_easy", "wallet")
	w.send(draft{items: questions, reference: "C-1", page: message.Page{Title: "先月のお知らせ"}})
	m := w.send(draft{items: questions, code: true, reference: "C-1", claim: bill(w, "A-1"), promises: true, page: message.Page{
		Title: "水道料金のお知らせ", Lead: "いつも水道をご利用いただき、ありがとうございます。今回のご使用量とご請求額をお知らせします。",
		Rows: []message.Row{{Item: "お名前", Value: "山田 太郎 様"}, {Item: "お客様番号", Value: "00-0-000000"}, {Item: "ご請求月", Value: "◆31年2～3月分◆"},
			{Item: "水道使用水量", Value: "44m3"}, {Item: "今回指針", Value: "682"}, {Item: "前回指針", Value: "638"}},
		Survey: survey, NoticePDF: true, Closing: "なお、行き違いでご入金いただきました場合には、ご容赦ください。",
	}})
	b, has := w.newBrowser(), map[string]bool{}
	light := func(what string) {
		t.Helper()
		n := b.weight(has)
		t.Logf("%s: %d bytes", what, n)
		require.Less(t, n, maxWeight, what)
	}
	b.get(w.path(m))
	light("landing page, with the largest logo")
	require.Len(t, has, 1)
	require.True(t, has["/logos/0123456789abcdef01234567.png"], "it is loaded once")
	b.submit("open", nil)
	light("questions")
	b.submit("identify", rightAnswers())
	light("code")
	b.submit("code", url.Values{"code": {w.out.code()}})
	b.says(menuHeading)
	light("menu")
	b.submit("content", nil)
	b.says("山田 太郎 様", "先月のお知らせ", "/promise", "/answer", "/checkout")
	light("identified page")
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	light("confirmation")
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	b.says("9988776655", "<script>")
	light("number")
}
