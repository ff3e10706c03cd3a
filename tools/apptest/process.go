package apptest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs. It ends with the program that started it, however that ends (tied).
type Process struct {
	name  string
	log   string // file of what it writes
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // of Wait, set before ended is closed
}

// starter is one thread that starts all programs: what ties them (tied_linux.go) follows the thread, which must not end.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for fn := range work {
			fn()
		}
	}()
	return work
})

// start starts a program with variables added to its environment. What it writes goes to the log, appended.
func start(name, log string, env []string, program string, args ...string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &Process{name: name, log: log, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = tied()
	started := make(chan error)
	starter() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when it has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends it with SIGKILL and waits until it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// Stop ends it with SIGTERM. The error is that of its exit, or that it took longer than the limit and was killed.
func (p *Process) Stop(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, p.err, p.Log())
		}
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not stop within %v\n%s", p.name, limit, p.Log())
	}
}

// Log is the end of what it wrote.
func (p *Process) Log() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(len(lines)-15, 0):], "\n")
}

// ready waits until an address answers 200.
func (p *Process) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if answersOK(ctx, address) {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended by itself: %w\n%s", p.name, p.err, p.Log())
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, ctx.Err(), p.Log())
		case <-ticker.C:
		}
	}
}

func answersOK(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return errors.Join(res.Body.Close()) == nil && res.StatusCode == http.StatusOK
}

// Under lists the processes whose program lies under a directory.
func Under(dir string) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, l := range links {
		program, err := os.Readlink(l)
		if err != nil {
			continue // it ended, or is somebody else's
		}
		var pid int
		if _, err := fmt.Sscanf(l, "/proc/%d/exe", &pid); err == nil && strings.HasPrefix(program, dir+"/") {
			found = append(found, pid)
		}
	}
	return found, nil
}
