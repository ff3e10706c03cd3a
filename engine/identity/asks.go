package identity

import (
	"slices"
	"sync"
	"time"
)

// Limits of the forms of shared entries that name one number of a tenant, whoever sends them and whatever else they say.
const (
	asksHour = 10
	asksDay  = 20
)

// asks counts, by tenant and number, how often somebody was asked for at a shared entry. It bounds what a phone's holder can find out
// of somebody who had its number before, and is in memory: a restart gives a number another share. The zero value is ready.
type asks struct {
	mu   sync.Mutex // guards what follows
	made map[string][]time.Time
}

// manyAsked numbers are counted at once. Beyond them any one is forgotten: to have one forgotten takes as many forms.
const manyAsked = 20_000

// over counts a form, and reports whether the number had its share before it.
func (a *asks) over(number string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	times, known := a.made[number]
	if within(times, now, time.Hour) >= asksHour || within(times, now, 24*time.Hour) >= asksDay {
		return true
	}
	if a.made == nil {
		a.made = map[string][]time.Time{}
	}
	if !known && len(a.made) >= manyAsked {
		for other := range a.made {
			delete(a.made, other)
			break
		}
	}
	if len(times) >= asksDay {
		times = slices.Clone(times[len(times)-asksDay+1:])
	}
	a.made[number] = append(times, now)
	return false
}
