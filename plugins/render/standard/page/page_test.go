package page

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	pb "google.golang.org/protobuf/proto"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// gallery is for the eye: go test ./plugins/render/standard/page -run TestGallery -gallery DIR
var gallery = flag.String("gallery", "", "directory that every sample is written to as an HTML file")

func TestGallery(t *testing.T) {
	if *gallery == "" {
		t.Skip("no -gallery")
	}
	for name, p := range everyView() {
		for _, lang := range []string{"ja", "en"} {
			doc := render(t, p, lang)
			require.NoError(t, os.WriteFile(filepath.Join(*gallery, name+"."+lang+".html"), doc, 0o644))
		}
	}
}

func render(t *testing.T, p *proto.Page, lang string) []byte {
	t.Helper()
	p = pb.CloneOf(p)
	p.Lang = lang
	doc, refused := Render(p)
	require.Nil(t, refused)
	return doc
}

// each calls f with every sample in both languages, drawn and parsed.
func each(t *testing.T, f func(t *testing.T, p *proto.Page, doc []byte, root *html.Node)) {
	for name, p := range everyView() {
		for _, lang := range []string{"ja", "en"} {
			t.Run(name+"."+lang, func(t *testing.T) {
				doc := render(t, p, lang)
				root, err := html.Parse(bytes.NewReader(doc))
				require.NoError(t, err)
				f(t, p, doc, root)
			})
		}
	}
}

func TestEveryViewIsDrawn(t *testing.T) {
	drawn := map[proto.View]bool{}
	for _, p := range everyView() {
		drawn[p.View] = true
	}
	for _, v := range Views() {
		require.True(t, drawn[v], "no sample of %v", v)
	}
	require.Len(t, Views(), 22)
}

var inert = regexp.MustCompile(`^(__LINK__(/stranger|/documents/[^/?#]+|\?lang=(ja|en))?|tel:\+?[0-9]+|https?://[^"]+|#[a-z0-9]+|/s/[a-z0-9-]+)$`)

// What the host refuses must never be there: scripts, handlers, style attributes, anything fetched, a foreign form.
func TestNothingActiveAndNothingForeign(t *testing.T) {
	allowed := map[string]bool{}
	for e := range strings.FieldsSeq("html head meta title style body header main footer nav h1 h2 p ul ol li a b bdi small span br div form input textarea label fieldset legend button table caption thead tbody tr th td svg path") {
		allowed[e] = true
	}
	each(t, func(t *testing.T, p *proto.Page, doc []byte, root *html.Node) {
		require.LessOrEqual(t, len(doc), MaxBytes)
		styles := 0
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			require.True(t, allowed[n.Data], "element %s", n.Data)
			if n.Data == "style" {
				styles++
				require.Equal(t, "head", n.Parent.Data)
				require.NotRegexp(t, `(?i)url\(|@import|@font-face|expression|ZgotmplZ`, n.FirstChild.Data)
			}
			for _, a := range n.Attr {
				require.NotEqual(t, "style", a.Key)
				require.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
				require.NotContains(t, []string{"src", "srcset", "srcdoc", "data", "background", "formaction", "ping", "http-equiv"}, a.Key)
				switch a.Key {
				case "href":
					require.Regexp(t, inert, a.Val)
				case "action":
					require.Regexp(t, `^__LINK__/(open|identify|code|resend|again|answer|checkout|pay|cancel|state|redirect|promise|mail|identified|stranger|pick|content(#(methods|survey))?|menu)$`, a.Val)
				}
			}
		}
		require.Equal(t, 1, styles)
		require.NotContains(t, string(doc), "ZgotmplZ")
		require.NotContains(t, string(doc), "<no value>")
		require.NotContains(t, string(doc), "%!")
	})
}

