package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/session"
)

// feed takes the due messages of some lanes of a carrier, batch by batch: it loads them, decides, records, submits.
//
// # Why a code waits behind less than a window
//
// The binds keep a part of each window, the reserve, for the feed of codes. So when a code is accepted, what the other feed has
// recorded or written, and the carrier not answered, is a window less the reserve at the most. From then on the code is seen in
// its queue, and as long as one is, the other feed begins no more than an allowance for each batch of codes. There are two
// batches at the most before the code is written, the one that is under way and its own; and two allowances, with a long
// message at the end of each, are less than the reserve. (A window of less than eight has no reserve: then it is one window.)
type feed struct {
	*pump
	urgent  bool
	lanes   []*lane       // the most urgent first
	freed   chan struct{} // size 1: room came free, or a bind came up, or settings changed
	rewound chan struct{} // size 1: what was passed over is to be looked at again
	lookups *lookups
	next    int // bind that is asked first
	seen    int // turn of the codes at the last look
	spent   int // segments that were begun since it has been that turn
	memory

	mu    sync.Mutex // guards what follows, and the cursors of lanes
	turn  int        // counts batches
	taken bool       // a batch is under way
}

// lane is one lane of a feed.
type lane struct {
	name   message.Lane
	queue  string
	cursor store.Cursor // what is up to it was taken, or passed over
}

func newFeed(p *pump, names ...message.Lane) *feed {
	f := &feed{pump: p, urgent: names[0] == message.LaneCode, freed: make(chan struct{}, 1), rewound: make(chan struct{}, 1), lookups: newLookups(p.o.Lookups)}
	for _, name := range names {
		f.lanes = append(f.lanes, &lane{name: name, queue: message.Queue(p.name, name)})
	}
	return f
}

func (f *feed) poke() {
	select {
	case f.freed <- struct{}{}:
	default:
	}
}

const (
	batchMax    = 512 // messages that are loaded, decided and committed in one go
	longMessage = 10  // segments at most
)

func (f *feed) run(ctx context.Context) error {
	asking, stop := context.WithCancel(ctx)
	var asks sync.WaitGroup
	asks.Go(func() { f.lookups.run(asking) })
	defer asks.Wait()
	defer stop()
	var items []store.DueItem
	var refs []store.Ref
	for ctx.Err() == nil {
		select {
		case <-f.rewound:
			f.seek()
		default:
		}
		if f.held() {
			f.rest(ctx, time.Minute)
			continue
		}
		credit := min(f.credit(f.urgent), f.allowance(), batchMax)
		if credit <= 0 {
			f.rest(ctx, 50*time.Millisecond)
			continue
		}
		now := clock.Now()
		var ln *lane
		var answered []question
		items, refs = items[:0], refs[:0]
		for _, ln = range f.lanes {
			if answered = f.lookups.takeAnswered(ln.name, credit); len(answered) > 0 {
				break
			}
			var err error
			items, err = f.o.Store.Due(items, ln.queue, ln.cursor, now, credit)
			if err != nil {
				return fmt.Errorf("read queue %s: %w", ln.queue, err)
			}
			if len(items) > 0 {
				break
			}
		}
		if len(items)+len(answered) == 0 {
			f.idle(ctx)
			continue
		}
		var told map[store.Ref]*carrier.Result
		if len(answered) > 0 {
			told = make(map[store.Ref]*carrier.Result, len(answered))
		}
		for _, q := range answered {
			refs, told[q.ref] = append(refs, q.ref), q.told
		}
		for i := range items {
			refs = append(refs, items[i].Ref)
		}
		f.begins()
		n, err := f.submit(ctx, refs, told, credit)
		if ctx.Err() != nil {
			return nil // what was not taken stays due
		}
		if err != nil {
			return err
		}
		if len(items) == 0 {
			f.lookups.giveBack(ln.name, answered[n:])
			f.ends(ln, ln.cursor)
		} else {
			f.ends(ln, items[n-1].Cursor)
		}
	}
	return nil
}

// begins says that a batch is under way.
func (f *feed) begins() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn, f.taken = f.turn+1, true
}

// ends says that the batch of a lane was submitted, up to the cursor.
func (f *feed) ends(ln *lane, c store.Cursor) {
	f.mu.Lock()
	ln.cursor, f.taken = c, false
	f.mu.Unlock()
	if f.urgent {
		f.others.poke() // it may have waited for that
	}
}

// seek begins at the beginning of the queues again.
func (f *feed) seek() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ln := range f.lanes {
		ln.cursor = store.Cursor{}
	}
}

// pressing reports whether a due message waits or is on its way to a bind, and in which turn.
func (f *feed) pressing(now time.Time) (turn int, yes bool) {
	f.mu.Lock()
	turn, yes = f.turn, f.taken
	ln := f.lanes[0]
	cursor := ln.cursor
	f.mu.Unlock()
	if yes {
		return turn, true
	}
	at, ok, err := f.o.Store.NextDue(ln.queue, cursor)
	return turn, err == nil && ok && !at.After(now)
}

