// Package dispatch submits what is due.
//
// One pump a carrier takes entries from the store's queues "<carrier>/<lane>", the most urgent lane first, never more than
// its binds can take now: so a code waits behind one window of bulk at the most. For each message the state decides
// (message.State), whatever the entry says:
//
//	hold     quiet hours and windows move the entry (Release)
//	lapse    the validity ended: never sent
//	campaign what its people said of it: paused, it is passed over; canceled, it ends (campaign.go)
//	look up  the carrier may have changed since intake: the message moves to that carrier's queue. Where the lookup module
//	         must be asked it waits aside, see lookups; a number that changed hands or has no line: refused
//	sender   no approved address: refused, never sent with another's
//	list     the number asked for nothing more since intake: refused
//	split    smpp/coding
//	record   Submitting is committed, synced, BEFORE the first byte is written; the entry moves to "doubt/<carrier>"
//	submit   on the bind with the most room
//
// Results come back by the binds in batches and become Submitted, Retrying, InDoubt or Refused; each commit takes the
// entry out or moves it. After a crash the entries of "doubt/<carrier>" are exactly the submissions whose fate is not
// known: Run gives them to the in-doubt policy before anything is sent. Duplicates are therefore bounded by what was
// between Submitting and its result, which the windows bound.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/session"
)

// Store is what dispatch needs of engine/store.
type Store interface {
	dlr.Store
	Due(dst []store.DueItem, queue string, after store.Cursor, now time.Time, limit int) ([]store.DueItem, error)
	NextDue(queue string, after store.Cursor) (time.Time, bool, error)
	Waiting(queue string, now time.Time, limit int) (n int, oldest time.Time, err error)
	Wake(queue string) <-chan struct{}
	Queues() ([]string, error)
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
}

// DoNotSend knows the numbers that want nothing more. engine/inbound/donotsend implements it.
type DoNotSend interface {
	Refuses(ctx context.Context, t tenant.ID, c message.Class, n carrier.Number) (bool, error)
}

// Options makes a Dispatcher.
type Options struct {
	Store      Store
	Directory  *tenant.Directory
	Carriers   *carrier.Table
	Lookups    *carrier.Chain // nil: of Carriers alone
	Binds      []bind.Config  // of all carriers
	Config     Config
	DoNotSend  DoNotSend // nil: there is no list
	Campaigns  Campaigns // nil: there are none
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const doubtPrefix = "doubt/"

func doubtQueue(carrier string) string { return doubtPrefix + carrier }

// carrierOf is the carrier of a queue's name; empty: the queue is not ours.
func carrierOf(queue string) string {
	if name, ok := strings.CutPrefix(queue, doubtPrefix); ok {
		return name
	}
	for _, lane := range message.Lanes {
		if name, ok := strings.CutSuffix(queue, "/"+string(lane)); ok {
			return name
		}
	}
	return ""
}

// Dispatcher runs the pumps and binds of all carriers.
type Dispatcher struct {
	o Options // Config and Binds: of the start

	mu      sync.Mutex // guards what follows
	pumps   map[string]*pump
	lines   []*line  // in the order of the configuration
	running *running // nil before and after Run
	ended   bool     // Run has
}

// New makes the pumps and binds. Each carrier that a bind names must be in the table. What still waits for a carrier that is
// not in it any more has a pump too.
func New(o Options) (*Dispatcher, error) {
	if o.Lookups == nil {
		o.Lookups = carrier.NewChain(carrier.ChainOptions{Table: o.Carriers})
	}
	d := &Dispatcher{o: o, pumps: map[string]*pump{}}
	queues, err := o.Store.Queues()
	if err != nil {
		return nil, fmt.Errorf("find what waits for carriers that are no more: %w", err)
	}
	for _, queue := range queues {
		if name := carrierOf(queue); name != "" && d.pumps[name] == nil {
			d.pumps[name] = newPump(o, name)
		}
	}
	return d, d.Reload(o.Config, o.Binds)
}

// Status lists the binds in the order of the configuration.
func (d *Dispatcher) Status() []bind.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]bind.Status, len(d.lines))
	for i, l := range d.lines {
		all[i] = l.bind.Status()
	}
	return all
}

// pump moves one carrier's messages.
type pump struct {
	o       Options
	name    string // of the carrier
	set     atomic.Pointer[settings]
	matcher *dlr.Matcher
	log     *slog.Logger
	metrics *metrics
	freed   chan struct{} // size 1: room came free, or a bind came up, or settings changed
	rewound chan struct{} // size 1: what was passed over is to be looked at again
	cursors map[message.Lane]store.Cursor
	lookups *lookups
	next    int // bind that is asked first
}