func TestEveryFormCarriesTheToken(t *testing.T) {
	each(t, func(t *testing.T, p *proto.Page, doc []byte, root *html.Node) {
		for n := range root.Descendants() {
			if n.Data != "form" || n.Type != html.ElementNode {
				continue
			}
			require.Equal(t, "post", attr(n, "method"))
			tokens, buttons := 0, 0
			for c := range n.Descendants() {
				if c.Data == "input" && attr(c, "name") == "form" {
					require.Equal(t, "__FORM__", attr(c, "value"))
					require.Equal(t, "hidden", attr(c, "type"))
					tokens++
				}
				if c.Data == "button" {
					buttons++
				}
			}
			require.Equal(t, 1, tokens)
			require.Equal(t, 1, buttons)
		}
	})
}

// WCAG 2.2: a language, a title, one h1, headings without gaps, a label for each control, groups with a legend,
// unique ids, references that exist.
func TestAccessible(t *testing.T) {
	each(t, func(t *testing.T, p *proto.Page, doc []byte, root *html.Node) {
		ids, labels := map[string]bool{}, map[string]string{}
		var h1 int
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if id := attr(n, "id"); id != "" {
				require.False(t, ids[id], "id %s twice", id)
				ids[id] = true
			}
			if n.Data == "label" {
				labels[attr(n, "for")] = strings.TrimSpace(text(n))
			}
		}
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			switch n.Data {
			case "html":
				require.Contains(t, []string{"ja", "en"}, attr(n, "lang"))
			case "h1":
				h1++
				require.NotEmpty(t, strings.TrimSpace(text(n)))
			case "h2":
				require.Equal(t, 1, h1, "h2 before the h1")
			case "title", "legend", "button", "caption", "a":
				require.NotEmpty(t, strings.TrimSpace(text(n)), n.Data)
			case "fieldset":
				for ref := range strings.FieldsSeq(attr(n, "aria-describedby")) {
					require.True(t, ids[ref], ref)
				}
			case "input", "textarea":
				if attr(n, "type") == "hidden" {
					continue
				}
				require.NotEmpty(t, labels[attr(n, "id")], "no label for %s", attr(n, "name"))
				require.NotEmpty(t, attr(n, "name"))
				if kind := attr(n, "type"); kind == "radio" || kind == "checkbox" {
					require.Equal(t, "fieldset", n.Parent.Parent.Data)
				}
				for ref := range strings.FieldsSeq(attr(n, "aria-describedby")) {
					require.True(t, ids[ref], ref)
				}
			case "svg":
				require.Equal(t, "img", attr(n, "role"))
				require.NotEmpty(t, attr(n, "aria-label"))
			case "table":
				require.Equal(t, "caption", n.FirstChild.Data)
			}
			if href := attr(n, "href"); strings.HasPrefix(href, "#") {
				require.True(t, ids[href[1:]], href)
			}
		}
		require.Equal(t, 1, h1)
		if p.Mismatch || p.Incomplete || p.Unreadable {
			require.Contains(t, string(doc), `role="alert"`)
			require.Regexp(t, `<title>(エラー：|Error: )`, string(doc))
		}
	})
}

// WCAG 2.2 §3.3.1: each item that was refused is named above with a link to it, and says by itself what is wrong.
func TestRefusedAnswersSayWhatIsWrong(t *testing.T) {
	for lang, long := range map[string]string{"ja": "213文字あります。200文字以内", "en": "213 characters. Please write 200"} {
		for _, name := range []string{"04-info-refused", "06-voucher-unanswered"} {
			above, below, found := strings.Cut(string(render(t, everyView()[name], lang)), `action="__LINK__/answer"`)
			require.True(t, found)
			for i := range 3 {
				require.Contains(t, above, fmt.Sprintf(`<a href="#s%d">`, i))
				require.Contains(t, below, fmt.Sprintf(`id="s%d"`, i))
				require.Regexp(t, fmt.Sprintf(`aria-describedby="[^"]*\bs%d-fault"`, i), below)
			}
			require.Contains(t, above, long)
			require.Contains(t, below, long)
			require.Equal(t, 1+3+1, strings.Count(below, `aria-invalid="true"`), "the group of radio buttons, each box, the text")
		}
	}
	require.NotContains(t, string(render(t, everyView()["04-info-survey"], "ja")), "fault\"")
}

