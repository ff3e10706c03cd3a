package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kakitome/kakitome/tools/machine"
)

// report is what stands in a results file.
type report struct {
	Scenario string          `json:"scenario"`
	At       string          `json:"at"`
	Commit   string          `json:"commit"`
	Seconds  float64         `json:"seconds"`
	Machine  machine.Machine `json:"machine"`
	Settings settings        `json:"settings"`
	Figures  []figure        `json:"figures"`
}

func newReport(name, commit string, s settings, figures []figure, took time.Duration) *report {
	return &report{Scenario: name, At: time.Now().UTC().Format(time.RFC3339), Commit: commit, Seconds: took.Seconds(), Machine: machine.Describe(), Settings: s, Figures: figures}
}

// write prints the table, and writes both forms into dir unless it is empty.
func (r *report) write(dir string) error {
	table := r.table()
	fmt.Print(table)
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
	name := filepath.Join(dir, r.At[:len(time.DateOnly)]+"-"+r.Commit+"-"+r.Scenario)
	return errors.Join(os.WriteFile(name+".json", append(data, '\n'), 0o644), os.WriteFile(name+".md", []byte(table), 0o644))
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %s, commit %s\n\n", r.Scenario, r.At, r.Commit)
	fmt.Fprintf(&b, "%s. All that is measured, and what measures, on the same cores.\n", r.Machine)
	fmt.Fprintf(&b, "Loads of %v, batches of %d, window %d on each of 4 binds (session: one bind, twice that window); %.0f s in all.\n\n", r.Settings.Long, r.Settings.Batch, r.Settings.Window, r.Seconds)
	b.WriteString("| what | value | unit | to reach |\n|---|---:|---|---|\n")
	for _, f := range r.Figures {
		format := "%.0f"
		if f.Value < 100 {
			format = "%.2f"
		}
		fmt.Fprintf(&b, "| %s | "+format+" | %s | %s |\n", f.Name, f.Value, f.Unit, f.Reach)
	}
	return b.String()
}
