package payment

import (
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

// partly is a claim of 10,000 yen of which 4,000 came, and the account for the rest.
func (r *rig) partly(number string) (ulid.ULID, Attempt) {
	r.t.Helper()
	id := r.claim(number, 10_000)
	a := r.mustStart(id, "bank_transfer")
	r.transferred(a.Place, number, 4000)
	require.Equal(r.t, PartlyPaid, r.state(id).Phase)
	return id, a
}

// until lets the time pass to some time after the account's attempt ends.
func (r *rig) until(a Attempt, more time.Duration) {
	r.pass(a.Due.Add(r.c.Grace).Add(more).Sub(r.time()))
	r.visitDue()
}

// 速報取消 of another attempt that says at once that its number has ended leaves it without an end of its own.
func TestAccountBesideAnAttemptThatWasRevokedPastItsEnd(t *testing.T) {
	s := newScript(1000)
	account, other := s.start(1), s.start(2)
	s.add(Deposited, Deposit{Attempt: account, ID: "d", Yen: 400, Paid: day0})
	for _, f := range []Fact{view(IsProvisional, 1000, time.Hour), revokedView(HasExpired, 2*time.Hour)} {
		f.Attempt = other
		s.fact(f)
	}
	st := s.state(t)
	require.Equal(t, HasExpired, st.Attempt(other).Phase)
	require.Equal(t, PartlyPaid, st.Phase)
	require.Equal(t, account, st.Account().ID)
}

// The account had expired when the sender gave another due date: it is shown again, and is the claim's for as long as that says.
func TestRestGoesToTheSameAccountAfterAnotherDueDate(t *testing.T) {
	r := withPool(t, 1)
	id, a := r.partly("A-1")
	patch := func(p Patch) error {
		_, err := r.Patch(t.Context(), r.tenant, "A-1", p, "user:hanako")
		return err
	}
	amount, due := int64(6000), "2027-01-31"
	requireConflict(t, patch(Patch{Amount: &amount}), "amount", "money was received already")
	r.until(a, time.Second)
	s := r.state(id)
	require.Equal(t, HasExpired, s.Attempts[0].Phase)
	require.Nil(t, VoucherOf(s.Attempts[0], r.time()))
	require.True(t, s.NeedsAttention(), "it is less than was asked for")

	require.NoError(t, patch(Patch{Due: &due}))
	s = r.state(id)
	require.Equal(t, PartlyPaid, s.Phase)
	require.Equal(t, due, message.Day(s.Due))
	require.False(t, s.NeedsAttention())
	require.NotNil(t, VoucherOf(s.Live(), r.time()))
	r.pass(time.Hour)
	r.visitDue()
	require.Zero(t, r.bank.count(&r.bank.cancels), "it is not canceled for another")
	require.NotNil(t, r.state(id).Live())

	r.until(a, quarantine+time.Hour) // the place is the claim's for a month longer
	require.Nil(t, r.state(id).Live(), "it ended with the other due date")
	late := draft("B-1", 1000)
	late.Due = r.time().AddDate(0, 1, 0).Format(time.DateOnly)
	planned, problem, err := r.Plan(t.Context(), r.tenant, ulid.Make(), late, "")
	require.NoError(t, err)
	require.Nil(t, problem)
	require.NoError(t, r.commit(t.Context(), planned.Changes))
	_, err = r.start(planned.ID, "bank_transfer")
	require.ErrorIs(t, err, ErrUnavailable)
	r.transferred(a.Place, "rest", 6000)
	require.Equal(t, Paid, r.state(id).Phase)
}

// A message that asks again names the due date and leaves the account; without another date there would be nothing to pay to.
func TestRestIsAskedForAgain(t *testing.T) {
	r := withPool(t, 1)
	id, a := r.partly("A-1")
	again := func(due string) *message.Problem {
		t.Helper()
		to := Again{By: "user:sender"}
		if due != "" {
			var err error
			to.Due, err = (&message.Claim{Due: due}).DueTime()
			require.NoError(t, err)
		}
		changes, problem, err := r.Again(t.Context(), r.state(id), to)
		require.NoError(t, err)
		if problem == nil {
			require.NoError(t, r.commit(t.Context(), changes))
		}
		return problem
	}
	require.Nil(t, again(""))
	require.Nil(t, again("2027-01-31"), "the number that is out is the one that stays")
	require.Equal(t, PartPaid, r.state(id).Attempts[0].Phase)
	a = *r.state(id).Attempts[0]
	require.Equal(t, "2027-01-31", message.Day(a.Due))

	r.until(a, time.Second)
	require.Len(t, r.attention(), 1)
	problem := again("")
	require.Equal(t, "due", problem.Field)
	require.Equal(t, "required", problem.Code)
	require.NotContains(t, problem.Text("ja"), problem.Detail, "it has Japanese words")
	require.Nil(t, again("2027-02-28"))
	require.NotNil(t, r.state(id).Live())
	require.Empty(t, r.attention())

	// The quarantine is over, and another claim has the account.
	a = *r.state(id).Attempts[0]
	r.until(a, quarantine+time.Hour)
	require.NotNil(t, r.state(id).Account(), "nobody has it yet")
	late := draft("B-1", 1000)
	late.Due = "2027-12-31"
	planned, _, err := r.Plan(t.Context(), r.tenant, ulid.Make(), late, "")
	require.NoError(t, err)
	require.NoError(t, r.commit(t.Context(), planned.Changes))
	require.Equal(t, a.Place, r.mustStart(planned.ID, "bank_transfer").Place)
	problem = again("2027-12-31")
	require.Equal(t, "conflict", problem.Code)
	require.Equal(t, "its account is another claim's by now", problem.Detail)

	// That one's quarantine is over too: what comes to the account is still taken for the last one's.
	r.until(*r.state(planned.ID).Attempts[0], quarantine+time.Hour)
	problem = again("2028-12-31")
	require.Equal(t, "its account is another claim's by now", problem.Detail)
}

// attention are the numbers of claims with open alerts.
func (r *rig) attention() (numbers []string) {
	r.t.Helper()
	all, err := r.Alerts(r.t.Context(), scope, 10)
	require.NoError(r.t, err)
	for _, s := range all {
		numbers = append(numbers, s.Number)
	}
	return numbers
}

// TestRestWaitsForNoPool: a pool that does not answer is said of the one claim.
func TestRestWaitsForNoPool(t *testing.T) {
	r := withPool(t, 1)
	_, a := r.partly("A-1")
	r.until(a, time.Second)
	r.crash()
	r.bank.set(func() { r.bank.before = func(string) error { return errNotSent } })
	due := "2027-02-28"
	_, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Due: &due}, "user:sender")
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, "unavailable", ps[0].Code)
	require.NotContains(t, ps[0].Text("ja"), ps[0].Detail, "it has Japanese words")
}