// WCAG 2.2 §3.1.2: on an English page what the tenant wrote in Japanese is marked as Japanese. What is typed is its reader's own.
func TestJapaneseIsMarkedOnEnglishPages(t *testing.T) {
	for name, p := range everyView() {
		root, err := html.Parse(bytes.NewReader(render(t, p, "en")))
		require.NoError(t, err)
		for n := range root.Descendants() {
			if n.Type != html.TextNode || n.Parent.Data == "title" || n.Parent.Data == "style" || n.Parent.Data == "textarea" || !strings.ContainsFunc(n.Data, japanese) {
				continue
			}
			marked := false
			for a := range n.Ancestors() {
				marked = marked || attr(a, "lang") == "ja"
			}
			require.True(t, marked, "%s: %s", name, n.Data)
		}
	}
}

// In English no interface text is left in Japanese: what is Japanese is the tenant's.
func TestEnglishInterface(t *testing.T) {
	kana := regexp.MustCompile(`\p{Hiragana}|\p{Katakana}|\p{Han}`)
	english := func(p *proto.Page) string { // but for the way to the Japanese page
		return strings.Replace(string(render(t, p, "en")), "日本語", "", 1)
	}
	for _, v := range Views() {
		p := &proto.Page{View: v, Brand: &proto.Brand{Name: "Water Works", Phone: "000-000-0000", Hours: "9-17"}, Digits: 6, ValidMinutes: 5, PhoneMasked: "080-****-9008", CanChangeMethod: true, LinkExpires: at(2026, 12, 31, 18, 0, 0),
			Fields: []*proto.FormField{{Name: "a", Label: "A"}}, Documents: []*proto.DocumentLink{{Name: "a", Bytes: 1 << 21}}, ReceiptDocument: "r",
			Methods: []*proto.MethodChoice{{Code: "c", Label: "Number", Redirect: true, Stores: []*proto.Store{{Code: "A", LabelJa: "店", LabelEn: "Shop"}}}},
			Claim:   &proto.Claim{Number: "1", Yen: 7440, TaxYen: 551, Due: at(2026, 12, 31, 23, 59, 59), Lines: []*proto.LineItem{{Name: "W", Quantity: 1, UnitYen: 1, Yen: 1}}, ReceiptNumber: "2", PaidAtStore: "S"},
			Voucher: &proto.Voucher{PaymentNumber: "123", ConfirmationNumber: "4", Stores: []*proto.Store{{Code: "A", LabelJa: "店", LabelEn: "Shop"}}},
			Survey:  &proto.Survey{Items: []*proto.SurveyItem{{Name: "q", Title: "Q", Type: proto.SurveyItem_CHECK, Choices: []string{"x"}}, {Name: "w", Title: "W", Type: proto.SurveyItem_TEXT, Required: true}}},
		}
		require.Empty(t, kana.FindString(english(p)), v)
		p.Claim.PaidAt, p.Survey.Answered, p.ExpiredPayment, p.Mismatch, p.Preview = at(2026, 12, 1, 1, 1, 1), true, true, true, true
		require.Empty(t, kana.FindString(english(p)), v)
		p.Mismatch, p.Incomplete, p.Methods[0].Redirect, p.ExpiredPayment, p.Voucher.Barcode = false, true, false, false, "91908081030210019970070917530026123100074406"
		require.Empty(t, kana.FindString(english(p)), v)
	}
}

