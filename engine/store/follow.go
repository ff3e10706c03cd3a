package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"sync"
)

// A batch of Follow has about this many events; a group is never divided.
const followBatch = 1000

// Follow calls fn with batches of committed events in commit order, until ctx ends or fn fails. A reader with a name
// starts behind the last batch for which its fn returned nil (durable; a batch may come again after a crash); a new
// reader starts at the beginning. A reader without a name sees only what is committed from now on, and is dropped
// behind (its next batch starts later, with lost set) rather than holding anything back.
// The batch is fn's until it returns; the data of its events never changes, and must not be changed. Two readers of one
// name at a time are refused.
func (s *Store) Follow(ctx context.Context, reader string, fn func(batch []Event, lost bool) error) error {
	var next uint64
	if reader == "" {
		next = s.recent.next()
	} else {
		var err error
		if next, err = s.readers.join(reader); err != nil {
			return err
		}
		defer s.readers.leave(reader)
	}
	var batch []Event
	for {
		news := s.recent.news()
		if err := ctx.Err(); err != nil {
			return err
		}
		lost := false
		if reader == "" {
			if oldest := s.recent.oldest(); next < oldest {
				next, lost = oldest, true
			}
		}
		var upto uint64
		var err error
		if batch, upto, err = s.batch(batch[:0], next); err != nil {
			return fmt.Errorf("follow as %q: %w", reader, err)
		}
		if upto == next {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.stop:
				return ErrClosed
			case <-news:
			}
			continue
		}
		if len(batch) > 0 || lost {
			if err := fn(batch, lost); err != nil {
				return err
			}
		}
		next = upto
		if reader != "" {
			s.readers.advance(reader, next)
		}
	}
}

// batch appends the events of the groups from next on, until there are about followBatch, and returns the group behind.
func (s *Store) batch(batch []Event, next uint64) (_ []Event, upto uint64, err error) {
	if err := s.enter(); err != nil {
		return nil, next, err
	}
	defer s.exit()
	add := func(group []byte, trust bool) error {
		var before Ref
		_, err := eachEntry(group, trust, func(_ uint32, _ int, body []byte) error {
			if body[0] != entryEvent {
				return nil
			}
			e, err := parseEvent(body)
			if err != nil {
				return err
			}
			ev := e.eventOf(before.Tenant, e.data[:len(e.data):len(e.data)])
			before = ev.Ref
			batch = append(batch, ev)
			return nil
		})
		return err
	}
	for end := s.recent.next(); next < end && len(batch) < followBatch; next++ {
		if group := s.recent.group(next); group != nil {
			err = add(group, true)
		} else { // the log's bytes are its own
			err = s.log.Read(next, func(group []byte) error { return add(bytes.Clone(group), false) })
		}
		if err != nil {
			return nil, next, err
		}
	}
	return batch, next, nil
}

// recent keeps the last groups in memory, so that live readers do not go to the log.
type recent struct {
	mu     sync.RWMutex  // guards what follows
	first  uint64        // number of groups[0]
	groups [][]byte      // in order, without gaps
	bytes  int           // that groups hold
	fresh  chan struct{} // closed when a group is added
	closed bool
}

const (
	maxRecentBytes  = 64 << 20
	maxRecentGroups = 4096
)

func (r *recent) start(last uint64) {
	r.first = last + 1
	r.fresh = make(chan struct{})
}

func (r *recent) add(seq uint64, group []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := r.first + uint64(len(r.groups)); seq != want {
		panic(fmt.Sprintf("BUG: group %d shown, %d expected", seq, want))
	}
	r.groups = append(r.groups, group)
	r.bytes += cap(group)
	for len(r.groups) > 1 && (r.bytes > maxRecentBytes || len(r.groups) > maxRecentGroups) {
		r.bytes -= cap(r.groups[0])
		r.groups[0] = nil
		r.groups = r.groups[1:]
		r.first++
	}
	if !r.closed {
		close(r.fresh)
		r.fresh = make(chan struct{})
	}
}

func (r *recent) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	close(r.fresh)
}

// group returns nil when the group is no longer, or not yet, here. Its bytes never change.
func (r *recent) group(seq uint64) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if seq < r.first || seq >= r.first+uint64(len(r.groups)) {
		return nil
	}
	return r.groups[seq-r.first]
}

func (r *recent) next() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.first + uint64(len(r.groups))
}

func (r *recent) oldest() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.first
}

// news is closed when a group has been added after the call.
func (r *recent) news() <-chan struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.fresh
}

// readers keeps the next group of each named reader. The READERS file is written every few seconds and at the end: after
// a crash a reader meets some seconds again. It is not in the index, which may be deleted, and must not forget: a reader
// that began anew would tell the whole past again.
type readers struct {
	mu     sync.Mutex // guards what follows
	path   string
	next   map[string]uint64
	active map[string]bool
	dirty  bool
}

func (r *readers) load(path string, last uint64) error {
	r.path, r.next, r.active = path, map[string]uint64{}, map[string]bool{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the readers' places: %w", err)
	}
	var f readersFormat
	if err := json.Unmarshal(b, &f); err != nil || f.Version != 1 {
		return fmt.Errorf("%w: %s; restore it from a backup", errDamaged, path)
	}
	if f.Sum != nil && *f.Sum != f.sum() {
		return fmt.Errorf("%w: %s: checksum; restore it from a backup", errDamaged, path)
	}
	for name, next := range f.Next {
		if next < 1 || next > last+1 {
			return fmt.Errorf("%w: %s: reader %q is at group %d, the log ends at %d", errDamaged, path, name, next, last)
		}
		r.next[name] = next
	}
	return nil
}

type readersFormat struct {
	Version int               `json:"version"`
	Next    map[string]uint64 `json:"next"`
	Sum     *uint32           `json:"sum,omitempty"` // crc32c of next as JSON; nil: written before there was one
}

func (f *readersFormat) sum() uint32 {
	b, err := json.Marshal(f.Next) // in the order of the names
	if err != nil {
		panic("BUG: readers' places: " + err.Error())
	}
	return crc32.Checksum(b, castagnoli)
}

func (r *readers) join(name string) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active[name] {
		return 0, fmt.Errorf("reader %q is following already", name)
	}
	r.active[name] = true
	return max(1, r.next[name]), nil
}

func (r *readers) leave(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active, name)
}

// DropReaders forgets the places of named readers that are gone for good; one that follows stays. They count as behind no more.
func (s *Store) DropReaders(gone func(name string) bool) {
	r := &s.readers
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.next {
		if !r.active[name] && gone(name) {
			delete(r.next, name)
			r.dirty = true
		}
	}
}

func (r *readers) advance(name string, next uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next[name] = next
	r.dirty = true
}

func (r *readers) save() error {
	r.mu.Lock()
	if !r.dirty {
		r.mu.Unlock()
		return nil
	}
	f := readersFormat{Version: 1, Next: r.next}
	sum := f.sum()
	f.Sum = &sum
	b, err := json.Marshal(f)
	r.dirty = false
	r.mu.Unlock()
	if err == nil {
		err = replaceFile(r.path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save the readers' places: %w", err)
	}
	return nil
}

// lag is how many groups each named reader is behind.
func (r *readers) lag(next uint64) map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	lag := make(map[string]uint64, len(r.next))
	for name, n := range r.next {
		lag[name] = next - min(n, next)
	}
	return lag
}
