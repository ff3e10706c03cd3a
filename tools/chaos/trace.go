package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
)

// questions of traced, each kind one at a time and then many at once.
const (
	tracedSingles, tracedSinglesAtOnce = 12, 24
	tracedBatches, tracedBatchesAtOnce = 6, 8
	tracedLines                        = 10 // of a batch
	tracedSent, tracedSentAtOnce       = 8, 24
	tracedPhones, tracedPhonesAtOnce   = 8, 16
)

// traced looks at the system calls of the engine while messages are given, delivered and written by phones: between the
// question (a request; a receipt or a phone's message, deliver_sm) and the answer (202; 200 to a batch; deliver_sm_resp) a
// sync of the log must have begun and be over. At first one question at a time, and nothing else, so that no sync is anybody
// else's; then several at once.
func traced(ctx context.Context, g *rig) error {
	if g.result.Skipped = straces(); g.result.Skipped != "" {
		return nil
	}
	if err := g.open(ctx, apptest.Options{}); err != nil {
		return err
	}
	t, err := g.trace(ctx, "-s", "65536", "-e", "trace=read,write,msync,fsync,fdatasync")
	if err != nil {
		return err
	}
	asked, err := g.ask(ctx)
	calls, ended := t.end()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	var carriers []string
	for i := range apptest.Carriers {
		carriers = append(carriers, g.country.CarrierAddr(i))
	}
	found := answers(calls, t.maps, carriers)
	for _, kind := range []string{single, batches, taken} {
		var waits, slack []time.Duration
		n := 0
		for _, a := range found {
			switch {
			case a.kind != kind:
				continue
			case a.synced == "":
				g.broken("%s on %s was written %v after what it answers was read, without a sync of the log between", kind, a.conn, a.answered-a.asked)
			default:
				waits, slack = append(waits, a.answered-a.asked), append(slack, a.answered-a.over)
			}
			n++
		}
		// A call of which strace prints one half may be missed: what is judged are the answers that are found whole.
		if n < asked[kind]*3/4 {
			g.broken("%d questions and only %d answers (%s) in the trace", asked[kind], n, kind)
		}
		wait, longest := spread(waits)
		behind, _ := spread(slack)
		g.note("%s: %d of %d answers had syncs of the value log and of the memory table that lead to it, which began after the question was read and were over before the answer was written; from question to answer, slowed by the trace, %s in the median and %s at most; the answer follows its sync by %s in the median",
			kind, len(waits), n, wait, longest, behind)
	}
	return nil
}

// ask asks, and says how many answers of each kind that must give.
func (g *rig) ask(ctx context.Context) (map[string]int, error) {
	give := func(i int, sent bool) (string, error) {
		d := message.Draft{Key: fmt.Sprintf("traced-%d", i), To: apptest.Number(i), Send: &sent, Text: "お知らせ {url}", Page: &message.Page{Title: "お知らせ", Lead: "お知らせです。"}}
		if !sent {
			d.Text = ""
		}
		a, _, err := g.load.Sender.Send(ctx, &d)
		return a.ID, err
	}
	singles := func(i int) error {
		_, err := give(i, false)
		return err
	}
	batch := func(i int) error {
		drafts := make([]message.Draft, tracedLines)
		no := false
		for j := range drafts {
			drafts[j] = message.Draft{Key: fmt.Sprintf("batch-%d-%d", i, j), To: apptest.Number(1000 + tracedLines*i + j), Send: &no, Page: &message.Page{Title: "お知らせ", Lead: "お知らせです。"}}
		}
		_, err := g.load.Sender.Batch(ctx, drafts)
		return err
	}
	delivered := func(i int) error {
		id, err := give(2000+i, true)
		if err != nil {
			return err
		}
		return until(ctx, 20*time.Second, "a message is delivered", func() (bool, error) {
			m, err := g.load.Sender.Message(ctx, id)
			return m.Status == message.Arrived, err
		})
	}
	written := func(i int) error {
		text := fmt.Sprintf("返信 %d", i)
		if i%4 == 3 {
			text += strings.Repeat("、つづき", 30) // two segments
		}
		if err := g.country.Write(ctx, 3000+i, text); err != nil {
			return err
		}
		return until(ctx, 20*time.Second, "what a phone wrote is there", func() (bool, error) {
			got, err := g.load.Sender.Received(ctx)
			return got[text] > 0, err
		})
	}
	for _, kind := range []struct {
		one           func(i int) error
		alone, atOnce int
	}{{singles, tracedSingles, tracedSinglesAtOnce}, {batch, tracedBatches, tracedBatchesAtOnce}, {delivered, tracedSent, tracedSentAtOnce}, {written, tracedPhones, tracedPhonesAtOnce}} {
		for i := range kind.alone {
			if err := kind.one(i); err != nil {
				return nil, err
			}
			pause(ctx, 20*time.Millisecond)
		}
		failed := make([]error, kind.atOnce)
		var all sync.WaitGroup
		for i := range kind.atOnce {
			all.Go(func() { failed[i] = kind.one(kind.alone + i) })
		}
		all.Wait()
		if err := errors.Join(failed...); err != nil {
			return nil, err
		}
	}
	sent, phones := tracedSent+tracedSentAtOnce, tracedPhones+tracedPhonesAtOnce
	return map[string]int{single: tracedSingles + tracedSinglesAtOnce + sent, batches: tracedBatches + tracedBatchesAtOnce, taken: sent + phones + phones/4}, nil
}
