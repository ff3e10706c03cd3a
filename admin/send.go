package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

const papersOffered = 100 // documents to choose from

const linkUnits = 34 // a link as the meter counts it, before the server has measured

// identityFields are the questions that the form offers.
var identityFields = []struct {
	Code string
	words
}{
	{"birth_date", words{"生年月日", "Date of birth"}}, {"kana_name", words{"カナ氏名", "Name in kana"}}, {"customer_number", words{"お客様番号", "Customer number"}},
	{"phone", words{"携帯電話番号", "Mobile number"}}, {"postcode", words{"郵便番号", "Postcode"}}, {"passcode", words{"パスワード", "Passcode"}},
	{"free", words{"自由な質問", "A question of your own"}},
}

// identityFields are the questions that the form offers, with those of other modules: a level that is not a module's first stands behind a
// "/".
func (s *Server) identityFields(v *visit) (all []field) {
	known := map[string]bool{}
	for _, x := range identityFields {
		all, known[x.Code] = append(all, field{x.Code, x.in(v.Lang)}), true
	}
	for _, f := range s.Identity.Askable(v.Tenant.ID) {
		if known[f.Name] {
			continue
		}
		label := v.T(f.LabelJa, f.LabelEn)
		all = append(all, field{f.Name, label})
		for _, level := range f.Levels[min(1, len(f.Levels)):] {
			all = append(all, field{f.Name + "/" + level, label + v.T("（", " (") + level + v.T("）", ")")})
		}
	}
	return all
}

// sendPage is the form, and the preview of what it would send.
type sendPage struct {
	F       url.Values        // as typed
	Fault   map[string]string // by form field
	General []string          // faults without a field
	Key     string
	Test    bool

	Senders   []tenant.SenderProfile
	Templates []tenant.Template
	Occasions []message.Occasion
	Classes   []message.Class
	Fields    []field
	Methods   []field
	Rows      int
	Lines     int
	Meters    int
	Questions int
	Segments  int
	LinkUnits int
	HasPhone  bool
	HasClaims bool

	Preview  *intake.Preview
	Carrier  string
	Warnings []string
	Frame    string          // address of the page's preview
	Papers   []document.File // that may be put behind the page
	Chosen   []field         // of them: address and title
	Invoice  bool            // the page has one, below Frame
	Reading  bool
	Hidden   []condition

	ID, URL string // of a link that was made and is not sent
}

type field struct{ Code, Label string }

// Strange reports whether a document of the form is none that can be chosen: it is an earlier message's, and was not listed.
func (p *sendPage) Strange(id string) bool {
	return id != "" && !slices.ContainsFunc(p.Papers, func(f document.File) bool { return f.ID == id })
}

func (p *sendPage) Get(name string) string { return p.F.Get(name) }
func (p *sendPage) At(name string, i int) string {
	return p.F.Get(name + strconv.Itoa(i))
}
func (p *sendPage) Wrong(name string) string       { return p.Fault[name] }
func (p *sendPage) WrongAt(n string, i int) string { return p.Fault[n+strconv.Itoa(i)] }
func (p *sendPage) Has(name, value string) bool    { return p.F.Get(name) == value }
func (p *sendPage) HasAny(names ...string) bool {
	for _, n := range names {
		for k := range p.F {
			if strings.HasPrefix(k, n) && p.F.Get(k) != "" {
				return true
			}
		}
		for k := range p.Fault {
			if strings.HasPrefix(k, n) {
				return true
			}
		}
	}
	return false
}

