package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is what stands in a results file.
type report struct {
	Scenario string   `json:"scenario"`
	At       string   `json:"at"`
	Commit   string   `json:"commit"`
	Seconds  float64  `json:"seconds"`
	Machine  machine  `json:"machine"`
	Settings settings `json:"settings"`
	Figures  []figure `json:"figures"`
}

type machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	MemoryMiB int    `json:"memory_mib"`
	Disk      string `json:"disk"` // file system of the data
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Load      string `json:"load"` // load averages at the end
}

func newReport(name string, s settings, figures []figure, took time.Duration) *report {
	return &report{Scenario: name, At: time.Now().UTC().Format(time.RFC3339), Commit: commit(), Seconds: took.Seconds(), Machine: describe(), Settings: s, Figures: figures}
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func describe() machine {
	m := machine{CPU: after("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Go: runtime.Version(), Disk: "unknown"}
	_, _ = fmt.Sscan(after("/proc/meminfo", "MemTotal"), &m.MemoryMiB) // 0: not told
	m.MemoryMiB /= 1024
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // empty: not told
	load, _ := os.ReadFile("/proc/loadavg")
	m.Kernel = strings.TrimSpace(string(kernel))
	m.Load = strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " ")
	var fs unix.Statfs_t
	if unix.Statfs(os.TempDir(), &fs) == nil {
		m.Disk = fmt.Sprintf("file system %#x", uint64(fs.Type))
		for name, magic := range map[string]uint64{"ext4": 0xef53, "xfs": 0x58465342, "btrfs": 0x9123683e, "tmpfs": 0x01021994, "overlay": 0x794c7630} {
			if uint64(fs.Type) == magic {
				m.Disk = name
			}
		}
	}
	return m
}

// after returns what stands behind "key:" in a file of /proc.
func after(file, key string) string {
	data, _ := os.ReadFile(file) // elsewhere than on Linux there is none
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
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
	name := filepath.Join(dir, r.At[:len(time.DateOnly)]+"-"+r.Commit)
	if r.Scenario != "way" {
		name += "-" + r.Scenario
	}
	return errors.Join(os.WriteFile(name+".json", append(data, '\n'), 0o644), os.WriteFile(name+".md", []byte(table), 0o644))
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %s, commit %s\n\n", r.Scenario, r.At, r.Commit)
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d cores, %d MiB, %s, Linux %s, %s; load %s. All that is measured, and what measures, on the same cores.\n", m.CPU, m.Cores, m.MemoryMiB, m.Disk, m.Kernel, m.Go, m.Load)
	if r.Scenario == "session" {
		fmt.Fprintf(&b, "%d messages (a tenth of them by go-smpp), one bind, window %d; %.0f s in all.\n\n", r.Settings.Messages, r.Settings.Window, r.Seconds)
	} else {
		fmt.Fprintf(&b, "%d messages each way in, %d connections, batches of %d, window %d on each of 4 binds; %.0f s in all.\n\n", r.Settings.Messages, r.Settings.Conns, r.Settings.Batch, r.Settings.Window, r.Seconds)
	}
	b.WriteString("| what | value | unit |\n|---|---:|---|\n")
	for _, f := range r.Figures {
		format := "%.0f"
		if f.Value < 100 {
			format = "%.2f"
		}
		fmt.Fprintf(&b, "| %s | "+format+" | %s |\n", f.Name, f.Value, f.Unit)
	}
	return b.String()
}
