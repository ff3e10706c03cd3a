package identity

import (
	"slices"
	"sync"
	"time"
)

// Limits of the forms of shared entries that name one number of a tenant, whatever else they say: from one source, so that nobody shuts
// out a number's owner elsewhere, and from all.
const (
	asksHour  = 10
	asksDay   = 20
	asksTotal = 100 // a day
)

// asks counts, by tenant and number, how often somebody was asked for at a shared entry. It bounds what a phone's holder can find out
// of somebody who had its number before, and is in memory: a restart gives a number another share. The zero value is ready.
type asks struct {
	mu   sync.Mutex // guards what follows
	made map[asker][]time.Time
}

// asker is a number and who asks for it, or all.
type asker struct{ number, source string }

// manyAsked are counted at once. Beyond them any one is forgotten: to have one forgotten takes half as many forms.
const manyAsked = 40_000

// over counts a form, and reports whether the number had its share before it.
func (a *asks) over(number, source string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	one, all := asker{number, source}, asker{number, "all"}
	if within(a.made[one], now, time.Hour) >= asksHour || within(a.made[one], now, 24*time.Hour) >= asksDay ||
		within(a.made[all], now, 24*time.Hour) >= asksTotal {
		return true
	}
	a.add(one, asksDay, now)
	a.add(all, asksTotal, now)
	return false
}

// add counts one of the last so many.
func (a *asks) add(who asker, most int, now time.Time) {
	times, known := a.made[who]
	if a.made == nil {
		a.made = map[asker][]time.Time{}
	}
	if !known && len(a.made) >= manyAsked {
		for other := range a.made {
			delete(a.made, other)
			break
		}
	}
	if len(times) >= most {
		times = slices.Clone(times[len(times)-most+1:])
	}
	a.made[who] = append(times, now)
}
