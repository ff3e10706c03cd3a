package sheet

import (
	"context"
	"errors"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Issued reports whether a claim has a number or barcode that it can be paid with on paper now.
func Issued(c *payment.State, now time.Time) bool { return voucher(c, now) != nil }

// voucher is what a claim is paid with now on paper; nil: nothing.
func voucher(c *payment.State, now time.Time) *proto.Voucher {
	a := c.Current()
	if c.Phase != payment.AwaitingMoney || a == nil || now.After(c.Due) {
		return nil
	}
	v := payment.VoucherOf(a, now)
	if v == nil || !payment.Printable(v) {
		return nil
	}
	return v
}

// title is what the first message of a claim calls its page; empty where that is gone.
func (s *Sheets) title(ctx context.Context, c *payment.State) (string, error) {
	if len(c.Messages) == 0 {
		return "", nil
	}
	ref := store.Ref{Tenant: c.Ref.Tenant, Kind: store.Message, ID: c.Messages[0]}
	events, err := s.Store.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil || len(events) == 0 {
		return "", ignore(err, store.ErrNotFound)
	}
	var h message.Head
	if err := (message.Event{Type: message.Type(events[0].Type), At: events[0].At, Data: events[0].Data}).Decode(&h); err != nil || len(h.Page) == 0 {
		return "", err
	}
	content, err := stored.Content(s.Store, ref.Tenant, ref.ID, &h)
	return content.Page.Title, ignore(err, store.ErrErased) // the claim's facts are kept longer
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func asked(c *payment.State) *proto.Claim {
	tax := c.Tax
	cl := &message.Claim{Number: c.Number, Amount: c.Amount, Due: message.Day(c.Due), Lines: c.Content.Lines}
	if tax >= 0 {
		cl.Tax = &tax
	}
	return page.ClaimOf(cl)
}
