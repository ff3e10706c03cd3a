package signin

import (
	"sync"
	"time"
)

// Waits between tries: the first free ones cost nothing, then the wait doubles with each failure.
const (
	accountFree = 4
	accountMost = 5 * time.Minute // an attacker can keep somebody out for this long at a time, no longer
	addressFree = 20              // an office has one address
	addressMost = 15 * time.Minute
	forget      = time.Hour // without a failure
	tableSize   = 20_000    // entries; when full the oldest goes
)

// throttle counts failures by key. Safe for concurrent use.
type throttle struct {
	free int
	most time.Duration

	mu      sync.Mutex // guards entries
	entries map[string]*failures
}

type failures struct {
	n    int
	last time.Time
	next time.Time // no try before it
}

// reserve counts a try of the key as a failure until success says otherwise, so that tries at the same moment cannot
// all be first. It returns how long to wait instead when it is too early; such a try is not counted.
func (t *throttle) reserve(key string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.entries[key]
	if f == nil || now.Sub(f.last) > forget {
		t.shrink()
		f = &failures{}
		t.entries[key] = f
	}
	if wait := f.next.Sub(now); wait > 0 {
		return wait
	}
	f.n++
	f.last = now
	if over := f.n - t.free; over >= 0 {
		f.next = now.Add(min(time.Second<<min(over, 20), t.most))
	}
	return 0
}

// release takes back a reserved try that was no failure.
func (t *throttle) release(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.entries[key]; f != nil {
		f.n = max(f.n-1, 0)
		f.next = time.Time{}
	}
}

// clear forgets the key: somebody who knows the password is there.
func (t *throttle) clear(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, key)
}

// shrink makes room for one entry.
func (t *throttle) shrink() {
	if len(t.entries) < tableSize {
		return
	}
	var oldest string
	for k, f := range t.entries {
		if oldest == "" || f.last.Before(t.entries[oldest].last) {
			oldest = k
		}
	}
	delete(t.entries, oldest)
}
