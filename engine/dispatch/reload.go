package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/session"
)

// running is what Run started. Pumps end first; then the binds drain, which needs receipts to be answered; then nothing is
// left to match.
type running struct {
	pumps, matchers                 errgroup.Group
	binds                           sync.WaitGroup
	ctxPumps, ctxBinds, ctxMatchers context.Context
	failed                          chan struct{} // size 1: a pump failed
}

// Run sends until ctx ends or the store fails: then no more is submitted, windows drain, binds unbind, and it returns.
func (d *Dispatcher) Run(ctx context.Context) error {
	r := &running{failed: make(chan struct{}, 1)}
	var stopPumps, stopBinds, stopMatchers context.CancelFunc
	r.ctxPumps, stopPumps = context.WithCancel(ctx)
	r.ctxBinds, stopBinds = context.WithCancel(context.WithoutCancel(ctx))
	r.ctxMatchers, stopMatchers = context.WithCancel(context.WithoutCancel(ctx))
	d.mu.Lock()
	d.running = r
	for _, p := range d.pumps {
		r.startPump(p)
	}
	for _, l := range d.lines {
		r.startLine(l)
	}
	d.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-r.failed:
	}
	d.mu.Lock()
	d.running, d.ended = nil, true // no part is started any more
	d.mu.Unlock()
	stopPumps()
	err := r.pumps.Wait()
	stopBinds()
	r.binds.Wait()
	stopMatchers()
	return errors.Join(err, r.matchers.Wait())
}

func (r *running) startPump(p *pump) {
	r.pumps.Go(func() error {
		err := p.run(r.ctxPumps)
		if err != nil {
			select {
			case r.failed <- struct{}{}:
			default:
			}
		}
		return err
	})
	r.matchers.Go(func() error { return p.matcher.Run(r.ctxMatchers) })
}

// line is one bind of the configuration.
type line struct {
	bind    *bind.Bind
	config  bind.Config
	before  []*line       // end before this one dials, because a carrier counts its binds: see follows
	started bool          // it runs, or has
	ended   chan struct{} // closed when it has
}

// follows reports whether the line must not dial before another has ended: it has its name (the metrics'), or its account.
func (l *line) follows(other *line) bool {
	a, b := &l.config, &other.config
	return a.Name == b.Name || a.Address == b.Address && a.SystemID == b.SystemID
}

func (l *line) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func (r *running) startLine(l *line) {
	l.started = true
	r.binds.Go(func() {
		defer close(l.ended)
		for _, old := range l.before {
			<-old.ended
		}
		l.before = nil
		_ = l.bind.Run(r.ctxBinds) // returns nil
	})
}

// errEnded: the program stops.
var errEnded = errors.New("the dispatcher has ended")

// Reload puts another policy and other binds into use, with the carriers that the table has now. Binds that are not
// changed stay as they are, but one that the carrier refused is tried again; those that are gone drain and unbind; those
// that are changed do that first. It changes nothing when it returns an error.
func (d *Dispatcher) Reload(config Config, binds []bind.Config) error {
	carriers := d.o.Carriers.Carriers()
	sets := map[string]*settings{}
	for _, c := range carriers {
		rule, err := dlr.ParseIDRule(c.IDRule)
		if err != nil {
			return fmt.Errorf("carrier %s: %w", c.Name, err)
		}
		sets[c.Name] = &settings{carrier: c, rule: rule, config: config}
	}
	for _, b := range binds {
		if sets[b.Carrier] == nil {
			return fmt.Errorf("bind %s: there is no carrier %q", b.Name, b.Carrier)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return errEnded
	}
	var fresh []*pump
	for name := range sets {
		if d.pumps[name] == nil {
			d.pumps[name] = newPump(d.o, name)
			fresh = append(fresh, d.pumps[name])
		}
	}
	d.exchange(binds)
	for _, l := range d.lines {
		set := sets[l.config.Carrier]
		set.binds = append(set.binds, l.bind)
		set.response = max(set.response, time.Duration(l.config.Response)*time.Second)
	}
	for name, p := range d.pumps {
		set := sets[name]
		if set == nil { // gone
			set = &settings{config: config}
		}
		p.set.Store(set)
		p.matcher.Set(set.rule, set.response)
	}
	if d.running != nil {
		for _, p := range fresh {
			d.running.startPump(p)
		}
	}
	d.recheck()
	return nil
}

// exchange makes the lines those of binds. The caller holds mu.
func (d *Dispatcher) exchange(binds []bind.Config) {
	old := slices.Clone(d.lines)
	d.lines = make([]*line, 0, len(binds))
	for _, cfg := range binds {
		i := slices.IndexFunc(old, func(l *line) bool { return l.config == cfg })
		if i < 0 {
			d.lines = append(d.lines, &line{config: cfg, bind: d.newBind(cfg), ended: make(chan struct{})})
			continue
		}
		old[i].bind.Resume()
		d.lines = append(d.lines, old[i])
		old = slices.Delete(old, i, i+1)
	}
	d.leaving = slices.DeleteFunc(d.leaving, (*line).hasEnded)
	for _, l := range old {
		if l.started {
			l.bind.Leave()
			d.leaving = append(d.leaving, l)
		}
	}
	if d.running == nil {
		return
	}
	for _, l := range d.lines {
		if l.started {
			continue
		}
		for _, other := range d.leaving {
			if l.follows(other) {
				l.before = append(l.before, other)
			}
		}
		d.running.startLine(l)
	}
}

func (d *Dispatcher) newBind(cfg bind.Config) *bind.Bind {
	p := d.pumps[cfg.Carrier]
	return bind.New(bind.Options{Config: cfg, Log: d.o.Log, Registerer: d.o.Registerer, Handlers: bind.Handlers{
		OnResults: p.results,
		OnRequests: func(b *bind.Bind, batch []session.Incoming) {
			b.CountReceipts(receiptsIn(batch))
			p.matcher.Take(context.Background(), b.Name(), batch)
		},
		OnBound: func(*bind.Bind) { p.poke() },
	}})
}

func receiptsIn(batch []session.Incoming) (n int) {
	for i := range batch {
		if dlr.IsReceipt(&batch[i].SM) {
			n++
		}
	}
	return n
}

// Recheck looks again at which carriers the operator holds (tenant.Directory.Hold), after that was changed.
func (d *Dispatcher) Recheck() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recheck()
}

// recheck holds the binds of drained carriers and lets go of the others. The caller holds mu.
func (d *Dispatcher) recheck() {
	held := d.o.Directory.Now().Held
	for _, l := range d.lines {
		l.bind.Hold(held[l.config.Carrier].Mode == tenant.Drained)
	}
	for _, p := range d.pumps {
		p.poke()
	}
}
