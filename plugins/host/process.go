package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process runs one program and is go-plugin's runner.Runner for it. It owns the pipes, so that neither what a module
// writes nor who inherits a pipe can hold up its end.
type process struct {
	path    string
	passEnv []string
	env     []string
	limits  Limits
	sink    *logSink

	dir       string // of the socket; go-plugin makes it
	cmd       *exec.Cmd
	handshake *io.PipeReader // the first line of standard output
	pumps     sync.WaitGroup
	ended     context.CancelFunc // ends the sink's waiting

	exited  chan struct{} // closed when the process is gone, its group killed and its output read
	exitErr error         // valid once exited is closed

	mu      sync.Mutex // guards what follows
	started bool       // exited will be closed
	pid     int        // 0 before the start and from the reaping on
	doomed  bool       // to be killed as soon as it starts
}

const (
	maxHandshake = 32 << 10
	// lastWords is how long output is still read after the end of a process: somebody who left its group may hold the
	// pipe open for ever.
	lastWords = 100 * time.Millisecond
)

// environment is what every module gets of the host's.
var environment = []string{"TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// prepare takes go-plugin's variables and its directory for the socket.
func (p *process) prepare(env []string, dir string) {
	cmd := exec.Command(p.path)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, env...)
	for _, name := range append(environment[:len(environment):len(environment)], p.passEnv...) {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, p.env...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd, p.dir = cmd, dir
}

// Start starts the process from a thread that lives as long as it does: the kernel sends the parent-death signal when
// the thread that forked ends, not when the program does (golang/go#27505).
func (p *process) Start(context.Context) error {
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return err
	}
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	pr, pw := io.Pipe()
	p.handshake = pr

	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		err := p.cmd.Start()
		outW.Close()
		errW.Close()
		if err != nil {
			outR.Close()
			errR.Close()
			pw.Close()
			started <- err
			return
		}
		p.mu.Lock()
		p.started, p.pid = true, p.cmd.Process.Pid
		if p.doomed {
			syscall.Kill(-p.pid, syscall.SIGKILL)
		}
		p.mu.Unlock()
		p.limit()
		p.pumps.Go(func() { p.readStdout(outR, pw) })
		p.pumps.Go(func() { p.sink.read(errR, "stderr") })
		started <- nil
		p.await()
		p.ended()
		outR.SetReadDeadline(time.Now().Add(lastWords))
		errR.SetReadDeadline(time.Now().Add(lastWords))
		p.pumps.Wait()
		outR.Close()
		errR.Close()
		close(p.exited)
	}()
	return <-started
}

// await waits for the end of the process, kills what is left of its group, and only then reaps it: until then its
// number, which is the group's, cannot be given to another.
func (p *process) await() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	syscall.Kill(-p.pid, syscall.SIGKILL)
	p.pid = 0
	p.mu.Unlock()
	p.exitErr = p.cmd.Wait()
}

// limit bounds what the process may take. A crash writes no core: it would hold what recipients typed.
func (p *process) limit() {
	set := func(resource int, n uint64) {
		limit := unix.Rlimit{Cur: n, Max: n}
		if err := unix.Prlimit(p.cmd.Process.Pid, resource, &limit, nil); err != nil {
			p.sink.log.Warn("module limit not set", "resource", resource, "err", err)
		}
	}
	set(unix.RLIMIT_CORE, 0)
	files := p.limits.OpenFiles
	if files == 0 {
		files = 1024
	}
	set(unix.RLIMIT_NOFILE, files)
	if p.limits.MemoryBytes > 0 {
		set(unix.RLIMIT_DATA, p.limits.MemoryBytes)
	}
}

// readStdout hands the first line on to go-plugin and treats the rest as log: nothing but the handshake belongs there.
func (p *process) readStdout(r io.Reader, handshake *io.PipeWriter) {
	br := bufio.NewReaderSize(r, maxHandshake)
	line, _ := br.ReadSlice('\n')
	handshake.Write(line)
	handshake.Close()
	p.sink.read(br, "stdout")
}

// kill ends the process and its group, also when it is only about to start.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = true
	if p.pid != 0 {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// terminate asks the process to end.
func (p *process) terminate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid != 0 {
		syscall.Kill(p.pid, syscall.SIGTERM)
	}
}

// number is the process's id, 0 when there is none.
func (p *process) number() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

func (p *process) isStarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// The rest of runner.Runner.

func (p *process) Wait(context.Context) error { <-p.exited; return p.exitErr }

func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

func (p *process) Stdout() io.ReadCloser { return p.handshake }

// Stderr gives go-plugin nothing to read: its reader panics on a JSON line whose @message is no string, and with it
// the host.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (p *process) Name() string { return p.path }
func (p *process) ID() string   { return strconv.Itoa(p.number()) }

// Diagnose is asked when the handshake came to nothing, often before the module has ended and said why.
func (p *process) Diagnose(context.Context) string {
	late := time.NewTimer(5 * lastWords)
	defer late.Stop()
	select {
	case <-p.exited:
	case <-late.C:
	}
	return "last words of the module: " + p.sink.last()
}

// PluginToHost accepts only a socket in the directory that was given: a module cannot send the host elsewhere.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != p.dir {
		return "", "", fmt.Errorf("the module listens at %.20s %.100q: a unix socket in its own directory is needed", network, address)
	}
	return network, address, nil
}

func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
