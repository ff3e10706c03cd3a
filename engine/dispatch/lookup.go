package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// question is a message that waits aside, in memory, until the lookup module has told of its number. Its entry stays where
// it is in its queue, behind the pump's cursor: after a crash it is found there again.
type question struct {
	ref   store.Ref
	lane  message.Lane
	query carrier.Query
	told  *carrier.Result // nil: not yet
}

const (
	askers    = 4                     // calls of one pump at once
	asideMax  = 4 * askers * batchMax // questions of one pump
	asideWait = time.Second           // what finds no room comes again after it at the earliest
	asideLong = time.Minute           // and after this at the latest
	paceFirst = 10 * time.Microsecond // a number, until the first call has ended
)

// lookups has the numbers of one pump's messages looked up, many in a call, while the pump goes on with what needs none.
// Answered questions come back lane by lane, so that priorities hold.
type lookups struct {
	chain *carrier.Chain
	work  chan struct{} // size askers: there are questions to ask
	back  chan struct{} // size 1: there are answers

	mu       sync.Mutex // guards what follows
	open     []question
	answered map[message.Lane][]question
	aside    map[store.Ref]struct{} // all that wait, asked or answered
	pace     time.Duration          // a number takes, by the last calls
	room     time.Time              // from when on there is room for one more that found none
}

func newLookups(chain *carrier.Chain) *lookups {
	return &lookups{chain: chain, work: make(chan struct{}, askers), back: make(chan struct{}, 1), answered: map[message.Lane][]question{}, aside: map[store.Ref]struct{}{}, pace: paceFirst}
}

// run asks until ctx ends.
func (l *lookups) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-l.work:
				}
				for batch := l.take(); len(batch) > 0 && ctx.Err() == nil; batch = l.take() {
					l.ask(ctx, batch)
				}
			}
		})
	}
	wg.Wait()
}

// put takes a question; false: there is no room.
func (l *lookups) put(q question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.aside) >= asideMax {
		return false
	}
	l.open = append(l.open, q)
	l.aside[q.ref] = struct{}{}
	return true
}

// hold reports whether the message waits aside.
func (l *lookups) hold(ref store.Ref) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.aside[ref]
	return ok
}

// begin has the questions that were put asked: after a whole batch of the pump, so that they go in one call.
func (l *lookups) begin() {
	l.mu.Lock()
	open := len(l.open)
	l.mu.Unlock()
	if open == 0 {
		return
	}
	select {
	case l.work <- struct{}{}:
	default: // all askers have work
	}
}

func (l *lookups) take() []question {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.open), l.chain.MaxBatch())
	batch := l.open[:n:n]
	if l.open = l.open[n:]; len(l.open) == 0 {
		l.open = nil
	}
	return batch
}

func (l *lookups) ask(ctx context.Context, batch []question) {
	queries := make([]carrier.Query, len(batch))
	for i := range batch {
		queries[i] = batch[i].query
	}
	began := clock.Now()
	results := l.chain.Ask(ctx, queries)
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pace = (3*l.pace + took/time.Duration(len(batch)*askers)) / 4
	for i := range batch {
		batch[i].told = &results[i]
		l.answered[batch[i].lane] = append(l.answered[batch[i].lane], batch[i])
	}
	select {
	case l.back <- struct{}{}:
	default:
	}
}

// takeAnswered gives at most n answered questions of a lane.
func (l *lookups) takeAnswered(lane message.Lane, n int) []question {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.answered[lane]
	n = min(n, len(all))
	if n == 0 {
		return nil
	}
	if n == len(all) {
		delete(l.answered, lane)
	} else {
		l.answered[lane] = all[n:]
	}
	for _, q := range all[:n] {
		delete(l.aside, q.ref)
	}
	return all[:n:n]
}

// giveBack puts answered questions that were taken in front again.
func (l *lookups) giveBack(lane message.Lane, rest []question) {
	if len(rest) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[lane] = append(rest, l.answered[lane]...)
	for _, q := range rest {
		l.aside[q.ref] = struct{}{}
	}
}

// later is when a question that found no room is to come again: one after the other, as fast as the module answers.
func (l *lookups) later(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if earliest := now.Add(asideWait); l.room.Before(earliest) {
		l.room = earliest
	}
	if latest := now.Add(asideLong); l.room.After(latest) {
		l.room = latest
	}
	at := l.room
	l.room = l.room.Add(l.pace)
	return at
}

// find says whose number it is. ask: that must be asked first. hold: it could not be found out, and the message waits so long.
// A message that goes by the tables because nobody answered keeps the carrier that a module told before: otherwise it would
// go to and fro between two carriers.
func (p *pump) find(s *message.State, q carrier.Query, told *carrier.Result) (a carrier.Answer, ask bool, hold time.Duration) {
	switch {
	case told == nil, !told.Failed && clock.Now().After(told.Until): // its carrier was down for long
		a, ask = p.o.Lookups.Resolve(q)
	case !told.Failed:
		a = told.Answer
	default:
		a, hold = p.o.Lookups.Failed(q)
		if before, ok := p.o.Carriers.Carrier(s.Carrier); ok && s.FoundBy == message.ByModule {
			a.Found = carrier.Found{Carrier: before, By: message.ByModule}
		}
	}
	return a, ask, hold
}

// wait holds a message whose number could not be looked up. Its record says so once.
func (p *pump) wait(ref store.Ref, s *message.State, change store.Change, part int, now time.Time, hold time.Duration) plan {
	until := now.Add(hold + time.Duration(seed(ref)%uint32(hold/time.Second))*time.Second/2)
	if s.Parts[part-1].Phase == message.Waiting && s.Reason != message.ReasonLookup {
		change.Events = append(change.Events, store.NewEvent{Type: byte(message.Retrying), At: now,
			Data: message.Encode(message.Submission{Part: part, Carrier: p.name, Reason: message.ReasonLookup, Until: until})})
	}
	change.Due = &store.Due{Queue: message.Queue(p.name, s.Head.Lane), At: until}
	p.metrics.outcome("lookup_held")
	return plan{change: change}
}
