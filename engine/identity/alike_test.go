package identity

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A match and a mismatch before a code cost the same: hashes, comparisons, module calls, commits.
func TestMatchAndMismatchCostTheSame(t *testing.T) {
	type cost struct {
		results  []Result
		compared float64
		minted   int
		events   int
		commits  uint64
	}
	measure := func(typed map[string]string) cost {
		b := setup(t)
		ref := b.message(secrets, true)
		compared, version, commits := testutil.ToFloat64(b.metrics.compared), b.state(ref).Version, b.commits()
		first := b.items(ref, typed)
		require.Contains(t, []Result{NeedCode, Mismatch}, first)
		held := first == Mismatch
		var c cost
		for i, wait := range []time.Duration{0, 0, 31 * time.Second, 10 * time.Second, 61 * time.Second, 5 * time.Minute} {
			b.now = b.now.Add(wait)
			r, err := b.SendCode(t.Context(), water, ref, Asking{Session: i, Held: held})
			require.NoError(t, err)
			c.results = append(c.results, r)
		}
		for range MaxTries + 1 {
			r, err := b.Code(t.Context(), water, ref, "999999", held)
			require.NoError(t, err)
			c.results = append(c.results, r)
		}
		c.results = append(c.results, b.items(ref, right()))
		c.compared, c.minted, c.events = testutil.ToFloat64(b.metrics.compared)-compared, b.module.next, b.state(ref).Version-version
		c.commits = b.commits() - commits
		require.Equal(t, held, len(b.out.sent) == 0)
		return c
	}
	hit := measure(right())
	for field := range right() {
		typed := right()
		typed[field] = map[string]string{"birth_date": "19980102", "kana_name": "ヤマダジロウ", "customer_number": "C-778898"}[field]
		require.Equal(t, hit, measure(typed), field)
	}
	require.EqualValues(t, len(secrets)+MaxTries, hit.compared)
}

func TestQuestionsBeforeACodeCloseAfterFiveTriesOfAnyKind(t *testing.T) {
	for _, matching := range []int{-1, 0, 2, 4} { // which of the five tries is right
		b := setup(t)
		ref := b.message(secrets, true)
		for i := range MaxTries {
			typed := right()
			want := NeedCode
			if i != matching {
				typed["birth_date"], want = "20000101", Mismatch
			}
			require.Equal(t, want, b.items(ref, typed))
		}
		s := b.state(ref)
		require.True(t, s.LockedAt(b.now))
		require.False(t, s.CodeLockedAt(b.now), "whoever has come to the code goes on")
		require.Equal(t, Locked, b.items(ref, right()))
	}
	b := setup(t)
	ref := b.message(secrets, true)
	for range MaxTries {
		b.items(ref, right())
	}
	require.Equal(t, Sent, b.send(ref, 0))
	require.Equal(t, Passed, b.code(ref, "000001"))
	s := b.state(ref)
	require.False(t, s.LockedAt(b.now), "whoever passed is not shut out")
}

func TestHeldCodeIsNeverRight(t *testing.T) {
	b := setup(t)
	ref := b.message(secrets, true)
	require.Equal(t, NeedCode, b.items(ref, right()))
	require.Equal(t, Sent, b.send(ref, 0))
	r, err := b.Code(t.Context(), water, ref, "000001", true)
	require.NoError(t, err)
	require.Equal(t, Mismatch, r, "of a session that did not know the answers")
	require.Equal(t, Passed, b.code(ref, "000001"))
}

func TestBudgetOfATenantEndsItsCodesForTheDay(t *testing.T) {
	b := setup(t)
	b.now = message.Midnight(b.now).Add(9 * time.Hour)
	poor := &tenant.Tenant{ID: "water", Name: "〇〇県水道局", Policy: tenant.Policy{CodesPerDay: 5}}
	budget := func() Budget {
		t.Helper()
		used, err := b.Budget(t.Context(), poor)
		require.NoError(t, err)
		return used
	}
	n := 0
	send := func(held bool) Result {
		t.Helper()
		n++
		r, err := b.SendCode(t.Context(), poor, b.messageTo(fmt.Sprintf("+8190123400%02d", n), nil, true), Asking{Held: held})
		require.NoError(t, err)
		return r
	}
	for i := range 5 {
		require.Equal(t, i >= 4, budget().Low())
		require.Equal(t, Sent, send(i == 2), "one that is held back counts: else the budget would tell it apart")
		b.restart()
		require.Equal(t, Budget{i + 1, 5}, budget(), "a restart forgets nothing")
	}
	require.Equal(t, TooMany, send(false))
	require.Equal(t, Budget{5, 5}, budget())
	require.EqualValues(t, 1, testutil.ToFloat64(b.metrics.overBudget.WithLabelValues(OfTenant)))
	require.Contains(t, b.log.String(), "come to a budget of the day")
	b.now = b.now.Add(24 * time.Hour)
	require.Equal(t, Budget{0, 5}, budget())
	require.Equal(t, Sent, send(false), "a new day")
}

func TestSharesOfANumberHoldOverARestart(t *testing.T) {
	b := setup(t)
	for i := range codesHour {
		require.Equal(t, Sent, b.send(b.message(nil, true), 0), i)
		b.restart()
	}
	require.Equal(t, TooMany, b.send(b.message(nil, true), 0))
	require.Equal(t, Budget{codesHour, water.Policy.DailyCodes()}, must(b.Budget(t.Context(), water)), "what is refused takes no share of the tenant")
	b.now = b.now.Add(time.Hour)
	require.Equal(t, Sent, b.send(b.message(nil, true), 0))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
