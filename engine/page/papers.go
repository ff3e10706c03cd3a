package page

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Invoice is 請求書 of a page that has one. cl is the claim as it stands, nil: there is none. False: the claim asks for another
// amount by now, and the invoice is none any more. created is the time of the content: the same content gives the same bytes.
func Invoice(t *tenant.Tenant, p *message.Page, cl *message.Claim, lang string, created time.Time) (*proto.Document, bool) {
	in := p.Invoice
	total, items := in.Total(cl), in.Items(cl)
	if len(items) == 0 || cl != nil && cl.Amount != total {
		return nil, false
	}
	out := &proto.Invoice{
		Number: valid(in.Number), Issued: dayOf(in.Date), Addressee: valid(in.To), Period: valid(cmp.Or(in.Period, p.Period)), Due: endOf(in.Due), Yen: total,
		PayTo: valid(in.PayTo), Remarks: valid(in.Remarks),
	}
	if cl != nil {
		out.Addressee = cmp.Or(out.Addressee, valid(cl.Payer))
		if out.Due == nil {
			out.Due = endOf(cl.Due)
		}
	}
	out.Addressee = cmp.Or(out.Addressee, valid(p.Addressee))
	sums := map[int64]int64{}
	for _, l := range items {
		out.Lines = append(out.Lines, &proto.InvoiceLine{Date: dayOf(l.Date), Name: valid(l.Name), Quantity: l.Quantity, UnitYen: l.Unit, Yen: l.Amount, Rate: uint32(l.TaxRate)})
		sums[l.TaxRate] += l.Amount
	}
	for _, tax := range in.Taxes {
		if in.WithoutTax(cl) {
			sums[tax.Rate] += tax.Tax
		}
		out.Taxes = append(out.Taxes, &proto.InvoiceTax{Rate: uint32(tax.Rate), Yen: sums[tax.Rate], TaxYen: tax.Tax})
	}
	title := in.Subject
	if title == "" {
		title = p.Title
	}
	return &proto.Document{Kind: proto.DocumentKind_INVOICE, Lang: lang, Issuer: Issuer(t), Logo: t.Brand.LogoPNG(), Title: valid(title), Invoice: out, Created: timestamppb.New(created)}, true
}

// Reading is 検針票 of a page that has one.
func Reading(t *tenant.Tenant, p *message.Page, lang string, created time.Time) *proto.Document {
	r := p.Reading
	out := &proto.MeterReading{
		CustomerNumber: valid(r.Customer), Name: valid(r.Name), Place: valid(r.Place), From: dayOf(r.From), To: dayOf(r.To), Read: dayOf(r.ReadOn), Next: dayOf(r.NextOn),
		Yen: -1, TaxYen: -1, Remarks: valid(r.Remarks),
	}
	for _, v := range r.Values {
		out.Values = append(out.Values, &proto.MeterValue{Name: valid(v.Name), Meter: valid(v.Meter), Unit: valid(v.Unit), Previous: v.Previous, Current: v.Current, Usage: v.Usage})
	}
	for _, m := range r.Months {
		out.Months = append(out.Months, &proto.MeterMonth{Label: valid(m.Label), Usage: m.Usage})
	}
	for _, l := range r.Lines {
		out.Lines = append(out.Lines, &proto.LineItem{Name: valid(l.Name), Yen: l.Amount})
	}
	if r.Amount != nil {
		out.Yen = *r.Amount
	}
	if r.Tax != nil {
		out.TaxYen = *r.Tax
	}
	return &proto.Document{Kind: proto.DocumentKind_METER_READING, Lang: lang, Issuer: Issuer(t), Logo: t.Brand.LogoPNG(), MeterReading: out, Created: timestamppb.New(created)}
}

// dayOf is a day YYYY-MM-DD in Asia/Tokyo, its first moment; nil where there is none.
func dayOf(day string) *timestamppb.Timestamp {
	t, err := time.ParseInLocation(time.DateOnly, day, message.Tokyo)
	if err != nil {
		return nil
	}
	return timestamppb.New(t)
}

// endOf is the last second of a day.
func endOf(day string) *timestamppb.Timestamp {
	t, err := time.ParseInLocation(time.DateOnly, day, message.Tokyo)
	if err != nil {
		return nil
	}
	return timestamppb.New(t.Add(24*time.Hour - time.Second))
}
