package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kakitome/kakitome/tools/apptest"
)

// tracer is strace at the running engine.
type tracer struct {
	cmd  *exec.Cmd
	file string
	maps []mapping // of the engine when it began
}

// straces says why strace cannot be used here; empty: it can.
func straces() string {
	if _, err := exec.LookPath("strace"); err != nil {
		return "strace is not installed (Debian: apt-get install strace)"
	}
	if out, err := exec.Command("strace", "-qq", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("strace may trace nothing here: %v %s", err, strings.TrimSpace(string(out)))
	}
	return ""
}

// trace begins to trace the engine with further arguments of strace, and waits until every thread is.
func (g *rig) trace(ctx context.Context, args ...string) (*tracer, error) {
	pid := g.country.Engine.PID()
	t := &tracer{file: filepath.Join(g.dir, "strace.out")}
	var err error
	if t.maps, err = mapsOf(pid); err != nil {
		return nil, err
	}
	if err := os.Remove(t.file); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	t.cmd = exec.Command("strace", append([]string{"-f", "-ttt", "-T", "-yy", "-s", "48", "-o", t.file, "-p", fmt.Sprint(pid)}, args...)...)
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	err = until(ctx, 10*time.Second, "strace traces the engine", func() (bool, error) { return allTraced(pid) })
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// allTraced reports whether all threads of a process are traced, or it has ended.
func allTraced(pid int) (bool, error) {
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return false, err
	}
	for _, name := range all {
		data, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(data), "TracerPid:\t0\n") {
			return false, nil
		}
	}
	return true, nil
}

// end lets strace go and reads what it saw.
func (t *tracer) end() ([]call, error) {
	_ = t.cmd.Process.Signal(syscall.SIGTERM) // it may have ended with the engine
	_ = t.cmd.Wait()                          // its exit code is that of the engine, or of the signal
	f, err := os.Open(t.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readCalls(f)
}

func mapsOf(pid int) ([]mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMaps(f)
}

// syncFails lets syncs of the running engine fail with EIO, from a random moment on: one kind of call or all, the first of
// each thread or every one. The engine must end by itself as soon as a sync of its store has failed, and nothing that it
// acknowledged before may be lost.
func syncFails(ctx context.Context, g *rig) error {
	if g.result.Skipped = straces(); g.result.Skipped != "" {
		return nil
	}
	if err := g.open(ctx, apptest.Options{}); err != nil {
		return err
	}
	g.load.Expect = []int{http.StatusServiceUnavailable} // by an engine that is about to end
	if err := g.startLoad(ctx); err != nil {
		return err
	}
	kinds := []string{"msync", "fsync", "fsync,msync,fdatasync", "fdatasync"}
	first := []string{":when=1", ""}
	rounds := g.s.times(10, 2)
	for i := range rounds {
		kind, when := kinds[i%len(kinds)], first[g.rng.IntN(len(first))]
		pause(ctx, g.chance(800*time.Millisecond))
		_, from := g.engineLog(0)
		t, err := g.trace(ctx, "-e", "trace="+kind, "-e", "inject="+kind+":error=EIO"+when)
		if err != nil {
			return err
		}
		ended := g.ended(ctx, 8*time.Second)
		calls, err := t.end()
		if err != nil {
			return err
		}
		failed, stores := map[string]int{}, false
		for i := range calls {
			if c := &calls[i]; c.injected() {
				file := c.file(t.maps)
				stores = stores || strings.Contains(file, "/data/store/")
				failed[strings.TrimPrefix(filepath.Dir(file), g.country.Data()+"/")]++
			}
		}
		said, _ := g.engineLog(from)
		switch {
		case ended:
			g.note("%s%s: failed %v; the engine ended: %s", kind, when, failed, reason(said))
		case stores:
			g.broken("%s%s: failed %v in the store and the engine went on", kind, when, failed)
		case len(failed) > 0:
			g.note("%s%s: failed %v, which is derived and made again; the engine went on", kind, when, failed)
		default:
			g.note("%s%s: no such call within 8 s", kind, when)
		}
		if !ended {
			g.country.Engine.Kill()
		}
		if err := g.recover(ctx); err != nil {
			return err
		}
		g.result.Faults++
	}
	return g.judge(ctx, apptest.Terms{Faults: g.result.Faults, WindowSum: g.windows(), Patience: 2 * time.Minute})
}

// inOrder reports whether an engine that ended by itself did so by an error of its store: not by a signal or a panic.
func inOrder(log string) bool {
	return strings.Contains(log, `msg="store failed"`) && !strings.Contains(log, "\ngoroutine ")
}

// reason finds the line in which an engine said why it ended.
func reason(log string) string {
	for line := range strings.Lines(log) {
		if i := strings.Index(line, `msg="store failed"`); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
		for _, mark := range []string{"fatal error:", "panic:", "unexpected fault address", "SIGBUS", "SIGXFSZ"} {
			if strings.Contains(line, mark) {
				return strings.TrimSpace(line)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return "it said last: " + lines[len(lines)-1]
}
