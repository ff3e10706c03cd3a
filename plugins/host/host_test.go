package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/tools/built"
)

// program is the faulty module, built once.
var program string

func TestMain(m *testing.M) {
	if dir := os.Getenv("HOST_TO_BE_KILLED"); dir != "" {
		hostToBeKilled(dir)
	}
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		panic(err)
	}
	if err := built.Into(context.Background(), dir, "", "plugins/host/testdata/faulty"); err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "faulty")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// quick is usual in a hurry.
var quick = timing{
	start:         10 * time.Second,
	healthEvery:   time.Second,
	health:        500 * time.Millisecond,
	backoff:       20 * time.Millisecond,
	backoffMax:    100 * time.Millisecond,
	healthy:       time.Minute,
	crashWindow:   time.Minute,
	crashes:       3,
	drain:         time.Second,
	term:          time.Second,
	breakerOpen:   300 * time.Millisecond,
	breakerFaults: 3,
}

// lockedBuffer is a log that many goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// fixture is a host with modules of the faulty program. Unix sockets want short paths, so it does not use t.TempDir.
type fixture struct {
	*Host
	log *lockedBuffer
	reg *prometheus.Registry
	dir string
}

func options(t *testing.T, names ...string) (Options, *fixture) {
	dir, err := os.MkdirTemp("", "h")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &fixture{log: &lockedBuffer{}, reg: prometheus.NewRegistry(), dir: dir}
	o := Options{
		StoreDir: filepath.Join(dir, "store"), RunDir: filepath.Join(dir, "run"),
		Log: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: f.reg, timing: quick,
	}
	sum, err := Checksum(program)
	require.NoError(t, err)
	for _, name := range names {
		o.Modules = append(o.Modules, Module{Name: name, Path: program, SHA256: sum})
	}
	return o, f
}

func (f *fixture) start(t *testing.T, o Options) *fixture {
	h, err := Start(t.Context(), o)
	require.NoError(t, err)
	f.Host = h
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h.Close(ctx)
	})
	for _, m := range o.Modules {
		if f.status(m.Name).State == Running {
			require.NoError(t, h.Configure(t.Context(), m.Name, "i", "", []byte("{}")))
		}
	}
	return f
}

// started is for tests that change nothing of the process, so they run beside each other.
func started(t *testing.T, names ...string) *fixture {
	t.Parallel()
	o, f := options(t, names...)
	return f.start(t, o)
}

func (f *fixture) status(module string) Status {
	for _, s := range f.Status() {
		if s.Module == module {
			return s
		}
	}
	return Status{}
}

// until waits for a state; it is bounded.
func (f *fixture) until(t *testing.T, module string, s State) {
	t.Helper()
	require.Eventually(t, func() bool { return f.status(module).State == s }, 10*time.Second, 5*time.Millisecond,
		"%s does not become %s: %+v", module, s, f.status(module))
}

func (f *fixture) tell(ctx context.Context, module, tenant, command string) (string, error) {
	out, err := f.Auth(module).Canonical(ctx, &proto.CanonicalRequest{
		Call:  &proto.Call{Instance: "i", Tenant: tenant},
		Items: []*proto.CanonicalItem{{Field: "f", Value: command}},
	})
	if err != nil {
		return "", err
	}
	return out.Forms[0].Form, nil
}

