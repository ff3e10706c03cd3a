package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oklog/ulid/v2"
)

// DueItem is one entry of a queue. Cursor orders the entries of a queue.
type DueItem struct {
	Ref    Ref
	At     time.Time // when it is due: the time asked for, or that of the commit when this is later
	Cursor Cursor
}

// Cursor is a place in a queue. The zero Cursor is its beginning. ID orders entries of the same time in the order in
// which they were put in; it is not the id of a stream. Cursors do not outlive the process, nor a clock that is set back:
// one from before is the beginning again.
type Cursor struct {
	At time.Time
	ID ulid.ULID

	era uint32 // how often the clock had been set back when it was given out
}

// floors keeps the promise of Due: a reader that keeps its cursor misses nothing.
//
// The place of an entry is (time, group, number in the group). Its time is the one asked for, but never before the floor
// of its group, which is the time of building, and never before the latest time, up to the clock, that any reader has read. The
// floor is part of the group, so that replay gives every entry the same place. While a group is on its way to the index,
// readers are not shown anything behind its floor.
//
// When the clock is set back, floors that only rise would put all that is new behind the time that the clock had reached,
// and so a one-time code would wait for hours. A new era begins instead: floors begin anew at the clock, and the cursors of
// the era before are no longer good. What was put in before keeps its place, and is due when the clock is there again.
type floors struct {
	mu     sync.Mutex // guards what follows
	flying []int64    // floors of groups built and not yet applied, oldest first
	last   int64      // highest floor given in this era
	read   int64      // latest time read up to in this era
	era    uint32
}

// setBack is how far the clock must go back to be one that was set: less than that is waited for.
const setBack = int64(time.Second)

// look begins a new era if the clock was set back; the caller holds mu.
func (f *floors) look(clock int64) {
	if clock < max(f.last, f.read)-setBack {
		f.last, f.read = 0, 0
		f.era++
	}
}

// open gives a floor to a group that has been built at now.
func (f *floors) open(now time.Time) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look(now.UnixNano())
	f.last = max(f.last, f.read, now.UnixNano())
	f.flying = append(f.flying, f.last)
	return f.last
}

// close says that the oldest group is in the index.
func (f *floors) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flying = f.flying[1:]
}

// now is the era.
func (f *floors) now() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.era
}

// limit is how far a reader may read that asks for now. What it calls, with the era, happens before the next
// group is applied or built.
func (f *floors) limit(now, clock int64, snapshot func(era uint32) error) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look(clock)
	if len(f.flying) > 0 {
		now = min(now, f.flying[0])
	}
	f.read = max(f.read, min(now, clock)) // else a look into the future would put all that follows behind it
	return now, snapshot(f.era)
}

// Due appends to dst the entries of the queue that are due at now, oldest first, after the cursor, at most limit.
// An entry that is put in later with a time in the past gets a cursor behind all those already given out,
// so that a reader that keeps its cursor misses nothing and needs to start from the beginning only when it starts. That
// does not hold for a cursor of the future: a reader may ask for a later now than the clock's, but not keep the cursor.
func (s *Store) Due(dst []DueItem, queue string, after Cursor, now time.Time, limit int) ([]DueItem, error) {
	if err := s.enter(); err != nil {
		return dst, err
	}
	defer s.exit()
	var d *dues
	var era uint32
	upto, err := s.places.limit(now.UnixNano(), s.opt.Now().UnixNano(), func(e uint32) (err error) {
		if era = e; after.era != era {
			after = Cursor{}
		}
		d, err = s.index.dues(queue, after, limit)
		return err
	})
	if err != nil {
		return dst, err
	}
	defer d.close()
	for limit > 0 && d.next() && d.at.at <= upto {
		item := d.at.item()
		item.Cursor.era = era
		dst = append(dst, item)
		limit--
	}
	return dst, d.err
}

// dues walks through a queue as it was when it was made: the places that are staged, and those in Pebble.
type dues struct {
	at  duePut // after next
	err error

	queue  string
	staged [2][]duePut // what is left of the young stage and of the old one
	it     *pebble.Iterator
	stored duePut // of it
	more   bool   // there is stored
	prefix int    // bytes of a key before its place
}

// dues makes a walk from behind a cursor, of at most limit steps. It must be closed.
func (ix *index) dues(queue string, after Cursor, limit int) (*dues, error) {
	prefix := appendDuePrefix(nil, queue)
	d := &dues{queue: queue, prefix: len(prefix)}
	from := duePut{at: math.MinInt64}
	if !after.At.IsZero() {
		from = duePut{at: after.At.UnixNano(), place: place{binary.BigEndian.Uint64(after.ID[:]), binary.BigEndian.Uint32(after.ID[8:]) + 1}}
	}
	ix.mu.RLock() // nothing goes from the stage to Pebble meanwhile
	defer ix.mu.RUnlock()
	d.staged[0] = ix.stage.due(nil, queue, from, limit)
	if ix.stage0 != nil {
		d.staged[1] = ix.stage0.due(nil, queue, from, limit)
	}
	var err error
	if d.it, err = ix.db.NewIter(&pebble.IterOptions{LowerBound: dueAfter(prefix, after), UpperBound: prefixEnd(prefix)}); err != nil {
		return nil, fmt.Errorf("read queue %s: %w", queue, err)
	}
	d.read(d.it.First())
	return d, nil
}