func (s *Server) sendPage(ctx context.Context, v *visit, f url.Values) (*sendPage, error) {
	p := &sendPage{F: f, Fault: map[string]string{}, Senders: v.Tenant.Senders, Templates: v.Tenant.Templates, Occasions: message.Occasions, Rows: message.MaxRows, Lines: message.MaxLines, Meters: message.MaxReadingValues, Questions: message.MaxSurveyItems,
		Segments: v.Tenant.Policy.Segments(), LinkUnits: linkUnits, HasPhone: len(v.User.Phone) > 0, Key: f.Get("key")}
	for _, c := range message.Classes {
		if c != message.OTP {
			p.Classes = append(p.Classes, c)
		}
	}
	p.Fields = s.identityFields(v)
	for _, m := range v.Tenant.Methods() {
		label := m
		if a, ok := v.Tenant.AgentFor(m); ok {
			label = s.Payments.MethodLabel(a.Module, m, v.Lang)
		}
		p.Methods = append(p.Methods, field{m, label})
	}
	p.HasClaims = len(p.Methods) > 0
	if p.Key == "" {
		p.Key = rand.Text()
	}
	var err error
	p.Papers, _, err = s.Documents.List(ctx, v.scope, "", papersOffered)
	return p, err
}

// sendForm shows an empty form, or that of an earlier message to be sent anew.
func (s *Server) sendForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := url.Values{"class": {string(message.Notice)}, "link": {"1"}}
	for i, name := range v.Tenant.Policy.Identity.Fields {
		f.Set("id_field"+strconv.Itoa(i), name)
	}
	if v.Tenant.Policy.Identity.Code {
		f.Set("code", "1")
	}
	if from := r.URL.Query().Get("from"); from != "" {
		var err error
		if f, err = s.again(r, v, from); err != nil {
			return err
		}
	}
	p, err := s.sendPage(r.Context(), v, f)
	if err != nil {
		return err
	}
	return s.show(w, r, v, "send", p)
}

