package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
)

// traced looks at the system calls of the engine while messages are given: between the bytes of a request that were read
// and its 202 that was written a sync of the log must have begun and be over. At first nothing but one message at a time,
// and none that is sent, so that no sync is anybody else's; then several at once.
func traced(ctx context.Context, g *rig) error {
	if g.result.Skipped = straces(); g.result.Skipped != "" {
		return nil
	}
	if err := g.open(ctx, apptest.Options{}); err != nil {
		return err
	}
	t, err := g.trace(ctx, "-e", "trace=read,write,msync,fsync,fdatasync")
	if err != nil {
		return err
	}
	give := func(i int) error {
		no := false
		d := message.Draft{Key: fmt.Sprintf("traced-%d", i), To: apptest.Number(i), Send: &no, Page: &message.Page{Title: "お知らせ", Lead: "お知らせです。"}}
		_, _, err := g.load.Sender.Send(ctx, &d)
		return err
	}
	const alone, together = 12, 24
	var sent error
	for i := range alone {
		if sent = give(i); sent != nil {
			break
		}
		pause(ctx, 20*time.Millisecond)
	}
	failed := make([]error, together)
	var all sync.WaitGroup
	for i := range together {
		all.Go(func() { failed[i] = give(alone + i) })
	}
	all.Wait()
	calls, err := t.end()
	if err != nil {
		return err
	}
	for _, err := range append(failed, sent) {
		if err != nil {
			return err
		}
	}
	found := answers(calls, t.maps)
	var waits, slack []time.Duration
	for _, a := range found {
		if a.synced == "" {
			g.broken("202 on %s was written %v after its request was read, without a sync of the log between", a.conn, a.answered-a.asked)
			continue
		}
		waits, slack = append(waits, a.answered-a.asked), append(slack, a.answered-a.over)
	}
	// A call that strace prints in two halves may be missed: what is judged are the answers that are found whole.
	if len(found) < (alone+together)*3/4 {
		g.broken("%d requests and only %d answers in the trace", alone+together, len(found))
	}
	wait, longest := spread(waits)
	behind, _ := spread(slack)
	g.note("%d of %d answers had a sync of the value log that began after their request was read and was over before the 202 was written (%d one at a time, %d at once)", len(waits), len(found), alone, together)
	g.note("from request to answer, slowed by the trace: median %s, longest %s; the 202 follows its sync by %s in the median", wait, longest, behind)
	return nil
}
