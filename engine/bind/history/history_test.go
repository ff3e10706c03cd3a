package history

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// steady is a bind that does the same every second.
type steady struct {
	name  string
	began time.Time

	mu   sync.Mutex // guards what follows
	down bool
	past bind.Figures
	from time.Time
}

func newSteady(name string) *steady {
	return &steady{name: name, began: time.Now(), from: time.Now(), past: bind.Figures{Errors: map[pdu.Status]uint64{}}}
}

func (s *steady) Name() string { return s.name }

func (s *steady) Status() bind.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return bind.Status{Name: s.name, State: bind.Waiting, Window: 100}
	}
	return bind.Status{Name: s.name, State: bind.Bound, Window: 100, Stats: session.Stats{Outstanding: 7}}
}

// Figures: 20 submissions a second, each answered in 5 ms, one of them with ESME_RTHROTTLED; 19 receipts.
func (s *steady) Figures() bind.Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(time.Since(s.from) / time.Second)
	if s.down {
		n = 0
	}
	f := bind.Figures{Began: s.began, Up: s.past.Up + time.Duration(n)*time.Second, Submitted: s.past.Submitted + 20*n, Answered: s.past.Answered + 20*n,
		Throttled: s.past.Throttled + n, Receipts: s.past.Receipts + 19*n, Received: s.past.Received + 19*n, Connects: s.past.Connects,
		Errors: map[pdu.Status]uint64{pdu.StatusThrottled: s.past.Errors[pdu.StatusThrottled] + n}, Latency: s.past.Latency}
	for range 20 * n {
		f.Latency.Add(5 * time.Millisecond)
	}
	return f
}

func (s *steady) set(down bool) {
	f := s.Figures()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down && !down {
		f.Connects++
	}
	s.past, s.from, s.down = f, time.Now(), down
}

var quiet = slog.New(slog.DiscardHandler)

// keep runs a Keeper until the returned function is called.
func keep(t *testing.T, dir string, binds ...Bind) (*Keeper, func()) {
	k, err := Open(Options{Dir: dir, Binds: func() []Bind { return binds }, Log: quiet})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	return k, func() { cancel(); require.NoError(t, <-done) }
}

func TestAnHourOfABindIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSteady("docomo-1")
		k, stop := keep(t, t.TempDir(), b)
		time.Sleep(30 * time.Minute) // of the bubble
		b.set(true)
		time.Sleep(10 * time.Minute)
		b.set(false)
		time.Sleep(20 * time.Minute)
		stop()
		for _, c := range []struct{ span, step time.Duration }{{time.Hour, 10 * time.Second}, {24 * time.Hour, 5 * time.Minute}, {7 * 24 * time.Hour, 30 * time.Minute}, {365 * 24 * time.Hour, 24 * time.Hour}} {
			steps, err := k.Read("docomo-1", time.Now(), c.span, c.step)
			require.NoError(t, err)
			all := Sum(steps)
			require.InDelta(t, 3600, all.Covered.Seconds(), 1, c.span)
			require.InDelta(t, 3000, all.Up.Seconds(), 1)
			require.InDelta(t, 60_000, all.Submitted, 40)
			require.InDelta(t, 57_000, all.Receipts, 40)
			require.Equal(t, uint32(1), all.Connects)
			require.Equal(t, []StatusCount{{pdu.StatusThrottled, all.Throttled}}, all.Errors)
			require.Equal(t, uint32(7), all.Window.Peak)
			require.InDelta(t, 7*50.0/60, all.Window.Mean(), 0.1)
			require.Equal(t, uint32(100), all.Window.Limit)
			p50, ok := all.Quantile(0.5)
			require.True(t, ok)
			require.InDelta(t, 5, p50.Seconds()*1000, 1.5)
		}
		steps, err := k.Read("docomo-1", time.Now(), time.Hour, 10*time.Second)
		require.NoError(t, err)
		mid := steps[len(steps)/2+30] // 35 minutes after the beginning
		require.Equal(t, 10*time.Second, mid.Covered, "a bind that is down is no gap")
		require.Zero(t, mid.Up)
		require.Equal(t, bind.Waiting, mid.State)
		require.InDelta(t, 20, steps[60].PerSecond(steps[60].Submitted), 0.01)
	})
}

func TestARestartLeavesAGapAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		_, stop := keep(t, dir, newSteady("a/b"))
		time.Sleep(4*time.Minute + 3*time.Second)
		stop()
		time.Sleep(3 * time.Minute)
		k, stop := keep(t, dir, newSteady("a/b")) // made anew: its figures begin at nothing
		time.Sleep(3 * time.Minute)
		stop()
		steps, err := k.Read("a/b", time.Now(), 15*time.Minute, time.Minute)
		require.NoError(t, err)
		var covered []int
		for _, s := range steps {
			covered = append(covered, int(s.Covered.Seconds()))
		}
		require.Equal(t, []int{60, 60, 60, 60, 3, 0, 0, 57, 60, 60, 3}, covered[len(covered)-11:], "minutes of the clock")
		quarter, err := k.Read("a/b", time.Now(), 15*time.Minute, 15*time.Minute)
		require.NoError(t, err)
		require.InDelta(t, 423, quarter[len(quarter)-1].Covered.Seconds(), 1, "the slot that the restart interrupted")
		all := Sum(steps)
		require.InDelta(t, 20, all.PerSecond(all.Submitted), 0.5)
	})
}

// A reload makes a bind anew under its name: its figures begin at nothing, and no huge number comes of it.
func TestABindThatIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		b := newSteady("x")
		k, err := Open(Options{Dir: t.TempDir(), Log: quiet, Binds: func() []Bind {
			mu.Lock()
			defer mu.Unlock()
			if b == nil {
				return nil
			}
			return []Bind{b}
		}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(time.Minute)
		mu.Lock()
		b = newSteady("x")
		mu.Unlock()
		time.Sleep(time.Minute)
		mu.Lock()
		b = nil
		mu.Unlock()
		time.Sleep(time.Minute)
		cancel()
		require.NoError(t, <-done)
		steps, err := k.Read("x", time.Now(), time.Hour, 10*time.Second)
		require.NoError(t, err)
		all := Sum(steps)
		require.LessOrEqual(t, all.Submitted, uint32(2400))
		require.GreaterOrEqual(t, all.Submitted, uint32(2000))
	})
}

func TestAYearTakesNoMoreThanItsBound(t *testing.T) {
	dir := t.TempDir()
	for _, s := range rings {
		r, _, err := s.open(dir, "docomo-1")
		require.NoError(t, err)
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range int(s.slots) * 5 / 4 {
			require.NoError(t, r.add(begin.Add(time.Duration(i)*s.every), &Record{Covered: s.every, Submitted: 1}))
		}
		require.NoError(t, r.file.Close())
		n := 0
		require.NoError(t, s.scan(dir, "docomo-1", begin, begin.Add(2*s.span()), func(*Record) { n++ }))
		require.Equal(t, int(s.slots), n, "the oldest were overwritten")
	}
	var size int64
	require.NoError(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		size += info.Size()
		return err
	}))
	require.EqualValues(t, BytesPerBind, size)
}

// Whatever a crash leaves of a file, the other slots are there, and the file is used again.
func TestATornFileLosesWhatWasTorn(t *testing.T) {
	begin := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	s := rings[1]
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		r, _, err := s.open(dir, "b")
		require.NoError(rt, err)
		const n = 20
		for i := range n {
			require.NoError(rt, r.add(begin.Add(time.Duration(i)*s.every), &Record{Covered: s.every, Submitted: uint32(i + 1)}))
		}
		require.NoError(rt, r.file.Close())
		path := s.path(dir, "b")
		torn := rapid.IntRange(0, n-1).Draw(rt, "torn")
		offset := s.offset(begin.Add(time.Duration(torn)*s.every)) + int64(rapid.IntRange(0, recordSize-1).Draw(rt, "at"))
		truncated := rapid.Bool().Draw(rt, "truncated")
		if truncated {
			require.NoError(rt, os.Truncate(path, offset))
		} else {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(rt, err)
			b := make([]byte, 1)
			_, err = f.ReadAt(b, offset)
			require.NoError(rt, err)
			b[0] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
			_, err = f.WriteAt(b, offset)
			require.NoError(rt, err)
			require.NoError(rt, f.Close())
		}
		found := map[uint32]bool{}
		scan := func() {
			clear(found)
			require.NoError(rt, s.scan(dir, "b", begin, begin.Add(n*s.every), func(r *Record) { found[r.Submitted] = true }))
		}
		scan()
		for i := range n {
			want := i != torn && (!truncated || i < torn)
			require.Equal(rt, want, found[uint32(i+1)], "slot %d of torn %d", i, torn)
		}
		r, setAside, err := s.open(dir, "b")
		require.NoError(rt, err)
		require.Empty(rt, setAside)
		require.NoError(rt, r.add(begin.Add(time.Duration(torn)*s.every), &Record{Covered: s.every, Submitted: 99}))
		require.NoError(rt, r.file.Close())
		scan()
		require.True(rt, found[99])
	})
}

