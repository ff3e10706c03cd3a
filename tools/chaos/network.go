package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/smpp/smsc"
	"github.com/kakitome/kakitome/tools/apptest"
)

// Settings of the binds where silence is the fault, so that it is found out within the run.
const (
	silenceLimits = "enquire_link_seconds = 1\nresponse_timeout_seconds = 4\n"
	responseLimit = 4 * time.Second
)

// stalled lets one carrier after the other read nothing for a while. The others go on meanwhile, accepting too.
func stalled(ctx context.Context, g *rig) error {
	if err := g.begin(ctx, apptest.Options{Bind: silenceLimits}); err != nil {
		return err
	}
	stalls := g.s.times(4, 1)
	cuts := 0
	for i := range stalls {
		which := (g.rng.IntN(len(apptest.Carriers)) + i) % len(apptest.Carriers)
		lasts := 2*time.Second + g.chance(time.Duration(g.s.times(10_000, 1000))*time.Millisecond)
		pause(ctx, g.chance(500*time.Millisecond))
		if err := g.carrier(ctx, which, "faults", smsc.Trouble{Stall: true}); err != nil {
			return err
		}
		first := g.load.Accepted()
		began := time.Now()
		before, err := g.taken(ctx, which)
		if err != nil {
			return err
		}
		pause(ctx, lasts)
		after, err := g.taken(ctx, which)
		if err != nil {
			return err
		}
		select {
		case at := <-first:
			g.note("%s stalled for %v: the first 202 came after %v, the other carriers took %d messages meanwhile", apptest.Carriers[which], lasts.Round(time.Millisecond), at.Sub(began).Round(time.Millisecond), after-before)
		default:
			g.broken("nothing was accepted while %s was stalled for %v", apptest.Carriers[which], lasts)
		}
		if after == before {
			g.broken("no other carrier got anything while %s was stalled for %v", apptest.Carriers[which], lasts)
		}
		if err := g.carrier(ctx, which, "faults", smsc.Trouble{}); err != nil {
			return err
		}
		healed := time.Now()
		if err := g.bound(ctx); err != nil {
			return err
		}
		g.result.Bound = append(g.result.Bound, time.Since(healed))
		cuts += 1 + int(lasts/responseLimit)
	}
	g.result.Faults = stalls
	// Whatever was not answered in time is in doubt and sent anew: a long silence cuts several windows.
	return g.judgeCuts(ctx, cuts)
}

// judgeCuts judges faults that cut the window of one bind, some of them several times.
func (g *rig) judgeCuts(ctx context.Context, cuts int) error {
	g.result.Cuts = cuts
	return g.judge(ctx, apptest.Terms{Faults: cuts, WindowSum: g.s.Window, Patience: 2 * time.Minute})
}

// taken counts what all carriers but one have accepted.
func (g *rig) taken(ctx context.Context, but int) (n uint64, err error) {
	counts, err := g.counts(ctx)
	for name, c := range counts {
		if name != apptest.Carriers[but] {
			n += c.Accepted
		}
	}
	return n, err
}

// networkCut puts a proxy between each bind and its carrier and lets it be a bad network.
func networkCut(ctx context.Context, g *rig) error {
	var proxies []*proxy
	if err := g.prepare(ctx, apptest.Options{Bind: silenceLimits, Between: true}); err != nil {
		return err
	}
	for i := range apptest.Carriers {
		p, err := newProxy(ctx, g.country.BindAddr(i), g.country.CarrierAddr(i))
		if err != nil {
			return err
		}
		proxies = append(proxies, p)
		g.closers = append(g.closers, p.close)
	}
	if err := g.start(ctx); err != nil {
		return err
	}
	if err := g.startLoad(ctx); err != nil {
		return err
	}
	rounds, cuts := g.s.times(16, 4), 0
	did := map[string]int{}
	for i := range rounds {
		way := networks[i%len(networks)]
		p := proxies[g.rng.IntN(len(proxies))]
		lasts := 200*time.Millisecond + g.chance(time.Duration(g.s.times(4000, 800))*time.Millisecond)
		pause(ctx, g.chance(300*time.Millisecond))
		p.set(way)
		pause(ctx, lasts)
		p.set(passing)
		healed := time.Now()
		if err := g.bound(ctx); err != nil {
			return fmt.Errorf("after %s: %w", way, err)
		}
		g.result.Bound = append(g.result.Bound, time.Since(healed))
		did[way]++
		cuts += 1
		if way == halfOpen { // found out by a link check that gets no answer for 10 s; meanwhile what is unanswered is in doubt
			cuts += int((lasts + 12*time.Second) / responseLimit)
		}
	}
	g.note("%v; each for 0.2 to %d s, on one of the four binds; binds up again is counted from when the network is well", did, g.s.times(4, 1))
	g.result.Faults = rounds
	return g.judgeCuts(ctx, cuts)
}