// number reads a counter or gauge.
func number(t *testing.T, m prometheus.Metric) float64 {
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

func gone(pid int) func() bool {
	return func() bool {
		// A zombie whose parent is not ours is as good as gone.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	}
}

func TestModuleRunsAndAnswers(t *testing.T) {
	f := started(t, "auth/a")
	answer, err := f.tell(t.Context(), "auth/a", "t", "echo:書留")
	require.NoError(t, err)
	require.Equal(t, "書留", answer)
	s := f.status("auth/a")
	require.Equal(t, Running, s.State)
	require.Equal(t, "1.0.0", s.Version)
	require.NotZero(t, s.PID)
	require.Zero(t, s.Restarts)
	d, ok := f.Describe("auth/a")
	require.True(t, ok)
	require.Equal(t, "faulty", d.Name)
	require.EqualValues(t, 1, number(t, f.modules["auth/a"].metrics.running.WithLabelValues("auth/a")))
}

func TestStoppedModuleEndsCallsAtTheirDeadlineAndIsReplaced(t *testing.T) {
	f := started(t, "auth/a", "auth/b")
	before := f.status("auth/a").PID
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := f.tell(ctx, "auth/a", "t", "stop")
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 15*time.Second)
	_, err = f.tell(t.Context(), "auth/b", "t", "echo:x") // the neighbour does not notice
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := f.tell(t.Context(), "auth/a", "t", "echo:x")
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	require.NotEqual(t, before, f.status("auth/a").PID)
	require.Contains(t, f.status("auth/a").LastError, "health")
	require.True(t, gone(before)())
}

func TestCrashIsOneUnknownOutcomeAndTheInstanceComesBack(t *testing.T) {
	for _, how := range []string{"crash", "panic-aside"} {
		t.Run(how, func(t *testing.T) {
			f := started(t, "auth/a")
			_, err := f.tell(t.Context(), "auth/a", "t", how)
			require.ErrorIs(t, err, ErrUnknownOutcome)
			require.NotErrorIs(t, err, ErrNotSent)
			// The instance is configured again without anybody's doing; calls in between are surely not sent.
			require.Eventually(t, func() bool {
				_, err := f.tell(t.Context(), "auth/a", "t", "echo:x")
				require.NotErrorIs(t, err, ErrUnknownOutcome)
				return err == nil
			}, 10*time.Second, 5*time.Millisecond)
			require.Equal(t, 1, f.status("auth/a").Restarts)
			if how == "panic-aside" {
				require.Contains(t, f.log.String(), "out of order")
			}
		})
	}
}

func TestModuleThatCannotStartIsQuarantinedUntilResumed(t *testing.T) {
	for how, why := range map[string]string{
		"exit":      "no licence found",
		"late":      "no disk found",
		"noise":     "Unrecognized remote plugin message",
		"kind":      "is of kind PAYMENT, its name says AUTH",
		"elsewhere": "a unix socket in its own directory is needed",
		"endless":   "Unrecognized remote plugin message",
	} {
		t.Run(how, func(t *testing.T) {
			t.Setenv("FAULTY", how)
			o, f := options(t, "auth/good", "auth/bad")
			o.Modules[1].PassEnv = []string{"FAULTY"}
			f.start(t, o)
			_, err := f.tell(t.Context(), "auth/good", "t", "echo:x")
			require.NoError(t, err)
			f.until(t, "auth/bad", Quarantined)
			require.Contains(t, f.status("auth/bad").LastError, why)
			_, err = f.tell(t.Context(), "auth/bad", "t", "echo:x")
			require.ErrorIs(t, err, ErrNotSent)
			os.Unsetenv("FAULTY")
			require.NoError(t, f.Resume("auth/bad"))
			f.until(t, "auth/bad", Running)
		})
	}
}

func TestModuleThatNeverShakesHandsDoesNotHoldUpTheStart(t *testing.T) {
	for _, how := range []string{"hang", "mute"} {
		t.Run(how, func(t *testing.T) {
			t.Setenv("FAULTY", how)
			o, f := options(t, "auth/good", "auth/bad")
			o.timing.start = 4 * time.Second // the good one has it too, on a busy machine
			o.Modules[1].PassEnv = []string{"FAULTY"}
			began := time.Now()
			f.start(t, o)
			require.Less(t, time.Since(began), 20*time.Second)
			require.Equal(t, Running, f.status("auth/good").State)
			require.NotEqual(t, Running, f.status("auth/bad").State)
			require.Contains(t, f.status("auth/bad").LastError, "handshake")
		})
	}
}

func TestFloodIsDroppedAndTheModuleStillAnswers(t *testing.T) {
	f := started(t, "auth/a", "auth/b")
	_, err := f.tell(t.Context(), "auth/a", "t", "flood")
	require.NoError(t, err)
	dropped := f.modules["auth/a"].dropped
	require.Eventually(t, func() bool { return number(t, dropped) > 5000 }, 10*time.Second, 10*time.Millisecond)
	for range 20 {
		_, err = f.tell(t.Context(), "auth/b", "t", "echo:x")
		require.NoError(t, err)
	}
	_, err = f.tell(t.Context(), "auth/a", "t", "echo:x")
	require.NoError(t, err)
	require.Equal(t, Running, f.status("auth/a").State)
	require.Less(t, strings.Count(f.log.String(), `"text":"all work`), 5000)
	require.Contains(t, f.log.String(), `"module log lines dropped"`)
}

func TestNoLogLineHarmsTheHost(t *testing.T) {
	f := started(t, "auth/a")
	_, err := f.tell(t.Context(), "auth/a", "t", "lines")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(f.log.String(), "longlong") }, 20*time.Second, 5*time.Millisecond)
	for line := range strings.Lines(f.log.String()) {
		require.True(t, json.Valid([]byte(line)))
		require.Less(t, len(line), 10_000)
	}
	require.Zero(t, f.status("auth/a").Restarts)
}