// TestRestIsSettledElsewhere: a part came to an account, and the payer brought the rest in cash. It is no second payment, and only money
// that comes after it is looked at again.
func TestRestIsSettledElsewhere(t *testing.T) {
	r := withPool(t, 1)
	id, a := r.partly("A-1")
	settle := func(remaining int64) (State, error) {
		return r.Patch(t.Context(), r.tenant, "A-1", Patch{Settled: true, Remaining: &remaining, Reason: "窓口で現金"}, "user:hanako")
	}
	for _, seen := range []int64{0, 7000, 5999} { // before the part came in, or another came
		_, err := settle(seen)
		var ps message.Problems
		require.ErrorAs(t, err, &ps)
		require.Equal(t, "remaining", ps[0].Field)
		require.NotContains(t, ps[0].Text("ja"), ps[0].Detail, "it has Japanese words")
	}
	s, err := settle(6000)
	require.NoError(t, err)
	require.Equal(t, SettledElse, s.Phase)
	require.EqualValues(t, 6000, s.SettledRest())
	remaining, over := s.Rest()
	require.Zero(t, remaining+over)
	require.Nil(t, s.Account())
	require.True(t, s.Attempt(a.ID).Void)
	r.until(a, time.Hour)
	s = *r.state(id)
	require.Equal(t, HasExpired, s.Attempt(a.ID).Phase)
	require.Equal(t, SettledElse, s.Phase)
	require.Empty(t, s.Alerts)
	require.True(t, s.Over())

	r.transferred(a.Place, "late", 6000)
	s = *r.state(id)
	require.Equal(t, Paid, s.Phase)
	require.True(t, s.NeedsAttention())
	require.True(t, slices.ContainsFunc(s.Alerts, func(a Alert) bool { return a.Code == SecondPayment }))
}

