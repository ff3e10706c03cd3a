// Package machine says on what a measurement or a fault run was made: processor, memory, disk, kernel, load, commit.
// What cannot be found out is left empty; nothing here fails.
package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what stands in a results file.
type Machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	MemoryMiB int    `json:"memory_mib"`
	Disk      string `json:"disk"` // file system of temporary files, where the data is
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Load      string `json:"load"` // load averages at the end
}

// Commit names the commit of the working directory, with -dirty when it was changed.
func Commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Describe looks at this machine.
func Describe() Machine {
	m := Machine{CPU: after("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Go: runtime.Version(), Disk: FileSystem(os.TempDir())}
	_, _ = fmt.Sscan(after("/proc/meminfo", "MemTotal"), &m.MemoryMiB) // 0: not told
	m.MemoryMiB /= 1024
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // empty: not told
	load, _ := os.ReadFile("/proc/loadavg")
	m.Kernel = strings.TrimSpace(string(kernel))
	m.Load = strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " ")
	return m
}

// FileSystem names the file system of a directory.
func FileSystem(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return "unknown"
	}
	for name, magic := range map[string]uint64{"ext4": 0xef53, "xfs": 0x58465342, "btrfs": 0x9123683e, "tmpfs": 0x01021994, "overlay": 0x794c7630} {
		if uint64(fs.Type) == magic {
			return name
		}
	}
	return fmt.Sprintf("file system %#x", uint64(fs.Type))
}

// String is the machine in one line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d MiB, %s, Linux %s, %s; load %s", m.CPU, m.Cores, m.MemoryMiB, m.Disk, m.Kernel, m.Go, m.Load)
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