// A tenant, a vendor's module or a recipient may write anything anywhere.
func TestHostileTextStaysText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1) </style> {{.}} __FORM__ __LINK__/x https://e.example/?"onclick=a`
	for name, p := range everyView() {
		p = pb.CloneOf(p)
		p.Lang = "ja"
		fill(p, evil)
		doc, refused := Render(p)
		require.Nil(t, refused, name)
		root, err := html.Parse(bytes.NewReader(doc))
		require.NoError(t, err)
		forms := 0
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			require.NotContains(t, []string{"script", "img"}, n.Data, name)
			for _, a := range n.Attr {
				require.False(t, strings.HasPrefix(a.Key, "on"), "%s: %s", name, a.Key)
				if a.Key == "href" {
					require.Regexp(t, inert, a.Val, name)
				}
			}
			if n.Data == "form" {
				forms++
			}
		}
		require.Equal(t, forms, strings.Count(string(doc), "__FORM__"), "%s: the token is in a text", name)
		require.Equal(t, strings.Count(string(doc), "__LINK__"), strings.Count(string(doc), `="__LINK__`), "%s: the link is in a text", name)
	}
}

// fill puts the text into everything that is shown.
func fill(p *proto.Page, evil string) {
	p.Title, p.Lead, p.Closing, p.PhoneMasked, p.RedirectHost, p.Message, p.No = evil, evil, evil, evil, evil, evil, evil
	p.Brand = &proto.Brand{Name: evil, Color: evil, Phone: evil, PhoneLink: evil, Hours: evil, Note: evil}
	for _, r := range p.Rows {
		r.Item, r.Value = evil, evil
	}
	for _, f := range p.Fields {
		f.Label, f.Hint, f.Name, f.InputMode, f.Autocomplete = evil, evil, evil, evil, evil
	}
	for _, s := range p.Survey.GetItems() {
		s.Title, s.Name, s.Choices = evil, evil, []string{evil, evil}
		if len(s.Answer) > 0 {
			s.Answer = []string{evil}
		}
	}
	for _, d := range p.Documents {
		d.Title, d.Name = evil, strings.NewReplacer("/", "?#").Replace(evil)
	}
	for _, m := range p.Methods {
		m.Label, m.Code = evil, evil
		m.Stores = []*proto.Store{{Code: evil, LabelJa: evil}}
	}
	for _, e := range p.Entries {
		e.Name, e.Title = evil, evil
	}
	if c := p.Claim; c != nil {
		c.Number, c.PaidAtStore, c.ReceiptNumber = evil, evil, evil
		for _, l := range c.Lines {
			l.Name = evil
		}
	}
	if v := p.Voucher; v != nil && v.Barcode == "" {
		v.PaymentNumber, v.ConfirmationNumber = evil, evil
	}
}

func TestGoneRevealsNothing(t *testing.T) {
	full := longest()
	full.View, full.Message, full.LinkExpires = proto.View_GONE, "secret", at(2026, 1, 1, 0, 0, 0)
	require.Equal(t, string(render(t, &proto.Page{View: proto.View_GONE}, "ja")), string(render(t, full, "ja")))
}

func TestNoticeOfAPaidClaimIsOfBeforeThePayment(t *testing.T) {
	for _, view := range []proto.View{proto.View_ACCEPTED, proto.View_CONFIRMED_VIEW} {
		doc := string(render(t, &proto.Page{View: view, Brand: &proto.Brand{Name: "〇〇県水道局"}, Closing: "お支払い期限までにお手続きをお願いいたします。"}, "ja"))
		before, after, found := strings.Cut(doc, "<h2>お支払い前のご案内</h2>")
		require.True(t, found, view)
		require.NotContains(t, before, "お手続きをお願いいたします", "nobody who has paid is asked to pay")
		require.Contains(t, after, "お手続きをお願いいたします")
	}
}

