package smsc

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// agenda runs functions at their time, one after another, on the goroutine of
// run.
type agenda struct {
	mu    sync.Mutex
	items items
	order uint64
	wake  chan struct{} // capacity 1
}

type item struct {
	at    time.Time
	order uint64 // ties are run in the order of entry
	do    func()
}

type items []item

func (q items) Len() int { return len(q) }
func (q items) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].order < q[j].order
	}
	return q[i].at.Before(q[j].at)
}
func (q items) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *items) Push(x any)   { *q = append(*q, x.(item)) }
func (q *items) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1] = item{}
	*q = old[:len(old)-1]
	return x
}

func newAgenda() *agenda { return &agenda{wake: make(chan struct{}, 1)} }

// at enters do for time t.
func (a *agenda) at(t time.Time, do func()) {
	a.mu.Lock()
	a.order++
	heap.Push(&a.items, item{at: t, order: a.order, do: do})
	first := a.items[0].order == a.order
	a.mu.Unlock()
	if first {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// run works until ctx ends; what is left then is dropped.
func (a *agenda) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		now := time.Now()
		a.mu.Lock()
		var due []func()
		for len(a.items) > 0 {
			if wait = a.items[0].at.Sub(now); wait > 0 {
				break
			}
			due = append(due, heap.Pop(&a.items).(item).do)
			wait = time.Hour
		}
		a.mu.Unlock()
		for _, do := range due {
			do()
		}
		if len(due) > 0 {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-a.wake:
		case <-ctx.Done():
			return
		}
	}
}
