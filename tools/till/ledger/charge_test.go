package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeptCardIsCharged(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	first, _, err := l.Create("m", bill("a1", CardRecurring), nil)
	require.NoError(t, err)
	require.Empty(t, first.CardID)
	charge := func(merchant, attempt, card string, decline bool) (View, string) {
		r := bill(attempt, CardRecurring)
		r.CardID, r.ReturnURL = card, ""
		v, _, err := l.Create(merchant, r, func() bool { return decline })
		return v, code(err)
	}
	card := "card-" + first.PaymentID
	_, refused := charge("m", "a2", card, false)
	require.Equal(t, CodeNoCard, refused, "it was not paid yet")
	rec, err := l.PayCard(first.RedirectURL[len(options().CardPages):], CardApproved, nil)
	require.NoError(t, err)
	require.Equal(t, card, rec.CardID)
	v, refused := charge("m", "a2", card, false)
	require.Empty(t, refused)
	require.Equal(t, Confirmed, v.State)
	require.Equal(t, card, v.CardID)
	require.Empty(t, v.RedirectURL)
	again, refused := charge("m", "a2", card, true)
	require.Empty(t, refused)
	require.Equal(t, v, again, "one attempt is one charge")
	v, _ = charge("m", "a3", card, true)
	require.Equal(t, Failed, v.State)
	_, refused = charge("other", "a4", card, false)
	require.Equal(t, CodeNoCard, refused)
	r := bill("a5", Card)
	r.CardID = card
	_, _, err = l.Create("m", r, nil)
	require.Equal(t, CodeInvalid, code(err))
	require.NoError(t, l.Close())
	require.Equal(t, Confirmed, stateOf(open(t, dir)).Payments[1].State)
}
