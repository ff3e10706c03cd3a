package payment

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestAmountsThatTheOfferedMethodsTake(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		codes []string
		yen   int64
		most  int64
		ok    bool
	}{
		{nil, 350_000, 0, true}, // by card
		{[]string{"konbini_barcode"}, 300_000, 0, true},
		{[]string{"konbini_barcode", "konbini_number"}, 300_001, 300_000, false},
		{[]string{"konbini_barcode", "card"}, 300_001, 0, true},
	} {
		most, ok := r.Takes(r.tenant, tc.codes, tc.yen)
		require.Equal(t, tc.ok, ok, tc)
		require.Equal(t, tc.most, most, tc)
	}
	r.mods.methods = []*proto.PaymentMethod{}
	_, ok := r.Takes(r.tenant, []string{"konbini_barcode"}, 300_001)
	require.True(t, ok, "nothing is said of what is not known")
	r.tenant.Agents = nil
	_, ok = r.Takes(r.tenant, nil, 300_001)
	require.True(t, ok)
}

// A module may claim more than a convenience store takes, or say nothing; that is not its to say.
func TestAStoreTakesNoMoreThanItMay(t *testing.T) {
	for _, kind := range []proto.MethodKind{proto.MethodKind_KONBINI_NUMBER, proto.MethodKind_KONBINI_BARCODE, proto.MethodKind_PAYER_NUMBER} {
		for _, most := range []int64{0, 1_000_000} {
			r := newRig(t)
			r.mods.methods = []*proto.PaymentMethod{{Code: "konbini_barcode", Kind: kind, MinYen: 1, MaxYen: most}}
			got, ok := r.Takes(r.tenant, []string{"konbini_barcode"}, 300_001)
			require.False(t, ok, kind)
			require.Equal(t, int64(300_000), got, kind)
			dear, fair := r.claim("A-1", 300_001), r.claim("A-2", 300_000)
			require.Empty(t, r.Methods(r.tenant, r.state(dear)), kind)
			_, err := r.start(dear, "konbini_barcode")
			require.ErrorIs(t, err, ErrNotOffered, kind)
			require.Zero(t, r.bank.count(&r.bank.creates))
			r.mustStart(fair, "konbini_barcode")
		}
	}
}