// Whoever pays still reads what it is for, and answers: below what is paid with.
func TestNoticeStaysBelowThePayment(t *testing.T) {
	for name, top := range map[string]string{"06-voucher-notice": "12345678901", "06-voucher-unanswered": "<svg", "07-redirect-notice": "/redirect", "09-waiting-notice": "/state", "10-accepted-notice": "/state"} {
		doc := string(render(t, everyView()[name], "ja"))
		for _, want := range []string{"毎度ご利用", "水道使用水量", "行き違いで", "/answer", "kenshin-2026-11.pdf", "past-1.pdf"} {
			require.Equal(t, 1, strings.Count(doc, want), "%s: %s", name, want)
			require.Less(t, strings.Index(doc, top), strings.Index(doc, want), "%s: %s", name, want)
		}
	}
	doc := string(render(t, everyView()["06-voucher-unanswered"], "ja"))
	require.Less(t, strings.Index(doc, `<a href="#s0">`), strings.Index(doc, "<svg"), "what is missing is said first")
}

func TestSameModelSameBytes(t *testing.T) {
	for name, p := range everyView() {
		require.Equal(t, string(render(t, p, "ja")), string(render(t, p, "ja")), name)
	}
}

func TestModelIsNotChanged(t *testing.T) {
	p := longest()
	p.Lead = "__FORM__"
	before := pb.CloneOf(p)
	render(t, p, "ja")
	require.True(t, pb.Equal(before, p))
}

func TestLinks(t *testing.T) {
	for given, want := range map[string]string{
		"電話000-000-0000まで":                 `電話<a href="tel:0000000000">000-000-0000</a>まで`,
		"00-0-000000":                      "00-0-000000",
		"200-000-0000-0000":                "200-000-0000-0000",
		"https://www.example.jp/a?b=1&c。次": `<a href="https://www.example.jp/a?b=1&amp;c" rel="noopener noreferrer nofollow">https://www.example.jp/a?b=1&amp;c</a>。次`,
		"http://example.jp javascript:x":   `<a href="http://example.jp" rel="noopener noreferrer nofollow">http://example.jp</a> javascript:x`,
		"詳しくは[こちらをクリック](https://example.jp/a?b=1&c)。":                                             `詳しくは<a href="https://example.jp/a?b=1&amp;c" rel="noopener noreferrer nofollow">こちらをクリック</a>。`,
		"[お電話<はこちら>](tel:03-1234-5678)":                                                           `<a href="tel:0312345678">お電話&lt;はこちら&gt;</a>`,
		"[x](javascript:alert(1)) [y](data:text/html,z) [z](//e.example) [w](mailto:a@b.example)": "[x](javascript:alert(1)) [y](data:text/html,z) [z](//e.example) [w](mailto:a@b.example)",
		"[https://bank.example](https://evil.example)":                                            "[https://bank.example](https://evil.example)",
		"[bank.example](https://evil.example)":                                                    "[bank.example](https://evil.example)",
		"０３－１２３４－５６７８":                                                                            `<a href="tel:0312345678">０３－１２３４－５６７８</a>`,
		"電話03（1234）5678へ":                                                                         `電話<a href="tel:0312345678">03（1234）5678</a>へ`,
		"+81-3-1234-5678":                                                                         `<a href="tel:+81312345678">+81-3-1234-5678</a>`,
		"＋８１－３－１２３４－５６７８":                                                                         `<a href="tel:+81312345678">＋８１－３－１２３４－５６７８</a>`,
		"１０３－１２３４－５６７８":                                                                           "１０３－１２３４－５６７８",
		"https://example.jp/50%OFF":                                                               "https://example.jp/50%OFF",
		"<https://e.example.>":                                                                    `&lt;<a href="https://e.example" rel="noopener noreferrer nofollow">https://e.example</a>.&gt;`,
	} {
		require.Equal(t, want, string(linked(given)))
	}
	require.NotContains(t, string(value(&proto.Row{Item: "お客様番号", Value: "0123-45-6789"})), "tel:")
	require.Contains(t, string(value(&proto.Row{Item: "お問合せ先", Value: "0123-45-6789"})), "tel:0123456789")
}

