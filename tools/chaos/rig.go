package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
)

// rig is what one scenario has: a country under load, chance, and what is to be reported.
type rig struct {
	s       *settings
	dir     string // of the country; made by open
	rng     *rand.Rand
	country *apptest.Country
	load    *apptest.Load
	hook    *apptest.Hook // takes the callbacks of the tenant
	address string        // of the hook
	result  *result
	verdict *apptest.Verdict

	stopLoad func()   // waits until the clients have stopped
	closers  []func() // of what open and the scenario started besides, run in reverse
}

// prepare writes a country; start starts it; open is both. The clients begin with startLoad.
func (g *rig) prepare(ctx context.Context, o apptest.Options) (err error) {
	o.Programs, o.Dir, o.Window = g.s.programs, g.dir, g.s.Window
	o.Latency, o.ReceiptDelay, o.Doubt, o.Segments = 20*time.Millisecond, 200*time.Millisecond, string(message.DoubtResend), 3
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g.hook, g.address = apptest.NewHook(), "http://"+l.Addr().String()+"/"
	server := &http.Server{Handler: g.hook, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()                          // until it is closed
	g.closers = append(g.closers, func() { _ = server.Close() }) // the engine has ended
	o.Egress = []string{l.Addr().String()}
	g.country, err = apptest.New(ctx, o)
	return err
}

func (g *rig) start(ctx context.Context) error {
	if err := g.country.StartCarriers(ctx); err != nil {
		return err
	}
	if err := g.country.StartEngine(ctx); err != nil {
		return err
	}
	sender, err := g.country.Join(ctx)
	if err != nil {
		return err
	}
	g.load = &apptest.Load{Sender: sender, Every: g.s.Every, Long: true, Hook: g.hook, Phones: g.country}
	return g.bound(ctx)
}

func (g *rig) open(ctx context.Context, o apptest.Options) error {
	if err := g.prepare(ctx, o); err != nil {
		return err
	}
	return g.start(ctx)
}

// startLoad lets new messages arrive and phones write from now on; the sender's system is told of all.
func (g *rig) startLoad(ctx context.Context) error {
	if err := g.hook.Register(ctx, g.load.Sender, "chaos", g.address); err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { g.load.Run(loading) })
	g.stopLoad = func() {
		stop()
		clients.Wait()
	}
	return nil
}

// begin is open with the clients.
func (g *rig) begin(ctx context.Context, o apptest.Options) error {
	if err := g.open(ctx, o); err != nil {
		return err
	}
	return g.startLoad(ctx)
}

// judge lets the clients stop and compares the ledgers; then the engine must stop in order and its records, events and
// indexes agree with each other (kakitome verify).
func (g *rig) judge(ctx context.Context, t apptest.Terms) error {
	pause(ctx, 300*time.Millisecond) // of normal life behind the last fault
	g.stopLoad()
	g.stopLoad = nil
	g.say("the faults are over: comparing %d messages", len(g.load.Orders()))
	v, _, err := g.country.Judge(ctx, g.load, t)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, g.country.Engine.Log())
	}
	g.verdict = v
	g.result.Cap = t.Faults * t.WindowSum
	g.result.Broken = append(g.result.Broken, v.Broken...)
	if err := g.country.Engine.Stop(30 * time.Second); err != nil {
		g.broken("the engine did not stop in order: %v", err)
	}
	out, err := g.country.Command(ctx, "verify", "-config", g.country.File("kakitome.toml"))
	if err != nil {
		g.broken("%v: %s", err, out)
	}
	g.result.Verified = err == nil
	return ctx.Err()
}

// close ends what the scenario started.
func (g *rig) close(err error) error {
	if g.country != nil {
		if g.country.Engine != nil && err != nil {
			err = fmt.Errorf("%w\nthe engine wrote last:\n%s", err, g.country.Engine.Log())
		}
		g.country.Close()
	}
	if g.stopLoad != nil {
		g.stopLoad() // a request is cut off by the engine's end
	}
	for i := len(g.closers) - 1; i >= 0; i-- {
		g.closers[i]()
	}
	return err
}

// windows is the sum of the windows of all binds.
func (g *rig) windows() int { return g.s.Window * len(apptest.Carriers) }

// broken notes a promise that was not kept.
func (g *rig) broken(format string, args ...any) {
	g.result.Broken = append(g.result.Broken, fmt.Sprintf(format, args...))
}

// note adds a line to the report; say tells how far the run is.
func (g *rig) note(format string, args ...any) {
	g.result.Notes = append(g.result.Notes, fmt.Sprintf(format, args...))
}

func (g *rig) say(format string, args ...any) {
	fmt.Printf("chaos: %-8s … %s\n", g.result.Name, fmt.Sprintf(format, args...))
}

// chance is a random time below d.
func (g *rig) chance(d time.Duration) time.Duration { return time.Duration(g.rng.Int64N(int64(d))) }

// pause waits; false when the run was cut short.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// until looks every few milliseconds until something is so. The error is that it did not become so in time.
func until(ctx context.Context, limit time.Duration, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		ok, err := so()
		if ok && err == nil {
			return nil
		}
		if last = err; !pause(ctx, 20*time.Millisecond) {
			return errors.Join(fmt.Errorf("%s: not within %v", what, limit), last)
		}
	}
}

// bound waits until all binds are. A bind that failed over and over waits up to a minute before it tries again.
func (g *rig) bound(ctx context.Context) error {
	return until(ctx, 2*time.Minute, "all binds are up", func() (bool, error) {
		up, err := g.country.Metric(ctx, "kakitome_bind_up")
		return up == float64(len(apptest.Carriers)), err
	})
}

// reload lets binds that wait try at once.
func (g *rig) reload(ctx context.Context) error {
	_, err := g.country.Command(ctx, "reload", "-config", g.country.File("kakitome.toml"))
	return err
}

// recover starts the engine and measures how long it takes to the first 202 and until all binds are up. The time is that
// from the start of the process.
func (g *rig) recover(ctx context.Context) error {
	began := time.Now()
	first := g.load.Accepted()
	if err := g.country.LaunchEngine(); err != nil {
		return err
	}
	if err := g.bound(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, g.country.Engine.Log())
	}
	g.result.Bound = append(g.result.Bound, time.Since(began))
	select {
	case at := <-first:
		g.result.Accepted = append(g.result.Accepted, at.Sub(began))
		return nil
	case <-g.country.Engine.Ended():
		return fmt.Errorf("the engine ended by itself\n%s", g.country.Engine.Log())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended waits until the engine has ended by itself; false when it lives on.
func (g *rig) ended(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-g.country.Engine.Ended():
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// engineLog is what the engine has written since an offset, and the next offset.
func (g *rig) engineLog(from int) (string, int) {
	data, err := os.ReadFile(g.country.File("kakitome.log"))
	if err != nil {
		return "", from
	}
	return string(data[min(from, len(data)):]), len(data)
}
