// Package page draws what the recipient sees: one complete HTML document for each view of the contract.
//
// A stranger with a small phone did not ask for this page, so each view says who speaks, what to do next and whom to
// call, in one column, Japanese first. There is no script; every style is in one <style> element (the host allows
// it by hash, so that no style attribute is used) and nothing is fetched. The texts of both languages stand side by
// side where they are used, in view/*.html; what the tenant wrote is escaped and never translated. https addresses
// and phone numbers in lead, rows, closing and note become links (in a row, a phone number only when its item says so).
//
// Nothing is kept between calls: Render is a function of its argument and safe for concurrent use. A page that the
// model does not suffice for (an unknown view, a checkout without a method) is refused with a *proto.Error.
//
// Forms and their control names, besides the hidden "form" of value __FORM__. All are POST below __LINK__:
//
//	LANDING                 /open       –
//	IDENTIFY                /identify   the name of each field of the model, but for one that is answered elsewhere
//	RETURNED                /identified – (back from where that was)
//	CODE                    /code       code
//	CODE                    /resend     –
//	INFO                    /checkout   method
//	INFO and what follows   /answer     the name of each survey item: once (radio, text) or for each choice (check),
//	                                    the value is the text of the choice
//	CHECKOUT                /pay        method; store when the method has stores
//	VOUCHER, REDIRECT       /cancel     –
//	VOUCHER, REDIRECT,
//	RETURNED, WAITING,
//	ACCEPTED                /state      –
//	REDIRECT                /redirect   –
//	INFO, CLAIM_MENU        /promise    promise: paid, tomorrow or day_after
//	CLAIM_MENU              /content    – (also with the fragment methods or survey: where that is on INFO)
//	CLAIM_MENU              /checkout   method, of the one that its button names
//	INFO behind it          /menu       –
//	STRANGER                /stranger   –
//	VOUCHER                 /mail       address
//	MENU                    /pick       message: the name of the entry
//
// Links (GET) go to __LINK__ (back, try again), to __LINK__?lang=ja and ?lang=en at the foot of a page whose sender is
// known, to __LINK__/stranger where the model says so, to __LINK__/documents/{name}, and to the sender's page /s/….
package page

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "google.golang.org/protobuf/proto"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/gs1128"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

// MaxBytes is the largest document that the contract lets through.
const MaxBytes = 512 << 10

const barHeight = 96 // user units of the barcode's viewBox

//go:embed view/*.html style.css
var files embed.FS

// templates holds one set per language: the function "say" picks the language's text.
var templates = map[wording.Lang]*template.Template{
	wording.Japanese: parse(wording.Japanese, said),
	wording.English:  parse(wording.English, said),
}

// spoken finds a text of ours that nothing is filled in.
var spoken = regexp.MustCompile(`{{say "([^"\\]*)" "([^"\\]*)"}}`)

// said puts the language's texts into a template where they stand: most of a page is of them, and a call for each would be most of
// its time.
func said(lang wording.Lang, source string) string {
	return spoken.ReplaceAllStringFunc(source, func(call string) string {
		texts := spoken.FindStringSubmatch(call)
		return template.HTMLEscapeString(lang.Say(texts[1], texts[2]))
	})
}

// parse makes the set of a language. put prepares the source of each file.
func parse(lang wording.Lang, put func(lang wording.Lang, source string) string) *template.Template {
	t := template.New("page").Funcs(template.FuncMap{
		"say":     lang.Say,
		"yen":     lang.Yen,
		"number":  wording.Number,
		"moment":  lang.Moment,
		"date":    lang.Date,
		"until":   lang.Until,
		"kind":    func(t proto.SurveyItem_Type) string { return t.String() },
		"method":  func(k proto.MethodKind) string { return k.String() },
		"store":   func(s *proto.Store) string { return label(lang, s) },
		"segment": url.PathEscape,
		"given":   func(item *proto.SurveyItem, choice string) bool { return slices.Contains(item.Answer, choice) },
		"size":    size,
		"tel":     tel,
		"text":    func(s string) template.HTML { return mark(lang, s, template.HTML(template.HTMLEscapeString(s))) },
		"linked":  func(s string) template.HTML { return mark(lang, s, linked(s)) },
		"value":   func(r *proto.Row) template.HTML { return mark(lang, r.Value, value(r)) },
	})
	entries, err := files.ReadDir("view")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, e := range entries {
		template.Must(t.New(e.Name()).Parse(put(lang, file("view/"+e.Name()))))
	}
	// The style is parsed where it stands, in <style>, so that the colours are escaped for CSS.
	return template.Must(t.New("style").Parse(file("style.css")))
}