// again fills the form from a message of the tenant. Its link, its expected answers and its claim are not those of the
// new one: answers are kept only as hashes and must be typed again; a claim is joined by its number.
func (s *Server) again(r *http.Request, v *visit, from string) (url.Values, error) {
	r.SetPathValue("id", from)
	id, _, st, err := s.load(r, v)
	if err != nil {
		return nil, err
	}
	h := &st.Head
	if h.Class == message.OTP {
		return nil, errNotFound
	}
	sms, err := s.sms(v, id, h)
	if err != nil {
		return nil, err
	}
	content, err := s.content(v, id, h)
	if err != nil {
		return nil, err
	}
	var claim *message.Claim
	if !h.Claim.IsZero() {
		switch c, err := s.Payments.Claim(r.Context(), v.scope, h.Claim); {
		case err == nil:
			claim = claimDraft(&c)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	// what was sent is content, and stands in a form that only this person sees, which is on record; number and address stay masked: see whole
	if err := s.record(r.Context(), v, "message.resend_form", h.No, ""); err != nil {
		return nil, err
	}
	f := url.Values{}
	f.Set("from", id.String())
	if n, err := carrier.ParseNumber(sms.Number); err == nil {
		f.Set("to", n.Masked())
	}
	f.Set("class", string(h.Class))
	f.Set("sender", h.Sender)
	f.Set("reference", sms.Reference)
	f.Set("registered_on", sms.Registered)
	text := sms.Text
	if h.URL != "" {
		text = strings.Replace(text, h.URL, "{url}", 1)
	}
	f.Set("text", text)
	if len(h.Page) > 0 {
		f.Set("link", "1")
		f.Set("title", content.Page.Title)
		f.Set("lead", content.Page.Lead)
		f.Set("closing", content.Page.Closing)
		f.Set("addressee", content.Page.Addressee)
		f.Set("period", content.Page.Period)
		f.Set("sheet_message", content.Page.SheetMessage)
		if c := content.Page.Contact; c != nil {
			f.Set("contact_name", c.Name)
			f.Set("contact_phone", c.Phone)
			f.Set("contact_hours", c.Hours)
		}
		if content.Page.NoticePDF {
			f.Set("notice_pdf", "1")
		}
		for i, a := range content.Page.Documents {
			f.Set("document"+strconv.Itoa(i), a.ID)
			f.Set("document_title"+strconv.Itoa(i), a.Title)
		}
		setPapers(f, &content.Page)
		if h.Parts == 0 {
			f.Set("link_only", "1")
		}
		for i, row := range content.Page.Rows {
			f.Set("item"+strconv.Itoa(i), row.Item)
			f.Set("value"+strconv.Itoa(i), row.Value)
		}
		if sv := content.Page.Survey; sv != nil {
			f.Set("survey_lead", sv.Lead)
			for i, q := range sv.Items {
				n := strconv.Itoa(i)
				f.Set("q_title"+n, q.Title)
				f.Set("q_type"+n, q.Type)
				f.Set("q_choices"+n, strings.Join(q.Choices, "\n"))
				if q.Required {
					f.Set("q_required"+n, "1")
				}
			}
		}
		offered := s.identityFields(v)
		for i, a := range h.Answers {
			code := a.Field
			if leveled := a.Field + "/" + a.Level; slices.ContainsFunc(offered, func(o field) bool { return o.Code == leveled }) {
				code = leveled
			}
			f.Set("id_field"+strconv.Itoa(i), code)
			f.Set("id_label"+strconv.Itoa(i), a.Label)
		}
		if h.CodeDigits > 0 {
			f.Set("code_digits", strconv.Itoa(h.CodeDigits))
		}
		if h.Code {
			f.Set("code", "1")
		}
	}
	if claim != nil {
		f.Set("claim_number", claim.Number)
		f.Set("claim_amount", strconv.FormatInt(claim.Amount, 10))
		if claim.Tax != nil {
			f.Set("claim_tax", strconv.FormatInt(*claim.Tax, 10))
		}
		if claim.TaxRate != 0 {
			f.Set("claim_rate", strconv.FormatInt(claim.TaxRate, 10))
		}
		f.Set("claim_due", claim.Due)
		setLines(f, claim.Lines)
		f.Set("claim_payer", claim.Payer)
		f["claim_method"] = content.Methods
		if content.Email != "" {
			f.Set("email", message.MaskAddress(content.Email))
		}
		if content.Promises {
			f.Set("claim_promises", "1")
		}
		if claim.Debit {
			f.Set("claim_debit", "1")
		}
	}
	return f, nil
}

// whole puts the number and the e-mail address of the message that a form began with into its draft, where they were left as they were shown.
func (s *Server) whole(r *http.Request, v *visit, from string, d *message.Draft) error {
	r.SetPathValue("id", from)
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	sms, err := s.sms(v, id, &st.Head)
	if err != nil {
		return err
	}
	if n, err := carrier.ParseNumber(sms.Number); err == nil && d.To == n.Masked() {
		d.To = n.E164()
	}
	if d.Recipient == nil || d.Recipient.Email == "" {
		return nil
	}
	content, err := s.content(v, id, &st.Head)
	if err == nil && content.Email != "" && d.Recipient.Email == message.MaskAddress(content.Email) {
		d.Recipient.Email = content.Email
	}
	return err
}

// formReader makes a draft of the form and remembers which field of the form each path of the draft came from.
type formReader struct {
	f     url.Values
	d     message.Draft
	names map[string]string // draft path → form field
	ps    message.Problems  // of what is no draft at all: dates and amounts that cannot be read
}

func (fr *formReader) text(name, path string) string {
	fr.names[path] = name
	return strings.TrimSpace(strings.ReplaceAll(fr.f.Get(name), "\r\n", "\n"))
}

func (fr *formReader) time(name, path string, end bool) *time.Time {
	text := fr.text(name, path)
	if text == "" {
		return nil
	}
	for _, layout := range []string{"2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, message.Tokyo); err == nil {
			if layout == time.DateOnly && end {
				t = t.AddDate(0, 0, 1).Add(-time.Second)
			}
			return &t
		}
	}
	fr.ps = append(fr.ps, message.Problem{Field: path, Code: "pattern"})
	return nil
}

func (fr *formReader) yen(name, path string) int64 {
	text := strings.NewReplacer(",", "", "，", "", "円", "", "¥", "", "￥", "").Replace(fr.text(name, path))
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fr.ps = append(fr.ps, message.Problem{Field: path, Code: "pattern", Detail: "yen, 1 to 9,999,999"})
	}
	return n
}

