// Package dispatch submits what is due.
//
// A carrier's pump has two feeds, one for codes, one for the other lanes (feed.go). They take entries from the store's queues
// "<carrier>/<lane>", the most urgent lane first, never more than its binds can take now, and the other lanes leave a part of
// each window to codes: so a code waits behind less than one window of bulk. For each message the state decides (message.State),
// whatever the entry says:
//
//	hold     quiet hours and windows move the entry (Release)
//	lapse    the validity ended: never sent
//	campaign what its people said of it: paused, it is passed over; canceled, it ends (campaign.go)
//	look up  the carrier may have changed since intake: the message moves to that carrier's queue. Where the lookup module
//	         must be asked it waits aside, see lookups; a number that changed hands or has no line: refused
//	sender   no approved address: refused, never sent with another's
//	list     the number asked for nothing more since intake: refused
//	claim    what follows another message up is not sent when its claim was paid or settled meanwhile (claim.go)
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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
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
	LoadInto(ctx context.Context, scope tenant.Scope, refs []store.Ref, into *store.Streams) ([][]store.Event, error)
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
	AppendOpen(dst []byte, id tenant.ID, aad, box []byte) ([]byte, error)
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
	Claims     Claims    // nil: what follows up a claim is not sent
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
	leaving []*line  // taken out, or changed: they drain and unbind; some have ended since
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
	doubts  string // its queue of doubt
	set     atomic.Pointer[settings]
	matcher *dlr.Matcher
	log     *slog.Logger
	metrics *metrics
	codes   *feed
	others  *feed // of the other lanes
}

// settings are what a reload changes. They are never changed themselves.
type settings struct {
	carrier  *carrier.Carrier // nil: the table has no such carrier; all that waits moves to the carriers of today
	rule     dlr.IDRule
	config   Config
	binds    []*bind.Bind
	response time.Duration // the longest response timeout of binds
}

func newPump(o Options, name string) *pump {
	p := &pump{
		o: o, name: name, doubts: doubtQueue(name),
		matcher: dlr.NewMatcher(name, dlr.IDRule{}, o.Store, o.Log, o.Registerer),
		log:     o.Log.With("carrier", name),
		metrics: newMetrics(o.Registerer, name),
	}
	p.codes = newFeed(p, message.LaneCode)
	p.others = newFeed(p, message.LaneNotice, message.LaneBulk)
	p.set.Store(&settings{})
	return p
}

// run recovers what was under way, then feeds the carrier until ctx ends.
func (p *pump) run(ctx context.Context) error {
	if err := p.recover(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("recover submissions of %s: %w", p.name, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.codes.run(ctx) })
	g.Go(func() error { return p.others.run(ctx) })
	return g.Wait()
}

// poke has the feeds look for room.
func (p *pump) poke() {
	p.codes.poke()
	p.others.poke()
}

// rewind has the feeds look again at what they passed over.
func (p *pump) rewind() {
	for _, f := range []*feed{p.codes, p.others} {
		select {
		case f.rewound <- struct{}{}:
		default: // told already, not yet looked
		}
	}
}

// held reports whether the operator stopped submissions to the carrier. One that is gone holds nothing back: what waits for
// it moves to the carriers of today.
func (p *pump) held() bool {
	return p.set.Load().carrier != nil && p.o.Directory.Now().Held[p.name].Mode != tenant.Released
}

// credit is how many segments the binds take now.
func (p *pump) credit(urgent bool) int {
	set := p.set.Load()
	if set.carrier == nil {
		return batchMax // nothing can be submitted
	}
	n := 0
	for _, b := range set.binds {
		n += b.Credit(urgent)
	}
	return n
}

// reserve is what the binds keep for codes.
func (p *pump) reserve() (n int) {
	for _, b := range p.set.Load().binds {
		n += b.Reserve()
	}
	return n
}

// commit waits while the store is busy: what is due stays due.
func (p *pump) commit(ctx context.Context, txs []store.Tx) ([]error, error) {
	for {
		errs, err := p.o.Store.Commit(ctx, txs...)
		if !errors.Is(err, store.ErrBusy) {
			return errs, err
		}
		pause(ctx, 10*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
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
	config := &p.set.Load().config
	for i := range batch {
		if v, _ := config.meaning(p.name, batch[i].Status); v == throttle {
			b.Slow(batch[i].Written)
		}
	}
	p.settle(b.Name(), batch)
	p.poke()
}
