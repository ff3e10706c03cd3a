package callback

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

func TestOverdueIsToldWithItsState(t *testing.T) {
	due := time.Date(2026, 12, 31, 14, 59, 59, 0, time.UTC)
	var data [][]byte
	for _, v := range []any{payment.Head{V: 1, Number: "A-1", Terms: payment.Terms{Amount: 1000, Tax: -1, Due: due}}, payment.Lapse{Due: due}} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		data = append(data, b)
	}
	events := asStored(store.Ref{Tenant: mizu, Kind: store.Claim, ID: ulid.Make()}, []byte{byte(payment.Made), byte(payment.WentOverdue)}, data)
	notices, err := claims{}.Tell(events)
	require.NoError(t, err)
	require.Len(t, notices, 1)
	require.Equal(t, ClaimOverdue, notices[0].Type)
	d, err := notices[0].Data(nil, nil)
	require.NoError(t, err)
	require.Equal(t, payment.Overdue, d.(ClaimData).Status)
}