func readDraft(f url.Values) *formReader {
	fr := &formReader{f: f, names: map[string]string{}}
	d := &fr.d
	d.To, d.Class, d.Sender, d.Reference = fr.text("to", "to"), fr.text("class", "class"), fr.text("sender", "sender"), fr.text("reference", "reference")
	if day, address := fr.text("registered_on", "recipient.registered_on"), fr.text("email", "recipient.email"); day != "" || address != "" {
		d.Recipient = &message.Recipient{RegisteredOn: day, Email: address}
	}
	if d.Template = fr.text("template", "template"); d.Template == "" {
		d.Text = fr.text("text", "text")
	} else {
		d.Vars = map[string]string{}
		for line := range strings.Lines(fr.text("vars", "vars")) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				d.Vars[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
	}
	d.SendAt, d.ValidUntil = fr.time("send_at", "send_at", false), fr.time("valid_until", "valid_until", true)
	if from, to := fr.text("window_from", "window.from"), fr.text("window_to", "window.to"); from != "" || to != "" {
		d.Window = &message.Window{From: from, To: to}
	}
	if f.Get("link_only") != "" { // whether or not the page was asked for: nothing may be sent
		d.Send, d.Text, d.Template, d.Vars = new(bool), "", "", nil
	} else if f.Get("link") == "" {
		return fr
	}
	if t := fr.time("expires", "link.expires_at", true); t != nil {
		d.Link = &message.Link{ExpiresAt: t}
	}
	d.Page = fr.page()
	id := message.Identity{Code: f.Get("code") != ""}
	if text := fr.text("code_digits", "identity.code_digits"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			fr.ps = append(fr.ps, message.Problem{Field: "identity.code_digits", Code: "pattern", Value: message.Mask(text)})
		}
		id.CodeDigits = &n
	}
	for i := range message.MaxIdentityItems {
		n, at := strconv.Itoa(i), fmt.Sprintf("identity.items[%d]", len(id.Items))
		code, label, value := fr.text("id_field"+n, at+".field"), fr.text("id_label"+n, at+".label"), fr.text("id_value"+n, at+".value")
		if code != "" || label != "" || value != "" {
			name, level, _ := strings.Cut(code, "/")
			id.Items = append(id.Items, message.IdentityItem{Field: name, Level: level, Label: label, Value: value})
		}
	}
	if len(id.Items) > 0 || id.Code || id.CodeDigits != nil {
		d.Identity = &id
	}
	if number := fr.text("claim_number", "claim.number"); number != "" || f.Get("claim_amount") != "" {
		c := &message.Claim{Number: number, Amount: fr.yen("claim_amount", "claim.amount"), Due: fr.text("claim_due", "claim.due"), Payer: fr.text("claim_payer", "claim.payer"), Methods: f["claim_method"], Promises: f.Get("claim_promises") != "", Debit: f.Get("claim_debit") != ""}
		if f.Get("claim_tax") != "" {
			tax := fr.yen("claim_tax", "claim.tax")
			c.Tax = &tax
		}
		c.TaxRate = fr.whole([]string{fr.text("claim_rate", "claim.tax_rate")}, 0, 0, "claim.tax_rate")
		c.Lines = fr.lines()
		d.Claim = c
	}
	return fr
}

