package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// Limits of what a renderer may give. kakitome.proto RenderPageResponse, RenderDocumentResponse
const (
	MaxHTML = 512 << 10
	MaxPDF  = 5 << 20
)

// Placeholders that a renderer writes and the host fills. kakitome.proto Page
const (
	linkMark = "__LINK__"
	formMark = "__FORM__"
	// untilMark stands for when the link ends, in the page's language. It is a text.
	untilMark = "__UNTIL__"
)

// Actions are the steps that a form may post to, below the link.
var Actions = []string{"open", "identify", "code", "resend", "again", "answer", "checkout", "pay", "cancel", "state", "redirect", "promise", "mail", "identified", "stranger", "pick", "content", "menu"}

// elements is everything that a page may be made of.
var elements = set(`html head meta title style body header footer main nav section article aside div p span a br hr wbr
	h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table caption colgroup col thead tbody tfoot tr th td
	form fieldset legend label input textarea select optgroup option button output progress meter
	b i em strong small mark s u abbr address bdi bdo cite code data dfn kbd pre q blockquote samp sub sup time var
	ruby rt rp details summary figure figcaption img
	svg g path rect line circle ellipse polygon polyline text tspan desc defs clippath`)

// attributes are allowed on every element; those named aria-… and data-… are too.
var attributes = set(`id class lang dir title role hidden tabindex translate
	name value type for form method action href rel target download
	charset content media alt src width height
	colspan rowspan scope headers span start reversed datetime cite abbr open
	required readonly disabled checked selected multiple maxlength minlength min max step pattern placeholder size rows cols wrap
	inputmode autocomplete autocapitalize autocorrect spellcheck enterkeyhint label
	viewbox preserveaspectratio xmlns version x y x1 y1 x2 y2 dx dy cx cy r rx ry d points transform
	fill fill-rule fill-opacity stroke stroke-width stroke-linecap stroke-linejoin opacity shape-rendering
	text-anchor dominant-baseline font-size font-family font-weight clip-path clip-rule focusable`)

var metaNames = set(`viewport format-detection color-scheme robots theme-color description`)

// links that an <a> may have besides the page's own.
var schemes = set(`tel mailto https http`)

var (
	aboutPath    = regexp.MustCompile(`^/s/[a-z0-9-]{1,64}$`)
	documentPath = regexp.MustCompile(`^/documents/[A-Za-z0-9._~%-]{1,200}$`)
	logoPath     = regexp.MustCompile(`^/logos/[0-9a-f]{24}\.png$`)
	fragmentOf   = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	dataImage    = regexp.MustCompile(`^data:image/(png|gif|jpeg|webp);base64,[A-Za-z0-9+/=]*$`)
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// check parses a page and returns the source expression of its style ("sha256-…", empty: none), or why it is refused.
// The error names elements and attributes, never content.
func check(doc []byte) (style string, err error) {
	if len(doc) > MaxHTML {
		return "", fmt.Errorf("%d bytes, at most %d", len(doc), MaxHTML)
	}
	text, rest := cutStyle(doc)
	if known := passed.get(text); known != "" {
		c := checker{known: known}
		if err := c.page(rest); c.styles > 0 {
			return c.style, err
		}
	}
	c := checker{}
	if err := c.page(doc); err != nil {
		return "", err
	}
	passed.keep(text, &c)
	return c.style, nil
}

// page checks a page, or what cutStyle left of one whose style is known.
func (c *checker) page(doc []byte) error {
	switch {
	case !utf8.Valid(doc):
		return errors.New("not UTF-8")
	case bytes.IndexByte(doc, 0) >= 0:
		return errors.New("holds a NUL")
	}
	root, err := html.Parse(bytes.NewReader(doc))
	if err != nil {
		return fmt.Errorf("not HTML: %w", err)
	}
	if root.FirstChild == nil || root.FirstChild.Type != html.DoctypeNode || root.FirstChild.Data != "html" {
		return errors.New("no <!doctype html>")
	}
	if err := c.walk(root); err != nil {
		return err
	}
	// A placeholder anywhere else would be filled too: a form token in the address of a foreign link leaves the page. What
	// is parsed was looked at where it stands; what is written must be as much, so that none is spelled in another way.
	if n := bytes.Count(doc, []byte(linkMark)); n != c.links {
		return fmt.Errorf("%s stands %d times, %d of them as a form's action or a link", linkMark, n, c.links)
	}
	if n := bytes.Count(doc, []byte(untilMark)); n != c.untils {
		return fmt.Errorf("%s stands %d times, %d of them in a text", untilMark, n, c.untils)
	}
	if n := bytes.Count(doc, []byte(formMark)); n != c.tokens {
		return fmt.Errorf("%s stands %d times, %d of them as the value of a hidden input of a form", formMark, n, c.tokens)
	}
	if n := count(doc, "</body"); n > 1 || n == 1 && !endsBody(doc) {
		return errors.New("</body stands elsewhere than once, as a tag")
	}
	return nil
}

// count says how often something that begins with < stands in a document, in small letters or capitals.
func count(doc []byte, tag string) (n int) {
	for at := bytes.IndexByte(doc, '<'); at >= 0; at = bytes.IndexByte(doc, '<') {
		doc = doc[at:]
		if len(doc) >= len(tag) && bytes.EqualFold(doc[:len(tag)], []byte(tag)) {
			n++
		}
		doc = doc[1:]
	}
	return n
}

// endsBody reports whether a document has the end tag of the body: a script of the host's is put before it (linkserver/web).
func endsBody(doc []byte) bool {
	for z := html.NewTokenizer(bytes.NewReader(doc)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return false
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "body" {
				return true
			}
		}
	}
}

