package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// ErrNotConfirmed: there is no receipt before 確報.
var ErrNotConfirmed = errors.New("claim is not confirmed")

// sameCopy is how long a copy is the same one for who got it: a browser asks for a document twice, to show and to save it.
const sameCopy = 5 * time.Minute

// ReceiptNumber is the number of the n-th receipt of a tenant, from 1: 12 digits.
func receiptNumber(n int) string { return fmt.Sprintf("%012d", n) }

// ReceiptOptions say which receipt of a claim, and for whom.
type ReceiptOptions struct {
	Number string // one that was issued; empty: the one that holds, which is issued when there is none yet
	Lang   string // of a receipt that is issued now
	By     string // who gets it, as in message.Act; "payer" when empty
}

// Receipt returns a receipt of the claim as a PDF and the name under which it is saved.
//
// Whoever asks first issues it: the next number of the tenant, what it says and its language are fixed then, and the first copy
// is kept as it is for ever. Each later copy is drawn from the same model, marked 再発行 with its count and time, and recorded;
// only within sameCopy the same asker gets again what it got. Once money went back, the receipt that holds is one that corrects:
// with a number of its own, it states what went back and the number of the receipt before. So does one after money that was to go back
// did not. Errors: ErrNotConfirmed, store.ErrNotFound for a number that is none of the claim's, store.ErrErased, what the renderer
// refused, and those of the store.
func (p *Payments) Receipt(ctx context.Context, t *tenant.Tenant, claim ulid.ULID, o ReceiptOptions) (pdf []byte, filename string, err error) {
	s, err := p.Claim(ctx, tenant.Only(t.ID), claim)
	if err != nil {
		return nil, "", err
	}
	if o.Number == "" {
		if s, err = p.issueReceipt(ctx, t, s, o.Lang); err != nil {
			return nil, "", err
		}
		o.Number = s.Receipt().Number
	}
	r := s.paper(o.Number)
	if r == nil {
		return nil, "", fmt.Errorf("receipt of claim %s: %w", claim, store.ErrNotFound)
	}
	o.By = cmp.Or(o.By, "payer")
	filename = "receipt-" + r.Number + ".pdf"
	if r.Document == "" {
		if pdf, err = p.drawReceipt(ctx, &s, r); err != nil {
			return nil, "", err
		}
		return pdf, filename, p.keepReceipt(ctx, &s, r.Number, o.By, pdf)
	}
	if r, err = p.reissue(ctx, &s, r.Number, o.By); err != nil {
		return nil, "", fmt.Errorf("reissue receipt of claim %s: %w", claim, err)
	}
	if r.Copies > 0 {
		pdf, err = p.drawReceipt(ctx, &s, r)
	} else if _, pdf, err = p.opt.Documents.Get(ctx, tenant.Only(t.ID), r.Document); err != nil {
		err = fmt.Errorf("read receipt of claim %s: %w", claim, err)
	}
	return pdf, filename, err
}

// reissue records that one more copy is given out, unless it is the same one to the same asker.
func (p *Payments) reissue(ctx context.Context, s *State, number, by string) (*Paper, error) {
	next, err := p.change(ctx, tenant.Only(s.Ref.Tenant), s.Ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		r := s.paper(number)
		if r.GivenTo == by && now.Sub(r.GivenAt) < sameCopy {
			return nil, nil
		}
		return []store.NewEvent{newEvent(ReceiptCopied, now, Reissue{Number: number, N: r.Copies + 1, By: by})}, nil
	})
	if err != nil {
		return nil, err
	}
	return next.paper(number), nil
}

// givenBack is what went back of the amount that a receipt is for: what was paid too much may go back without touching it.
func (s *State) givenBack() int64 {
	return s.Amount - min(s.Amount, s.Confirmed-s.Refunded)
}

// owesReceipt reports whether the receipt that should hold was not issued yet: there is none, or money went back since, or came back.
func (s *State) owesReceipt() bool {
	r := s.Receipt()
	return s.Confirmed >= s.Amount && (r == nil || r.Refunded != s.givenBack())
}

// issueReceipt takes the tenant's next number and commits it together with the claim's event, where one is owed.
func (p *Payments) issueReceipt(ctx context.Context, t *tenant.Tenant, s State, lang string) (State, error) {
	ref := register(t.ID, "receipts")
	for s.owesReceipt() {
		p.mu.Lock()
		issued := p.registers[t.ID]
		p.mu.Unlock()
		now := p.now()
		r := Receipt{Number: receiptNumber(issued + 1), Issued: now, Lang: lang, Refunded: s.givenBack()}
		if last := s.Receipt(); last != nil {
			r.Corrects, r.Lang = last.Number, cmp.Or(lang, last.Lang)
		}
		var err error
		if r.Model, err = p.sealedModel(t, &s, &r); err != nil {
			return s, err
		}
		next, err := p.append(ctx, s, now, []store.NewEvent{newEvent(ReceiptIssued, now, r)}, nil, store.Change{
			Ref: ref, Expect: issued, Events: []store.NewEvent{{Type: 1, At: now, Data: encode(attention{s.Ref.ID})}},
		})
		var c *store.ConflictError
		switch {
		case err == nil:
			p.registered(t.ID, issued+1)
			p.metrics.receipts.Inc()
			return next, nil
		case errors.As(err, &c) && c.Ref == ref:
			p.registered(t.ID, c.Have)
		case !conflict(err):
			return s, fmt.Errorf("issue receipt of claim %s: %w", s.Ref.ID, err)
		}
		if s, err = p.Claim(ctx, tenant.Only(t.ID), s.Ref.ID); err != nil {
			return s, err
		}
	}
	if s.Receipt() == nil {
		return s, ErrNotConfirmed
	}
	return s, nil
}

func (p *Payments) registered(id tenant.ID, version int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.registers[id] = max(p.registers[id], version)
}

// keepReceipt keeps the immutable first copy and names it in the claim. Whoever did so first has kept the same bytes.
func (p *Payments) keepReceipt(ctx context.Context, s *State, number, by string, pdf []byte) error {
	id, err := p.opt.Documents.Keep(ctx, s.Ref.Tenant, Class, "receipt-"+number+".pdf", pdf)
	if err != nil {
		return fmt.Errorf("keep receipt of claim %s: %w", s.Ref.ID, err)
	}
	_, err = p.change(ctx, tenant.Only(s.Ref.Tenant), s.Ref, func(s *State, now time.Time) ([]store.NewEvent, error) {
		if s.paper(number).Document != "" {
			return nil, nil
		}
		return []store.NewEvent{newEvent(ReceiptKept, now, Copy{Document: id, Number: number, By: by})}, nil
	})
	return err
}
