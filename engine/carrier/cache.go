package carrier

import (
	"sync"
	"time"

	"github.com/kakitome/kakitome/plugins/proto"
)

// told is what a module said of a number.
type told struct {
	until   time.Time // not used after it
	carrier string    // empty: not known
	dead    bool      // not in service
	day     string    // of the question whether it changed hands, YYYY-MM-DD; empty: that was not asked
	changed proto.Certainty
}

// hands says whether the number changed hands since a day, 0 when the answer says nothing of that: what has not happened
// since one day has not since a later, and what has happened since one has since an earlier. Days compare as texts.
func (t *told) hands(day string) proto.Certainty {
	if t.day != "" && (day == t.day || t.changed == proto.Certainty_NO && day > t.day || t.changed == proto.Certainty_YES && day < t.day) {
		return t.changed
	}
	return 0
}

// cache keeps what was told of the numbers that were asked for last: two halves, of which the older is forgotten when the
// younger is full. Safe for concurrent use.
type cache struct {
	mu           sync.Mutex // guards what follows
	young, older map[Number]told
}

func (c *cache) get(n Number, now time.Time) (told, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.young[n]
	if !ok {
		t, ok = c.older[n]
	}
	if !ok || !now.Before(t.until) {
		return told{}, false
	}
	return t, true
}

// put keeps t among at most limit answers.
func (c *cache) put(n Number, t told, limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= max(1, limit/2) {
		c.young, c.older = make(map[Number]told), c.young
	}
	c.young[n] = t
	delete(c.older, n)
}