func TestLieIsNotHandedOn(t *testing.T) {
	f := started(t, "auth/a")
	_, err := f.tell(t.Context(), "auth/a", "t", "short")
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorContains(t, err, "0 forms for 1 items")
}

func TestBusyModuleIsWaitedForWithinTheDeadline(t *testing.T) {
	o, f := options(t, "auth/a")
	o.Modules[0].Limits.Concurrency = 1
	f.start(t, o)
	held := make(chan error, 1)
	go func() {
		_, err := f.tell(context.Background(), "auth/a", "t1", "sleep:1200ms")
		held <- err
	}()
	l := f.modules["auth/a"].live.Load()
	require.Eventually(t, func() bool { return len(l.slots) == 1 }, 15*time.Second, time.Millisecond)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := f.tell(short, "auth/a", "t2", "echo:x")
	require.ErrorIs(t, err, ErrNotSent)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = f.tell(t.Context(), "auth/a", "t2", "echo:x") // waits for the first
	require.NoError(t, err)
	require.NoError(t, <-held)
}

func TestOneTenantDoesNotTakeAllSlotsNorTheBreaker(t *testing.T) {
	f := started(t, "auth/a") // 4 slots, 3 of them for one tenant
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2500*time.Millisecond) // the method's own 2 s hold
			defer cancel()
			_, err := f.tell(ctx, "auth/a", "greedy", "sleep:1h")
			require.Error(t, err)
		})
	}
	l := f.modules["auth/a"].live.Load()
	require.Eventually(t, func() bool { return len(l.slots) == 3 }, 15*time.Second, time.Millisecond)
	for range 10 {
		_, err := f.tell(t.Context(), "auth/a", "modest", "echo:x")
		require.NoError(t, err)
	}
	wg.Wait()
	_, err := f.tell(t.Context(), "auth/a", "greedy", "echo:x")
	require.ErrorIs(t, err, ErrNotSent)
	require.ErrorIs(t, err, errBreakerOpen)
	_, err = f.tell(t.Context(), "auth/a", "modest", "echo:x")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := f.tell(t.Context(), "auth/a", "greedy", "echo:x")
		return err == nil
	}, 15*time.Second, 20*time.Millisecond)
	require.Zero(t, f.status("auth/a").Restarts, "a slow tenant is no ill module")
}