func (fr *formReader) page() *message.Page {
	p := &message.Page{Title: fr.text("title", "page.title"), Lead: fr.text("lead", "page.lead"), Closing: fr.text("closing", "page.closing"), Addressee: fr.text("addressee", "page.addressee"), Period: fr.text("period", "page.period"), SheetMessage: fr.text("sheet_message", "page.sheet_message"), NoticePDF: fr.f.Get("notice_pdf") != ""}
	contact := message.Contact{Name: fr.text("contact_name", "page.contact.name"), Phone: fr.text("contact_phone", "page.contact.phone"), Hours: fr.text("contact_hours", "page.contact.hours")}
	if contact != (message.Contact{}) {
		p.Contact = &contact
	}
	for i := range message.MaxRows {
		n, at := strconv.Itoa(i), fmt.Sprintf("page.rows[%d]", len(p.Rows))
		item, value := fr.text("item"+n, at+".item"), fr.text("value"+n, at+".value")
		if item != "" || value != "" {
			p.Rows = append(p.Rows, message.Row{Item: item, Value: value})
		}
	}
	sv := &message.Survey{Lead: fr.text("survey_lead", "page.survey.lead")}
	for i := range message.MaxSurveyItems {
		n, at := strconv.Itoa(i), fmt.Sprintf("page.survey.items[%d]", len(sv.Items))
		q := message.SurveyItem{Title: fr.text("q_title"+n, at+".title"), Type: fr.text("q_type"+n, at+".type"), Required: fr.f.Get("q_required"+n) != ""}
		for line := range strings.Lines(fr.text("q_choices"+n, at+".choices")) {
			if c := strings.TrimSpace(line); c != "" {
				q.Choices = append(q.Choices, c)
			}
		}
		if q.Title == "" && len(q.Choices) == 0 {
			continue
		}
		if q.Type == "text" {
			q.Choices = nil
		}
		sv.Items = append(sv.Items, q)
	}
	if len(sv.Items) > 0 || sv.Lead != "" {
		p.Survey = sv
	}
	p.Invoice, p.Reading = fr.invoice(), fr.reading()
	for i := range message.MaxDocuments {
		n, at := strconv.Itoa(i), fmt.Sprintf("page.documents[%d]", len(p.Documents))
		if a := (message.Attachment{ID: fr.text("document"+n, at), Title: fr.text("document_title"+n, at+".title")}); a != (message.Attachment{}) {
			p.Documents = append(p.Documents, a)
		}
	}
	return p
}

var (
	pathIndex = regexp.MustCompile(`\.choices\[\d+\]$|\.methods\[\d+\]$`)
	// paperLine is in a list that the form has as lines of one field.
	paperLine = regexp.MustCompile(`^(page\.(?:invoice\.lines|reading\.months|reading\.lines))\[\d+\].*$`)
)

// place puts faults beside the fields of the form that they are about.
func (p *sendPage) place(ps message.Problems, names map[string]string, lang string) {
	for _, x := range ps {
		path := paperLine.ReplaceAllString(pathIndex.ReplaceAllString(x.Field, ".choices"), "$1")
		name, ok := names[path]
		if !ok {
			switch { // a fault of a whole part stands at its first field
			case strings.HasPrefix(path, "vars"):
				name, ok = "vars", true
			case path == "claim" || path == "claim.methods":
				name, ok = "claim_number", true
			case path == "window":
				name, ok = "window_from", true
			case path == "identity" || path == "identity.items":
				name, ok = "id_field0", true
			case path == "page.survey" || path == "page.survey.items":
				name, ok = "survey_lead", true
			}
		}
		text := problemText(x, lang)
		if !ok {
			p.General = append(p.General, x.Text(lang))
			continue
		}
		if p.Fault[name] == "" {
			p.Fault[name] = text
		}
	}
}

