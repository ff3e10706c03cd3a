package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/machine"
)

// result is what one scenario found.
type result struct {
	Name     string          `json:"name"`
	What     string          `json:"what"`
	Faults   int             `json:"faults"`
	Verdict  apptest.Verdict `json:"ledgers"`
	Cuts     int             `json:"cuts,omitempty"` // how often a window was cut, where a fault does so more than once
	Cap      int             `json:"cap"`            // of what is open and of duplicates: faults or cuts × the windows that one cuts
	Verified bool            `json:"verified"`       // by kakitome verify at the end
	Accepted []time.Duration `json:"first_202_ns,omitempty"`
	Bound    []time.Duration `json:"binds_up_ns,omitempty"`
	Notes    []string        `json:"notes,omitempty"`
	Skipped  string          `json:"skipped,omitempty"` // why it was not done
	Broken   []string        `json:"broken,omitempty"`  // promises, with examples
	Seconds  float64         `json:"seconds"`
}

// line tells the result in one line.
func (r *result) line() string {
	if r.Skipped != "" {
		return "skipped: " + r.Skipped
	}
	said := "kept"
	if len(r.Broken) > 0 {
		said = "BROKEN: " + r.Broken[0]
	}
	if r.Verdict.Phases == nil {
		return fmt.Sprintf("%s (%.0f s)", said, r.Seconds)
	}
	return fmt.Sprintf("%d faults, %d acknowledged, %d lost, %d duplicated; %s (%.0f s)", r.Faults, r.Verdict.Acknowledged, r.Verdict.Lost, r.Verdict.Duplicated, said, r.Seconds)
}

// report is what stands in a results file.
type report struct {
	At       string          `json:"at"`
	Commit   string          `json:"commit"`
	Seconds  float64         `json:"seconds"`
	Machine  machine.Machine `json:"machine"`
	Settings *settings       `json:"settings"`
	Results  []*result       `json:"scenarios"`
}

func newReport(s *settings) *report {
	return &report{At: time.Now().UTC().Format(time.RFC3339), Commit: machine.Commit(), Settings: s}
}

func (r *report) finish(took time.Duration) {
	r.Seconds, r.Machine = took.Seconds(), machine.Describe()
}

// broken counts the scenarios with a broken promise.
func (r *report) broken() (n int) {
	for _, s := range r.Results {
		if len(s.Broken) > 0 {
			n++
		}
	}
	return n
}

// write prints the tables, and writes both forms into dir unless it is empty.
func (r *report) write(dir string) error {
	text := r.text()
	fmt.Print("\n", text)
	if dir == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, r.At[:len(time.DateOnly)]+"-"+r.Commit+"-chaos")
	if r.Settings.Short {
		name += "-short"
	}
	return errors.Join(os.WriteFile(name+".json", append(data, '\n'), 0o644), os.WriteFile(name+".md", []byte(text), 0o644))
}

func (r *report) text() string {
	var b strings.Builder
	form, verdict := "whole form", "every promise was kept"
	if r.Settings.Short {
		form = "short form"
	}
	if n := r.broken(); n > 0 {
		verdict = fmt.Sprintf("%d scenarios with BROKEN promises", n)
	}
	fmt.Fprintf(&b, "# chaos, %s, commit %s: %s\n\n%s. The programs, the clients and the faults on the same cores.\n", r.At, r.Commit, verdict, r.Machine)
	fmt.Fprintf(&b, "Seed %d, %s, %.0f s in all; window %d on each of %d binds, eight clients with a message each %v, in doubt: resend at once.\n\n",
		r.Settings.Seed, form, r.Seconds, r.Settings.Window, len(apptest.Carriers), r.Settings.Every)

	b.WriteString("Three ledgers compared: what the clients were told, what the engine says, what the carriers wrote down. *Lost*: acknowledged, and neither at the\ncarrier nor in a state that says so. *Open*: submissions in doubt, which were written and unanswered when a fault came, by the timelines; no\nsegment has more copies than it had of these. *At most*: of both, faults × the windows that one cuts (stall and network: that of one bind, which a long\nsilence cuts several times). *Disordered*: timelines whose events cannot have happened in this order.\n\n")
	b.WriteString("| scenario | faults | acknowledged | lost | duplicated | open | at most | disordered | nobody's | asked again | ended as |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, s := range r.Results {
		v := &s.Verdict
		if s.Skipped != "" || v.Phases == nil {
			continue
		}
		most := "–"
		if s.Cap > 0 {
			most = fmt.Sprint(s.Cap)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %s | %d | %d | %d | %s |\n", s.Name, s.Faults, v.Acknowledged, v.Lost, v.Duplicated, v.Doubts, most, v.Disordered, v.Foreign, v.Unanswered, phases(v.Phases))
	}

	b.WriteString("\nOf what was acknowledged, and beside it. *Taken*: what phones wrote and the engine answered with ESME_ROK; *lost*: of it, what the sender's list has\nnot; *twice*: messages of one segment that are there again. *Callbacks*: notices that the sender's own system took; *again*: a message's last one\nonce more; *disordered*: messages of which it was told in another order than that of their events. *Verify*: records, events and indexes in the end.\n\n")
	b.WriteString("| scenario | of 3 segments | with a claim | phones wrote | taken | lost | twice | callbacks | again | disordered | verify |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, s := range r.Results {
		v := &s.Verdict
		if s.Skipped != "" || v.Phases == nil {
			continue
		}
		agrees := "no faults"
		if !s.Verified {
			agrees = "FAULTS"
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s |\n", s.Name, v.Segmented, v.Claims, v.Phones.Written, v.Phones.Taken, v.Phones.Lost, v.Phones.Twice, v.Notices.Told, v.Notices.Again, v.Notices.Disordered, agrees)
	}

	b.WriteString("\nTime to recover, from the start of the process that had ended, under the load of all clients:\n\n| scenario | starts | first 202: median | slowest | all binds up: median | slowest |\n|---|---:|---:|---:|---:|---:|\n")
	for _, s := range r.Results {
		if len(s.Bound) == 0 {
			continue
		}
		am, as := spread(s.Accepted)
		bm, bs := spread(s.Bound)
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s |\n", s.Name, len(s.Bound), am, as, bm, bs)
	}

	b.WriteString("\nWhat was done, and what it showed:\n\n")
	for _, s := range r.Results {
		fmt.Fprintf(&b, "- **%s** (%.0f s): %s.\n", s.Name, s.Seconds, s.What)
		if s.Skipped != "" {
			fmt.Fprintf(&b, "  - skipped: %s\n", s.Skipped)
		}
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "  - %s\n", n)
		}
		for _, n := range s.Broken {
			fmt.Fprintf(&b, "  - BROKEN: %s\n", n)
		}
	}
	fmt.Fprintf(&b, "- Faults of Pebble's own files are made by errorfs in tests: %s.\n", strings.Join(pebbleFaults, ", "))
	return b.String()
}

// pebbleFaults names the tests that let Pebble's files fail: package and function.
var pebbleFaults = []string{"engine/store TestFailingIndexEndsTheStore", "linkserver/link TestFailingFilesEndTheProcess"}

func phases(n map[message.Phase]int) string {
	var all []string
	for _, p := range message.Phases {
		if n[p] > 0 {
			all = append(all, fmt.Sprintf("%d %s", n[p], p))
		}
	}
	return strings.Join(all, ", ")
}

// spread is the median and the greatest, as people read them; – when there are none.
func spread(d []time.Duration) (median, slowest string) {
	if len(d) == 0 {
		return "–", "–"
	}
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2].Round(time.Millisecond).String(), d[len(d)-1].Round(time.Millisecond).String()
}