// settings are what a reload changes. They are never changed themselves.
type settings struct {
	carrier *carrier.Carrier // nil: the table has no such carrier; all that waits moves to the carriers of today
	rule    dlr.IDRule
	config  Config
	binds   []*bind.Bind
}

func newPump(o Options, name string) *pump {
	p := &pump{
		o: o, name: name,
		matcher: dlr.NewMatcher(name, dlr.IDRule{}, o.Store, o.Log, o.Registerer),
		log:     o.Log.With("carrier", name),
		metrics: newMetrics(o.Registerer, name),
		freed:   make(chan struct{}, 1),
		rewound: make(chan struct{}, 1),
		cursors: map[message.Lane]store.Cursor{},
		lookups: newLookups(o.Lookups),
	}
	p.set.Store(&settings{})
	return p
}

func (p *pump) poke() {
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

// batchMax bounds what is loaded, decided and committed in one go.
const batchMax = 512

func (p *pump) run(ctx context.Context) error {
	if err := p.recover(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("recover submissions of %s: %w", p.name, err)
	}
	asking, stop := context.WithCancel(ctx)
	var asks sync.WaitGroup
	asks.Go(func() { p.lookups.run(asking) })
	defer asks.Wait()
	defer stop()
	var items []store.DueItem
	for ctx.Err() == nil {
		select {
		case <-p.rewound:
			clear(p.cursors)
		default:
		}
		credit := min(p.credit(), batchMax)
		if p.held() {
			p.rest(ctx, time.Minute)
			continue
		}
		if credit == 0 {
			p.rest(ctx, 50*time.Millisecond)
			continue
		}
		now := clock.Now()
		items = items[:0]
		var lane message.Lane
		var answered []question
		for _, lane = range message.Lanes {
			if answered = p.lookups.takeAnswered(lane, credit); len(answered) > 0 {
				break
			}
			var err error
			items, err = p.o.Store.Due(items, message.Queue(p.name, lane), p.cursors[lane], now, credit)
			if err != nil {
				return fmt.Errorf("read queue %s: %w", message.Queue(p.name, lane), err)
			}
			if len(items) > 0 {
				break
			}
		}
		if len(items)+len(answered) == 0 {
			p.idle(ctx)
			continue
		}
		refs := make([]store.Ref, 0, batchMax)
		told := make(map[store.Ref]*carrier.Result, len(answered))
		for _, q := range answered {
			refs, told[q.ref] = append(refs, q.ref), q.told
		}
		for i := range items {
			refs = append(refs, items[i].Ref)
		}
		taken, err := p.submit(ctx, refs, told, credit)
		if ctx.Err() != nil {
			return nil // what was not taken stays due
		}
		if err != nil {
			return err
		}
		if len(items) == 0 {
			p.lookups.giveBack(lane, answered[taken:])
		} else {
			p.cursors[lane] = items[taken-1].Cursor
		}
	}
	return nil
}

// held reports whether the operator stopped submissions to the carrier. One that is gone holds nothing back: what waits for
// it moves to the carriers of today.
func (p *pump) held() bool {
	return p.set.Load().carrier != nil && p.o.Directory.Now().Held[p.name].Mode != tenant.Released
}

func (p *pump) credit() int {
	set := p.set.Load()
	if set.carrier == nil {
		return batchMax // nothing can be submitted
	}
	n := 0
	for _, b := range set.binds {
		n += b.Credit()
	}
	return n
}

// rest waits for room, at most d.
func (p *pump) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.freed:
	case <-timer.C:
	}
}

