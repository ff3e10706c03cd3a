package recipient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Browser follows links and submits the forms that it is shown, with their hidden fields and its cookies; what a page
// does not offer it cannot do. It runs no script. Not safe for concurrent use.
type Browser struct {
	client *http.Client
	// Shown is the page after the last Get or Submit; the zero Page before.
	Shown Page
}

// NewBrowser returns a browser without cookies.
func NewBrowser() *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic("BUG: cookie jar: " + err.Error())
	}
	return &Browser{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// Cookie is what the browser would send to an address as its Cookie header.
func (b *Browser) Cookie(address string) string {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		panic("BUG: address of a page that was shown: " + err.Error())
	}
	for _, c := range b.client.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	return req.Header.Get("Cookie")
}

// Page is what a browser shows.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   []byte
	Text   string   // as a person reads it, spaces folded
	Links  []string // absolute
	Forms  []Form
}

// Form is one form of a page.
type Form struct {
	Action string // absolute
	Method string // GET or POST
	Fields []Field
}

// Field is one control that a browser sends. Choices are those of radio buttons and checkboxes.
type Field struct {
	Name     string
	Value    string
	Required bool
	Choices  []string
}

// Step is the last part of the form's action: open, identify, pay.
func (f *Form) Step() string { return f.Action[strings.LastIndexByte(f.Action, '/')+1:] }

// maxPage bounds what is read of an answer.
const maxPage = 16 << 20

// Get loads a page.
func (b *Browser) Get(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return b.load(req)
}

// Form returns the shown form of a step.
func (b *Browser) Form(step string) (*Form, error) {
	var offered []string
	for i := range b.Shown.Forms {
		if f := &b.Shown.Forms[i]; f.Step() == step {
			return f, nil
		}
		offered = append(offered, b.Shown.Forms[i].Step())
	}
	return nil, fmt.Errorf("the page (status %d) has no form %q, it offers %q: %s", b.Shown.Status, step, offered, clip(b.Shown.Text))
}

// Submit fills in the shown form of a step and sends it. A value for a field that is not there, or that is not among the
// choices, and a required field without a value are errors: a person could not do it either.
func (b *Browser) Submit(ctx context.Context, step string, values url.Values) error {
	f, err := b.Form(step)
	if err != nil {
		return err
	}
	filled := url.Values{}
	for _, field := range f.Fields {
		given, ok := values[field.Name]
		switch {
		case !ok && field.Value != "":
			given = []string{field.Value}
		case field.Required && strings.Join(given, "") == "":
			return fmt.Errorf("form %s: %s is required", step, field.Name)
		}
		for _, v := range given {
			if len(field.Choices) > 0 && !slices.Contains(field.Choices, v) {
				return fmt.Errorf("form %s: %s offers %q, not %q", step, field.Name, field.Choices, v)
			}
		}
		if given != nil {
			filled[field.Name] = given
		}
	}
	for name := range values {
		if !slices.ContainsFunc(f.Fields, func(field Field) bool { return field.Name == name }) {
			return fmt.Errorf("form %s has no field %s", step, name)
		}
	}
	return b.Post(ctx, f.Action, filled)
}

// Post sends a form that need not be shown: what a page kept open elsewhere would send.
func (b *Browser) Post(ctx context.Context, address string, values url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.load(req)
}

func (b *Browser) load(req *http.Request) error {
	body, res, err := b.do(req)
	if err != nil {
		return err
	}
	b.Shown, err = parse(res, body)
	return err
}

// agent is what a phone says that it is: programs that say so are not taken at their word by pages.
const agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"

func (b *Browser) do(req *http.Request) ([]byte, *http.Response, error) {
	req.Header.Set("User-Agent", agent)
	res, err := b.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	return body, res, err
}

// Download follows the shown link whose address ends in name, and leaves the page as it is.
func (b *Browser) Download(ctx context.Context, name string) ([]byte, error) {
	i := slices.IndexFunc(b.Shown.Links, func(l string) bool { return strings.HasSuffix(l, "/"+name) })
	if i < 0 {
		return nil, fmt.Errorf("the page has no link to %s: %s", name, clip(b.Shown.Text))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Shown.Links[i], nil)
	if err != nil {
		return nil, err
	}
	body, res, err := b.do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", name, res.StatusCode)
	}
	return body, err
}

func clip(s string) string {
	r := []rune(s)
	return string(r[:min(len(r), 300)])
}

// parse reads a page.
func parse(res *http.Response, body []byte) (Page, error) {
	p := Page{URL: res.Request.URL, Status: res.StatusCode, Header: res.Header, Body: body}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return p, nil
	}
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return p, fmt.Errorf("read the page: %w", err)
	}
	var text strings.Builder
	var form *Form
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			if n.Parent.DataAtom != atom.Style && n.Parent.DataAtom != atom.Script && n.Parent.DataAtom != atom.Title {
				text.WriteString(n.Data + " ")
			}
		case html.ElementNode:
			switch n.DataAtom {
			case atom.A:
				p.Links = append(p.Links, p.absolute(attr(n, "href")))
			case atom.Form:
				p.Forms = append(p.Forms, Form{Action: p.absolute(attr(n, "action")), Method: strings.ToUpper(attr(n, "method"))})
				form = &p.Forms[len(p.Forms)-1]
			case atom.Input, atom.Textarea, atom.Select, atom.Button:
				if form != nil && within(n, atom.Form) {
					form.add(n)
				}
			}
		}
	}
	p.Text = strings.Join(strings.Fields(text.String()), " ")
	return p, nil
}

func (p *Page) absolute(ref string) string {
	u, err := p.URL.Parse(ref)
	if err != nil {
		return ref
	}
	return u.String()
}

func within(n *html.Node, a atom.Atom) bool {
	for p := range n.Ancestors() {
		if p.DataAtom == a {
			return true
		}
	}
	return false
}

// add takes a control into the form; radio buttons of one name are one field.
func (f *Form) add(n *html.Node) {
	name, value := attr(n, "name"), attr(n, "value")
	if name == "" {
		return
	}
	i := slices.IndexFunc(f.Fields, func(field Field) bool { return field.Name == name })
	if i < 0 {
		f.Fields, i = append(f.Fields, Field{Name: name}), len(f.Fields)
	}
	field := &f.Fields[i]
	field.Required = field.Required || has(n, "required")
	switch kind := attr(n, "type"); kind {
	case "radio", "checkbox":
		field.Choices = append(field.Choices, value)
		if has(n, "checked") {
			field.Value = value
		}
	default:
		field.Value = value
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

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}
