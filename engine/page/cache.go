package page

import (
	"container/list"
	"sync"
	"time"
)

type digest [32]byte

// cache keeps what was used last, up to a number of bytes, each entry until its time.
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
}

// entryOverhead is about what an entry takes besides its bytes.
const entryOverhead = 512

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), byKey: map[digest]*list.Element{}}
}

func (c *cache) get(key digest, now time.Time) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	e := el.Value.(*entry)
	if !now.Before(e.until) {
		c.drop(el)
		return nil, false
	}
	c.order.MoveToFront(el)
	return e.value, true
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
