package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

// The test binary runs itself as a child that is killed or whose disk fails: the first word says what the child does.
const childEnv = "KAKITOME_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if what, dir, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		switch what {
		case "commit":
			commitForever(dir)
		case "append":
			appendForever(dir)
		case "index":
			failIndex(dir)
		case "sync":
			failSync(dir)
		case "limit":
			failGrowth(dir)
		case "backup":
			backUpForever(dir)
		case "restore":
			restoreForever(dir)
		case "rebuild":
			rebuildForever(dir)
		}
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, what, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what+" "+dir)
	return cmd
}

func childOptions(dir string) Options {
	o := Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "master.key")}
	o.MinFree, o.Cache, o.ValueLogSize, o.Flush = 1, 8<<20, 16<<20, 40*time.Millisecond
	return o
}

var crashClaim = Ref{acme, Claim, ulid.ULID{0: 1, 15: 1}}

// commitForever commits from many goroutines and prints the id of each message once it is acknowledged.
func commitForever(dir string) {
	s, err := Open(childOptions(dir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s.Commit(context.Background(), Tx{{Ref: crashClaim, Events: event(1, "claim")}})
	fmt.Println("ready")
	out := json.NewEncoder(os.Stdout) // one write a line
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for {
				var txs []Tx
				var ids []string
				for range 1 + rand.IntN(4) {
					m := newRef(acme, Message)
					id := m.ID.String()
					ids = append(ids, id)
					txs = append(txs, Tx{
						{
							Ref: m, Events: []NewEvent{{Type: 1, Data: []byte(id)}, {Type: 2, Data: make([]byte, rand.IntN(2000))}},
							Names: []Name{{Space: ByToken, Key: id, Exclusive: true}, {Space: ByKey, Key: id, Exclusive: true}},
							Terms: []Term{{1, id}}, Due: &Due{Queue: "crash"},
						},
						{Ref: crashClaim, Expect: Any, Events: event(2, id)},
					})
				}
				errs, err := s.Commit(context.Background(), txs...)
				for _, e := range errs {
					if e != nil {
						err = e
					}
				}
				mu.Lock()
				if err != nil {
					out.Encode("error " + err.Error())
				} else {
					out.Encode(strings.Join(ids, " "))
				}
				mu.Unlock()
				if err != nil {
					os.Exit(1)
				}
			}
		})
	}
	all.Wait()
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	o := optionsIn(t, dir)
	acked := map[string]bool{}
	for round := range 20 {
		cmd := child(t, "commit", dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		r := bufio.NewReader(out)
		ready, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", ready)
		kill := time.AfterFunc(time.Duration(rand.IntN(120_000))*time.Microsecond, func() { cmd.Process.Kill() })
		for {
			line, err := r.ReadString('\n')
			if err == io.EOF {
				break // a line without its end was not printed whole
			}
			require.NoError(t, err)
			text, err := strconv.Unquote(strings.TrimSpace(line))
			require.NoError(t, err)
			require.NotContains(t, text, "error")
			for _, id := range strings.Fields(text) {
				acked[id] = true
			}
		}
		kill.Stop()
		cmd.Wait()
		require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
		if round%7 == 6 {
			require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, indexDir)))
		}
		if round%5 == 4 || round == 19 {
			verifyAcknowledged(t, o, acked)
		}
	}
	require.NotEmpty(t, acked)
	t.Logf("%d acknowledged", len(acked))
}

