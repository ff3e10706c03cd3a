package web

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
)

// apart is how clearly the requests of one kind are slower than those of the other that were sent with them, by the ranks of the
// differences (Wilcoxon's signed ranks): about 0 where it is now the one and now the other, in standard deviations of what chance does to
// as many. Ranks know no outliers and no unit, and what slows the machine slows both of a pair.
func apart(hits, misses []time.Duration) float64 {
	later := make([]time.Duration, len(hits))
	for i := range hits {
		later[i] = hits[i] - misses[i]
	}
	slices.SortFunc(later, func(a, b time.Duration) int { return cmp.Compare(a.Abs(), b.Abs()) })
	w, most := 0.0, 0.0 // the ranks with their signs, and what the square of their sum is on average
	for i, d := range later {
		rank := float64(i + 1)
		most += rank * rank
		switch {
		case d > 0:
			w += rank
		case d < 0:
			w -= rank
		}
	}
	return math.Abs(w) / math.Sqrt(most)
}

// looksAlike is the bound of apart: chance passes it once in a million runs.
const looksAlike = 4.9

// overloaded reports whether the work of both kinds outlasts the least time, with as much again for the page that follows: then a
// difference of the work shows, and nothing can be said. Where one kind alone is late it is no matter of the machine.
func overloaded(hits, misses []time.Duration) bool {
	late := func(times []time.Duration) bool {
		return slices.Sorted(slices.Values(times))[len(times)/2] > 2*alikeAfter
	}
	return late(hits) && late(misses)
}

func TestApartSeesWhatAnAttackerWould(t *testing.T) {
	seeded := rand.New(rand.NewPCG(1, 2))
	times := func(later time.Duration) (all []time.Duration) {
		for range alikePairs {
			all = append(all, alikeAfter+later+time.Duration(seeded.ExpFloat64()*float64(5*time.Millisecond)))
		}
		return all
	}
	alike, others := times(0), times(0)
	require.Less(t, apart(alike, others), 3.0)
	require.Zero(t, apart(alike, alike))
	for _, later := range []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 200 * time.Millisecond} {
		require.Greater(t, apart(times(later), alike), looksAlike, later)
		require.Greater(t, apart(alike, times(later)), looksAlike, later)
	}
	late := times(200 * time.Millisecond)
	require.False(t, overloaded(alike, others))
	require.False(t, overloaded(late, alike))
	require.False(t, overloaded(alike, late))
	require.True(t, overloaded(late, times(200*time.Millisecond)))
}

// So many of each kind are timed, and so many pairs of them at once: they wait together, and their work is short beside that.
const alikePairs, alikeAtOnce = 80, 4

// measureAlike times requests of two kinds in pairs, and compares the times. ready brings a browser to where it sends its request. Chance
// says in which order they come: where the kinds are alike, either of a pair is the slower one as often as the other.
func measureAlike(t *testing.T, ready func(i int, hit bool) (send func())) {
	took := map[bool][]time.Duration{true: make([]time.Duration, alikePairs), false: make([]time.Duration, alikePairs)}
	for from := 0; from < alikePairs; from += alikeAtOnce {
		var coming, sending sync.WaitGroup
		sends := make([]func(), 2*alikeAtOnce)
		for n, k := range rand.Perm(2 * alikeAtOnce) {
			i, hit := from+k/2, k%2 == 0
			coming.Go(func() {
				send := ready(i, hit)
				sends[n] = func() {
					came := time.Now()
					send()
					took[hit][i] = time.Since(came)
				}
			})
		}
		coming.Wait()
		if t.Failed() {
			t.FailNow()
		}
		for _, send := range sends {
			sending.Go(send)
		}
		sending.Wait()
	}
	hits, misses := took[true], took[false]
	if overloaded(hits, misses) {
		t.Skipf("the work outlasts the least time here\nfound: %v\nnot found: %v", hits, misses)
	}
	require.Less(t, apart(hits, misses), looksAlike, "found: %v\nnot found: %v", hits, misses)
}

func TestHitAndMissOfTheSharedEntryTakeTheSameTime(t *testing.T) {
	c := DefaultConfig()
	c.EntryBudget = 1000
	w := newWorld(t, c)
	water := *w.water()
	water.Entry.On = true
	w.must(w.tenants.Apply(t.Context(), water))
	measureAlike(t, func(i int, hit bool) func() {
		number := 2 * i
		if hit {
			number++
		}
		p := identity.Person{Name: "ヤマダハナコ", Birth: "19850304", Phone: fmt.Sprintf("080-1234-%04d", number)}
		w.send(draft{items: []message.IdentityItem{{Field: "kana_name", Value: p.Name}, {Field: "birth_date", Value: p.Birth}}, code: true, person: p, number: fmt.Sprintf("+81801234%04d", number)})
		if !hit {
			p.Birth = "19850305"
		}
		b := w.entrance()
		return func() { b.submit("identify", typed(p)) }
	})
	require.Equal(t, alikePairs, w.out.count(), "whoever was found got a code")
}

func TestMatchAndMismatchTakeTheSameTime(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	measureAlike(t, func(i int, hit bool) func() {
		answers := rightAnswers()
		if !hit {
			answers = url.Values{"birth_date": {"19980102"}, "customer_number": {"C-778899"}}
		}
		b := w.opened(w.send(draft{items: questions, code: true, number: fmt.Sprintf("+81801234%04d", i)}))
		return func() { b.submit("identify", answers) }
	})
	require.Equal(t, alikePairs, w.out.count(), "whoever matched got a code")
}