func TestConfigurationIsValidatedAndRemembered(t *testing.T) {
	f := started(t, "auth/a")
	_, err := f.Auth("auth/a").Canonical(t.Context(), &proto.CanonicalRequest{Call: &proto.Call{Instance: "unknown"}, Items: []*proto.CanonicalItem{{Value: "echo:x"}}})
	require.ErrorIs(t, err, ErrNotSent)

	refused := &ConfigError{}
	err = f.Configure(t.Context(), "auth/a", "j", "t", []byte(`{"bad":1}`))
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "bad", refused.Faults[0].Field)
	require.NotContains(t, f.modules["auth/a"].instances, "j")

	require.NoError(t, f.Configure(t.Context(), "auth/a", "j", "t", nil))
	f.Forget("auth/a", "i")
	_, err = f.tell(t.Context(), "auth/a", "t", "crash")
	require.ErrorIs(t, err, ErrUnknownOutcome)
	f.until(t, "auth/a", Running)
	require.Eventually(t, func() bool {
		out, err := f.Auth("auth/a").Canonical(t.Context(), &proto.CanonicalRequest{Call: &proto.Call{Instance: "j", Tenant: "t"}, Items: []*proto.CanonicalItem{{Value: "echo:x"}}})
		return err == nil && out.Forms[0].Form == "x"
	}, 20*time.Second, 5*time.Millisecond)
	_, err = f.tell(t.Context(), "auth/a", "t", "echo:x")
	require.ErrorIs(t, err, ErrNotSent, "a forgotten instance came back")
}

func TestConfigurationGivenWhileTheModuleIsDownIsUsedAtItsNextStart(t *testing.T) {
	t.Setenv("FAULTY", "exit")
	o, f := options(t, "auth/a")
	o.Modules[0].PassEnv = []string{"FAULTY"}
	f.start(t, o)
	f.until(t, "auth/a", Quarantined)
	require.ErrorIs(t, f.Configure(t.Context(), "auth/a", "i", "", nil), ErrNotSent)
	os.Unsetenv("FAULTY")
	require.NoError(t, f.Resume("auth/a"))
	f.until(t, "auth/a", Running)
	_, err := f.tell(t.Context(), "auth/a", "t", "echo:x")
	require.NoError(t, err)
}

// TestConfigurationThatABusyModuleDidNotTakeIsSentAgain: it hangs over the first, and the breaker keeps the second from it.
func TestConfigurationThatABusyModuleDidNotTakeIsSentAgain(t *testing.T) {
	f := started(t, "auth/a")
	busy := filepath.Join(f.dir, "busy")
	require.NoError(t, os.WriteFile(busy, nil, 0o600))
	config, err := json.Marshal(map[string]string{"while": busy})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.Configure(ctx, "auth/a", "j", "t", config), context.DeadlineExceeded)
	gates := f.modules["auth/a"].live.Load().gates
	g := gates.enter("")
	gates.mu.Lock()
	g.openUntil = time.Now().Add(time.Hour)
	gates.mu.Unlock()
	require.ErrorIs(t, f.Configure(t.Context(), "auth/a", "k", "t", nil), errBreakerOpen)
	require.NoError(t, os.Remove(busy))
	for _, instance := range []string{"j", "k"} {
		require.Eventually(t, func() bool {
			_, err := f.Auth("auth/a").Canonical(t.Context(), &proto.CanonicalRequest{Call: &proto.Call{Instance: instance, Tenant: "t"}, Items: []*proto.CanonicalItem{{Value: "echo:x"}}})
			return err == nil
		}, 20*time.Second, 20*time.Millisecond, instance)
	}
	require.Zero(t, f.status("auth/a").Restarts)
}

func TestUnknownModuleAnswersWithAnError(t *testing.T) {
	f := started(t, "auth/a")
	_, err := f.Payment("payment/none").Create(t.Context(), &proto.CreateRequest{})
	require.ErrorIs(t, err, ErrNotSent)
	_, err = f.Render("auth/a").RenderPage(t.Context(), &proto.RenderPageRequest{})
	require.ErrorIs(t, err, ErrNotSent)
	require.ErrorContains(t, err, "of kind AUTH")
	require.ErrorIs(t, f.Configure(t.Context(), "auth/none", "i", "", nil), ErrNotSent)
	require.Error(t, f.Resume("auth/none"))
	_, ok := f.Describe("auth/none")
	require.False(t, ok)
}