// idle waits until something is put into one of the carrier's queues or becomes due.
func (p *pump) idle(ctx context.Context) {
	wait := time.Minute
	for _, lane := range message.Lanes {
		if at, ok, err := p.o.Store.NextDue(message.Queue(p.name, lane), p.cursors[lane]); err == nil && ok {
			wait = min(wait, max(clock.Until(at), 0))
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-p.rewound:
		clear(p.cursors)
	case <-p.lookups.back:
	case <-p.o.Store.Wake(message.Queue(p.name, message.LaneCode)):
	case <-p.o.Store.Wake(message.Queue(p.name, message.LaneNotice)):
	case <-p.o.Store.Wake(message.Queue(p.name, message.LaneBulk)):
	}
}

// submit decides for each message, records what goes out, and sends it; told is what the lookup module was asked for some. It
// stops in front of a message whose segments are more than what is left of the credit, and returns how many it took: the
// first at the least. A message whose stream changed meanwhile is decided again. It returns an error only when the store
// fails.
func (p *pump) submit(ctx context.Context, refs []store.Ref, told map[store.Ref]*carrier.Result, credit int) (taken int, err error) {
	for len(refs) > 0 {
		streams, err := p.o.Store.LoadMany(ctx, tenant.Operator(), refs)
		if err != nil {
			return taken, fmt.Errorf("load due messages: %w", err)
		}
		var plans []plan
		looked := 0
		for i, events := range streams {
			now := clock.Now()
			pl := plan{passed: told[refs[i]] == nil && p.lookups.hold(refs[i])} // found again by a Rewind
			if !pl.passed {
				pl = p.decide(ctx, refs[i], events, told[refs[i]], now)
			}
			if credit -= len(pl.requests); credit < 0 && i > 0 && taken == 0 {
				break
			}
			looked++
			if pl.ask != nil {
				if pl.passed = p.lookups.put(*pl.ask); !pl.passed {
					pl.change.Due = &store.Due{Queue: message.Queue(p.name, pl.ask.lane), At: p.lookups.later(now)}
				}
			}
			if !pl.passed {
				plans = append(plans, pl)
			}
		}
		taken = max(taken, looked)
		p.lookups.begin()
		if refs, err = p.carryOut(ctx, plans); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// carryOut commits the plans and sends those that are to be sent. It returns the streams to decide again.
func (p *pump) carryOut(ctx context.Context, plans []plan) (again []store.Ref, err error) {
	if len(plans) == 0 {
		return nil, nil
	}
	txs := make([]store.Tx, len(plans))
	for i := range plans {
		txs[i] = store.Tx{plans[i].change}
	}
	errs, err := p.commit(ctx, txs)
	if err != nil {
		return nil, err
	}
	var batch []session.Request
	for i := range plans {
		var conflict *store.ConflictError
		switch {
		case errs[i] == nil:
			batch = append(batch, plans[i].requests...)
		case errors.As(errs[i], &conflict):
			again = append(again, plans[i].change.Ref)
		case errors.Is(errs[i], store.ErrNotFound): // erased meanwhile: nothing to send
		case errors.Is(errs[i], store.ErrClosed):
			return nil, fmt.Errorf("record submission of %s: %w", plans[i].change.Ref, errs[i])
		default: // this one's own fault: the others go on
			p.log.Error("submission could not be recorded", "msg", plans[i].change.Ref.ID, "err", errs[i])
		}
	}
	p.send(ctx, batch)
	return again, nil
}

// commit waits while the store is busy: what is due stays due.
func (p *pump) commit(ctx context.Context, txs []store.Tx) ([]error, error) {
	for {
		errs, err := p.o.Store.Commit(ctx, txs...)
		if !errors.Is(err, store.ErrBusy) {
			return errs, err
		}
		p.rest(ctx, 10*time.Millisecond)
	}
}

// send gives the requests to the binds, waiting for room. What cannot be sent because ctx ended or no bind is up is
// settled as not sent.
func (p *pump) send(ctx context.Context, batch []session.Request) {
	waited := clock.Now()
	for len(batch) > 0 {
		binds := p.set.Load().binds
		for range binds {
			b := binds[p.next%len(binds)]
			p.next++
			n := b.TrySubmit(batch)
			p.metrics.written.Add(float64(n))
			batch = batch[n:]
		}
		if len(batch) == 0 {
			return
		}
		if ctx.Err() != nil || time.Since(waited) > 5*time.Second {
			p.notSent(batch)
			return
		}
		p.rest(ctx, 5*time.Millisecond)
	}
}

// notSent settles requests that never reached a session.
func (p *pump) notSent(batch []session.Request) {
	results := make([]session.Result, len(batch))
	for i, r := range batch {
		results[i] = session.Result{Owner: r.Owner, Outcome: session.NotSent}
	}
	p.settle("", results)
}

// results takes what a bind's session brings.
func (p *pump) results(b *bind.Bind, batch []session.Result) {
	if slices.ContainsFunc(batch, func(r session.Result) bool {
		v, _ := p.set.Load().config.meaning(p.name, r.Status)
		return v == throttle
	}) {
		b.Slow(throttleWait)
	}
	p.settle(b.Name(), batch)
	p.poke()
}
