package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
)

// What the sender stated about a claim stands in its timeline, with who, why and when.
func TestClaimTimelineHasWhatTheSenderStated(t *testing.T) {
	day := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	var events []store.Event
	add := func(typ payment.Type, data any) {
		events = append(events, store.Event{Ref: store.Ref{Kind: store.Claim}, Seq: uint32(len(events)), Type: byte(typ), At: day.Add(time.Duration(len(events)) * time.Hour), Data: message.Encode(data)})
	}
	terms := payment.Terms{Amount: 7440, Tax: 551, Due: day.AddDate(0, 1, 0)}
	add(payment.Made, payment.Head{V: 1, Number: "A-1", Terms: terms})
	terms.Amount, terms.By = 5000, "key:kaikei"
	add(payment.Amended, terms)
	add(payment.Settled, message.Act{By: "key:kaikei", Reason: "窓口"})
	s, err := payment.Fold(events)
	require.NoError(t, err)
	require.Equal(t, []api.Entry{
		{At: day, Of: "claim", Event: "made"},
		{At: day.Add(time.Hour), Of: "claim", Event: "amended", Detail: map[string]string{"by": "key:kaikei"}},
		{At: day.Add(2 * time.Hour), Of: "claim", Event: "settled_elsewhere", Detail: map[string]string{"by": "key:kaikei", "reason": "窓口"}},
	}, apiClaim(&s, true).Timeline)
}
