package sheet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

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

// maxMessages bounds how many messages of a claim are looked at for one that says something on the sheet.
const maxMessages = 10

// words are what the first message of a claim calls its page, and what the newest that has a message for the sheet says there;
// empty where that is gone.
func (s *Sheets) words(ctx context.Context, c *payment.State) (title, said string, err error) {
	if len(c.Messages) == 0 {
		return "", "", nil
	}
	first, err := s.pageOf(ctx, c.Ref.Tenant, c.Messages[0])
	if err != nil {
		return "", "", err
	}
	title, said = first.Title, first.SheetMessage
	newest := c.Messages[1:]
	newest = newest[max(0, len(newest)-maxMessages):]
	for _, id := range slices.Backward(newest) {
		p, err := s.pageOf(ctx, c.Ref.Tenant, id)
		if err != nil {
			return "", "", err
		}
		if p.SheetMessage != "" {
			return title, p.SheetMessage, nil
		}
	}
	return title, said, nil
}

// pageOf is the page of a message; empty where there is none, or its content is gone: the claim's facts are kept longer.
func (s *Sheets) pageOf(ctx context.Context, id tenant.ID, msg ulid.ULID) (message.Page, error) {
	events, err := s.Store.Load(ctx, tenant.Only(id), store.Ref{Tenant: id, Kind: store.Message, ID: msg})
	if err != nil {
		return message.Page{}, ignore(err, store.ErrNotFound)
	}
	st, err := stored.State(events) // its boxes may have been sealed anew
	if err != nil {
		return message.Page{}, err
	}
	content, err := stored.Content(s.Store, id, msg, &st.Head)
	return content.Page, ignore(err, store.ErrErased)
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func asked(c *payment.State) *proto.Claim {
	tax := c.Tax
	cl := &message.Claim{Number: c.Number, Amount: c.Amount, TaxRate: c.TaxRate, Due: message.Day(c.Due), Lines: c.Content.Lines}
	if tax >= 0 {
		cl.Tax = &tax
	}
	return page.ClaimOf(cl)
}