func TestWrongChecksumIsNotExecuted(t *testing.T) {
	o, f := options(t, "auth/a", "auth/b")
	o.Modules[1].SHA256 = strings.Repeat("0", 64)
	f.start(t, o)
	require.Equal(t, Running, f.status("auth/a").State)
	s := f.status("auth/b")
	require.Equal(t, Quarantined, s.State)
	require.Contains(t, s.LastError, "checksum")
	_, ok := f.Describe("auth/b")
	require.False(t, ok)
}

func TestStoredCopyIsCheckedAtEachStart(t *testing.T) {
	o, f := options(t, "auth/a")
	mine := filepath.Join(f.dir, "module")
	content, err := os.ReadFile(program)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(mine, content, 0o755))
	o.Modules[0].Path = mine
	f.start(t, o)

	// Another program at Path changes nothing: the stored copy is what is executed.
	require.NoError(t, os.WriteFile(mine, []byte("#!/bin/sh\nexit 1\n"), 0o755))
	_, err = f.tell(t.Context(), "auth/a", "t", "crash")
	require.Error(t, err)
	require.Eventually(t, func() bool { return f.status("auth/a").Restarts == 1 && f.status("auth/a").State == Running }, 10*time.Second, 5*time.Millisecond)

	// A copy that was changed is not executed, and with the true program gone there is none.
	stored := filepath.Join(o.StoreDir, "sha256", o.Modules[0].SHA256)
	info, err := os.Stat(stored)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o555), info.Mode().Perm())
	require.NoError(t, os.Remove(stored))
	require.NoError(t, os.WriteFile(stored, append(content, 0), 0o755))
	_, err = f.tell(t.Context(), "auth/a", "t", "crash")
	require.Error(t, err)
	f.until(t, "auth/a", Quarantined)

	// With the true program back it is repaired.
	require.NoError(t, os.WriteFile(mine, content, 0o755))
	require.NoError(t, f.Resume("auth/a"))
	f.until(t, "auth/a", Running)
	require.NoError(t, check(stored, o.Modules[0].SHA256))
}

func TestReplacementStartsBesideTheRunningOne(t *testing.T) {
	o, f := options(t, "auth/a")
	f.start(t, o)
	before := f.status("auth/a")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var calls, notSent int
	wg.Go(func() { // calls go on all the while
		for {
			select {
			case <-stop:
				return
			default:
			}
			calls++
			if _, err := f.tell(context.Background(), "auth/a", "t", "echo:x"); err != nil {
				require.ErrorIs(t, err, ErrNotSent)
				notSent++
			}
		}
	})
	held := make(chan error, 1)
	go func() {
		_, err := f.tell(context.Background(), "auth/a", "t", "sleep:600ms")
		held <- err
	}()
	l := f.modules["auth/a"].live.Load()
	require.Eventually(t, func() bool { return len(l.slots) >= 1 }, 15*time.Second, time.Millisecond)

	// Another program: the same with a byte more.
	content, err := os.ReadFile(program)
	require.NoError(t, err)
	next := o.Modules[0]
	next.Path = filepath.Join(f.dir, "next")
	require.NoError(t, os.WriteFile(next.Path, append(content, 0), 0o755))
	next.SHA256 = strings.Repeat("0", 64)
	require.ErrorIs(t, f.Replace(t.Context(), next), ErrChecksum)
	require.Equal(t, before, f.status("auth/a"), "a replacement that fails changes nothing")

	next.SHA256, err = Checksum(next.Path)
	require.NoError(t, err)
	require.NoError(t, f.Replace(t.Context(), next))
	close(stop)
	wg.Wait()
	require.NoError(t, <-held, "a call that ran was cut off")
	require.NotEqual(t, before.PID, f.status("auth/a").PID)
	require.True(t, gone(before.PID)())
	require.Equal(t, Running, f.status("auth/a").State)
	require.Greater(t, calls, 10)
	require.LessOrEqual(t, notSent, 2, "of %d calls", calls)

	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", f.status("auth/a").PID))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(o.StoreDir, "sha256", next.SHA256), exe)
	_, err = f.tell(t.Context(), "auth/a", "t", "crash") // and it is the one that comes back
	require.Error(t, err)
	require.Eventually(t, func() bool { return f.status("auth/a").Restarts == 1 && f.status("auth/a").State == Running }, 10*time.Second, 5*time.Millisecond)
	exe, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", f.status("auth/a").PID))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(o.StoreDir, "sha256", next.SHA256), exe)
}

