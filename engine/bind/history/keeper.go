package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/clock"
)

const (
	lookEvery  = time.Second
	writeEvery = 10 * time.Second
	// forgetAfter is when the files of a bind that is gone hold nothing any more that could be asked for.
	forgetAfter = 367 * 24 * time.Hour
)

// Bind is what is watched; *bind.Bind is one.
type Bind interface {
	Name() string
	Status() bind.Status
	Figures() bind.Figures
}

// Options make a Keeper.
type Options struct {
	Dir   string        // is made, mode 0700
	Binds func() []Bind // those of now
	Log   *slog.Logger
}

// Keeper writes and reads the history. Safe for concurrent use.
type Keeper struct {
	o Options

	mu    sync.RWMutex     // held for writing while files are; guards lines
	lines map[string]*line // by the name of the bind
}

// line is one bind that is watched.
type line struct {
	rings  []*ring // empty: it has no history
	told   string  // what the last write failed with
	last   bind.Figures
	at     time.Time // when last was read
	window Window    // since
	seen   bool      // in this look
}

// Open makes the directory and removes files that nobody can ask about any more. Run writes.
func Open(o Options) (*Keeper, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("history of binds: %w", err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("history of binds: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > forgetAfter {
			err = os.Remove(filepath.Join(o.Dir, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("history of binds: %w", err)
		}
	}
	return &Keeper{o: o, lines: map[string]*line{}}, nil
}

// Run watches the binds until ctx ends. It returns nil: what cannot be written is a gap, and logged.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer k.close()
	k.look(clock.Now(), false)
	for looked := clock.Now(); ; {
		select {
		case <-ctx.Done():
			k.look(clock.Now(), true)
			return nil
		case <-tick.C:
		}
		now := clock.Now()
		// A write ends a slot of the clock.
		k.look(now, !rings[0].slot(looked).Equal(rings[0].slot(now)))
		looked = now
	}
}

// look reads the binds, and writes what they did since the last write.
func (k *Keeper) look(now time.Time, write bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.lines {
		l.seen = false
	}
	for _, b := range k.o.Binds() {
		l := k.lines[b.Name()]
		if l == nil {
			l = k.open(b.Name())
			l.last, l.at = b.Figures(), now
			k.lines[b.Name()] = l
		}
		l.seen = true
		st := b.Status()
		out := uint32(min(max(st.Stats.Outstanding, 0), math.MaxUint32))
		l.window = Window{sum(l.window.Sum, out), l.window.Samples + 1, max(l.window.Peak, out), uint32(max(st.Window, 0))}
		if write {
			k.write(b, st.State, l, now)
		}
	}
	for name, l := range k.lines {
		if !l.seen {
			l.close()
			delete(k.lines, name)
		}
	}
}

func (k *Keeper) open(name string) *line {
	l := &line{}
	for _, s := range rings {
		r, setAside, err := s.open(k.o.Dir, name)
		if setAside != "" {
			k.o.Log.Warn("history of a bind begins anew", "bind", name, "why", setAside)
		}
		if err != nil {
			k.o.Log.Error("bind goes without history", "bind", name, "err", err)
			l.close()
			l.rings = nil
			return l
		}
		l.rings = append(l.rings, r)
	}
	return l
}

func (l *line) close() {
	for _, r := range l.rings {
		_ = r.file.Close() // all was written
	}
}

func (k *Keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, l := range k.lines {
		l.close()
		delete(k.lines, name)
	}
}

// write adds what the bind did since the last time to the present slots.
func (k *Keeper) write(b Bind, state bind.State, l *line, now time.Time) {
	f := b.Figures()
	last := l.last
	if !last.Began.Equal(f.Began) { // made anew by a reload: it began from nothing
		last = bind.Figures{Began: f.Began}
	}
	// A program that was stopped for a while did nothing meanwhile: the stretch was not watched.
	covered := min(now.Sub(l.at), 2*writeEvery)
	if covered <= 0 {
		return
	}
	d := delta(&last, &f)
	d.Covered, d.Up, d.Window, d.State = covered, min(d.Up, covered), l.window, state
	l.last, l.at, l.window = f, now, Window{}
	var err error
	for _, r := range l.rings {
		err = errors.Join(err, r.add(now.Add(-covered/2), &d))
	}
	if text := fmt.Sprint(err); err != nil && text != l.told {
		k.o.Log.Error("history of a bind has a gap", "bind", b.Name(), "err", err)
		l.told = text
	} else if err == nil {
		l.told = ""
	}
}

// delta is what figures grew by.
func delta(last, f *bind.Figures) Record {
	grown := func(a, b uint64) uint32 { return uint32(min(max(b, a)-a, math.MaxUint32)) }
	d := Record{
		Up:        max(f.Up-last.Up, 0),
		Submitted: grown(last.Submitted, f.Submitted), Answered: grown(last.Answered, f.Answered), Receipts: grown(last.Receipts, f.Receipts),
		Received: grown(last.Received, f.Received), Throttled: grown(last.Throttled, f.Throttled), InDoubt: grown(last.InDoubt, f.InDoubt),
		NotSent: grown(last.NotSent, f.NotSent), Connects: grown(last.Connects, f.Connects),
	}
	for i := range d.Latency {
		d.Latency[i] = grown(last.Latency[i], f.Latency[i])
	}
	var all []StatusCount
	for status, n := range f.Errors {
		switch n := grown(last.Errors[status], n); {
		case n == 0:
		case status == bind.OtherErrors:
			d.OtherErrors = n
		default:
			all = append(all, StatusCount{status, n})
		}
	}
	d.setErrors(all)
	return d
}

// tokyo is the offset of the days of Read.
const tokyo = 9 * 60 * 60

// Read returns what a bind did from now-span to now, in steps, the oldest first: the first and the last may be cut short.
// Steps begin at multiples of step in Asia/Tokyo. Those of which nothing is known have Covered zero. step must be a multiple
// of a resolution that is kept for span.
func (k *Keeper) Read(name string, now time.Time, span, step time.Duration) ([]Record, error) {
	i := len(rings) - 1
	for i >= 0 && (step%rings[i].every != 0 || span > rings[i].span()) {
		i--
	}
	if i < 0 {
		return nil, fmt.Errorf("history of %s: steps of %s are not kept for %s", name, step, span)
	}
	first := floor(now.Add(-span), step)
	steps := make([]Record, 0, int(now.Sub(first)/step)+1)
	for at := first; !at.After(now); at = at.Add(step) {
		steps = append(steps, Record{At: at})
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	err := rings[i].scan(k.o.Dir, name, first, now.Add(time.Nanosecond), func(r *Record) {
		steps[int(r.At.Sub(first)/step)].add(r)
	})
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", name, err)
	}
	return steps, nil
}

func floor(t time.Time, step time.Duration) time.Time {
	s := int64(step / time.Second)
	return time.Unix((t.Unix()+tokyo)/s*s-tokyo, 0).UTC()
}

// Sum is all of the steps together.
func Sum(steps []Record) Record {
	var all Record
	for i := range steps {
		all.add(&steps[i])
	}
	if len(steps) > 0 {
		all.At = steps[0].At
	}
	return all
}
