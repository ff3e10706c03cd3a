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

// A registration is told once, whether the claim is debited from the account or still to be paid; what follows is told as ever.
func TestRegistrationIsTold(t *testing.T) {
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		debit bool
		want  []string
		phase payment.Phase
	}{
		"to be paid": {false, []string{ClaimRegistered, ClaimIssued}, payment.Unpaid},
		"debited":    {true, []string{ClaimRegistered, ClaimIssued}, payment.IsRegistered},
	} {
		var types []byte
		var data [][]byte
		add := func(typ payment.Type, v any) {
			b, err := json.Marshal(v)
			require.NoError(t, err)
			types, data = append(types, byte(typ)), append(data, b)
		}
		due := at.AddDate(0, 0, 20)
		first, second := ulid.Make(), ulid.Make()
		fact := func(a ulid.ULID, state string) payment.Fact {
			return payment.Fact{Attempt: a, View: payment.View{State: state}, Seen: at.Add(time.Hour), From: "notice"}
		}
		add(payment.Made, payment.Head{V: 1, Number: "A-1", Terms: payment.Terms{Amount: 1000, Tax: -1, Due: due, Debit: c.debit}})
		add(payment.Started, payment.Start{ID: first, Method: "account_registration", Yen: 1000, Due: due})
		add(payment.Registered, fact(first, payment.WasRegistered))
		add(payment.Registered, fact(first, payment.WasRegistered))
		add(payment.Started, payment.Start{ID: second, Method: "konbini_number", Yen: 1000, Due: due})
		add(payment.Issued, fact(second, payment.Awaiting))
		events := asStored(store.Ref{Tenant: mizu, Kind: store.Claim, ID: ulid.Make()}, types, data)
		require.Equal(t, c.want, told(t, claims{}, events), name)
		notices, err := claims{}.Tell(events)
		require.NoError(t, err)
		d, err := notices[0].Data(nil, nil)
		require.NoError(t, err)
		require.Equal(t, c.phase, d.(ClaimData).Status, name)
		require.Equal(t, at.Add(time.Hour), d.(ClaimData).Registered.UTC(), name)
	}
}