type checker struct {
	links, tokens int
	untils        int
	styles        int
	style         string
	text          string // of the style
	known         string // source expression of the style that was cut out; empty: none was
}

func (c *checker) walk(n *html.Node) error {
	switch n.Type {
	case html.ElementNode:
		if err := c.element(n); err != nil {
			return err
		}
	case html.TextNode:
		if strings.Contains(n.Data, linkMark) || strings.Contains(n.Data, formMark) {
			return errors.New("a placeholder stands in a text")
		}
		c.untils += strings.Count(n.Data, untilMark)
	case html.CommentNode:
		return errors.New("holds a comment")
	}
	for child := range n.ChildNodes() {
		if err := c.walk(child); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) element(n *html.Node) error {
	name := strings.ToLower(n.Data)
	if !elements[name] {
		return fmt.Errorf("element <%s> is not allowed", printable(name))
	}
	seen := map[string]bool{}
	for _, a := range n.Attr {
		key := strings.ToLower(a.Key)
		if a.Namespace != "" {
			return fmt.Errorf("attribute %s:%s of <%s> is not allowed", printable(a.Namespace), printable(key), name)
		}
		if seen[key] {
			return fmt.Errorf("attribute %s of <%s> stands twice", printable(key), name)
		}
		seen[key] = true
		if !attributes[key] && !strings.HasPrefix(key, "aria-") && !strings.HasPrefix(key, "data-") {
			return fmt.Errorf("attribute %s of <%s> is not allowed", printable(key), name)
		}
		if err := c.attribute(n, name, key, a.Val); err != nil {
			return err
		}
	}
	switch name {
	case "style":
		return c.styleText(n)
	case "form":
		return c.form(n)
	case "meta":
		if m := strings.ToLower(attr(n, "name")); m != "" && !metaNames[m] {
			return fmt.Errorf("<meta name=%q> is not allowed", printable(m))
		}
	case "input", "button", "textarea", "select":
		if t := strings.ToLower(attr(n, "type")); t == "file" || t == "image" || t == "password" {
			return fmt.Errorf("<%s type=%s> is not allowed", name, t)
		}
		if attr(n, "form") != "" {
			return fmt.Errorf("<%s form=…> is not allowed: a control belongs inside its form", name)
		}
	}
	return nil
}

func (c *checker) attribute(n *html.Node, name, key, value string) error {
	// What follows looks at the links; here nothing may stand beside them.
	rest := strings.TrimPrefix(value, linkMark)
	if strings.Contains(rest, linkMark) || (strings.Contains(rest, formMark) && !(key == "value" && value == formMark)) {
		return fmt.Errorf("a placeholder stands in attribute %s of <%s>", printable(key), name)
	}
	switch key {
	case "action":
		if name != "form" {
			return fmt.Errorf("attribute action of <%s> is not allowed", name)
		}
		c.links++ // form checks it
	case "href":
		if name != "a" {
			return fmt.Errorf("attribute href of <%s> is not allowed", name)
		}
		return c.href(value)
	case "src":
		if name != "img" || !dataImage.MatchString(value) && !logoPath.MatchString(value) {
			return fmt.Errorf("<%s src> is a foreign resource: only data:image/… and /logos/… of an img are allowed", name)
		}
	case "target":
		if name != "a" || (value != "_blank" && value != "_self") {
			return fmt.Errorf("target of <%s> is not allowed", name)
		}
	case "clip-path", "fill", "stroke":
		if strings.Contains(value, "(") && !strings.HasPrefix(value, "url(#") && !strings.HasPrefix(value, "rgb(") {
			return fmt.Errorf("attribute %s of <%s> is a foreign resource", key, name)
		}
	}
	return nil
}

func (c *checker) href(value string) error {
	if rest, ok := strings.CutPrefix(value, linkMark); ok {
		if rest != "" && rest != "/stranger" && !documentPath.MatchString(rest) && !strings.HasPrefix(rest, "#") && rest != "?lang=ja" && rest != "?lang=en" {
			return errors.New("a link goes to another place of the link than /stranger and /documents/{name}")
		}
		c.links++
		return nil
	}
	if strings.HasPrefix(value, "#") || aboutPath.MatchString(value) {
		return nil
	}
	// Browsers strip spaces and control characters inside a scheme; url.Parse refuses them.
	u, err := url.Parse(value)
	if err != nil || !schemes[strings.ToLower(u.Scheme)] {
		return errors.New("a link must be tel:, mailto:, https:, http:, a fragment, the sender's page /s/… or below " + linkMark)
	}
	return nil
}

func (c *checker) form(n *html.Node) error {
	action, ok := strings.CutPrefix(attr(n, "action"), linkMark+"/")
	if rest, fragment, cut := strings.Cut(action, "#"); cut && rest == "content" && fragmentOf.MatchString(fragment) {
		action = rest // the browser keeps it on the way to the page behind the step
	}
	known := false
	for _, a := range Actions {
		known = known || (ok && a == action)
	}
	if !known {
		return errors.New("a form posts to another place than a step of the link")
	}
	if !strings.EqualFold(attr(n, "method"), "post") {
		return errors.New("a form's method is not post")
	}
	if attr(n, "target") != "" {
		return errors.New("a form has a target")
	}
	tokens := 0
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == "input" && attr(d, "name") == "form" {
			if attr(d, "type") != "hidden" || attr(d, "value") != formMark {
				return errors.New("a form's input named form is not hidden with the value " + formMark)
			}
			tokens++
		}
	}
	if tokens != 1 {
		return fmt.Errorf("a form has %d hidden inputs named form, one is needed", tokens)
	}
	c.tokens += tokens
	return nil
}

