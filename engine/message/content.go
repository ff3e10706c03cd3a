package message

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The compact forms (record.go) of what is sealed in a message: its SMS is read for each submission, its content for each
// page. In a list every element is there, also an empty one.
//
//	SMS:     1 number · 2 text · 3 reference · 4 registered · 5 blind
//	Content: 1 page · 2 method … · 3 promises · 4 e-mail
//	Page:    1 title · 2 lead · 3 row … (1 item · 2 value) · 4 closing · 5 contact (1 name · 2 phone · 3 hours) ·
//	         6 document … · 7 notice pdf · 8 survey (1 lead · 2 item …) · 9 invoice · 10 reading: of few messages, as JSON ·
//	         11 title of a document … · 12 sheet message · 13 addressee · 14 period
//	Item:    1 title · 2 type · 3 choice … · 4 required

func (s *SMS) appendFields(dst []byte) []byte {
	dst = appendText(dst, 1, s.Number)
	dst = appendText(dst, 2, s.Text)
	dst = appendText(dst, 3, s.Reference)
	dst = appendText(dst, 4, s.Registered)
	return appendText(dst, 5, s.Blind)
}

func (s *SMS) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		s.Number = f.text()
	case 2:
		s.Text = f.text()
	case 3:
		s.Reference = f.text()
	case 4:
		s.Registered = f.text()
	case 5:
		s.Blind = f.b
	}
	return nil
}

func (c *Content) appendFields(dst []byte) []byte {
	dst = appendEach(appendNested(dst, 1, &c.Page), 2, c.Methods)
	return appendText(appendTruth(dst, 3, c.Promises), 4, c.Email)
}

func (c *Content) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		return parseFields(f.b, &c.Page, f.lent)
	case 2:
		c.Methods = append(c.Methods, f.text())
	case 3:
		c.Promises = f.n != 0
	case 4:
		c.Email = f.text()
	}
	return nil
}

func (p *Page) appendFields(dst []byte) []byte {
	dst = appendText(dst, 1, p.Title)
	dst = appendText(dst, 2, p.Lead)
	for i := range p.Rows {
		dst = appendNested(dst, 3, &p.Rows[i])
	}
	dst = appendText(dst, 4, p.Closing)
	if p.Contact != nil {
		dst = appendNested(dst, 5, p.Contact)
	}
	dst = appendEach(dst, 6, AttachmentIDs(p.Documents))
	for i, a := range p.Documents {
		if a.Title != "" {
			dst = appendText(dst, 11, append([]byte{byte(i)}, a.Title...)) // of which, and the title
		}
	}
	dst = appendTruth(dst, 7, p.NoticePDF)
	dst = appendText(dst, 12, p.SheetMessage)
	dst = appendText(appendText(dst, 13, p.Addressee), 14, p.Period)
	if p.Survey != nil {
		dst = appendNested(dst, 8, p.Survey)
	}
	if p.Invoice != nil {
		dst = appendText(dst, 9, asJSON(p.Invoice))
	}
	if p.Reading != nil {
		dst = appendText(dst, 10, asJSON(p.Reading))
	}
	return dst
}

// asJSON: the order of fields is that of the type, so that the same content has the same bytes.
func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: write a document's content: " + err.Error())
	}
	return b
}

func (p *Page) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		p.Title = f.text()
	case 2:
		p.Lead = f.text()
	case 3:
		p.Rows = append(p.Rows, Row{})
		return parseFields(f.b, &p.Rows[len(p.Rows)-1], f.lent)
	case 4:
		p.Closing = f.text()
	case 5:
		p.Contact = new(Contact)
		return parseFields(f.b, p.Contact, f.lent)
	case 6:
		p.Documents = append(p.Documents, Attachment{ID: f.text()})
	case 7:
		p.NoticePDF = f.n != 0
	case 8:
		p.Survey = new(Survey)
		return parseFields(f.b, p.Survey, f.lent)
	case 9:
		return json.Unmarshal(f.b, &p.Invoice)
	case 10:
		return json.Unmarshal(f.b, &p.Reading)
	case 12:
		p.SheetMessage = f.text()
	case 13:
		p.Addressee = f.text()
	case 14:
		p.Period = f.text()
	case 11:
		if title := f.text(); title != "" && int(title[0]) < len(p.Documents) {
			p.Documents[title[0]].Title = title[1:]
		}
	}
	return nil
}

func (r *Row) appendFields(dst []byte) []byte {
	return appendText(appendText(dst, 1, r.Item), 2, r.Value)
}

func (r *Row) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		r.Item = f.text()
	case 2:
		r.Value = f.text()
	}
	return nil
}

func (c *Contact) appendFields(dst []byte) []byte {
	return appendText(appendText(appendText(dst, 1, c.Name), 2, c.Phone), 3, c.Hours)
}

