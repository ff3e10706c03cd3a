package followup

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
)

// content is what is behind the link of a message.
func (r *room) content(id ulid.ULID) (c message.Content) {
	r.t.Helper()
	plain, err := r.Store.Open(mizu, id.String()+"/page", r.state(id).Head.Page)
	require.NoError(r.t, err)
	require.NoError(r.t, message.Decode(plain, &c))
	return c
}

// TestInvoiceGoesAgainWithTheLinesOfItsClaim: the invoice has no lines of its own, and the link has ended.
func TestInvoiceGoesAgainWithTheLinesOfItsClaim(t *testing.T) {
	for name, tc := range map[string]struct {
		lines   []message.InvoiceLine // of the invoice itself
		amount  int64                 // that is asked for by now
		invoice bool                  // behind the new link
	}{
		"lines of the claim":                     {nil, 7440, true},
		"lines of the claim, another amount now": {nil, 8000, false},
		"lines of its own":                       {[]message.InvoiceLine{{Line: message.Line{Name: "水道料金", Quantity: 1, Unit: 7440, Amount: 7440}}}, 7440, true},
		"lines of its own, another amount now":   {[]message.InvoiceLine{{Line: message.Line{Name: "水道料金", Quantity: 1, Unit: 7440, Amount: 7440}}}, 8000, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			r.run()
			first := r.bill(func(d *message.Draft) {
				d.Claim.Lines = []message.Line{{Name: "水道料金", Quantity: 2, Unit: 3720, Amount: 7440}}
				d.Claim.Payer = "書留 太郎"
				d.Page.Invoice = &message.Invoice{Number: "I-1", Date: "2026-11-01", Lines: tc.lines}
			})
			r.happen(first, submitted, delivered)
			if tc.amount != 7440 {
				_, err := r.payments.Patch(t.Context(), r.tenants.Now().Tenants[mizu], "W-1", payment.Patch{Amount: &tc.amount}, "key:erp")
				require.NoError(t, err)
			}
			r.told()
			r.now = func() time.Time { return time.Now().AddDate(0, 0, 40) }
			run := r.order(Order{List: Unopened})
			require.Empty(t, run.Refused)
			require.EqualValues(t, 1, run.Sent)
			again := r.content(r.state(first).ResentTo)
			require.Equal(t, "ご請求", again.Page.Title)
			require.Equal(t, tc.invoice, again.Page.Invoice != nil)
		})
	}
}