// allowance is how many segments the feed may begin now, whatever the room: all, but for codes.
func (f *feed) allowance() int {
	if f.urgent {
		return batchMax
	}
	turn, pressing := f.codes.pressing(clock.Now())
	if !pressing {
		return batchMax
	}
	if turn != f.seen {
		f.seen, f.spent = turn, 0
	}
	return f.reserve()/2 - longMessage - f.spent
}

// rest waits for room, at most d.
func (f *feed) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.freed:
	case <-timer.C:
	}
}

// idle waits until something is put into one of the feed's queues or becomes due.
func (f *feed) idle(ctx context.Context) {
	wait := time.Minute
	var wakes [2]<-chan struct{}
	for i, ln := range f.lanes {
		wakes[i] = f.o.Store.Wake(ln.queue)
		if at, ok, err := f.o.Store.NextDue(ln.queue, ln.cursor); err == nil && ok {
			wait = min(wait, max(clock.Until(at), 0))
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-f.rewound:
		f.seek()
	case <-f.lookups.back:
	case <-wakes[0]:
	case <-wakes[1]:
	}
}

// submit decides for each message, records what goes out, and sends it; told is what the lookup module was asked for some. It
// stops in front of a message whose segments are more than what is left of the credit, and returns how many it took: the
// first at the least. A message whose stream changed meanwhile is decided again. It returns an error only when the store
// fails.
func (f *feed) submit(ctx context.Context, refs []store.Ref, told map[store.Ref]*carrier.Result, credit int) (taken int, err error) {
	for len(refs) > 0 {
		f.begin(len(refs))
		streams, err := f.o.Store.LoadInto(ctx, tenant.Operator(), refs, &f.streams)
		if err != nil {
			return taken, fmt.Errorf("load due messages: %w", err)
		}
		looked := 0
		for i, events := range streams {
			now := clock.Now()
			pl := plan{passed: told[refs[i]] == nil && f.lookups.hold(refs[i])} // found again by a Rewind
			if !pl.passed {
				pl = f.decide(ctx, refs[i], events, told[refs[i]], now)
			}
			if credit -= len(pl.requests); credit < 0 && i > 0 && taken == 0 {
				break
			}
			looked++
			if pl.ask != nil {
				if pl.passed = f.lookups.put(*pl.ask); !pl.passed {
					pl.change.Due = f.due(message.Queue(f.name, pl.ask.lane), f.lookups.later(now))
				}
			}
			if !pl.passed {
				f.plans = append(f.plans, pl)
			}
		}
		taken = max(taken, looked)
		f.lookups.begin()
		if refs, err = f.carryOut(ctx); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// carryOut commits the plans and sends those that are to be sent. It returns the streams to decide again.
func (f *feed) carryOut(ctx context.Context) (again []store.Ref, err error) {
	plans := f.plans
	if len(plans) == 0 {
		return nil, nil
	}
	for i := range plans {
		f.changes = append(f.changes, plans[i].change)
	}
	for i := range plans {
		tx := store.Tx(f.changes[i : i+1 : i+1])
		if plans[i].guard != nil {
			tx = append(tx, *plans[i].guard)
		}
		f.txs = append(f.txs, tx)
	}
	recording := ctx
	if f.urgent {
		recording = store.Urgent(ctx)
	}
	errs, err := f.commit(recording, f.txs)
	if err != nil {
		return nil, err
	}
	for i := range plans {
		if errs[i] == nil {
			f.batch = append(f.batch, plans[i].requests...)
			continue
		}
		var conflict *store.ConflictError
		switch {
		case errors.As(errs[i], &conflict):
			again = append(again, plans[i].change.Ref)
		case errors.Is(errs[i], store.ErrNotFound): // erased meanwhile: nothing to send
		case errors.Is(errs[i], store.ErrClosed):
			return nil, fmt.Errorf("record submission of %s: %w", plans[i].change.Ref, errs[i])
		default: // this one's own fault: the others go on
			f.log.Error("submission could not be recorded", "msg", plans[i].change.Ref.ID, "err", errs[i])
		}
	}
	f.spent += len(f.batch)
	f.send(ctx, f.batch)
	return again, nil
}

// send gives the requests to the binds, waiting for room. What cannot be sent because ctx ended or no bind took anything for
// five seconds, or not all of it in ten, is settled as not sent: what was decided of it must not become old. So is what an operator holds.
func (f *feed) send(ctx context.Context, batch []session.Request) {
	began := clock.Now()
	waited := began
	for len(batch) > 0 {
		binds := f.set.Load().binds
		for range binds {
			b := binds[f.next%len(binds)]
			f.next++
			n := b.TrySubmit(batch, f.urgent)
			f.metrics.written.Add(float64(n))
			batch = batch[n:]
			if n > 0 {
				waited = clock.Now()
			}
		}
		if len(batch) == 0 {
			return
		}
		if ctx.Err() != nil || f.held() || time.Since(waited) > 5*time.Second || time.Since(began) > 10*time.Second {
			f.notSent(batch)
			return
		}
		f.rest(ctx, 5*time.Millisecond)
	}
}