// TestAllIsSettledElsewhereThoughAPartCame: whoever names nothing that remains was paid all of it, and what came in is too much.
func TestAllIsSettledElsewhereThoughAPartCame(t *testing.T) {
	r := withPool(t, 1)
	r.partly("A-1")
	s, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Settled: true}, "user:hanako")
	require.NoError(t, err)
	require.Equal(t, PartlyPaid, s.Phase)
	require.Zero(t, s.SettledRest())
	require.Equal(t, SecondPayment, s.Alerts[0].Code)
}

// TestRestIsNotSettledBeforeItsPartIsCertain: a part of which there is the provisional word alone may be taken back.
func TestRestIsNotSettledBeforeItsPartIsCertain(t *testing.T) {
	r := newRig(t)
	id := r.claim("A-1", 7440)
	a := r.mustStart(id, "konbini_barcode")
	require.Equal(t, 200, r.hook(r.told("n1", a, proto.PaymentState_PROVISIONAL, 4000, time.Hour)).Status)
	r.visitDue()
	require.Equal(t, PartlyPaid, r.state(id).Phase)
	remaining := int64(3440)
	_, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Settled: true, Remaining: &remaining}, "user:hanako")
	var ps message.Problems
	require.ErrorAs(t, err, &ps)
	require.Equal(t, "a part is not confirmed yet", ps[0].Detail)
	require.NotContains(t, ps[0].Text("ja"), ps[0].Detail, "it has Japanese words")
	require.Nil(t, r.state(id).SettledBy)
}

func TestWhatHasAnAccountForTheRest(t *testing.T) {
	account, part := view(Awaiting, 0, time.Minute), Deposit{Attempt: ulid.ULID{15: 1}, ID: "s1", Yen: 400, Paid: day0.Add(time.Hour)}
	ours := view(HasExpired, 0, 99*time.Hour)
	ours.From = sourceHost
	for name, c := range map[string]struct {
		events []any
		has    bool
	}{
		"nothing came":                 {[]any{account}, false},
		"a part":                       {[]any{account, part}, true},
		"expired":                      {[]any{account, part, ours}, true},
		"expired, says the agent":      {[]any{account, part, view(HasExpired, 0, 99*time.Hour)}, false},
		"canceled":                     {[]any{account, part, view(WasCanceled, 0, 99*time.Hour)}, false},
		"paid too little at a store":   {[]any{account, view(IsConfirmed, 400, time.Hour)}, false},
		"the rest was settled":         {[]any{account, part, message.Act{By: "x"}}, false},
		"another amount is asked for":  {[]any{account, Terms{Amount: 500, Due: due0}, part}, false},
		"another due date, and a part": {[]any{account, Terms{Amount: 1000, Due: due0.AddDate(0, 1, 0)}, part}, false},
		"a part, another due date":     {[]any{account, part, Terms{Amount: 1000, Due: due0.AddDate(0, 1, 0)}}, true},
		"expired, another due date":    {[]any{account, part, ours, Terms{Amount: 1000, Due: due0.AddDate(0, 1, 0)}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(1000)
			s.start(1)
			for _, e := range c.events {
				switch e := e.(type) {
				case Fact:
					s.fact(e)
				case Deposit:
					s.add(Deposited, e)
				case Terms:
					s.add(Amended, e)
				default:
					s.add(Settled, e)
				}
			}
			require.Equal(t, c.has, s.statePtr(t).Account() != nil)
		})
	}
}