// styleText allows what needs nothing from elsewhere.
func (c *checker) styleText(n *html.Node) error {
	if c.styles++; c.styles > 1 || n.Parent == nil || n.Parent.Data != "head" || n.Namespace != "" {
		return errors.New("one <style>, in the head, is allowed")
	}
	if c.known != "" { // it passed before
		c.style = c.known
		return nil
	}
	text := ""
	for child := range n.ChildNodes() {
		text += child.Data
	}
	lower := strings.ToLower(text)
	for _, word := range []string{"@import", "@font-face", "@namespace", "image-set("} {
		if strings.Contains(lower, word) {
			return fmt.Errorf("style holds %s", word)
		}
	}
	if cssEscape.MatchString(text) {
		return errors.New("style spells a letter by an escape")
	}
	for _, rest, found := strings.Cut(lower, "url"); found; _, rest, found = strings.Cut(rest, "url") {
		argument, opens := strings.CutPrefix(strings.TrimLeft(rest, cssSpace), "(")
		if argument = strings.TrimLeft(argument, cssSpace); argument != "" && strings.ContainsRune("\"'", rune(argument[0])) {
			argument = argument[1:]
		}
		if opens && !strings.HasPrefix(argument, "data:image/") {
			return errors.New("style holds a foreign resource")
		}
	}
	sum := sha256.Sum256([]byte(text))
	c.text, c.style = text, "sha256-"+base64.StdEncoding.EncodeToString(sum[:])
	return nil
}

// cssSpace is white space in CSS.
const cssSpace = " \t\n\r\f"

// cssEscape is a CSS escape of an ASCII letter or digit, by which a forbidden word could be spelled.
var cssEscape = regexp.MustCompile(`(?i)\\0*(3[0-9]|4[0-9a-f]|5[0-9a]|6[0-9a-f]|7[0-9a])([^0-9a-f]|$)|\\[g-z@(]`)

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// printable makes a name from outside safe for a log.
func printable(s string) string {
	if len(s) > 40 {
		s = s[:40]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x21 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
