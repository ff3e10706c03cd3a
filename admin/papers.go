package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/plugins/proto"
)

// messagePaper shows the invoice or the meter reading behind a message's page. It changes nothing.
func (s *Server) messagePaper(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, _, st, err := s.load(r, v)
	if err != nil {
		return err
	}
	if len(st.Head.Page) == 0 {
		return errNotFound
	}
	content, err := s.content(v, id, &st.Head)
	if errors.Is(err, store.ErrErased) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	var claim *message.Claim
	if !st.Head.Claim.IsZero() {
		c, err := s.Payments.Claim(r.Context(), v.scope, st.Head.Claim)
		if err != nil {
			return err
		}
		claim = claimDraft(&c)
	}
	if err := s.record(r.Context(), v, "message.page", st.Head.No, ""); err != nil {
		return err
	}
	return s.writePaper(w, r, v, &content.Page, claim, st.AcceptedAt)
}

// draftPaper shows the invoice or the meter reading of a draft that is being previewed.
func (s *Server) draftPaper(w http.ResponseWriter, r *http.Request, v *visit) error {
	x, ok := s.drafts.get(v.User.Login, r.PathValue("id"), v.now)
	if !ok || x.page == nil {
		return errNotFound
	}
	return s.writePaper(w, r, v, x.page, x.claim, v.now)
}

func (s *Server) writePaper(w http.ResponseWriter, r *http.Request, v *visit, p *message.Page, claim *message.Claim, at time.Time) error {
	var d *proto.Document
	switch name := r.PathValue("name"); {
	case name == "invoice" && p.Invoice != nil:
		var ok bool
		if d, ok = page.Invoice(v.Tenant, p, claim, v.Lang, at); !ok {
			return &fail{http.StatusConflict, "請求金額が変更されたため、この請求書は受信者にも表示されません。", "The claim asks for another amount by now: the recipient does not see this invoice either."}
		}
	case name == "reading" && p.Reading != nil:
		d = page.Reading(v.Tenant, p, v.Lang, at)
	default:
		return errNotFound
	}
	pdf, err := s.Pages.Document(r.Context(), v.Tenant.ID, d)
	if err != nil {
		return err
	}
	writePDF(w, r.PathValue("name"), pdf)
	return nil
}

// cells are the parts of a line of the form, between commas or tabs.
func cells(line string) []string {
	parts := strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool { return strings.ContainsRune(",，、\t", r) })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// whole reads a number of a line; what is none becomes a fault of the path.
func (fr *formReader) whole(parts []string, i int, otherwise int64, path string) int64 {
	if i >= len(parts) || parts[i] == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(strings.NewReplacer("円", "", "¥", "", "￥", "", "%", "", "％", "").Replace(parts[i]), 10, 64)
	if err != nil {
		fr.ps = append(fr.ps, message.Problem{Field: path, Code: "pattern", Value: message.Mask(parts[i])})
	}
	return n
}

// invoice reads 請求書 of the form; nil where it is not filled in. A line is 品名,数量,単価[,税率[,日付]].
func (fr *formReader) invoice() *message.Invoice {
	const at = "page.invoice"
	in := message.Invoice{
		Number: fr.text("inv_number", at+".number"), Date: fr.text("inv_date", at+".date"), To: fr.text("inv_to", at+".to"), Subject: fr.text("inv_subject", at+".subject"),
		Period: fr.text("inv_period", at+".period"), PayTo: fr.text("inv_pay_to", at+".pay_to"), Remarks: fr.text("inv_remarks", at+".remarks"),
	}
	lines := fr.text("inv_lines", at+".lines")
	if in.Number == "" && in.To == "" && lines == "" {
		return nil
	}
	for line := range strings.Lines(lines) {
		parts := cells(line)
		if len(parts) == 0 {
			continue
		}
		l := message.InvoiceLine{Line: message.Line{Name: parts[0], Quantity: fr.whole(parts, 1, 1, at+".lines"), Unit: fr.whole(parts, 2, 0, at+".lines"), TaxRate: fr.whole(parts, 3, 0, at+".lines")}}
		if l.Amount = l.Quantity * l.Unit; len(parts) > 4 {
			l.Date = strings.ReplaceAll(parts[4], "/", "-")
		}
		in.Lines = append(in.Lines, l)
	}
	for _, rate := range []int64{10, 8} {
		name := fmt.Sprintf("inv_tax%d", rate)
		if fr.f.Get(name) != "" {
			path := fmt.Sprintf("%s.taxes[%d]", at, len(in.Taxes))
			fr.names[path+".rate"] = name
			in.Taxes = append(in.Taxes, message.InvoiceTax{Rate: rate, Tax: fr.yen(name, path+".tax")})
		}
	}
	fr.names[at+".taxes"] = "inv_tax10"
	return &in
}