func TestHeadersThatAreNotOurs(t *testing.T) {
	s := rings[0]
	for name, c := range map[string]struct {
		content  []byte
		setAside bool
		newer    bool
	}{
		"empty":     {},
		"cut":       {content: s.header("b")[:100]},
		"damaged":   {content: append(s.header("b")[:recordSize-1], 0xAA), setAside: true},
		"another's": {content: s.header("c"), setAside: true},
		"no header": {content: make([]byte, 5000), setAside: true},
		"newer":     {content: append([]byte(magic+"\x02"), make([]byte, recordSize)...), newer: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(s.path(dir, "b"), c.content, 0o600))
			r, setAside, err := s.open(dir, "b")
			require.Equal(t, c.newer, errors.Is(err, errNewer))
			require.Equal(t, c.setAside, setAside != "")
			if c.newer {
				kept, err := os.ReadFile(s.path(dir, "b"))
				require.NoError(t, err)
				require.Equal(t, c.content, kept)
				require.ErrorIs(t, s.scan(dir, "b", time.Unix(0, 0), time.Unix(100, 0), nil), errNewer)
				return
			}
			require.NoError(t, r.add(time.Unix(1000, 0), &Record{Covered: time.Second}))
			require.NoError(t, r.file.Close())
			if c.setAside {
				kept, err := os.ReadFile(s.path(dir, "b") + ".damaged")
				require.NoError(t, err)
				require.Equal(t, c.content, kept)
			}
		})
	}
}

func TestFilesOfBindsThatAreLongGoneAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"old.10s": 400, "new.10s": 300} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		at := time.Now().Add(-age * 24 * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	_, err := Open(Options{Dir: dir, Log: quiet})
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(dir, "old.10s"))
	require.FileExists(t, filepath.Join(dir, "new.10s"))
}

// A killed writer loses nothing that it has written.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv("KAKITOME_HISTORY_WRITER"); dir != "" {
		writeUntilKilled(t, dir)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
	cmd.Env = append(os.Environ(), "KAKITOME_HISTORY_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines, last := bufio.NewScanner(out), -1
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "written %d", &last); err == nil && last >= 500 {
			break
		}
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	seen := map[int64]bool{}
	s := rings[0]
	require.NoError(t, s.scan(dir, "b", time.Unix(1_000_000, 0), time.Unix(1_000_000, 0).Add(s.span()), func(r *Record) {
		require.Equal(t, uint32(r.At.Unix()), r.Submitted)
		seen[r.At.Unix()] = true
	}))
	for i := range last + 1 {
		require.True(t, seen[1_000_000+int64(i)*10], "slot %d", i)
	}
}

func writeUntilKilled(t *testing.T, dir string) {
	s := rings[0]
	r, _, err := s.open(dir, "b")
	require.NoError(t, err)
	for i := range int(s.slots) {
		at := time.Unix(1_000_000+int64(i)*10, 0)
		require.NoError(t, r.add(at, &Record{Covered: s.every, Submitted: uint32(at.Unix())}))
		fmt.Println("written", i)
	}
	os.Exit(0)
}