// verifyAcknowledged opens the store and looks for each acknowledged message: there once, with all that leads to it.
func verifyAcknowledged(t *testing.T, o Options, acked map[string]bool) {
	t.Helper()
	ctx := t.Context()
	s, err := Open(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	due := map[ulid.ULID]int{}
	var cursor Cursor
	for {
		items, err := s.Due(nil, "crash", cursor, time.Now(), 1000)
		require.NoError(t, err)
		for _, i := range items {
			due[i.Ref.ID]++
		}
		if len(items) == 0 {
			break
		}
		cursor = items[len(items)-1].Cursor
	}
	events, err := s.Load(ctx, tenant.Operator(), crashClaim)
	require.NoError(t, err)
	claimed := map[string]int{}
	for _, e := range events {
		claimed[string(e.Data)]++
	}
	followed, total := map[ulid.ULID]int{}, 0
	stop := errors.New("enough")
	err = s.Follow(ctx, "crash "+strconv.Itoa(len(acked)), func(batch []Event, lost bool) error {
		for _, e := range batch {
			if e.Ref.Kind == Message {
				followed[e.Ref.ID]++
				total++
			}
		}
		if total < 2*len(due) {
			return nil
		}
		return stop
	})
	require.ErrorIs(t, err, stop)
	n := 0
	for id := range acked {
		m := Ref{acme, Message, ulid.MustParse(id)}
		require.Equal(t, 1, claimed[id], "in the claim")
		require.Equal(t, 1, due[m.ID], "in the queue")
		require.Equal(t, 2, followed[m.ID], "followed")
		if n++; n%7 != 0 {
			continue // the rest is looked at by sample
		}
		events, err := s.Load(ctx, tenant.Only(acme), m)
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Equal(t, id, string(events[0].Data))
		for _, space := range []Space{ByToken, ByKey} {
			ref, _, err := s.Lookup(ctx, tenant.Only(acme), space, id)
			require.NoError(t, err)
			require.Equal(t, m, ref)
		}
		refs, err := s.Search(ctx, tenant.Only(acme), Query{Kind: Message, Terms: []Term{{1, id}}, Limit: 2})
		require.NoError(t, err)
		require.Equal(t, []Ref{m}, refs)
	}
	for id, n := range due { // what was not acknowledged is there whole or not at all
		require.Equal(t, 1, n)
		require.Equal(t, 1, claimed[id.String()])
	}
}

// failSync makes the kernel refuse to sync the value log: a page of its mapping, far behind what is written, is taken
// away, so that writes still work and msync fails with ENOMEM. Badger logs that and would answer with success.
func failSync(dir string) {
	s, err := Open(childOptions(dir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	commit := func() {
		errs, err := s.Commit(context.Background(), Tx{{Ref: newRef(acme, Message), Events: event(1, "paid")}})
		fmt.Println("answer", errs, err)
	}
	commit()
	maps, _ := os.ReadFile("/proc/self/maps")
	var end uintptr
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, ".vlog") {
			_, rest, _ := strings.Cut(line, "-")
			text, _, _ := strings.Cut(rest, " ")
			n, _ := strconv.ParseUint(text, 16, 64)
			end = max(end, uintptr(n))
		}
	}
	page := uintptr(os.Getpagesize())
	if _, _, errno := syscall.Syscall(syscall.SYS_MUNMAP, end-page, page, 0); errno != 0 {
		fmt.Println("munmap", errno)
		os.Exit(3)
	}
	commit()
	os.Exit(3) // only reached when the store went on
}

func TestFailedSyncStopsProcess(t *testing.T) {
	dir := t.TempDir()
	o := optionsIn(t, dir)
	out, err := child(t, "sync", dir).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "store failed")
	require.Contains(t, string(out), syncFailure)
	require.Equal(t, 1, strings.Count(string(out), "answer"), "%s", out)
	require.Equal(t, 1, err.(*exec.ExitError).ExitCode())
	require.NoError(t, open(t, o).Close())
}

// failGrowth forbids files to grow, so that the log cannot begin its next file.
func failGrowth(dir string) {
	o := childOptions(dir)
	o.ValueLogSize = 1 << 20
	s, err := Open(o)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	ignoreFileSizeSignal()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
		fmt.Println("rlimit", err)
		os.Exit(3)
	}
	for i := range 10 {
		errs, err := s.Commit(context.Background(), Tx{{Ref: newRef(acme, Message), Events: event(1, strings.Repeat("x", 300<<10))}})
		fmt.Println("answer", i, errs, err)
	}
	os.Exit(3)
}

func TestLogThatCannotGrowStopsProcess(t *testing.T) {
	dir := t.TempDir()
	o := optionsIn(t, dir)
	out, err := child(t, "limit", dir).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "store failed")
	require.Equal(t, 1, err.(*exec.ExitError).ExitCode(), "%s", out)
	answers := strings.Count(string(out), "[<nil>] <nil>")
	require.Equal(t, strings.Count(string(out), "answer"), answers, "only success was answered: %s", out)
	require.Greater(t, answers, 0)
	s := open(t, o)
	refs, err := s.Search(t.Context(), tenant.Only(acme), Query{Kind: Message, Limit: 100})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(refs), answers)
}

// ignoreFileSizeSignal lets writes above the limit fail with EFBIG instead of ending the process by SIGXFSZ, which the
// runtime does not let os/signal ignore before it has thrown.
func ignoreFileSizeSignal() {
	type sigaction struct {
		handler  uintptr
		flags    uint64
		restorer uintptr
		mask     uint64
	}
	act := sigaction{handler: 1} // SIG_IGN
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGXFSZ), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
}