func TestWhatCannotBeDrawnIsRefused(t *testing.T) {
	refuse := func(field string, p *proto.Page) {
		t.Helper()
		doc, refused := Render(p)
		require.Nil(t, doc)
		require.NotNil(t, refused)
		require.Equal(t, field, refused.Field)
	}
	refuse("page", nil)
	refuse("view", &proto.Page{})
	refuse("view", &proto.Page{View: 99})
	refuse("fields", &proto.Page{View: proto.View_IDENTIFY})
	refuse("fields", &proto.Page{View: proto.View_IDENTIFY, Fields: []*proto.FormField{{Name: "form", Label: "x"}}})
	refuse("methods", &proto.Page{View: proto.View_CHECKOUT, Claim: claim()})
	refuse("voucher", &proto.Page{View: proto.View_VOUCHER, Claim: claim(), Voucher: &proto.Voucher{}})
	refuse("voucher.barcode", &proto.Page{View: proto.View_VOUCHER, Claim: claim(), Voucher: &proto.Voucher{Barcode: "91908081030210019970070917530026123100074407"}})
	refuse("documents", &proto.Page{View: proto.View_INFO, Documents: []*proto.DocumentLink{{Name: ".."}}})
	refuse("claim", &proto.Page{View: proto.View_CLAIM_MENU})
	refuse("survey.items", &proto.Page{View: proto.View_INFO, Survey: &proto.Survey{Items: []*proto.SurveyItem{{Name: "q"}}}})
	refuse("page", &proto.Page{View: proto.View_INFO, Lead: strings.Repeat("<", MaxBytes)})
}

// Each chain has a number of its own; a transfer has an account and no store.
func TestVouchersWithoutANumberOfTheirOwn(t *testing.T) {
	draw := func(v *proto.Voucher) string {
		html, refused := Render(&proto.Page{View: proto.View_VOUCHER, Lang: "ja", Claim: claim(), Voucher: v, Brand: &proto.Brand{Name: "〇〇県水道局"}})
		require.Nil(t, refused)
		return string(html)
	}
	require.Contains(t, draw(&proto.Voucher{Stores: []*proto.Store{{Code: "lawson", LabelJa: "ローソン 123456", LabelEn: "Lawson 123456"}}}), "ローソン 123456")
	html := draw(&proto.Voucher{Account: &proto.BankAccount{Bank: "〇〇銀行", Branch: "本店", Kind: "普通", Number: "1234567", Holder: "カ）スイドウ", Reference: "7654321"}})
	for _, want := range []string{"〇〇銀行", "1234567", "カ）スイドウ", "7654321", "お振込みください"} {
		require.Contains(t, html, want)
	}
	require.NotContains(t, html, "店内の端末")
	require.NotContains(t, html, "お支払い番号", "there is none")
	require.Contains(t, draw(&proto.Voucher{Institution: "58191", PaymentNumber: "123", ConfirmationNumber: "4"}), "58191")
}

func TestExpiredVoucherShowsNothingToPayWith(t *testing.T) {
	doc := string(render(t, everyView()["06-voucher-expired"], "ja"))
	require.NotContains(t, doc, "<svg")
	require.NotContains(t, doc, "030210019970070917530")
}

// The texts of ours that stand in the templates are those that a call of say would put there.
func TestTextsInPlaceAreThoseThatAreSaid(t *testing.T) {
	as := func(_ wording.Lang, source string) string { return source }
	for lang, fast := range templates {
		slow := parse(lang, as)
		for name, p := range everyView() {
			p.Lang = string(lang)
			m, refused := newModel(p)
			require.Nil(t, refused)
			for _, part := range []string{p.View.String(), "layout"} {
				var a, b bytes.Buffer
				require.NoError(t, fast.ExecuteTemplate(&a, part, m))
				require.NoError(t, slow.ExecuteTemplate(&b, part, m))
				require.Equal(t, b.String(), a.String(), "%s %s %s", name, lang, part)
			}
		}
	}
}