func file(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// aboutPath is what About may be.
var aboutPath = regexp.MustCompile(`^/s/[a-z0-9-]{1,64}$`)

// Views are the views that Render draws, in the contract's order.
func Views() []proto.View {
	var views []proto.View
	for n := range proto.View_name {
		if n != int32(proto.View_VIEW_UNSPECIFIED) {
			views = append(views, proto.View(n))
		}
	}
	slices.Sort(views)
	return views
}

// model is what the templates see: the contract's page, never with a nil Brand, and what is worked out of it.
type model struct {
	*proto.Page
	Language wording.Lang
	Heading  string // of the h1 and the title
	Sender   string // the brand's name; empty on GONE
	Alert    bool   // an error is announced
	Contact  bool   // the footer is shown
	Open     bool   // it is for everybody: nothing in it is of a message
	Colours  struct{ Brand, OnBrand, Accent string }

	VoucherExpires              *timestamppb.Timestamp
	Bars                        string // SVG path data; empty: no barcode
	BarcodeFirst, BarcodeSecond string
	Body                        template.HTML

	// Of Page, what most pages ask for: a template takes several times as long to find a field of an embedded message.
	Brand                                         *proto.Brand
	Claim                                         *proto.Claim
	Rows                                          []*proto.Row
	Lead, Closing, Addressee, Period, No          string
	About                                         string // empty: no address of ours
	LinkExpires                                   *timestamppb.Timestamp
	Identify, Code, UntilMark, MayDisown, Preview bool
}

// Elsewhere reports whether who it is is asked at another page.
func (m *model) Elsewhere() bool { return len(m.Fields) == 1 && m.Fields[0].Elsewhere }

// MethodKind is what the method that is shown is; METHOD_KIND_UNSPECIFIED: it is not said, or there are several.
func (m *model) MethodKind() string {
	if len(m.Methods) != 1 {
		return proto.MethodKind_METHOD_KIND_UNSPECIFIED.String()
	}
	return m.Methods[0].Kind.String()
}

// IssuedOnce reports whether the payer gets one number or barcode of this claim and no other: of a method whose numbers are issued
// for each claim, where no other method can be chosen instead.
func (m *model) IssuedOnce() bool {
	switch m.MethodKind() {
	case proto.MethodKind_KONBINI_NUMBER.String(), proto.MethodKind_KONBINI_BARCODE.String(), proto.MethodKind_PAY_EASY.String():
		return !m.CanChangeMethod && m.Voucher.GetShownUntil() == nil
	}
	return false
}

// Hidden reports whether the payer may see nothing to pay with at present: its time on a screen is over (Voucher.shown_until).
func (m *model) Hidden() bool {
	v := m.Voucher
	return v.GetShownUntil() != nil && v.Barcode == "" && v.PaymentNumber == "" && v.Account == nil && len(v.Stores) == 0
}

// ByBarcode reports whether the one method is paid with a barcode.
func (m *model) ByBarcode() bool { return m.MethodKind() == proto.MethodKind_KONBINI_BARCODE.String() }

// Refused reports whether it is said which answers of the survey were refused.
func (m *model) Refused() bool {
	return m.Incomplete && m.Survey != nil && !m.Survey.Answered &&
		(m.Survey.Empty || slices.ContainsFunc(m.Survey.Items, func(i *proto.SurveyItem) bool { return i.Fault != nil }))
}

// To is to whom the page is, with 様.
func (m *model) To() string { return m.Language.Addressed(m.Addressee) }

// WithoutTax reports whether the claim's lines are without tax; Sum is what they add up to then, in yen.
func (m *model) WithoutTax() bool { _, ok := wording.WithoutTax(m.Claim); return ok }
func (m *model) Sum() int64       { sum, _ := wording.WithoutTax(m.Claim); return sum }

// Rest is what is still to pay, Over what was paid too much, in yen.
func (m *model) Rest() int64 { return m.Claim.GetYen() - m.Claim.GetReceivedYen() }
func (m *model) Over() int64 { return -m.Rest() }

// Render draws one page. The error is for operators and holds nothing of the recipient.
func Render(p *proto.Page) ([]byte, *proto.Error) {
	m, refused := newModel(p)
	if refused != nil {
		return nil, refused
	}
	t := templates[m.Language]
	var body, doc bytes.Buffer
	doc.Grow(16 << 10)
	if err := t.ExecuteTemplate(&body, m.View.String(), m); err != nil {
		return nil, internal(err)
	}
	m.Body = template.HTML(body.String()) // drawn by the same escaping templates
	if err := t.ExecuteTemplate(&doc, "layout", m); err != nil {
		return nil, internal(err)
	}
	if doc.Len() > MaxBytes {
		return nil, invalid("page", fmt.Sprintf("page of %d bytes, at most %d", doc.Len(), MaxBytes))
	}
	return doc.Bytes(), nil
}

func newModel(p *proto.Page) (*model, *proto.Error) {
	if p == nil {
		return nil, invalid("page", "no page")
	}
	if _, known := proto.View_name[int32(p.View)]; !known || p.View == proto.View_VIEW_UNSPECIFIED {
		return nil, &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "view", Field: "view", Message: "unknown view " + p.View.String()}
	}
	p = defused(p)
	if p.Brand == nil {
		p.Brand = &proto.Brand{}
	}
	m := &model{Page: p, Language: wording.Of(p.Lang), Sender: p.Brand.Name}
	if p.View == proto.View_GONE { // the same for whoever asks for whatever
		m.Page = &proto.Page{View: p.View, Brand: &proto.Brand{}}
		m.Sender = ""
	}
	p = m.Page
	m.Brand, m.Claim, m.Rows, m.Lead, m.Closing, m.Addressee, m.Period, m.No, m.LinkExpires = p.Brand, p.Claim, p.Rows, p.Lead, p.Closing, p.Addressee, p.Period, p.No, p.LinkExpires
	m.Identify, m.Code, m.UntilMark, m.MayDisown, m.Preview = p.Identify, p.Code, p.UntilMark, p.MayDisown, p.Preview
	if aboutPath.MatchString(p.About) {
		m.About = p.About
	}
	m.Contact = m.Brand.Name != "" && (m.Brand.Phone != "" || m.Brand.Note != "" || m.Brand.Hours != "")
	m.Alert = m.Mismatch || m.Incomplete || m.Unreadable || m.Mail.GetWrong() || m.View == proto.View_LOCKED
	m.Open = m.View == proto.View_ABOUT
	m.Heading = heading(m)
	brand := parseColour(m.Brand.Color)
	m.Colours.Brand, m.Colours.OnBrand, m.Colours.Accent = brand.String(), textOn(brand).String(), accentOf(brand).String()
	if err := complete(m.Page); err != nil {
		return nil, err
	}
	if m.View == proto.View_VOUCHER {
		m.VoucherExpires = m.Voucher.Expires
		if m.VoucherExpires == nil {
			m.VoucherExpires = m.Claim.GetDue()
		}
		if m.Voucher.Barcode != "" {
			bars, err := gs1128.Encode(m.Voucher.Barcode)
			if err != nil {
				return nil, invalid("voucher.barcode", err.Error())
			}
			m.Bars = gs1128.Path(bars, barHeight)
			m.BarcodeFirst, m.BarcodeSecond = gs1128.Human(m.Voucher.Barcode)
		}
	}
	return m, nil
}

