// Box runs a country in a box: the engine with its modules, four simulated carriers, phones, a payment company with its
// till, a tenant with users of each role, and a sample campaign. `make run` builds everything and starts it.
//
//	box -bin bin -dir box [-base 8800] [-fresh]
//
// It is a supervisor and nothing else: it writes the configurations that each program wants (files.go), starts the
// programs in the order in which they need each other, waits until each says that it is ready, and stops them in reverse.
// Every program is in a process group of its own, so that ^C reaches the box alone, and dies with the box (Pdeathsig).
// What a program writes goes to DIR/log/NAME.log. Secrets are made once, kept in DIR/secrets with mode 0600, and the
// passwords of people are only printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	b := &box{}
	flag.StringVar(&b.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&b.dir, "dir", "box", "directory of everything that the box keeps")
	flag.IntVar(&b.base, "base", 8800, "first of the 11 ports that the box uses")
	fresh := flag.Bool("fresh", false, "forget what an earlier run kept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, *fresh); err != nil {
		fmt.Fprintln(os.Stderr, "box:", err)
		os.Exit(1)
	}
}

type box struct {
	bin, dir string
	base     int
	held     *os.File // the marker, locked
	programs []*program
	failed   chan error // a program that ended by itself; size of all programs
}

// Ports, counted from base.
const (
	portLinks = iota
	portAPI
	portConsole
	portOperator
	portHandsets
	portTill
	portSMSC
	portCarriers // and the next three
)

func (b *box) port(n int) string { return fmt.Sprintf("127.0.0.1:%d", b.base+n) }
func (b *box) url(n int) string  { return "http://" + b.port(n) }

// marker tells a directory of a box from one of something else.
const marker = ".kakitome-box"

func (b *box) run(ctx context.Context, fresh bool) (err error) {
	began := time.Now()
	b.failed = make(chan error, 8)
	if err := b.prepare(fresh); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	err = b.live(ctx, began)
	if ctx.Err() != nil { // what fails now fails because of it
		fmt.Println("\n停止しています… / stopping …")
		return nil
	}
	return err
}

// live starts everything and waits until the box is stopped or a program ends by itself.
func (b *box) live(ctx context.Context, began time.Time) error {
	if err := b.startAll(ctx); err != nil {
		return err
	}
	logins, err := b.fill(ctx)
	if err != nil {
		return err
	}
	b.tell(logins, time.Since(began))
	if err := b.campaign(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-b.failed:
		return err
	}
}

// prepare takes the directory and checks that the ports are free.
func (b *box) prepare(fresh bool) (err error) {
	if last := b.base + portCarriers + len(carriers) - 1; b.base < 1 || last > 65535 {
		return fmt.Errorf("there are no ports %d to %d; choose others: make run BASE=8900", b.base, last)
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if err := b.hold(); err != nil {
		return err
	}
	if fresh {
		if err := b.forget(); err != nil {
			return fmt.Errorf("start anew: %w", err)
		}
	}
	for _, d := range []string{"secrets", "log"} {
		if err := os.MkdirAll(filepath.Join(b.dir, d), 0o700); err != nil {
			return fmt.Errorf("the box cannot write its directory: %w", err)
		}
	}
	for n := range portCarriers + len(carriers) {
		ln, err := net.Listen("tcp", b.port(n))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d is taken (another box?); choose others: make run BASE=%d", b.base+n, b.base+100)
		}
		if err == nil {
			err = ln.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hold takes the directory for this box alone, as long as it lives, and marks it at once: a start that fails must not
// leave a directory that the next one takes for somebody else's.
func (b *box) hold() (err error) {
	path := filepath.Join(b.dir, marker)
	if entries, err := os.ReadDir(b.dir); err == nil && len(entries) > 0 {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s holds something else than a box; choose another: make run BOX=…", b.dir)
		}
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("the box cannot write its directory: %w", err)
	}
	if b.held, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("the box cannot write its directory: %w", err)
	}
	if err := syscall.Flock(int(b.held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("a box runs in %s already (%w); stop it, or choose another: make run BOX=…", b.dir, err)
	}
	return write(path, []byte("A box of Kakitome; make run FRESH=1 forgets it.\n"))
}

// forget removes everything but the marker, which is held.
func (b *box) forget() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != marker {
			err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, e.Name())))
		}
	}
	return err
}

// startAll starts the programs, each when those that it needs are ready.
func (b *box) startAll(ctx context.Context) error {
	if err := b.writeFiles(); err != nil {
		return err
	}
	conf := filepath.Join(b.dir, "kakitome.toml")
	for _, p := range []*program{
		{name: "smsc", args: []string{"-config", filepath.Join(b.dir, "secrets", "smsc.toml")}, health: b.url(portSMSC) + "/healthz"},
		{name: "till", args: []string{"-config", filepath.Join(b.dir, "secrets", "till.toml")}, health: b.url(portTill) + "/till"},
		{name: "handsets", args: []string{"-listen", b.port(portHandsets), "-smsc", b.url(portSMSC), "-ledger", b.ledger()}, health: b.url(portHandsets) + "/"},
		{name: "kakitome", args: []string{"serve", "-config", conf}, health: b.url(portOperator) + "/readyz"},
	} {
		if err := b.start(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// program is one child.
type program struct {
	name   string
	args   []string
	health string // answers 200 when it is ready
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has
	err    error         // set before ended is closed
}

func (b *box) start(ctx context.Context, p *program) error {
	log, err := os.OpenFile(b.log(p), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(filepath.Join(b.bin, p.name), p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.ended = make(chan struct{})
	if err := startTied(p.cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	b.programs = append(b.programs, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
		b.failed <- fmt.Errorf("%s ended by itself (%v):\n%s", p.name, p.err, b.lastLines(p))
	}()
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	for {
		if ready(ctx, p.health) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("%s did not start:\n%s", p.name, b.lastLines(p))
		case <-limit.C:
			return fmt.Errorf("%s is not ready after a minute:\n%s", p.name, b.lastLines(p))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return errors.Join(res.Body.Close()) == nil && res.StatusCode == http.StatusOK
}

func (b *box) log(p *program) string { return filepath.Join(b.dir, "log", p.name+".log") }

// lastLines is the end of a program's log.
func (b *box) lastLines(p *program) string {
	data, err := os.ReadFile(b.log(p))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "  " + strings.Join(lines[max(len(lines)-5, 0):], "\n  ")
}

// stop ends the programs in reverse order: the engine first, while carriers and payment company still answer it.
func (b *box) stop() error {
	var errs []error
	for i := len(b.programs) - 1; i >= 0; i-- {
		p := b.programs[i]
		select {
		case <-p.ended:
			continue
		default:
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
		select {
		case <-p.ended:
		case <-time.After(35 * time.Second):
			errs = append(errs, fmt.Errorf("%s did not stop in time and was killed", p.name), syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL))
			<-p.ended
		}
	}
	return errors.Join(errs...)
}
