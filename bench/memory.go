package main

import (
	"context"
	"time"

	"github.com/kakitome/kakitome/tools/apptest"
)

// memory takes messages that are due tomorrow, each with a link that is live, and looks at the engine's memory.
func memory(ctx context.Context, s settings) (figures []figure, err error) {
	st, err := newSite(ctx, apptest.Options{Window: s.Window, NoLedger: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.close(); err == nil {
			err = e
		}
	}()
	d := whole()
	tomorrow := time.Now().Add(24 * time.Hour)
	d.SendAt = &tomorrow
	if _, err := st.send(ctx, load{name: "queued", draft: d, batch: s.Batch, conns: 4, long: time.Hour, most: s.Live}); err != nil {
		return nil, err
	}
	own, files, err := residentOf(st.Engine.PID())
	if err != nil {
		return nil, err
	}
	if err := st.Engine.Stop(time.Minute); err != nil {
		return nil, err
	}
	if err := st.StartEngine(ctx); err != nil {
		return nil, err
	}
	st.client.CloseIdleConnections()
	if _, err := st.send(ctx, load{name: "links", draft: whole(), batch: 1, conns: 1, long: time.Second}); err != nil {
		return nil, err
	}
	again, filesAgain, err := residentOf(st.Engine.PID())
	return []figure{
		{"queued messages, each with a live link", float64(s.Live), "messages", ""},
		{"8 the engine's own memory when they had come in", own, "MiB", "under 1,024"},
		{"8 pages of mapped files then, which the kernel takes back", files, "MiB", ""},
		{"8 the engine's own memory after a restart", again, "MiB", "under 1,024"},
		{"8 pages of mapped files then", filesAgain, "MiB", ""},
	}, err
}