func TestReplacementStartsAModuleThatDidNotRun(t *testing.T) {
	o, f := options(t, "auth/a")
	o.Modules[0].SHA256 = strings.Repeat("0", 64)
	f.start(t, o)
	require.Equal(t, Quarantined, f.status("auth/a").State)
	next := o.Modules[0]
	var err error
	next.SHA256, err = Checksum(program)
	require.NoError(t, err)
	require.NoError(t, f.Replace(t.Context(), next))
	f.until(t, "auth/a", Running)
	require.NoError(t, f.Close(t.Context()))
	require.ErrorContains(t, f.Replace(t.Context(), next), "closed")
}

func TestModuleGetsNothingOfTheHostsEnvironment(t *testing.T) {
	t.Setenv("DATABASE_PASSWORD", "hunter2")
	t.Setenv("HTTPS_PROXY", "http://proxy.example.jp:3128")
	o, f := options(t, "auth/a")
	o.Modules[0].PassEnv = []string{"HTTPS_PROXY"}
	o.Modules[0].Env = []string{"NO_PROXY=example.jp"}
	f.start(t, o)
	environ, err := f.tell(t.Context(), "auth/a", "t", "environ")
	require.NoError(t, err)
	require.NotContains(t, environ, "hunter2")
	require.Contains(t, environ, "HTTPS_PROXY=http://proxy.example.jp:3128")
	require.Contains(t, environ, "NO_PROXY=example.jp")
}

func TestMemoryLimitEndsTheModuleAlone(t *testing.T) {
	o, f := options(t, "auth/a", "auth/b")
	o.Modules[0].Limits.MemoryBytes = 512 << 20
	f.start(t, o)
	_, err := f.tell(t.Context(), "auth/a", "t", "allocate")
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.NotContains(t, err.Error(), "not refused")
	_, err = f.tell(t.Context(), "auth/b", "t", "echo:x")
	require.NoError(t, err)
}

func TestCloseLeavesNothing(t *testing.T) {
	leak := goleak.IgnoreCurrent()
	o, f := options(t, "auth/a", "auth/b", "auth/stopped")
	o.timing.drain, o.timing.term = 3*time.Second, 300*time.Millisecond
	f.start(t, o)
	child, err := f.tell(t.Context(), "auth/b", "t", "child")
	require.NoError(t, err)
	inside, err := strconv.Atoi(child)
	require.NoError(t, err)
	var pids []int
	for _, s := range f.Status() {
		pids = append(pids, s.PID)
	}
	require.NoError(t, syscall.Kill(f.status("auth/stopped").PID, syscall.SIGSTOP))

	answered := make(chan error, 1)
	go func() {
		_, err := f.tell(context.Background(), "auth/a", "t", "sleep:600ms")
		answered <- err
	}()
	l := f.modules["auth/a"].live.Load()
	require.Eventually(t, func() bool { return len(l.slots) == 1 }, 15*time.Second, time.Millisecond)
	began := time.Now()
	require.NoError(t, f.Close(t.Context()))
	require.Less(t, time.Since(began), 20*time.Second)
	require.NoError(t, <-answered, "a call that ran was not waited for")
	for _, pid := range append(pids, inside) {
		require.True(t, gone(pid)(), "process %d is left", pid)
	}
	left, err := filepath.Glob(filepath.Join(o.RunDir, "plugin-dir*"))
	require.NoError(t, err)
	require.Empty(t, left)
	for _, s := range f.Status() {
		require.Equal(t, Stopped, s.State)
	}
	_, err = f.tell(t.Context(), "auth/a", "t", "echo:x")
	require.ErrorIs(t, err, ErrNotSent)
	goleak.VerifyNone(t, leak)
}

