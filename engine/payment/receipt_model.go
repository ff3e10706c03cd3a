package payment

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/tenant"
	modules "github.com/kakitome/kakitome/plugins/proto"
)

// sealedModel is all that a receipt says, sealed. It is kept, so that later changes of the tenant do not change it.
func (p *Payments) sealedModel(t *tenant.Tenant, s *State, r *Receipt) ([]byte, error) {
	model, err := proto.Marshal(p.receiptModel(t, s, r))
	if err != nil {
		return nil, fmt.Errorf("receipt of claim %s: %w", s.Ref.ID, err)
	}
	box, err := p.s.Seal(t.ID, Class, r.Issued, s.Ref.ID.String()+"/receipt", model)
	if err != nil {
		return nil, fmt.Errorf("seal receipt of claim %s: %w", s.Ref.ID, err)
	}
	return box, nil
}

// receiptModel has the number of a registered issuer where all is known that a simplified qualified invoice states (消費税法 57条の4
// 第2項): what was paid for, and the total and tax of each rate. Without the number a renderer titles it 受領証.
func (p *Payments) receiptModel(t *tenant.Tenant, s *State, r *Receipt) *modules.Document {
	lang := "ja"
	if r.Lang == "en" {
		lang = "en"
	}
	totals := RateTotals(s.Content.Lines, s.TaxRate, s.Amount, s.Tax)
	registered := t.Issuer.Registered()
	if t.Issuer.Registration != "" && registered == "" {
		p.log.Warn("registration number cannot be one: receipts are 受領証", "tenant", t.ID)
	}
	subject, known := s.subject(lang)
	if !known || len(totals) == 0 {
		registered = "" // something that a qualified invoice has to state is not known
	}
	a := s.Current()
	method, _ := p.method(a.Module, a.Method)
	kind := method.GetKind()
	issued := timestamppb.New(r.Issued)
	doc := &modules.Document{
		Kind: modules.DocumentKind_RECEIPT, Lang: lang, Title: strings.ToValidUTF8(subject, "\ufffd"), Logo: t.Brand.LogoPNG(), Created: issued,
		Issuer: &modules.Issuer{
			Name: cmp.Or(t.Issuer.Name, t.Name), Address: t.Issuer.Address, Phone: cmp.Or(t.Issuer.Phone, t.Brand.Phone),
			RegistrationNumber: registered,
		},
		Claim: &modules.Claim{
			Number: s.Number, Yen: s.Amount, TaxYen: s.Tax, Due: timestamppb.New(s.Due), PaidAt: timestamppb.New(a.paidAt()), ReceiptNumber: r.Number,
			Lines: LineItems(s.Content.Lines), Taxes: totals,
		},
		Receipt: &modules.Receipt{
			Number: r.Number, Issued: issued, Paid: timestamppb.New(a.paidAt()), PayerName: s.Content.Payer,
			MethodLabel: p.MethodLabel(a.Module, a.Method, lang), Store: p.StoreLabel(a, a.PaidStore, lang),
			AgentReceiptNumber: a.AgentReceipt, Card: kind == modules.MethodKind_CARD || kind == modules.MethodKind_CARD_RECURRING,
		},
	}
	if r.Refunded > 0 || r.Corrects != "" {
		doc.Receipt.Refund = s.refundModel(r)
	}
	return doc
}

// subject is what is paid for, in the words that it was asked for with. False: nobody told, and it is named by the claim's number.
func (s *State) subject(lang string) (string, bool) {
	c := &s.Content
	say := func(ja, en string, args ...any) string {
		if lang == "en" {
			return fmt.Sprintf(en, args...)
		}
		return fmt.Sprintf(ja, args...)
	}
	switch n := len(c.Lines); {
	case c.Subject != "":
		return c.Subject, true
	case n > 1:
		return say("%s ほか%d件", "%s and %d more", c.Lines[0].Name, n-1), true
	case n == 1:
		return c.Lines[0].Name, true
	}
	return say("請求番号 %s のご請求分", "Claim no. %s", s.Number), false
}

// refundModel is what went back. How it falls on the rates is known where there is one rate, or where all went back.
func (s *State) refundModel(r *Receipt) *modules.ReceiptRefund {
	var last time.Time
	for _, a := range s.Attempts {
		if a.RefundedAt.After(last) {
			last = a.RefundedAt
		}
	}
	out := &modules.ReceiptRefund{Yen: r.Refunded, At: timestamppb.New(last)}
	if before := s.paper(r.Corrects); before != nil {
		out.Corrects, out.CorrectsIssued = before.Number, timestamppb.New(before.Issued)
	}
	totals := RateTotals(s.Content.Lines, s.TaxRate, s.Amount, s.Tax)
	switch {
	case r.Refunded == 0:
	case r.Refunded == s.Amount:
		out.Taxes = totals
	case len(totals) == 1:
		rate := int64(totals[0].Rate)
		out.Taxes = RateTotals(nil, rate, r.Refunded, -1)
	}
	return out
}

// drawReceipt draws what was issued, or its latest copy. The same model gives the same bytes.
func (p *Payments) drawReceipt(ctx context.Context, s *State, r *Paper) ([]byte, error) {
	model, err := p.s.Open(s.Ref.Tenant, s.Ref.ID.String()+"/receipt", r.Model)
	if err != nil {
		return nil, fmt.Errorf("open receipt of claim %s: %w", s.Ref.ID, err)
	}
	doc := new(modules.Document)
	if err := proto.Unmarshal(model, doc); err != nil {
		return nil, fmt.Errorf("read receipt of claim %s: %w", s.Ref.ID, err)
	}
	if r.Copies > 0 {
		doc.Created = timestamppb.New(r.GivenAt)
		doc.Receipt.Copy, doc.Receipt.Copied = uint32(r.Copies), doc.Created
	}
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	key := "r-" + s.Ref.ID.String() + "-" + r.Number + "-" + strconv.Itoa(r.Copies)
	resp, err := p.opt.Renders.Render(p.c.Renderer).RenderDocument(ctx, &modules.RenderDocumentRequest{
		Call: p.call(s.Ref.Tenant, "receipt", key, doc.Created.AsTime()), Document: doc,
	})
	if err != nil {
		return nil, fmt.Errorf("draw receipt of claim %s: %w", s.Ref.ID, err)
	}
	if e := resp.Error; e != nil {
		return nil, fmt.Errorf("draw receipt of claim %s: %s", s.Ref.ID, reasonOf(e))
	}
	return resp.Pdf, nil
}
