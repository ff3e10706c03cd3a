// Chaos breaks the whole built program under load, on purpose, and judges it from outside: it compares what the clients
// were told, what the engine says, and what the simulated carriers wrote down.
//
//	go run ./tools/chaos [-short] [-seed N] [-only kill,disk] [-out bench/results] [-keep DIR]
//
// A scenario (scenarios below) starts a country of its own (tools/apptest) in a temporary directory, lets new messages
// arrive all the while (one by one and in batches, some with a claim, some of three segments) and phones write, does its
// fault over and over at times that the seed decides, lets the faults end, asks for every message once more by its key, waits
// until nothing is under way, and compares the three ledgers (apptest.Judge). What it promises: nothing acknowledged is lost,
// neither to a client nor to a carrier; what is in doubt is bounded by the windows that were open, and what is sent twice was
// in doubt; every timeline is in order, and so is what callbacks tell of it; the engine comes back by itself; and in the end
// its records, events and indexes agree (kakitome verify).
//
// What needs more than a plain Linux user is done as far as it can be, and the report says how: the disk is a tmpfs where
// one may be mounted, else a limit of file sizes; syncs fail by strace where it is installed. Everything that is started is
// ended by its process id, also when the run is cut short. The exit code is 1 when a promise was broken, and 2 when a
// scenario could not be judged.
//
// The faults and their moments follow from the seed; how far the programs have come at such a moment does not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/built"
)

// settings of a run.
type settings struct {
	Seed   uint64        `json:"seed"`
	Short  bool          `json:"short"`
	Limit  time.Duration `json:"limit_ns"` // of the whole run
	Window int           `json:"window"`   // of each of the four binds
	Every  time.Duration `json:"every_ns"` // between the messages of each of eight clients

	programs string // built
	stepped  string // the engine with the build tag chaosclock
	dir      string // of the countries
}

// times is how often something is done: in the whole form, or in the short one.
func (s *settings) times(whole, short int) int {
	if s.Short {
		return short
	}
	return whole
}

type scenario struct {
	name string
	what string
	run  func(ctx context.Context, g *rig) error
}

// scenarios in the order in which they begin: one after the other, in the short form three at a time.
var scenarios = []scenario{
	{"trace", "each 202, each 200 to a batch and each deliver_sm_resp follows the sync of what it acknowledges", traced},
	{"kill", "SIGKILL of the engine at random times, also while it starts", killEngine},
	{"carriers", "SIGKILL of the carriers", killCarriers},
	{"both", "SIGKILL of the engine and the carriers", killBoth},
	{"disk", "the disk fills up: first to the mark, then whole", diskFull},
	{"sync", "msync, fsync and fdatasync fail with EIO", syncFails},
	{"clock", "the clock is set: two hours on, two hours back, back over the end of a day", clockSteps},
	{"stall", "a carrier reads nothing any more", stalled},
	{"network", "the network drops, is half-open, is slow, resets in the middle of PDUs", networkCut},
}

func main() {
	s := &settings{Window: 50, Every: 25 * time.Millisecond}
	flag.Uint64Var(&s.Seed, "seed", 0, "of the faults and their times; 0: a new one, which is printed")
	flag.BoolVar(&s.Short, "short", false, "few faults of each kind, about a minute")
	only := flag.String("only", "", "scenarios to run, with commas; empty: all")
	out := flag.String("out", "bench/results", "directory of the report; empty: none")
	keep := flag.String("keep", "", "directory for the countries, which stay; empty: a temporary one")
	flag.Parse()
	if s.Seed == 0 {
		s.Seed = rand.Uint64()>>32 + 1
	}
	s.Limit = 15 * time.Minute
	if s.Short {
		s.Limit = 6 * time.Minute // of a machine that does other things besides; alone it takes one
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	rep, err := run(ctx, s, *only, *keep)
	if err == nil {
		err = rep.write(*out)
	}
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	case rep.broken() > 0:
		fmt.Fprintf(os.Stderr, "chaos: %d promises broken; the same faults: -seed %d\n", rep.broken(), s.Seed)
		os.Exit(1)
	}
}

// run builds the programs and runs the scenarios. The error is that they could not be judged.
func run(ctx context.Context, s *settings, only, keep string) (rep *report, err error) {
	chosen := scenarios
	if only != "" {
		chosen = nil
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == name })
			if i < 0 {
				return nil, fmt.Errorf("there is no scenario %q", name)
			}
			chosen = append(chosen, scenarios[i])
		}
	}
	if s.dir = keep; keep == "" {
		if s.dir, err = os.MkdirTemp("", "chaos"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	fmt.Printf("chaos: seed %d; building\n", s.Seed)
	s.programs, s.stepped = filepath.Join(s.dir, "programs"), filepath.Join(s.dir, "stepped")
	if err := errors.Join(apptest.Build(ctx, s.programs), built.Into(ctx, s.stepped, "chaosclock", ".")); err != nil {
		return nil, err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	rep = newReport(s)
	rep.Results = make([]*result, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.times(1, 3)) // most of a scenario is waiting; times are measured of the whole form alone
	for i, sc := range chosen {
		group.Go(func() error {
			r, err := s.scenario(ctx, sc)
			if err != nil {
				return fmt.Errorf("%s: %w", sc.name, err)
			}
			rep.Results[i] = r
			fmt.Printf("chaos: %-8s %s\n", sc.name, r.line())
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	rep.finish(time.Since(began))
	return rep, nil
}

// scenario runs one of them; whatever it started is ended behind it.
func (s *settings) scenario(ctx context.Context, sc scenario) (*result, error) {
	fmt.Printf("chaos: %-8s %s\n", sc.name, sc.what)
	h := fnv.New64()
	_, _ = h.Write([]byte(sc.name)) // so that -only meets the same faults
	g := &rig{s: s, dir: filepath.Join(s.dir, sc.name), rng: rand.New(rand.NewPCG(s.Seed, h.Sum64())), result: &result{Name: sc.name, What: sc.what}}
	began := time.Now()
	err := g.close(sc.run(ctx, g))
	g.result.Seconds = time.Since(began).Seconds()
	if g.verdict != nil {
		g.result.Verdict = *g.verdict
	}
	return g.result, err
}
