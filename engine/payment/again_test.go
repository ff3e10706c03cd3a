package payment

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

func TestOverdueClaimIsAskedForAgainWithAnotherDueDate(t *testing.T) {
	r := newRig(t)
	due, err := (&message.Claim{Due: "2027-02-28"}).DueTime()
	require.NoError(t, err)
	again := func(id ulid.ULID, a Again) *message.Problem {
		t.Helper()
		a.By = "user:sender"
		changes, problem, err := r.Again(t.Context(), r.state(id), a)
		require.NoError(t, err)
		if problem == nil {
			require.NoError(t, r.commit(t.Context(), changes))
		}
		return problem
	}
	late, number, card, paid := r.claim("A-1", 7440), r.claim("A-2", 7440), r.claim("A-3", 7440), r.claim("A-4", 7440)
	r.mustStart(number, "konbini_barcode")
	live := r.mustStart(card, "card")
	r.hook(r.told("n1", r.mustStart(paid, "card"), proto.PaymentState_CONFIRMED, 7440, time.Hour))
	r.pass(60 * 24 * time.Hour)
	_, err = r.start(late, "card")
	require.ErrorIs(t, err, ErrOverdue)

	made := ulid.Make()
	require.Nil(t, again(late, Again{Due: due, Message: made}))
	s := r.state(late)
	require.True(t, s.Due.Equal(due))
	require.Equal(t, Unpaid, s.PhaseAt(r.time()))
	require.Equal(t, "user:sender", s.Statements[0].By)
	require.Contains(t, s.Messages, made)
	require.Equal(t, "書留 太郎", s.Content.Payer)
	require.Len(t, s.Content.Lines, 1, "the lines are those of the same amount")
	require.Equal(t, []string{"made", "joined", "amended", "joined"}, r.events(late))
	r.mustStart(late, "card")

	require.Nil(t, again(card, Again{Due: due}), "what is canceled cannot be paid")
	require.True(t, r.state(card).Attempt(live.ID).Void)
	problem := again(number, Again{Due: due})
	require.Equal(t, message.CodeOpenPayment, problem.Code, "the number may be paid beside another")
	require.Equal(t, "due", problem.Field)
	require.Equal(t, "conflict", again(paid, Again{Due: due}).Code)
	require.Equal(t, "past", again(late, Again{Due: r.time().Add(-time.Hour)}).Code)

	before := r.state(late).Version
	require.Nil(t, again(late, Again{Due: due}), "it is that already")
	require.Nil(t, again(late, Again{}))
	require.Equal(t, before, r.state(late).Version)
}