// send shows the preview of a form, goes back to the form, or sends. What is sent twice with one key is one message. A link
// that the engine does not send is shown here and nowhere else in the console.
func (s *Server) send(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := r.PostForm
	do := f.Get("do")
	p, err := s.sendPage(r.Context(), v, f)
	if err != nil {
		return err
	}
	if do == "edit" {
		s.render(w, v, http.StatusOK, "send", p)
		return nil
	}
	p.Test = strings.HasPrefix(do, "test")
	fr := readDraft(f)
	d := fr.d
	d.Key = "console-" + p.Key
	if from := f.Get("from"); from != "" {
		if err := s.whole(r, v, from, &d); err != nil {
			return err
		}
	}
	if p.Test {
		if err := s.toOneself(v, &d); err != nil {
			return err
		}
	}
	if len(fr.ps) > 0 {
		p.place(fr.ps, fr.names, v.Lang)
	}
	req := intake.Request{Tenant: v.Tenant.ID, Via: message.ViaConsole, By: v.By(), Drafts: []message.Draft{d}}
	if sending := do == "send" || do == "test-send"; sending && len(fr.ps) == 0 {
		results, err := s.Intake.Accept(r.Context(), req)
		if err != nil {
			return err
		}
		var limit *intake.LimitError
		switch res := &results[0]; {
		case errors.As(res.Err, &limit):
			p.place(message.Problems{limit.Problem()}, fr.names, v.Lang)
		case res.Err != nil:
			return res.Err
		case res.Accepted():
			ja, en := "SMSを受け付けました。", "The message is accepted."
			if p.Test {
				ja, en = "ご自身の番号宛てにテスト送信を受け付けました。", "The test message to yourself is accepted."
			}
			if err := s.recordDone(r.Context(), v, "message.send", res.No, map[bool]string{true: "test"}[p.Test]); err != nil {
				return err
			}
			if !d.WantsSend() {
				p.ID, p.URL = res.ID.String(), res.URL
				s.render(w, v, http.StatusOK, "issued", p)
				return nil
			}
			return back(w, r, s.note(v, "/messages/"+res.ID.String(), ja, en))
		default:
			p.place(res.Problems, fr.names, v.Lang)
		}
	}
	if len(fr.ps) > 0 || len(p.Fault) == 0 && len(p.General) == 0 { // all faults at once
		results, err := s.Intake.Validate(r.Context(), req)
		if err != nil {
			return err
		}
		res := &results[0]
		if res.Err != nil {
			return res.Err
		}
		if res.Repeated { // the form was sent before: back to its message
			return back(w, r, "/messages/"+res.ID.String())
		}
		p.place(res.Problems, fr.names, v.Lang)
		p.Preview = res.Preview
		for _, x := range res.Warnings {
			p.Warnings = append(p.Warnings, x.Text(v.Lang))
		}
	}
	if len(p.Fault) > 0 || len(p.General) > 0 || p.Preview == nil {
		s.render(w, v, http.StatusUnprocessableEntity, "send", p)
		return nil
	}
	return s.showPreview(w, r, v, p, &d)
}

func (s *Server) showPreview(w http.ResponseWriter, r *http.Request, v *visit, p *sendPage, d *message.Draft) error {
	if c, ok := s.Carriers.Carrier(p.Preview.Carrier); ok {
		p.Carrier = c.Label(v.Lang)
	}
	if p.Preview.Page != nil {
		d.Page = p.Preview.Page // with the words of an occasion
	}
	if d.Page != nil {
		var err error
		if p.Chosen, err = s.nameDocuments(r.Context(), v, d.Page); err != nil {
			return err
		}
	}
	if d.WantsLink() {
		html := s.Pages.Draft(r.Context(), v.Tenant, d, s.choices(v, d), v.Lang)
		p.Frame = "/send/preview/" + s.drafts.keep(drawn{login: v.User.Login, html: html, page: d.Page, claim: d.Claim}, v.now)
		if d.Page != nil {
			p.Invoice, p.Reading = d.Page.Invoice != nil, d.Page.Reading != nil
		}
	}
	for name, values := range p.F {
		if name == "csrf" || name == "do" || name == "key" {
			continue
		}
		for _, value := range values {
			if value != "" {
				p.Hidden = append(p.Hidden, condition{name, value})
			}
		}
	}
	s.render(w, v, http.StatusOK, "preview", p)
	return nil
}

