package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/kakitome/kakitome/engine/tenant"
)

// appenders is how many streams appendForever has; the i-th is appender(i).
const appenders = 8

func appender(i int) Ref { return Ref{acme, Claim, ulid.ULID{0: 2, 15: byte(i)}} }

// appendForever appends to some streams, which is allowed below the mark too, and prints a stream's digit for each event
// that is acknowledged.
func appendForever(dir string) {
	o := childOptions(dir)
	o.MinFree = 0
	s, err := Open(o)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	for i := range appenders {
		go func() {
			_, _ = s.Commit(context.Background(), Tx{{Ref: appender(i), Events: event(1, "head")}}) // of the first round
			for {
				errs, err := s.Commit(context.Background(), Tx{{Ref: appender(i), Expect: Any, Events: event(1, strings.Repeat("x", rand.IntN(3000)))}})
				if err != nil || errs[0] != nil {
					select {} // Fatal ends the process
				}
				fmt.Print(i)
			}
		}()
	}
	select {}
}

// TestFullDiskEndsInOrder takes all of a small file system from a store that writes to it: it says so and exits by itself, no signal
// of the kernel does it unless Badger was merging tables just then (space.go), and all that was acknowledged is there when there is
// room again.
func TestFullDiskEndsInOrder(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("full", dir, "tmpfs", 0, "size=192m,mode=0700"); err != nil {
		t.Skipf("no tmpfs may be mounted here (%v): only a limit of file sizes, RLIMIT_FSIZE, is shown (TestLogThatCannotGrowStopsProcess)", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	o := optionsIn(t, dir)
	o.MinFree = 0
	weight := filepath.Join(dir, "weight")
	acked, merging := [appenders]int{}, 0
	for round := range 6 {
		cmd := child(t, "append", dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		var said bytes.Buffer
		cmd.Stderr = &said
		require.NoError(t, cmd.Start())
		hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		r := bufio.NewReader(out)
		for n, most := 0, 1+rand.IntN(3000); ; n++ {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			require.True(t, b >= '0' && b < '0'+appenders, "%q", b)
			acked[b-'0']++
			if n == most { // whatever it does now
				fill(t, weight)
			}
		}
		_ = cmd.Wait()
		hung.Stop()
		if _, first, _ := strings.Cut(said.String(), "[running]:"); strings.Contains(said.String(), "SIGBUS") {
			first, _, _ = strings.Cut(first, "\n\n")
			require.Contains(t, first, "badger/v4.(*levelsController)", "round %d: %s", round, said.String())
			merging++
		} else {
			require.Equal(t, 1, cmd.ProcessState.ExitCode(), "round %d: %s", round, said.String())
			require.Contains(t, said.String(), "store failed")
			require.Regexp(t, "the disk is full|no space left on device", said.String())
			require.NotContains(t, said.String(), "goroutine ")
		}

		_, err = Open(o)
		require.ErrorIs(t, err, errDiskFull, "it does not start either, and says why")
		require.NoError(t, os.Remove(weight))
		s, err := Open(o)
		require.NoError(t, err)
		for i, n := range acked {
			if n > 0 {
				events, err := s.Load(t.Context(), tenant.Only(acme), appender(i))
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(events), n)
				acked[i] = len(events)
			}
		}
		require.NoError(t, s.Close())
	}
	require.Less(t, merging, 3, "hardly ever is a table being merged")
}

// fill leaves nothing of a file system.
func fill(t *testing.T, weight string) {
	t.Helper()
	f, err := os.Create(weight)
	require.NoError(t, err)
	at := int64(0)
	for n := int64(256 << 20); n >= 4096; {
		if unix.Fallocate(int(f.Fd()), 0, at, n) == nil {
			at += n
		} else {
			n /= 2
		}
	}
	require.NoError(t, f.Close())
}

// TestBlocksAreTakenAhead: whatever Badger has written, there are blocks for as much again as a group.
func TestBlocksAreTakenAhead(t *testing.T) {
	o := testOptions(t)
	o.ValueLogSize = 1 << 20
	s := open(t, o)
	log := s.log.(*badgerLog)
	for range 40 { // several files of the log
		require.NoError(t, commit1(t, s, Change{Ref: newRef(acme, Message), Events: event(1, strings.Repeat("x", 200<<10))}))
		for _, a := range log.space.ahead {
			require.GreaterOrEqual(t, a.taken, a.written)
		}
	}
	require.Greater(t, log.space.ahead[0].id, 3)
	require.ErrorIs(t, checkFloor(s.opt.Dir, 1<<62), errDiskFull)
	require.Equal(t, int64(7), spaceMark(7, 100))
	require.Equal(t, int64(5), spaceMark(0, 100))
}
