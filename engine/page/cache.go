package page

import (
	"container/list"
	"sync"
	"time"
)

type digest [32]byte

// cache keeps what was used last, up to a number of bytes. An entry past its time is stale: it is there until another takes its place.
type cache struct {
	limit int64

	mu    sync.Mutex // guards what follows
	used  int64
	order *list.List // of *entry, the last used in front
	byKey map[digest]*list.Element
}

type entry struct {
	key   digest
	value any // *HTML or []byte (a PDF)
	size  int64
	until time.Time
	// renewed: somebody was told that it is stale, and puts another in its place or says that it stays.
	renewed bool
}

// entryOverhead is about what an entry takes besides its bytes.
const entryOverhead = 512

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), byKey: map[digest]*list.Element{}}
}

// get finds a value. stale is told to one caller alone, who then has to put or stay.
func (c *cache) get(key digest, now time.Time) (value any, ok, stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if !ok {
		return nil, false, false
	}
	e := el.Value.(*entry)
	if !now.Before(e.until) && !e.renewed {
		e.renewed, stale = true, true
	}
	c.order.MoveToFront(el)
	return e.value, true, stale
}

// stay gives a value more time. false: it is not there any more.
func (c *cache) stay(key digest, until time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if ok {
		e := el.Value.(*entry)
		e.until, e.renewed = until, false
	}
	return ok
}

func (c *cache) put(key digest, value any, size int, until time.Time) {
	e := &entry{key: key, value: value, size: int64(size) + entryOverhead, until: until}
	if e.size > c.limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[key]; ok {
		c.drop(el)
	}
	c.byKey[key] = c.order.PushFront(e)
	for c.used += e.size; c.used > c.limit; {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(el *list.Element) {
	e := c.order.Remove(el).(*entry)
	delete(c.byKey, e.key)
	c.used -= e.size
}

func (c *cache) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}
