package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	modules "github.com/kakitome/kakitome/plugins/proto"
)

// ErrNotConfirmed: there is no receipt before 確報.
var ErrNotConfirmed = errors.New("claim is not confirmed")

// ReceiptNumber is the number of the n-th receipt of a tenant, from 1: 12 digits.
func receiptNumber(n int) string { return fmt.Sprintf("%012d", n) }

// Receipt returns the claim's receipt as a PDF and the name under which it is saved. The first call issues it: the next
// number of the tenant, what it says and its language are fixed then, and every later call returns the same bytes.
// Errors: ErrNotConfirmed, store.ErrErased, what the renderer refused, and those of the store.
func (p *Payments) Receipt(ctx context.Context, t *tenant.Tenant, claim ulid.ULID, lang string) (pdf []byte, filename string, err error) {
	scope := tenant.Only(t.ID)
	s, err := p.Claim(ctx, scope, claim)
	if err != nil {
		return nil, "", err
	}
	if s.Receipt == nil {
		if s, err = p.issueReceipt(ctx, t, s, lang); err != nil {
			return nil, "", err
		}
	}
	filename = "receipt-" + s.Receipt.Number + ".pdf"
	if s.ReceiptDocument != "" {
		_, pdf, err = p.opt.Documents.Get(ctx, scope, s.ReceiptDocument)
		if err != nil {
			return nil, "", fmt.Errorf("read receipt of claim %s: %w", claim, err)
		}
		return pdf, filename, nil
	}
	if pdf, err = p.drawReceipt(ctx, &s); err != nil {
		return nil, "", err
	}
	return pdf, filename, p.keepReceipt(ctx, &s, filename, pdf)
}

// issueReceipt takes the tenant's next number and commits it together with the claim's event.
func (p *Payments) issueReceipt(ctx context.Context, t *tenant.Tenant, s State, lang string) (State, error) {
	for s.Receipt == nil {
		if s.Phase != Paid {
			return s, ErrNotConfirmed
		}
		p.mu.Lock()
		issued := p.registers[t.ID]
		p.mu.Unlock()
		now := p.now()
		number := receiptNumber(issued + 1)
		model, err := proto.Marshal(p.receiptModel(t, &s, number, lang))
		if err != nil {
			return s, fmt.Errorf("receipt of claim %s: %w", s.Ref.ID, err)
		}
		box, err := p.s.Seal(t.ID, Class, now, s.Ref.ID.String()+"/receipt", model)
		if err != nil {
			return s, fmt.Errorf("seal receipt of claim %s: %w", s.Ref.ID, err)
		}
		next, err := p.append(ctx, s, now,
			[]store.NewEvent{newEvent(ReceiptIssued, now, Receipt{Number: number, Issued: now, Model: box})}, nil,
			store.Change{
				Ref: register(t.ID, "receipts"), Expect: issued,
				Events: []store.NewEvent{{Type: 1, At: now, Data: encode(attention{s.Ref.ID})}},
			})
		var c *store.ConflictError
		switch {
		case err == nil:
			p.registered(t.ID, issued+1)
			p.metrics.receipts.Inc()
			return next, nil
		case errors.As(err, &c) && c.Ref.Kind == store.Register && c.Ref == register(t.ID, "receipts"):
			p.registered(t.ID, c.Have)
		case !conflict(err):
			return s, fmt.Errorf("issue receipt of claim %s: %w", s.Ref.ID, err)
		}
		if s, err = p.Claim(ctx, tenant.Only(t.ID), s.Ref.ID); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (p *Payments) registered(id tenant.ID, version int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.registers[id] = max(p.registers[id], version)
}

// receiptModel is all that the receipt says. It is kept, so that later changes of the tenant do not change it.
func (p *Payments) receiptModel(t *tenant.Tenant, s *State, number, lang string) *modules.Document {
	if lang != "en" {
		lang = "ja"
	}
	a := s.Current()
	now := timestamppb.New(p.now())
	claim := &modules.Claim{
		Number: s.Number, Yen: s.Amount, TaxYen: s.Tax, Due: timestamppb.New(s.Due),
		PaidAt: timestamppb.New(a.paidAt()), ReceiptNumber: number,
	}
	for _, l := range s.Content.Lines {
		claim.Lines = append(claim.Lines, &modules.LineItem{Name: l.Name, Quantity: l.Quantity, UnitYen: l.Unit, Yen: l.Amount})
	}
	return &modules.Document{
		Kind: modules.DocumentKind_RECEIPT, Lang: lang,
		Issuer: &modules.Issuer{
			Name: cmp.Or(t.Issuer.Name, t.Name), Address: t.Issuer.Address, Phone: cmp.Or(t.Issuer.Phone, t.Brand.Phone),
			RegistrationNumber: t.Issuer.Registration,
		},
		Claim: claim,
		Receipt: &modules.Receipt{
			Number: number, Issued: now, Paid: claim.PaidAt, PayerName: s.Content.Payer,
			MethodLabel: p.MethodLabel(a.Module, a.Method, lang), Store: p.StoreLabel(a, a.PaidStore, lang),
			AgentReceiptNumber: a.AgentReceipt,
		},
		Created: now,
	}
}

// drawReceipt draws what was issued. The same model gives the same bytes.
func (p *Payments) drawReceipt(ctx context.Context, s *State) ([]byte, error) {
	model, err := p.s.Open(s.Ref.Tenant, s.Ref.ID.String()+"/receipt", s.Receipt.Model)
	if err != nil {
		return nil, fmt.Errorf("open receipt of claim %s: %w", s.Ref.ID, err)
	}
	doc := new(modules.Document)
	if err := proto.Unmarshal(model, doc); err != nil {
		return nil, fmt.Errorf("read receipt of claim %s: %w", s.Ref.ID, err)
	}
	ctx, cancel := detached(ctx, p.c.CallTimeout)
	defer cancel()
	resp, err := p.opt.Renders.Render(p.c.Renderer).RenderDocument(ctx, &modules.RenderDocumentRequest{
		Call: p.call(s.Ref.Tenant, "receipt", "r-"+s.Ref.ID.String(), s.Receipt.Issued), Document: doc,
	})
	if err != nil {
		return nil, fmt.Errorf("draw receipt of claim %s: %w", s.Ref.ID, err)
	}
	if e := resp.Error; e != nil {
		return nil, fmt.Errorf("draw receipt of claim %s: %s", s.Ref.ID, reasonOf(e))
	}
	return resp.Pdf, nil
}

// keepReceipt keeps the immutable copy and names it in the claim. Whoever did so first has kept the same bytes.
func (p *Payments) keepReceipt(ctx context.Context, s *State, filename string, pdf []byte) error {
	id, err := p.opt.Documents.Keep(ctx, s.Ref.Tenant, Class, filename, pdf)
	if err != nil {
		return fmt.Errorf("keep receipt of claim %s: %w", s.Ref.ID, err)
	}
	for {
		now := p.now()
		if s.ReceiptDocument != "" {
			return nil
		}
		_, err = p.append(ctx, *s, now, []store.NewEvent{newEvent(ReceiptKept, now, Copy{id})}, nil)
		if !conflict(err) {
			return err
		}
		if *s, err = p.load(ctx, tenant.Only(s.Ref.Tenant), s.Ref); err != nil {
			return err
		}
	}
}