func BenchmarkRender(b *testing.B) {
	samples := everyView()
	for _, name := range []string{"01-landing", "04-info-claim"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, refused := Render(samples[name]); refused != nil {
					b.Fatal(refused)
				}
			}
		})
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// The steps are those of the chain at hand, and each page after says which of them it is.
func TestStepsAreThoseOfTheChain(t *testing.T) {
	landing := func(lang string, identify, code bool) string {
		return string(render(t, &proto.Page{View: proto.View_LANDING, Brand: water(), Identify: identify, Code: code}, lang))
	}
	for _, c := range []struct {
		lang           string
		identify, code bool
		has, not       []string
	}{
		{"ja", true, true, []string{"SMS受領・URL確認", "認証画面・お問い合わせ先、注意事項の確認", "認証番号入力 → メニュー", "認証画面へ"}, nil},
		{"ja", true, false, []string{"SMS受領・URL確認", "認証画面・お問い合わせ先、注意事項の確認", "<li>メニュー", "認証画面へ"}, []string{"認証番号"}},
		{"ja", false, false, []string{"SMS受領・URL確認", "お問い合わせ先、注意事項の確認", "<li>メニュー", "内容を表示する"}, []string{"認証", "ご本人の確認"}},
		{"en", true, true, []string{"SMS received, link opened", "confirm that it is you", "Enter the code, then the menu"}, nil},
		{"en", false, false, []string{"Contact and notes (this page)", "<li>Menu"}, []string{"code", "confirm that it is you"}},
	} {
		body := landing(c.lang, c.identify, c.code)
		require.Equal(t, 3, strings.Count(body[strings.Index(body, `<ol class="steps">`):strings.Index(body, "</ol>")], "<li"))
		for _, want := range c.has {
			require.Contains(t, body, want, c)
		}
		_, main, _ := strings.Cut(body, "<main")
		for _, not := range c.not {
			require.NotContains(t, main, not, c)
		}
	}
	steps := map[proto.View]string{proto.View_IDENTIFY: "ステップ 2／3：認証画面", proto.View_CODE: "ステップ 3／3：認証番号入力", proto.View_MENU: "ステップ 3／3：メニュー", proto.View_INFO: "ステップ 3／3：メニュー（内容の確認・お手続き）", proto.View_CLAIM_MENU: "ステップ 3／3：メニュー"}
	seen := map[proto.View]bool{}
	for name, p := range everyView() {
		if want := steps[p.View]; want != "" && !p.Preview && !(p.View == proto.View_INFO && p.ClaimMenu) {
			require.Contains(t, string(render(t, p, "ja")), want, name)
			seen[p.View] = true
		}
	}
	require.Len(t, seen, len(steps))
}

// The menu leads where the claim lets go: one method to its checkout, of several to where they are chosen, and what can be shown at once.
func TestMenuOffersWhatTheClaimDoes(t *testing.T) {
	menu := func(change func(*proto.Page)) string {
		p := &proto.Page{View: proto.View_CLAIM_MENU, Brand: water(), Claim: claim()}
		change(p)
		return string(render(t, p, "ja"))
	}
	const content, methods, questions, pays = `/content"`, `/content#methods"`, `/content#survey"`, `/checkout"`
	for _, c := range []struct {
		change   func(*proto.Page)
		has, not []string
	}{
		{func(*proto.Page) {}, []string{content, "お支払い期限"}, []string{methods, pays, questions, "/promise", "7,440円"}},
		{func(p *proto.Page) { p.Methods = []*proto.MethodChoice{card} }, []string{"クレジットカードで支払う", pays, `value="card"`, "決済会社のページへ移動します"}, []string{methods}},
		{func(p *proto.Page) { p.Methods = []*proto.MethodChoice{account} }, []string{"口座振替のお申し込み<small>", pays}, []string{"で支払う"}},
		{func(p *proto.Page) { p.Methods = []*proto.MethodChoice{card, transfer} }, []string{methods, "クレジットカード、銀行振込", "お振込み口座を表示", `value="bank_transfer"`}, []string{`value="card"`}},
		{func(p *proto.Page) { p.Survey = answered() }, nil, []string{questions}},
		{func(p *proto.Page) { p.Promise = &proto.Promise{} }, []string{`value="paid"`, `value="tomorrow"`, `value="day_after"`}, []string{"承りました"}},
		{func(p *proto.Page) {
			p.Survey, p.Documents = survey(), []*proto.DocumentLink{{Name: "a.pdf", Title: "検針票", Bytes: 2048}}
		}, []string{questions, "/documents/a.pdf", "検針票<small>PDF 2KB"}, nil},
	} {
		body := menu(c.change)
		for _, want := range append(c.has, "お支払いのご相談", `href="tel:0000000000"`) {
			require.Contains(t, body, want)
		}
		for _, not := range c.not {
			require.NotContains(t, body, not)
		}
	}
}

