package identity

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A match and a mismatch before a code cost the same, whatever hinders the code: hashes, comparisons, module calls, commits, and syncs of
// the disk, which on a slow one outlast the least time of an answer.
func TestMatchAndMismatchCostTheSame(t *testing.T) {
	type cost struct {
		results  []any
		compared float64
		calls    int64
		events   int
		commits  uint64
		synced   uint64
	}
	poor := &tenant.Tenant{ID: "water", Name: "〇〇県水道局", Policy: tenant.Policy{CodesPerDay: 1}}
	for name, hindered := range map[string]struct {
		by  func(b *bench, ref store.Ref)
		t   *tenant.Tenant // default water
		out int            // codes that go out after a match
	}{
		"by nothing":          {out: 2},
		"by the SMS":          {by: func(b *bench, _ store.Ref) { b.out.fails = errors.New("refused") }},
		"by the tenant's day": {t: poor, out: 1},
		"by the number's hour": {by: func(b *bench, _ store.Ref) {
			for range codesHour - 1 {
				b.send(b.message(nil, true), 0)
			}
		}, out: 1},
		"by the module": {by: func(b *bench, _ store.Ref) { b.module.silent = true }},
		"by a lock": {by: func(b *bench, ref store.Ref) {
			for range MaxTries {
				b.code(ref, "999999")
			}
		}},
	} {
		measure := func(typed map[string]string) cost {
			b := setup(t)
			ref, of := b.message(secrets, true), cmp.Or(hindered.t, water)
			compared, version, calls := testutil.ToFloat64(b.metrics.compared), b.state(ref).Version, b.module.calls.Load()
			commits, synced := b.commits()
			first := b.items(ref, typed)
			require.Contains(t, []Result{NeedCode, Mismatch}, first)
			held := first == Mismatch
			if hindered.by != nil {
				hindered.by(b, ref)
			}
			out := len(b.out.sent)
			var c cost
			note := func(r Result, err error) { c.results = append(c.results, r, err) }
			for i, wait := range []time.Duration{0, 0, 31 * time.Second, 10 * time.Second, 61 * time.Second, 5 * time.Minute} {
				b.now = b.now.Add(wait)
				note(b.SendCode(t.Context(), of, ref, Asking{Session: i, Held: held}))
			}
			for range MaxTries + 1 {
				note(b.Code(t.Context(), of, ref, "999999", held))
			}
			c.results = append(c.results, b.items(ref, right()))
			c.compared, c.calls, c.events = testutil.ToFloat64(b.metrics.compared)-compared, b.module.calls.Load()-calls, b.state(ref).Version-version
			c.commits, c.synced = b.commits()
			c.commits, c.synced = c.commits-commits, c.synced-synced
			if !held {
				out += hindered.out
			}
			require.Len(t, b.out.sent, out, name)
			return c
		}
		hit := measure(right())
		for field := range right() {
			if hindered.by != nil && field != "birth_date" {
				continue
			}
			typed := right()
			typed[field] = map[string]string{"birth_date": "19980102", "kana_name": "ヤマダジロウ", "customer_number": "C-778898"}[field]
			require.Equal(t, hit, measure(typed), "%s: %s", name, field)
		}
		if name == "by nothing" {
			require.EqualValues(t, len(secrets)+MaxTries, hit.compared)
			require.EqualValues(t, 1+2*2+MaxTries, hit.synced, "the answers, two codes with their SMS, the tries")
		}
	}
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
