// Bench measures the built programs: the engine with its modules, simulated carriers and this load generator, all on one
// machine and its cores.
//
//	go run ./bench [-n 100000] [-window 500] [-limit 3m] [-out bench/results] [-profile DIR] [scenario]
//
// A scenario (scenarios below) starts a country of its own in a temporary directory, is bounded in count and time, and
// returns figures by name. Report (report.go) writes them with machine, commit and settings as JSON and as a table to
// <out>/<date>-<commit>[-<scenario>].{json,md}; with -out "" only to the screen. The same run repeated differs by up to two times where
// the cores are shared, so compare runs that were made one after the other on a quiet machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are what a run may change.
type settings struct {
	Messages int           `json:"messages"` // of each way in
	Window   int           `json:"window"`   // of each of the four binds
	Conns    int           `json:"connections"`
	Batch    int           `json:"batch_lines"`
	Limit    time.Duration `json:"limit_ns"`
	Profile  string        `json:"-"` // directory of the engine's CPU profiles; empty: none
}

// figure is one measured value.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

var scenarios = map[string]func(ctx context.Context, s settings) ([]figure, error){
	"way":     wholeWay,
	"session": sessionAlone,
}

func main() {
	s := settings{Conns: 64, Batch: 1000}
	flag.IntVar(&s.Messages, "n", 100_000, "messages of each way in, at most 1,900,000")
	flag.IntVar(&s.Window, "window", 500, "outstanding PDUs of each bind")
	flag.DurationVar(&s.Limit, "limit", 3*time.Minute, "longest time of a scenario")
	flag.StringVar(&s.Profile, "profile", "", "directory for a CPU profile of the engine in each part of the scenario; empty: none")
	out := flag.String("out", "bench/results", "directory of the reports; empty: none")
	flag.Parse()
	name := "way"
	if flag.NArg() > 0 {
		name = flag.Arg(0)
	}
	if given := false; name == "session" {
		flag.Visit(func(f *flag.Flag) { given = given || f.Name == "window" })
		if !given {
			s.Window = 1000
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, name, s, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, name string, s settings, out string) error {
	scenario := scenarios[name]
	if scenario == nil {
		return fmt.Errorf("there is no scenario %q", name)
	}
	if s.Messages < 1 || s.Messages > 1_900_000 {
		return errors.New("-n must be 1 to 1,900,000")
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	began := time.Now()
	figures, err := scenario(ctx, s)
	if err != nil {
		return err
	}
	return newReport(name, s, figures, time.Since(began)).write(out)
}
