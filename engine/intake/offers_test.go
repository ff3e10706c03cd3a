package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// konbiniOnly takes 300,000 yen, and more where a card is offered.
type konbiniOnly struct{}

func (konbiniOnly) Takes(_ *tenant.Tenant, codes []string, yen int64) (int64, bool) {
	return 300_000, yen <= 300_000 || len(codes) == 0
}

func TestAmountThatNothingTakesIsWarnedOf(t *testing.T) {
	r := openRoom(t)
	r.Intake.Offers = konbiniOnly{}
	for _, tc := range []struct {
		methods []string
		amount  int64
		warned  bool
	}{{[]string{"konbini"}, 350_000, true}, {[]string{"konbini"}, 300_000, false}, {nil, 350_000, false}} {
		d := bill()
		d.Claim = &message.Claim{Number: "W-1", Amount: tc.amount, Due: message.Day(time.Now().AddDate(0, 0, 9)), Methods: tc.methods}
		checked, err := r.Validate(t.Context(), Request{Tenant: "mizu", Via: message.ViaAPI, Drafts: []message.Draft{d}})
		require.NoError(t, err)
		require.Empty(t, checked[0].Problems)
		if !tc.warned {
			require.Empty(t, checked[0].Warnings)
			continue
		}
		w := checked[0].Warnings[0]
		require.Equal(t, message.Problem{Field: "claim.amount", Code: message.CodeUnpayable, Limit: 300_000, Got: 350_000}, w)
		require.Equal(t, "claim.amount：この金額（350000円）を支払える決済方法が選ばれていません（1件の上限 300000円）。ページからはお支払いいただけません", w.Text("ja"))
		require.Equal(t, "claim.amount: no payment method that is offered takes 350000 yen (the most is 300000): it cannot be paid on the page", w.Text("en"))
	}
	d := bill()
	d.Claim = &message.Claim{Number: "W-1", Amount: 350_000, Due: message.Day(time.Now().AddDate(0, 0, 9)), Methods: []string{"konbini"}}
	res := r.accept(t, d)[0]
	require.True(t, res.Accepted(), "it is a warning: the money may come another way")
	require.Equal(t, message.CodeUnpayable, res.Warnings[0].Code)
}