func TestEachPageLeadsToItsOtherLanguage(t *testing.T) {
	for name, p := range everyView() {
		ja, en := string(render(t, p, "ja")), string(render(t, p, "en"))
		if p.View == proto.View_GONE || p.Preview || p.Brand.GetName() == "" {
			require.NotContains(t, ja+en, "?lang=", name)
			continue
		}
		require.Contains(t, ja, `href="__LINK__?lang=en"`, name)
		require.NotContains(t, ja, "?lang=ja", name)
		require.Contains(t, en, `href="__LINK__?lang=ja"`, name)
		require.NotContains(t, en, "?lang=en", name)
	}
}

// TestLinesWithoutTaxAreAddedUp: FEATURES E11.
func TestLinesWithoutTaxAreAddedUp(t *testing.T) {
	claim := func(yen, tax int64) string {
		p := &proto.Page{View: proto.View_CONFIRMED_VIEW, Lang: "ja", Brand: &proto.Brand{Name: "〇〇管理"}, Claim: &proto.Claim{
			Number: "20210826016022339", Yen: yen, TaxYen: tax, Lines: []*proto.LineItem{{Name: "空室管理費", Quantity: 1, UnitYen: 10_000, Yen: 10_000, TaxRate: 10}},
			Taxes: []*proto.RateTotal{{Rate: 10, Yen: yen, TaxYen: tax}},
		}}
		html, refused := Render(p)
		require.Nil(t, refused)
		return string(html)
	}
	without := claim(11_000, 1_000)
	for _, part := range []string{"金額（税抜）", `小計（税抜）</th><td class="yen">10,000円`, `消費税額</th><td class="yen">1,000円`, `合計金額</th><td class="yen">11,000円`, "単価 10,000円 × 1"} {
		require.Contains(t, without, part)
	}
	require.NotContains(t, claim(10_000, 909), "税抜")
}

// TestPageNamesToWhomAndWhen: FEATURES E10, on the bill and after it was paid; never before somebody was identified.
func TestPageNamesToWhomAndWhen(t *testing.T) {
	for _, view := range []proto.View{proto.View_INFO, proto.View_CONFIRMED_VIEW, proto.View_LANDING} {
		html, refused := Render(&proto.Page{View: view, Lang: "ja", Brand: &proto.Brand{Name: "〇〇県水道局"}, Addressee: "水道 太郎", Period: "31年2～3月分", Claim: &proto.Claim{Number: "1", Yen: 7440, TaxYen: 551}})
		require.Nil(t, refused)
		if view == proto.View_LANDING {
			require.NotContains(t, string(html), "水道 太郎")
			continue
		}
		require.Contains(t, string(html), "<bdi>水道 太郎 様</bdi>")
		require.Contains(t, string(html), `対象期間：</span><span aria-hidden="true">◆</span>31年2～3月分<`)
	}
}
