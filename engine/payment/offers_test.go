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