// nameDocuments gives the documents of a page that is drawn for the sender the titles that it will show, and lists them.
func (s *Server) nameDocuments(ctx context.Context, v *visit, p *message.Page) (all []field, err error) {
	p.Documents = slices.Clone(p.Documents)
	for i := range p.Documents {
		a := &p.Documents[i]
		if a.Title == "" {
			f, err := s.Documents.File(ctx, v.scope, a.ID)
			if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrErased) {
				return nil, err
			}
			a.Title = cmp.Or(f.Name, v.T("書類", "Document")+" "+strconv.Itoa(i+1))
		}
		all = append(all, field{"/documents/" + a.ID, a.Title})
	}
	return all, nil
}

// toOneself makes a draft a test: to the user's own number, marked, and without the claim, which would be real.
func (s *Server) toOneself(v *visit, d *message.Draft) error {
	n, err := s.ownNumber(v.User)
	if err != nil {
		return err
	}
	if n.IsZero() {
		return &fail{http.StatusUnprocessableEntity, "テスト送信先が登録されていません。アカウント設定でご自身の携帯電話番号を登録してください。", "There is no number for test messages. Set your own under “Your account”."}
	}
	d.To, d.Reference, d.Claim, d.Send = n.E164(), "テスト送信", nil, nil
	if v.Lang == "en" {
		d.Reference = "test message"
	}
	return nil
}

// choices are the methods that a claim of the draft would offer.
func (s *Server) choices(v *visit, d *message.Draft) []*proto.MethodChoice {
	if d.Claim == nil {
		return nil
	}
	methods := d.Claim.Methods
	if len(methods) == 0 {
		methods = v.Tenant.Methods()
	}
	var out []*proto.MethodChoice
	for _, code := range methods {
		if a, ok := v.Tenant.AgentFor(code); ok {
			out = append(out, &proto.MethodChoice{Code: code, Label: s.Payments.MethodLabel(a.Module, code, v.Lang)})
		}
	}
	return out
}

// drafts keeps the pages of previews for a while, in memory: an iframe must have an address.
type drafts struct {
	mu   sync.Mutex // guards kept
	kept map[string]drawn
}

type drawn struct {
	login string
	html  *page.HTML
	page  *message.Page // of the draft, for its documents; nil: there is none
	claim *message.Claim
	brand *tenant.Brand // that the page is drawn with, for the PDFs beside it; nil: the tenant's
	until time.Time
}

const draftsMost, draftLife = 200, 15 * time.Minute

func (d *drafts) keep(x drawn, now time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = map[string]drawn{}
	}
	var oldest string
	for id, k := range d.kept {
		if now.After(k.until) {
			delete(d.kept, id)
			continue
		}
		if oldest == "" || k.until.Before(d.kept[oldest].until) {
			oldest = id
		}
	}
	if len(d.kept) >= draftsMost {
		delete(d.kept, oldest)
	}
	id := rand.Text()
	x.until = now.Add(draftLife)
	d.kept[id] = x
	return id
}

func (d *drafts) get(login, id string, now time.Time) (drawn, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x, ok := d.kept[id]
	return x, ok && x.login == login && now.Before(x.until)
}

func (s *Server) draftPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	x, ok := s.drafts.get(v.User.Login, r.PathValue("id"), v.now)
	if !ok {
		return errNotFound
	}
	writePage(w, x.html)
	return nil
}

// writePreview draws a draft and writes it.
func (s *Server) writePreview(w http.ResponseWriter, r *http.Request, v *visit, d *message.Draft) error {
	if d.Page != nil {
		if _, err := s.nameDocuments(r.Context(), v, d.Page); err != nil {
			return err
		}
	}
	writePage(w, s.Pages.Draft(r.Context(), v.Tenant, d, s.choices(v, d), v.Lang))
	return nil
}

// writePage writes a recipient's page so that it can be looked at and nothing more: no script, no form, no other source.
func writePage(w http.ResponseWriter, html *page.HTML) {
	style := "'none'"
	if html.Style != "" {
		style = "'" + html.Style + "'"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+style+"; img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(html.Append(nil, "/preview", "preview", "")) // the browser went away
}
