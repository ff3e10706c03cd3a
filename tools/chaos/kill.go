package main

import (
	"context"
	"time"

	"github.com/kakitome/kakitome/tools/apptest"
)

// killEngine kills the engine at random times: three of four times in the midst of its work, else while it starts.
func killEngine(ctx context.Context, g *rig) error {
	if err := g.begin(ctx, apptest.Options{}); err != nil {
		return err
	}
	kills := g.s.times(100, 5)
	for i := range kills {
		if (i+1)%10 == 0 {
			g.say("%d of %d kills, %d messages", i+1, kills, len(g.load.Orders()))
		}
		if i > 0 && g.rng.IntN(4) == 0 {
			if err := g.country.LaunchEngine(); err != nil {
				return err
			}
			pause(ctx, g.chance(900*time.Millisecond))
		} else {
			if i > 0 {
				if err := g.recover(ctx); err != nil {
					return err
				}
			}
			pause(ctx, g.chance(600*time.Millisecond))
		}
		g.country.Engine.Kill()
	}
	if err := g.recover(ctx); err != nil {
		return err
	}
	g.result.Faults = kills
	return g.judge(ctx, apptest.Terms{Faults: kills, WindowSum: g.windows(), Patience: 3 * time.Minute})
}

// killCarriers kills the carriers' program and starts it again after a while. What they still had to deliver is forgotten
// there, and so are their receipts.
func killCarriers(ctx context.Context, g *rig) error {
	if err := g.begin(ctx, apptest.Options{}); err != nil {
		return err
	}
	kills := g.s.times(20, 2)
	var waits []time.Duration // for the 202 of a request that began without carriers
	for range kills {
		pause(ctx, g.chance(800*time.Millisecond))
		g.country.Carriers.Kill()
		first, gone := g.load.Accepted(), time.Now()
		pause(ctx, g.chance(400*time.Millisecond))
		select {
		case at := <-first:
			waits = append(waits, at.Sub(gone))
		case <-time.After(10 * time.Second):
			g.broken("nothing was accepted for ten seconds while the carriers were gone")
		case <-ctx.Done():
			return ctx.Err()
		}
		began := time.Now()
		if err := g.country.StartCarriers(ctx); err != nil {
			return err
		}
		if err := g.reload(ctx); err != nil {
			return err
		}
		if err := g.bound(ctx); err != nil {
			return err
		}
		g.result.Bound = append(g.result.Bound, time.Since(began))
	}
	median, slowest := spread(waits)
	g.note("%d times a 202 was given while the carriers were gone, to a request that began then: after %s in the median, %s at most", len(waits), median, slowest)
	g.note("a bind waits half a second to a minute before it tries again, longer with each try; here its operator says kakitome reload when the carriers are back, and it tries at once")
	g.result.Faults = kills
	return g.judge(ctx, apptest.Terms{Faults: kills, WindowSum: g.windows(), Lossy: true})
}

// killBoth kills both, in either order, and starts them again in either order.
func killBoth(ctx context.Context, g *rig) error {
	if err := g.begin(ctx, apptest.Options{}); err != nil {
		return err
	}
	kills := g.s.times(20, 2)
	for range kills {
		pause(ctx, g.chance(800*time.Millisecond))
		both := []*apptest.Process{g.country.Engine, g.country.Carriers}
		g.rng.Shuffle(2, func(i, j int) { both[i], both[j] = both[j], both[i] })
		for _, p := range both {
			p.Kill()
			pause(ctx, g.chance(50*time.Millisecond))
		}
		if err := g.country.StartCarriers(ctx); err != nil {
			return err
		}
		if err := g.recover(ctx); err != nil {
			return err
		}
	}
	g.result.Faults = kills
	// The carriers' end and the engine's are two faults: windows are cut by either.
	return g.judge(ctx, apptest.Terms{Faults: 2 * kills, WindowSum: g.windows(), Lossy: true, Patience: 2 * time.Minute})
}
