package web

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
)

// apart is how clearly the times of two kinds of request lie apart, by the ranks that they take among all (Mann and Whitney): 0 where they
// are mixed, in standard deviations of what chance does to as many. Ranks know no outliers and no unit, so that a machine that is slow or
// stalls now and then moves both kinds alike.
func apart(a, b []time.Duration) float64 {
	u := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				u++
			case x == y:
				u += 0.5
			}
		}
	}
	n, m := float64(len(a)), float64(len(b))
	return math.Abs(u-n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}

// looksAlike is the bound of apart: chance comes to it about once in a million runs, and only where nearly every request of one kind is
// slower than every one of the other is it passed.
const looksAlike = 4.8

func TestApartSeesWhatAnAttackerWould(t *testing.T) {
	var even, odd, later []time.Duration
	for i := range time.Duration(24) {
		even, odd, later = append(even, 2*i), append(odd, 2*i+1), append(later, 2*i+60)
	}
	require.Less(t, apart(even, odd), 1.0)
	require.Greater(t, apart(even, later), looksAlike)
	require.Greater(t, apart(later, even), looksAlike)
	require.Zero(t, apart(even, even))
}

// measureAlike times requests of two kinds in turns, and compares the times.
func measureAlike(t *testing.T, one func(i int, hit bool) time.Duration) {
	const each = 24
	took := map[bool][]time.Duration{}
	for i := range each {
		for _, hit := range []bool{i%2 == 0, i%2 != 0} { // neither is always the first
			took[hit] = append(took[hit], one(i, hit))
		}
	}
	for _, all := range took {
		if slices.Sort(all); all[each/2] > 2*alikeAfter {
			t.Skipf("the work outlasts the least time here (%v): nothing can be said", all[each/2])
		}
	}
	require.Less(t, apart(took[true], took[false]), looksAlike, "found: %v\nnot found: %v", took[true], took[false])
}

func TestHitAndMissOfTheSharedEntryTakeTheSameTime(t *testing.T) {
	c := DefaultConfig()
	c.EntryBudget = 1000
	w := newWorld(t, c)
	water := *w.water()
	water.Entry.On = true
	w.must(w.tenants.Apply(t.Context(), water))
	person := func(i int, known bool) identity.Person {
		p := identity.Person{Name: "ヤマダハナコ", Birth: "19850304", Phone: fmt.Sprintf("090-%04d-00%02d", 1+i, i)}
		if known {
			w.send(draft{items: []message.IdentityItem{{Field: "kana_name", Value: p.Name}, {Field: "birth_date", Value: p.Birth}}, code: true, person: p, page: message.Page{Title: "お知らせ"}})
		} else {
			p.Birth = "19850305"
		}
		return p
	}
	measureAlike(t, func(i int, hit bool) time.Duration {
		w.pass(25 * time.Hour) // the number's codes of a day
		p, b := person(i, hit), w.entrance()
		sent := w.out.count()
		came := time.Now()
		b.submit("identify", typed(p))
		took := time.Since(came)
		require.Equal(t, hit, w.out.count() > sent)
		return took
	})
}

func TestMatchAndMismatchTakeTheSameTime(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	measureAlike(t, func(i int, hit bool) time.Duration {
		answers := rightAnswers()
		if !hit {
			answers = url.Values{"birth_date": {"19980102"}, "customer_number": {"C-778899"}}
		}
		w.pass(25 * time.Hour) // the number's codes of a day
		b, sent := w.opened(w.send(draft{items: questions, code: true})), w.out.count()
		came := time.Now()
		b.submit("identify", answers)
		took := time.Since(came)
		require.Equal(t, hit, w.out.count() > sent)
		return took
	})
}