// complete refuses a model that its view cannot be drawn from.
func complete(p *proto.Page) *proto.Error {
	for _, f := range p.Fields {
		for _, c := range append([]*proto.FormField{f}, f.Parts...) {
			if c.Name == "" || c.Name == "form" || c.Label == "" {
				return invalid("fields", "a field needs a label and a control name other than form")
			}
		}
	}
	for _, s := range p.Survey.GetItems() {
		if s.Name == "" || s.Name == "form" || s.Type == proto.SurveyItem_TYPE_UNSPECIFIED {
			return invalid("survey.items", "an item needs a type and a control name other than form")
		}
	}
	names := []string{}
	for _, d := range p.Documents {
		names = append(names, d.Name)
	}
	if p.ReceiptDocument != "" {
		names = append(names, p.ReceiptDocument)
	}
	for _, name := range names {
		if strings.Trim(name, ".") == "" || strings.ContainsAny(name, `/\`) {
			return invalid("documents", "a document needs a name that is one path segment")
		}
	}
	for _, e := range p.Entries {
		if e.Name == "" {
			return invalid("entries", "an entry needs a name")
		}
	}
	switch p.View {
	case proto.View_IDENTIFY:
		if len(p.Fields) == 0 {
			return invalid("fields", "nothing to ask")
		}
	case proto.View_CHECKOUT:
		if len(p.Methods) != 1 || p.Claim == nil {
			return invalid("methods", "want a claim and the one method chosen")
		}
	case proto.View_REGISTERED_VIEW, proto.View_CLAIM_MENU:
		if p.Claim == nil {
			return invalid("claim", "want the claim that was not paid")
		}
	case proto.View_VOUCHER:
		if v := p.Voucher; v == nil || p.Claim == nil || v.Barcode == "" && v.PaymentNumber == "" && v.Account == nil && len(v.Stores) == 0 && v.ShownUntil == nil {
			return invalid("voucher", "want a claim and a number, a barcode, an account, or stores with numbers of their own")
		}
	}
	return nil
}

func heading(m *model) string {
	say := m.Language.Say
	switch m.View {
	case proto.View_LANDING:
		if m.Title != "" {
			return m.Title
		}
		if m.Sender == "" {
			return say("お知らせ", "A notice for you")
		}
		return say("%sからのお知らせ", "A notice from %s", m.Sender)
	case proto.View_IDENTIFY:
		return say("ご本人の確認", "Confirm that it is you")
	case proto.View_CODE:
		return say("認証番号の入力", "Enter the code")
	case proto.View_INFO:
		if m.Title != "" {
			return m.Title
		}
		return say("ご案内", "Notice")
	case proto.View_CHECKOUT:
		if m.MethodKind() == proto.MethodKind_ACCOUNT_REGISTRATION.String() {
			return say("口座振替のお申し込み内容の確認", "Check the registration")
		}
		return say("お支払い内容の確認", "Check the payment")
	case proto.View_VOUCHER:
		if m.Voucher.GetBarcode() != "" || m.ByBarcode() {
			return say("お支払いバーコード", "Payment barcode")
		}
		if m.Voucher.GetInstitution() != "" {
			return say("ペイジーでのお支払い", "Pay by Pay-easy")
		}
		if m.Voucher.GetAccount() != nil {
			return say("お振込先のご案内", "Where to transfer the money")
		}
		return say("お支払い番号のご案内", "Payment number")
	case proto.View_REGISTERED_VIEW:
		return say("口座振替のお申し込み完了", "Registered for direct debit")
	case proto.View_REDIRECT:
		if m.MethodKind() == proto.MethodKind_ACCOUNT_REGISTRATION.String() {
			return say("口座振替のお申し込みページへの移動", "To the registration page")
		}
		return say("決済会社のページへの移動", "To the payment page")
	case proto.View_RETURNED:
		if m.Identify {
			return say("ご本人の確認", "Confirm that it is you")
		}
		return say("お手続き結果の確認", "See the result")
	case proto.View_WAITING:
		return say("お支払いの確認中です", "Checking the payment")
	case proto.View_ACCEPTED:
		return say("お支払情報（受付）", "Payment received")
	case proto.View_CONFIRMED_VIEW:
		return say("お支払情報（確定）", "Payment confirmed")
	case proto.View_LOCKED:
		return say("入力できる回数を超えました", "Too many tries")
	case proto.View_EXPIRED_VIEW:
		return say("有効期限が過ぎました", "This page has expired")
	case proto.View_GONE:
		return say("ページが見つかりません", "Page not found")
	case proto.View_STRANGER:
		return say("お心当たりのない方へ", "Not for you?")
	case proto.View_STOPPED:
		return say("送信を停止しました", "The messages are stopped")
	case proto.View_ABOUT:
		if m.Title != "" {
			return m.Title
		}
		return say("SMSの見分け方", "How to tell our messages")
	case proto.View_MENU:
		return say("お知らせの一覧", "Your notices")
	case proto.View_CLAIM_MENU:
		if m.Title != "" {
			return m.Title
		}
		return say("お支払いのご案内", "Your payment")
	case proto.View_ANSWERED:
		return say("ご回答ありがとうございました", "Thank you for your answer")
	default:
		return say("画面を表示できません", "The page cannot be shown")
	}
}

// defused copies the page without the host's placeholders in its texts: the host fills them wherever they stand,
// and a tenant's text must not receive the form token.
func defused(p *proto.Page) *proto.Page {
	p = pb.CloneOf(p)
	if b, err := pb.Marshal(p); err == nil && !bytes.Contains(b, []byte("__")) {
		return p // there is none, and looking at each text takes longer
	}
	broken := strings.NewReplacer("__LINK__", "_ _LINK_ _", "__FORM__", "_ _FORM_ _")
	_ = protorange.Range(p.ProtoReflect(), func(v protopath.Values) error { // the function gives no error
		s, ok := v.Index(-1).Value.Interface().(string)
		if !ok || !strings.Contains(s, "__") {
			return nil
		}
		clean := protoreflect.ValueOfString(broken.Replace(s))
		parent := v.Index(-2)
		switch step := v.Index(-1).Step; step.Kind() {
		case protopath.FieldAccessStep:
			parent.Value.Message().Set(step.FieldDescriptor(), clean)
		case protopath.ListIndexStep:
			parent.Value.List().Set(step.ListIndex(), clean)
		}
		return nil
	})
	return p
}

func label(lang wording.Lang, s *proto.Store) string {
	return cmp.Or(lang.Say(s.LabelJa, s.LabelEn), s.LabelJa, s.Code)
}

// size writes a file's size; 0 is not known and gives "".
func size(n uint64) string {
	switch {
	case n == 0:
		return ""
	case n < 1<<20:
		return fmt.Sprintf("%dKB", (n+1023)>>10)
	default:
		return fmt.Sprintf("%.1fMB", float64(n)/(1<<20))
	}
}

// tel gives the digits to dial, of link or else of what is shown; "" when there are none.
func tel(link, shown string) string {
	if link == "" {
		link = shown
	}
	link = strings.TrimPrefix(link, "tel:")
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, link)
	if strings.LastIndexByte(digits, '+') > 0 || len(digits) < 3 {
		return ""
	}
	return digits
}

// mark names the language of a Japanese text on an English page. WCAG 2.2 §3.1.2.
func mark(lang wording.Lang, s string, escaped template.HTML) template.HTML {
	if lang == wording.English && strings.ContainsFunc(s, japanese) {
		return `<span lang="ja">` + escaped + `</span>`
	}
	return escaped
}

func japanese(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }

func invalid(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_INVALID, Code: "model", Field: field, Message: message}
}

func internal(err error) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_INTERNAL, Code: "template", Message: err.Error()}
}
