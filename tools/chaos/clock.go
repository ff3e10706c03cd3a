package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
)

// clockSteps runs an engine whose clock (engine/clock/stepped, build tag chaosclock) follows a file, and sets it under load. Only
// the wall clock is set, as by settimeofday: Go measures durations by another one, which goes on.
func clockSteps(ctx context.Context, g *rig) error {
	file := filepath.Join(g.s.dir, "clock.seconds")
	set := func(offset time.Duration) error {
		if err := os.WriteFile(file+".new", fmt.Appendln(nil, int64(offset/time.Second)), 0o600); err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	}
	if err := set(0); err != nil {
		return err
	}
	if err := g.begin(ctx, apptest.Options{Engine: filepath.Join(g.s.stepped, "kakitome"), Env: []string{"KAKITOME_CLOCK=" + file}}); err != nil {
		return err
	}
	// To half past midnight of the next day but one in Japan, and back over midnight.
	now := time.Now().In(message.Tokyo)
	midnight := time.Date(now.Year(), now.Month(), now.Day()+2, 0, 0, 0, 0, message.Tokyo)
	behind, before := midnight.Add(30*time.Minute).Sub(now), midnight.Add(-30*time.Minute).Sub(now)
	steps := []struct {
		what   string
		offset time.Duration
	}{
		{"two hours on", 2 * time.Hour},
		{"two hours back", 0},
		{"two days on, behind midnight", behind},
		{"an hour back, over midnight", before},
		{"two days back", 0},
	}
	for range g.s.times(3, 1) {
		for _, st := range steps {
			pause(ctx, 300*time.Millisecond+g.chance(700*time.Millisecond))
			if err := set(st.offset); err != nil {
				return err
			}
			pause(ctx, 200*time.Millisecond)
			if err := g.flows(ctx, st.what); err != nil {
				return err
			}
			g.result.Faults++
		}
	}
	// And a restart with the clock set back: what the store holds is of the future.
	if err := set(2 * time.Hour); err != nil {
		return err
	}
	pause(ctx, 500*time.Millisecond)
	g.country.Engine.Kill()
	if err := set(0); err != nil {
		return err
	}
	if err := g.recover(ctx); err != nil {
		return err
	}
	g.result.Faults++
	if err := g.flows(ctx, "killed, and started with the clock two hours back"); err != nil {
		return err
	}
	// What was due in a time that was taken back waits for it, which is no loss: it goes when the clock is there again.
	for _, offset := range []time.Duration{2 * time.Hour, behind} {
		if err := set(offset); err != nil {
			return err
		}
		pause(ctx, 2*time.Second)
	}
	return g.judge(ctx, apptest.Terms{Faults: 1, WindowSum: g.windows(), Stepped: true, Patience: 30 * time.Second})
}

// flows checks that a message given now is delivered at once, whatever the clock says, and tells how long it took.
func (g *rig) flows(ctx context.Context, what string) error {
	began := time.Now()
	d := message.Draft{Key: fmt.Sprintf("step-%d", g.result.Faults), To: apptest.Number(3_900_000 + g.result.Faults), Text: "お知らせ {url}", Page: &message.Page{Title: "お知らせ", Lead: "お知らせです。"}}
	o := &apptest.Order{Draft: d}
	g.load.Add(o)
	if err := g.load.Send(ctx, []*apptest.Order{o}); err != nil {
		return err
	}
	err := until(ctx, 10*time.Second, "a message is delivered with the clock set "+what, func() (bool, error) {
		m, err := g.load.Sender.Message(ctx, o.ID)
		return m.Status == message.Arrived, err
	})
	if err != nil {
		g.broken("%v", err)
		return nil
	}
	g.note("%s: a new message was delivered after %v", what, time.Since(began).Round(time.Millisecond))
	return nil
}
