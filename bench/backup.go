package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kakitome/kakitome/tools/apptest"
)

// backup measures what backups cost the running engine: row 2's load alone, then while the whole record is copied over and
// over, then alone again, all with the same engine.
func backup(ctx context.Context, s settings) (figures []figure, err error) {
	st, err := newSite(ctx, apptest.Options{Window: s.Window, NoLedger: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	l := load{name: "alone", draft: bare(), batch: s.Batch, conns: 4, long: s.Long}
	before, err := st.measure(ctx, l, "")
	if err != nil {
		return nil, err
	}
	copying, stop := context.WithCancel(ctx)
	defer stop()
	var took []time.Duration
	var size int64
	copied := make(chan error, 1)
	go func() {
		for copying.Err() == nil {
			d, n, err := st.copyRecord(ctx, len(took))
			if err != nil {
				copied <- err
				return
			}
			took, size = append(took, d), n
		}
		copied <- nil
	}()
	l.name = "beside backups"
	beside, err := st.measure(ctx, l, "")
	stop()
	if err = errors.Join(err, <-copied); err != nil {
		return nil, err
	}
	l.name = "alone again"
	after, err := st.measure(ctx, l, "")
	if err != nil {
		return nil, err
	}
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	mean := sum.Seconds() / float64(len(took))
	return []figure{
		{"bare SMS, batch, before: whole lives", before.rate, "messages/s", ""},
		{"beside backups: whole lives", beside.rate, "messages/s", ""},
		{"after them: whole lives", after.rate, "messages/s", ""},
		{"beside ÷ the mean of before and after", 2 * beside.rate / (before.rate + after.rate), "", ""},
		{"the engine's CPU, before", float64(before.cpu.Nanoseconds()) / 1000, "µs a message", ""},
		{"the engine's CPU, beside, backups included", float64(beside.cpu.Nanoseconds()) / 1000, "µs a message", ""},
		{"backups of the whole record meanwhile, one after the other", float64(len(took)), "", ""},
		{"each took, mean", mean, "s", ""},
		{"size of the last", float64(size) / (1 << 20), "MiB", ""},
	}, nil
}

// copyRecord makes the i-th backup, of everything, and removes it. It returns its time and size.
func (s *site) copyRecord(ctx context.Context, i int) (took time.Duration, size int64, err error) {
	dir := s.File(fmt.Sprintf("record-%d", i))
	began := time.Now()
	if _, err := s.Command(ctx, "backup", "-config", s.File("kakitome.toml"), "-keys", s.File("record-keys.json"), dir); err != nil {
		return 0, 0, err
	}
	return time.Since(began), diskUse(dir), os.RemoveAll(dir)
}