// reading reads 検針票 of the form; nil where it is not filled in.
func (fr *formReader) reading() *message.Reading {
	const at = "page.reading"
	r := message.Reading{
		Customer: fr.text("read_customer", at+".customer"), Name: fr.text("read_to", at+".name"), Place: fr.text("read_place", at+".place"), From: fr.text("read_from", at+".from"),
		To: fr.text("read_until", at+".to"), ReadOn: fr.text("read_on", at+".read_on"), NextOn: fr.text("read_next", at+".next_on"), Remarks: fr.text("read_remarks", at+".remarks"),
	}
	if r.Values = fr.meters(at); r.ReadOn == "" && r.Customer == "" && (len(r.Values) == 0 || r.Values[0].Usage == "") {
		return nil
	}
	fr.names[at+".values"] = "read_usage0"
	if fr.f.Get("read_amount") != "" {
		amount := fr.yen("read_amount", at+".amount")
		r.Amount = &amount
	}
	if fr.f.Get("read_tax") != "" {
		tax := fr.yen("read_tax", at+".tax")
		r.Tax = &tax
	}
	for line := range strings.Lines(fr.text("read_months", at+".months")) {
		label, usage, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok || strings.TrimSpace(line) != "" {
			r.Months = append(r.Months, message.ReadingMonth{Label: strings.TrimSpace(label), Usage: strings.TrimSpace(usage)})
		}
	}
	for line := range strings.Lines(fr.text("read_lines", at+".lines")) {
		parts := cells(line)
		if len(parts) == 0 {
			continue
		}
		r.Lines = append(r.Lines, message.ReadingLine{Name: parts[0], Amount: fr.whole(parts, 1, 0, at+".lines")})
	}
	return &r
}

// meters reads the rows of 検針票 that say something.
func (fr *formReader) meters(of string) (all []message.ReadingValue) {
	for i := range message.MaxReadingValues {
		n, at := strconv.Itoa(i), fmt.Sprintf("%s.values[%d]", of, len(all))
		m := message.ReadingValue{
			Name: fr.text("read_name"+n, at+".name"), Meter: fr.text("read_meter"+n, at+".meter"), Unit: fr.text("read_unit"+n, at+".unit"),
			Previous: fr.text("read_previous"+n, at+".previous"), Current: fr.text("read_current"+n, at+".current"), Usage: fr.text("read_usage"+n, at+".usage"),
		}
		if m != (message.ReadingValue{}) {
			all = append(all, m)
		}
	}
	return all
}

// setPapers fills the form from the documents of an earlier message.
func setPapers(f url.Values, p *message.Page) {
	if in := p.Invoice; in != nil {
		for name, value := range map[string]string{"inv_number": in.Number, "inv_date": in.Date, "inv_to": in.To, "inv_subject": in.Subject, "inv_period": in.Period, "inv_pay_to": in.PayTo, "inv_remarks": in.Remarks} {
			f.Set(name, value)
		}
		var lines []string
		for _, l := range in.Lines {
			line := fmt.Sprintf("%s,%d,%d,%d", l.Name, l.Quantity, l.Unit, l.TaxRate)
			if l.Date != "" {
				line += "," + l.Date
			}
			lines = append(lines, line)
		}
		f.Set("inv_lines", strings.Join(lines, "\n"))
		for _, t := range in.Taxes {
			f.Set(fmt.Sprintf("inv_tax%d", t.Rate), strconv.FormatInt(t.Tax, 10))
		}
	}
	r := p.Reading
	if r == nil {
		return
	}
	for name, value := range map[string]string{"read_customer": r.Customer, "read_to": r.Name, "read_place": r.Place, "read_from": r.From, "read_until": r.To, "read_on": r.ReadOn, "read_next": r.NextOn, "read_remarks": r.Remarks} {
		f.Set(name, value)
	}
	for i, v := range r.Values {
		for name, value := range map[string]string{"read_name": v.Name, "read_meter": v.Meter, "read_unit": v.Unit, "read_previous": v.Previous, "read_current": v.Current, "read_usage": v.Usage} {
			f.Set(name+strconv.Itoa(i), value)
		}
	}
	var months []string
	for _, m := range r.Months {
		months = append(months, m.Label+"="+m.Usage)
	}
	var lines []string
	for _, l := range r.Lines {
		lines = append(lines, l.Name+","+strconv.FormatInt(l.Amount, 10))
	}
	f.Set("read_lines", strings.Join(lines, "\n"))
	f.Set("read_months", strings.Join(months, "\n"))
	if r.Amount != nil {
		f.Set("read_amount", strconv.FormatInt(*r.Amount, 10))
	}
	if r.Tax != nil {
		f.Set("read_tax", strconv.FormatInt(*r.Tax, 10))
	}
}
