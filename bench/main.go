// Bench measures the built programs: the engine with its modules, simulated carriers and this load generator, all on one
// machine and its cores.
//
//	go run ./bench [flags] [scenario …]
//
//	rows       whole lives of messages by batch and one a request, with and without a page, also on a slower disk; codes
//	           among them; allocations of dispatch (rows.go)
//	pages      landing page and the page behind the questions, beside a bare handler (pages.go)
//	links      ten million live links: bytes each, start, reading (links.go)
//	session    smpp/session alone, beside go-smpp (session.go)
//	ported     ten million ported numbers: their import, its memory, a lookup (ported.go)
//	lanes      how many messages of a large bulk go before a code (lanes.go)
//	campaign   what still goes out after a campaign was paused, and canceled (campaign.go)
//	memory     of an engine with a million queued messages and as many live links (memory.go)
//	stored     start, search and throughput with ten million messages stored (stored.go)
//	backup     throughput while the record is backed up, and without (backup.go)
//	retention  throughput while the content of a day is ended, and without; that it is gone (retention.go)
//	backlog    memory with five million messages due (stored.go)
//
// Without a name all are run, one after the other. A scenario starts countries of its own in a temporary directory, is
// bounded in count and time, and returns figures by name. Report (report.go) writes them with machine, commit and settings
// as JSON and as a table to <out>/<date>-<commit>-<scenario>.{json,md}; with -out "" only to the screen. The same run
// repeated differs by up to two times where the cores are shared: compare runs that were made one after the other on a
// quiet machine, and rather ratios of one run.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/tools/machine"
)

// settings are what a run may change.
type settings struct {
	Long    time.Duration `json:"long_ns"`     // of each load of rows, pages, stored, backup and retention
	Window  int           `json:"window"`      // of each of the four binds
	Batch   int           `json:"batch_lines"` // of a batch request
	Session int           `json:"session"`     // messages of session
	Ported  int           `json:"ported"`      // rows of ported
	Bulk    int           `json:"bulk"`        // messages of lanes
	Rows    int           `json:"rows"`        // of campaign
	Links   int           `json:"links"`       // of links
	Live    int           `json:"live"`        // messages of memory
	Stored  int           `json:"stored"`      // finished messages of stored
	Queued  int           `json:"queued"`      // queued messages of stored
	Due     int           `json:"due"`         // due messages of backlog
	Swept   int           `json:"swept"`       // messages of the day of retention
	Profile string        `json:"-"`           // directory of the engine's CPU profiles; empty: none
}

// figure is one measured value. Reach is what issue or plan asks for, in words; empty: nothing.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Reach string  `json:"reach,omitempty"`
}

// scenarios in the order in which all are run, each with its longest time.
var scenarios = []struct {
	name  string
	run   func(ctx context.Context, s settings) ([]figure, error)
	limit time.Duration
}{
	{"rows", rows, usual}, {"pages", pages, usual}, {"links", links, usual}, {"session", sessionAlone, usual}, {"ported", ported, usual}, {"lanes", lanes, usual}, {"campaign", campaign, usual}, {"memory", memory, usual},
	{"stored", tenMillion, usual}, {"backlog", backlog, usual}, {"backup", backup, usual}, {"retention", retention, 3 * time.Hour},
}

const usual = 30 * time.Minute

func main() {
	var s settings
	flag.DurationVar(&s.Long, "long", time.Minute, "how long each load of rows, pages, stored, backup and retention is sent")
	flag.IntVar(&s.Window, "window", 500, "outstanding PDUs of each bind (session: twice as many)")
	flag.IntVar(&s.Batch, "batch", 1000, "lines of a batch request")
	flag.IntVar(&s.Session, "session", 1_500_000, "messages of session")
	flag.IntVar(&s.Ported, "ported", 10_000_000, "rows of ported, at most 20,000,000")
	flag.IntVar(&s.Bulk, "bulk", 1_000_000, "messages of lanes, at most 900,000 of a carrier's million numbers twice")
	flag.IntVar(&s.Rows, "rows", 1_000_000, "rows of campaign")
	flag.IntVar(&s.Links, "links", 10_000_000, "live links of links")
	flag.IntVar(&s.Live, "live", 1_000_000, "messages of memory")
	flag.IntVar(&s.Stored, "stored", 10_000_000, "finished messages of stored")
	flag.IntVar(&s.Queued, "queued", 1_000_000, "queued messages of stored")
	flag.IntVar(&s.Due, "due", 5_000_000, "due messages of backlog")
	flag.IntVar(&s.Swept, "swept", 5_000_000, "messages of the day of retention")
	limit := flag.Duration("limit", 0, "longest time of a scenario; 0: half an hour, retention's three hours")
	flag.StringVar(&s.Profile, "profile", "", "directory for CPU profiles of the engine under the loads of rows and pages; empty: none")
	out := flag.String("out", "bench/results", "directory of the reports; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Args(), s, *limit, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string, s settings, limit time.Duration, out string) error {
	if len(names) == 0 {
		for _, sc := range scenarios {
			names = append(names, sc.name)
		}
	}
	var failed error
	for _, name := range names {
		failed = errors.Join(failed, one(ctx, name, s, limit, out))
	}
	return failed
}

func one(ctx context.Context, name string, s settings, limit time.Duration, out string) error {
	for _, sc := range scenarios {
		if sc.name == name {
			ctx, cancel := context.WithTimeout(ctx, cmp.Or(limit, sc.limit))
			defer cancel()
			say("scenario %s", name)
			began, commit := time.Now(), machine.Commit() // what runs is built now
			figures, err := sc.run(ctx, s)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return newReport(name, commit, s, figures, time.Since(began)).write(out)
		}
	}
	return fmt.Errorf("there is no scenario %q", name)
}