func (c *Contact) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		c.Name = f.text()
	case 2:
		c.Phone = f.text()
	case 3:
		c.Hours = f.text()
	}
	return nil
}

func (s *Survey) appendFields(dst []byte) []byte {
	dst = appendText(dst, 1, s.Lead)
	for i := range s.Items {
		dst = appendNested(dst, 2, &s.Items[i])
	}
	return dst
}

func (s *Survey) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		s.Lead = f.text()
	case 2:
		s.Items = append(s.Items, SurveyItem{})
		return parseFields(f.b, &s.Items[len(s.Items)-1], f.lent)
	}
	return nil
}

func (it *SurveyItem) appendFields(dst []byte) []byte {
	dst = appendText(dst, 1, it.Title)
	dst = appendText(dst, 2, it.Type)
	dst = appendEach(dst, 3, it.Choices)
	return appendTruth(dst, 4, it.Required)
}

func (it *SurveyItem) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		it.Title = f.text()
	case 2:
		it.Type = f.text()
	case 3:
		it.Choices = append(it.Choices, f.text())
	case 4:
		it.Required = f.n != 0
	}
	return nil
}

// appendEach appends every text of a list as a field.
func appendEach(dst []byte, num protowire.Number, list []string) []byte {
	for _, s := range list {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.BytesType), uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// AppendCanonical appends what a draft says, all but its key: the same bytes for the same draft and others for another. Its
// keyed hash is stored beside the key, so the form never changes; intake gives its version. It is not read back.
func (d *Draft) AppendCanonical(dst []byte) []byte {
	dst = appendText(dst, 1, d.To)
	if d.Recipient != nil {
		dst = appendText(appendEach(dst, 2, []string{d.Recipient.RegisteredOn}), 30, d.Recipient.Email)
	}
	dst = appendText(dst, 3, d.Class)
	dst = appendText(dst, 4, d.Text)
	dst = appendText(dst, 5, d.Template)
	if len(d.Vars) > 0 {
		for _, name := range slices.Sorted(maps.Keys(d.Vars)) {
			dst = appendEach(dst, 6, []string{name, d.Vars[name]})
		}
	}
	dst = appendText(dst, 7, d.Sender)
	dst = appendText(dst, 8, d.Reference)
	dst = appendTruthAt(dst, 9, d.Send)
	dst = appendMoment(dst, 10, d.SendAt)
	if d.Window != nil {
		dst = appendEach(dst, 11, []string{d.Window.From, d.Window.To})
	}
	dst = appendMoment(dst, 12, d.ValidUntil)
	if d.Link != nil {
		dst = appendMoment(appendEach(dst, 13, []string{""}), 14, d.Link.ExpiresAt)
	}
	if d.Identity != nil {
		dst = appendTruthAt(dst, 15, &d.Identity.Code)
		if d.Identity.CodeDigits != nil {
			dst = appendInt(dst, 35, *d.Identity.CodeDigits)
		}
		for i := range d.Identity.Items {
			it := &d.Identity.Items[i]
			dst = appendEach(dst, 16, []string{it.Field, it.Label, it.Level, it.Value})
		}
	}
	if d.Page != nil {
		dst = appendNested(dst, 17, d.Page)
	}
	if d.Claim != nil {
		dst = appendCanonicalClaim(dst, d.Claim)
	}
	return dst
}

func appendCanonicalClaim(dst []byte, c *Claim) []byte {
	dst = appendEach(dst, 18, []string{c.Number, c.Due, c.Payer})
	dst = appendInt(dst, 19, c.Amount)
	if c.Tax != nil {
		dst = appendInt(dst, 20, *c.Tax)
	}
	if c.TaxRate != 0 {
		dst = appendInt(dst, 36, c.TaxRate)
	}
	for i := range c.Lines {
		l := &c.Lines[i]
		dst = appendEach(dst, 21, []string{l.Name})
		dst = appendInt(appendInt(appendInt(dst, 22, l.Quantity), 22, l.Unit), 22, l.Amount)
		if l.TaxRate != 0 {
			dst = appendInt(dst, 25, l.TaxRate)
		}
	}
	dst = appendEach(dst, 23, c.Methods)
	return appendTruth(appendTruth(appendTruth(dst, 24, c.Amend), 31, c.Promises), 32, c.Debit)
}

func appendInt(dst []byte, num protowire.Number, n int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), uint64(n))
}

func appendTruthAt(dst []byte, num protowire.Number, v *bool) []byte {
	switch {
	case v == nil:
		return dst
	case *v:
		return appendInt(dst, num, 1)
	}
	return appendInt(dst, num, 0)
}

// appendMoment appends a moment of any year, whatever zone it was written in.
func appendMoment(dst []byte, num protowire.Number, t *time.Time) []byte {
	if t == nil {
		return dst
	}
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(t.Unix()))
	binary.BigEndian.PutUint32(b[8:], uint32(t.Nanosecond()))
	return appendText(dst, num, b[:])
}
