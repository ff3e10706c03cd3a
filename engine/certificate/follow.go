package certificate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Reader is the name of our cursor in the store.
const Reader = "certificates"

// notes are sights that are not committed yet, by date.
type notes map[string]map[ulid.ULID]sight

// take notes which certified streams got events. When it returns nil, all of the batch is noted durably.
func (c *Certificates) take(ctx context.Context, batch []store.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := notes{}
	for i := range batch {
		e := &batch[i]
		switch e.Ref.Kind {
		case store.Message:
			if e.Seq == 0 {
				c.meetLocked(e)
			}
			c.noteLocked(n, e)
		case store.Claim:
			c.noteLocked(n, e)
		case store.Day:
			if e.Type != ending {
				continue
			}
			if err := c.flushLocked(ctx, n); err != nil {
				return err
			}
			if err := c.endLocked(ctx, e); err != nil {
				return err
			}
		}
	}
	return c.flushLocked(ctx, n)
}

// meetLocked begins to certify a message, and its claim, when its class is certified.
func (c *Certificates) meetLocked(e *store.Event) {
	var h message.Head
	if err := (message.Event{Type: message.Accepted, Data: e.Data}).Decode(&h); err != nil {
		c.metrics.failures.Inc()
		c.o.Log.Error("a message cannot be certified", "msg", e.Ref.ID, "err", err)
		return
	}
	if !c.o.Config.Certifies(h.Class) {
		return
	}
	for _, id := range []ulid.ULID{e.Ref.ID, h.Claim} {
		if _, known := c.tracked[id]; !known && !id.IsZero() {
			c.tracked[id] = mark{}
		}
	}
}

func (c *Certificates) noteLocked(n notes, e *store.Event) {
	m, certified := c.tracked[e.Ref.ID]
	if !certified || e.Seq+1 <= m.n { // seen before: the reader was restarted
		return
	}
	date := max(c.open, min(message.Day(e.At), message.Day(c.o.Now())))
	if n[date] == nil {
		n[date] = map[ulid.ULID]sight{}
	}
	n[date][e.Ref.ID] = sight{e.Ref.Tenant, e.Ref.Kind, e.Ref.ID, e.Seq + 1}
	m.n = e.Seq + 1
	c.tracked[e.Ref.ID] = m
}

// flushLocked commits what was noted.
func (c *Certificates) flushLocked(ctx context.Context, n notes) error {
	for _, date := range slices.Sorted(maps.Keys(n)) {
		all := slices.SortedFunc(maps.Values(n[date]), func(a, b sight) int { return a.ID.Compare(b.ID) })
		for part := range slices.Chunk(all, perEvent) {
			if err := c.appendLocked(ctx, c.dayLocked(date), store.NewEvent{Type: seen, Data: encode(part)}); err != nil {
				return err
			}
		}
		delete(n, date)
	}
	return nil
}

// endLocked ends the day whose Ending was met, unless that was done before a restart.
func (c *Certificates) endLocked(ctx context.Context, e *store.Event) error {
	d := c.days[c.open]
	if d == nil || d.ending == nil || d.ended {
		return nil
	}
	if ref, err := dayRef(d.date); err != nil || ref != e.Ref {
		return err
	}
	if err := c.appendLocked(ctx, d, store.NewEvent{Type: ended}); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	c.open = nextDate(d.date)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}