// What is read while it is written is whole, or not there.
func TestReadersBesideTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, stop := keep(t, t.TempDir(), newSteady("b"))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 200 {
					time.Sleep(1700 * time.Millisecond)
					steps, err := k.Read("b", time.Now(), time.Hour, 10*time.Second)
					if err != nil {
						t.Error(err)
						return
					}
					for i := range steps {
						if s := &steps[i]; s.Covered > 0 && s.Submitted > 0 && (s.PerSecond(s.Submitted) < 17 || s.PerSecond(s.Submitted) > 23) {
							t.Errorf("%s: %d in %s", s.At, s.Submitted, s.Covered)
						}
					}
				}
			})
		}
		wg.Wait()
		stop()
	})
}

func TestStepsThatAreNotKept(t *testing.T) {
	k, err := Open(Options{Dir: t.TempDir(), Log: quiet})
	require.NoError(t, err)
	_, err = k.Read("b", time.Now(), 30*24*time.Hour, time.Minute)
	require.ErrorContains(t, err, "not kept")
	steps, err := k.Read("b", time.Now(), time.Hour, time.Minute)
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	require.Zero(t, Sum(steps).Covered, "a bind that nobody has heard of")
}

func FuzzSlot(f *testing.F) {
	r := Record{At: time.Unix(1000, 0), Covered: time.Second, Up: time.Second, Submitted: 3, State: bind.Bound, Errors: []StatusCount{{pdu.StatusThrottled, 2}}}
	f.Add(r.append(nil))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) == recordSize { // else the checksum stops it
			binary.LittleEndian.PutUint32(b[recordSize-4:], crc32.Checksum(b[:recordSize-4], castagnoli))
		}
		r, ok := parse(b)
		if !ok {
			return
		}
		again, ok := parse(r.append(nil))
		require.True(t, ok)
		require.Equal(t, r, again)
	})
}

// FuzzFile: whatever lies there as a file, reading it neither fails badly nor gives what was not asked for, and it can be
// written.
func FuzzFile(f *testing.F) {
	s := rings[0]
	whole := s.header("b")
	whole = append(whole, (&Record{At: time.Unix(86_400*20_000, 0), Covered: time.Second}).append(nil)...)
	f.Add(whole)
	f.Add(whole[:300])
	f.Add([]byte(strings.Repeat(magic, 100)))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := s.path(dir, "b")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		from, to := time.Unix(86_400*20_000, 0), time.Unix(86_400*20_001, 0)
		_ = s.scan(dir, "b", from, to, func(r *Record) {
			if r.At.Before(from) || !r.At.Before(to) {
				t.Errorf("%s was not asked for", r.At)
			}
		})
		r, _, err := s.open(dir, "b")
		if errors.Is(err, errNewer) {
			return
		}
		require.NoError(t, err)
		require.NoError(t, r.add(from, &Record{Covered: time.Second, Submitted: 5}))
		require.NoError(t, r.file.Close())
		n := 0
		require.NoError(t, s.scan(dir, "b", from, from.Add(time.Second), func(*Record) { n++ }))
		require.Equal(t, 1, n)
	})
}

// Adding is the same whatever the stretches are put together from.
func TestStretchesAddUp(t *testing.T) {
	stretch := rapid.Custom(func(t *rapid.T) Record {
		r := Record{Covered: 10 * time.Second, Submitted: rapid.Uint32().Draw(t, "submitted"), Window: Window{Peak: rapid.Uint32Range(0, 100).Draw(t, "peak")}}
		var all []StatusCount
		for s, n := range rapid.MapOfN(rapid.Uint32Range(1, 12), rapid.Uint32Range(1, 1000), 0, 12).Draw(t, "errors") {
			all = append(all, StatusCount{pdu.Status(s), n})
		}
		r.setErrors(all)
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(stretch, 1, 8).Draw(t, "stretches")
		total, errs, peak := uint64(0), uint64(0), uint32(0)
		for i := range all {
			total, errs, peak = total+uint64(all[i].Submitted), errs+all[i].AllErrors(), max(peak, all[i].Window.Peak)
		}
		s := Sum(all)
		if uint64(s.Submitted) != min(total, 1<<32-1) || s.AllErrors() != errs || s.Window.Peak != peak || len(s.Errors) > errorsKept {
			t.Fatalf("%+v", s)
		}
		back, ok := parse(func() []byte { s.At = time.Unix(10, 0); return s.append(nil) }())
		if !ok || back.Submitted != s.Submitted || back.AllErrors() != errs {
			t.Fatalf("%+v", back)
		}
	})
}
