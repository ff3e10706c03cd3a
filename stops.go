package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
)

// running is what has been started: it is stopped in reverse order, each part only when all that was started after it,
// and may use it, has ended.
type running struct {
	log   *slog.Logger
	fail  context.CancelCauseFunc // ends the program
	stops []stop
}

type stop struct {
	name string
	run  func(ctx context.Context) error
}

// onStop registers how a part is stopped, right after it was started.
func (r *running) onStop(name string, run func(ctx context.Context) error) {
	r.stops = append(r.stops, stop{name, run})
}

// background runs fn until the part is stopped. When fn ends by itself, the program ends.
func (r *running) background(name string, fn func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		err = fn(ctx)
		if ctx.Err() == nil {
			r.fail(fmt.Errorf("%s: %w", name, cause(err)))
		}
	})
	r.onStop(name, func(limit context.Context) error {
		cancel()
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		select {
		case <-done:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-limit.Done():
			return fmt.Errorf("did not stop in time: %w", limit.Err())
		}
	})
}

func cause(err error) error {
	if err == nil {
		return errors.New("ended unexpectedly")
	}
	return err
}

// stop ends everything within the limit.
func (r *running) stop(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var errs []error
	for i := len(r.stops) - 1; i >= 0; i-- {
		s := r.stops[i]
		began := clock.Now()
		if err := s.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
		if d := time.Since(began); d > time.Second {
			r.log.Info("stopped slowly", "part", s.name, "seconds", d.Seconds())
		}
	}
	return errors.Join(errs...)
}