func TestCloseInAHurryKills(t *testing.T) {
	f := started(t, "auth/a")
	answered := make(chan error, 1)
	go func() {
		_, err := f.tell(context.Background(), "auth/a", "t", "ignore")
		answered <- err
	}()
	l := f.modules["auth/a"].live.Load()
	require.Eventually(t, func() bool { return len(l.slots) == 1 }, 15*time.Second, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	require.NoError(t, f.Close(ctx))
	require.Less(t, time.Since(began), 15*time.Second)
	require.ErrorIs(t, <-answered, ErrUnknownOutcome)
}

// hostToBeKilled is the other process of the next test.
func hostToBeKilled(dir string) {
	sum, err := Checksum(os.Getenv("HOST_MODULE"))
	if err != nil {
		panic(err)
	}
	h, err := Start(context.Background(), Options{
		Modules:  []Module{{Name: "auth/a", Path: os.Getenv("HOST_MODULE"), SHA256: sum}},
		StoreDir: filepath.Join(dir, "store"), RunDir: filepath.Join(dir, "run"), timing: quick,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(h.Status()[0].PID)
	select {}
}

func TestKilledHostTakesItsModulesWithIt(t *testing.T) {
	o, f := options(t, "auth/a")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOST_TO_BE_KILLED="+f.dir, "HOST_MODULE="+program)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pid int
	_, err = fmt.Fscan(out, &pid)
	require.NoError(t, err)
	require.False(t, gone(pid)())

	// A second host cannot take the same run directory, and does not sweep it.
	_, err = Start(t.Context(), o)
	require.ErrorContains(t, err, "in use by another host")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, gone(pid), 20*time.Second, 5*time.Millisecond)

	left, err := filepath.Glob(filepath.Join(o.RunDir, "plugin-dir*"))
	require.NoError(t, err)
	require.NotEmpty(t, left, "nothing to sweep: the test shows nothing")
	f.start(t, o)
	for _, l := range left {
		require.NoDirExists(t, l)
	}
	_, err = f.tell(t.Context(), "auth/a", "t", "echo:x")
	require.NoError(t, err)
}

func TestFaultsOfTheOptionsAreAllNamed(t *testing.T) {
	_, err := Start(t.Context(), Options{
		Modules: []Module{
			{Name: "sms/x", Path: "/x", SHA256: strings.Repeat("0", 64)},
			{Name: "auth/a", Path: "relative", SHA256: strings.Repeat("0", 64)},
			{Name: "auth/a", Path: "/x", SHA256: "abc"},
		},
		StoreDir: "/nonexistent", RunDir: "/" + strings.Repeat("r", 80),
	})
	for _, want := range []string{`module "sms/x"`, "named twice", "not absolute", `sha256 "abc"`, "81 bytes: 60 at most"} {
		require.ErrorContains(t, err, want)
	}
	require.NoDirExists(t, "/nonexistent")
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Setenv("FAULTY", "hang")
	leak := goleak.IgnoreCurrent()
	o, _ := options(t, "auth/a")
	o.Modules[0].PassEnv = []string{"FAULTY"}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, o)
	require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
	goleak.VerifyNone(t, leak)
}

func TestRunDirectoryOfOthersIsRefused(t *testing.T) {
	o, _ := options(t, "auth/a")
	elsewhere := t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, o.RunDir))
	_, err := Start(t.Context(), o)
	require.ErrorContains(t, err, "no directory of this user")
	left, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	require.Empty(t, left)
}