func (d *dues) read(ok bool) {
	d.more = false
	if !ok {
		if err := d.it.Error(); err != nil {
			d.err = fmt.Errorf("read queue %s: %w", d.queue, err)
		}
		return
	}
	if d.stored, d.err = parseDue(d.it.Key()[d.prefix:], d.it.Value()); d.err != nil {
		d.err = fmt.Errorf("read queue %s: %w", d.queue, d.err)
	}
	d.more = d.err == nil
}

// next goes to the next place, the first one at the beginning. Of a place that several know of the youngest has the word.
func (d *dues) next() bool {
	for d.err == nil {
		first := -1
		for i, s := range d.staged {
			if len(s) > 0 && (first < 0 || dueBefore(s[0], d.staged[first][0])) {
				first = i
			}
		}
		switch {
		case first < 0 && !d.more:
			return false
		case first < 0 || d.more && dueBefore(d.stored, d.staged[first][0]):
			d.at = d.stored
		default:
			d.at = d.staged[first][0]
		}
		for i, s := range d.staged {
			if len(s) > 0 && s[0].at == d.at.at && s[0].place == d.at.place {
				d.staged[i] = s[1:]
			}
		}
		if d.more && d.stored.at == d.at.at && d.stored.place == d.at.place {
			d.read(d.it.Next())
		}
		if !d.at.gone {
			return d.err == nil
		}
	}
	return false
}

func (d *dues) close() { d.it.Close() }

// dueAfter is the first key of a queue behind the cursor.
func dueAfter(prefix []byte, after Cursor) []byte {
	key := append([]byte(nil), prefix...)
	if after.At.IsZero() {
		return key
	}
	key = binary.BigEndian.AppendUint64(key, ordered(after.At.UnixNano()))
	key = append(key, after.ID[:12]...)
	return append(key, 0)
}

func parseDue(key, value []byte) (duePut, error) {
	r := reader{b: value}
	kind, id, t := r.ref()
	if r.bad || len(r.b) > 0 || len(key) != dueSize {
		return duePut{}, fmt.Errorf("%w: queue entry", errDamaged)
	}
	return duePut{
		at:    fromOrdered(binary.BigEndian.Uint64(key)),
		place: place{binary.BigEndian.Uint64(key[8:]), binary.BigEndian.Uint32(key[16:])},
		ref:   Ref{tenantOf(t), kind, id},
	}, nil
}

// item is what readers see of it.
func (d *duePut) item() DueItem {
	at := time.Unix(0, d.at).UTC()
	item := DueItem{Ref: d.ref, At: at, Cursor: Cursor{At: at}}
	binary.BigEndian.PutUint64(item.Cursor.ID[:], d.group)
	binary.BigEndian.PutUint32(item.Cursor.ID[8:], d.n)
	return item
}

// NextDue is the time of the first entry after the cursor, due or not; false when there is none.
func (s *Store) NextDue(queue string, after Cursor) (time.Time, bool, error) {
	if err := s.enter(); err != nil {
		return time.Time{}, false, err
	}
	defer s.exit()
	if after.era != s.places.now() {
		after = Cursor{}
	}
	d, err := s.index.dues(queue, after, 1)
	if err != nil {
		return time.Time{}, false, err
	}
	defer d.close()
	if !d.next() {
		return time.Time{}, false, d.err
	}
	return time.Unix(0, d.at.at).UTC(), true, nil
}

// Waiting counts the entries of the queue that are due at now, up to limit, and tells since when the oldest is. It is for
// people who look: it moves no cursor.
func (s *Store) Waiting(queue string, now time.Time, limit int) (n int, oldest time.Time, err error) {
	if err := s.enter(); err != nil {
		return 0, oldest, err
	}
	defer s.exit()
	d, err := s.index.dues(queue, Cursor{}, limit)
	if err != nil {
		return 0, oldest, err
	}
	defer d.close()
	for n < limit && d.next() && d.at.at <= now.UnixNano() {
		if n == 0 {
			oldest = time.Unix(0, d.at.at).UTC()
		}
		n++
	}
	return n, oldest, d.err
}

// Queues lists the queues that hold entries.
func (s *Store) Queues() ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.exit()
	if err := s.index.publish(); err != nil {
		return nil, err
	}
	it, err := s.index.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyDue}, UpperBound: []byte{keyDue + 1}})
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	defer it.Close()
	var queues []string
	for ok := it.First(); ok; {
		key := it.Key()
		if len(key) < 2+dueSize {
			return nil, fmt.Errorf("list queues: %w", errDamaged)
		}
		prefix := append([]byte(nil), key[:len(key)-dueSize]...)
		queues = append(queues, string(prefix[1:len(prefix)-1]))
		ok = it.SeekGE(prefixEnd(prefix))
	}
	return queues, it.Error()
}

// Wake returns a channel of size 1 that receives after entries were put into the queue. Callers of the same queue share
// one channel.
func (s *Store) Wake(queue string) <-chan struct{} { return s.wakers.channel(queue) }

type wakers struct {
	mu    sync.Mutex // guards chans
	chans map[string]chan struct{}
}

func (w *wakers) channel(queue string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.chans[queue]
	if c == nil {
		c = make(chan struct{}, 1) // full: the reader has yet to look anyway
		if w.chans == nil {
			w.chans = map[string]chan struct{}{}
		}
		w.chans[queue] = c
	}
	return c
}

func (w *wakers) wake(queue string) {
	signal(w.channel(queue))
}
