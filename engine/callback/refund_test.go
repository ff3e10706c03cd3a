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

func TestRefundThatCameToNothingIsToldAsAnAlert(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	attempt, order := ulid.Make(), ulid.Make()
	var types []byte
	var data [][]byte
	add := func(typ payment.Type, v any) {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		types, data = append(types, byte(typ)), append(data, b)
	}
	add(payment.Made, payment.Head{V: 1, Number: "A-1", Terms: payment.Terms{Amount: 1000, Tax: -1, Due: at.AddDate(0, 1, 0)}})
	add(payment.Started, payment.Start{ID: attempt, Method: "card", Yen: 1000, Due: at.AddDate(0, 1, 0)})
	add(payment.Confirmed, payment.Fact{Attempt: attempt, Seen: at, View: payment.View{State: payment.IsConfirmed, Yen: 1000, Paid: 1000, ConfirmedAt: at}})
	add(payment.RefundAsked, payment.Refund{ID: order, Attempt: attempt, Yen: 400})
	add(payment.RefundRefused, payment.Doubt{Attempt: attempt, Refund: order, Reason: "declined", Late: true})
	notices, err := claims{}.Tell(asStored(store.Ref{Tenant: mizu, Kind: store.Claim, ID: ulid.Make()}, types, data))
	require.NoError(t, err)
	require.Len(t, notices, 2)
	require.Equal(t, ClaimConfirmed, notices[0].Type)
	require.Equal(t, ClaimAlert, notices[1].Type)
	d, err := notices[1].Data(nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{payment.RefundFailed}, d.(ClaimData).Alerts)
}
