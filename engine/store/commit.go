package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/clock"
)

// The way of a commit is three goroutines, each handing groups to the next, so that one group is built and one applied while
// a third syncs:
//
//	build   takes requests off the queue, checks each transaction against the index and an overlay of what has been
//	        built but not applied, and encodes what passes into a group
//	append  puts the group into the log, synced
//	settle  applies it to the index, shows it to followers, answers its requests
//
// A refusal travels with the group that was being built, so it is answered after everything it was compared with is on
// disk. A group without entries is only answered. When the log or the index fails the store is failed for good: nothing
// more is answered with success, and Options.Fatal is called (by default the process ends).
//
// Build waits until the pace has passed since the last group that served more than one request: a lone committer is
// served at once, a crowd is gathered. While the log syncs a group, no next one is begun for a few requests: they would wait
// for it anyway, and more come.
//
// Urgent requests are taken before others. Each of the three works on a group meanwhile, so groups are kept small as long as
// there are urgent requests, and build lets others run now and then.

// What waits to be built is bounded, in bytes and in transactions. An eighth of both is for urgent requests alone: bulk that
// comes in faster than the disk takes it is told to come again, and codes are not.
const (
	maxQueuedBytes = 64 << 20
	maxQueuedTxs   = 200_000
)

const (
	usualGroup  = 1 << 20   // bytes of a group at which the next one is begun
	urgentGroup = 256 << 10 // the same while there are urgent requests
	buildAhead  = 128 << 10 // bytes that must wait for a group to be built while the log syncs another
	politeness  = 64        // transactions after which others may run
)

type request struct {
	txs  []Tx
	errs []error
	done func([]error)
	next int // the first transaction not yet in a group
	size int
	at   time.Time

	urgent bool
}

// queue holds the requests in order of arrival, those that are urgent apart.
type queue struct {
	mu     sync.Mutex // guards what follows
	urgent []*request // are taken first
	reqs   []*request
	bytes  int
	txs    int
	closed bool
	ready  chan struct{} // size 1: there is something, or the queue was closed
}

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	bytes, txs := maxQueuedBytes, maxQueuedTxs
	if !r.urgent {
		bytes, txs = bytes-bytes/8, txs-txs/8
	}
	if q.txs > 0 && (q.bytes+r.size > bytes || q.txs+len(r.txs) > txs) {
		return ErrBusy
	}
	if r.urgent {
		q.urgent = append(q.urgent, r)
	} else {
		q.reqs = append(q.reqs, r)
	}
	q.bytes += r.size
	q.txs += len(r.txs)
	signal(q.ready)
	return nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.ready)
}

// peek returns the first request; nil when there is none, and then whether there will be none.
func (q *queue) peek() (r *request, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.urgent) > 0:
		return q.urgent[0], false
	case len(q.reqs) > 0:
		return q.reqs[0], false
	}
	return nil, q.closed
}

// pop takes out the request that peek returned.
func (q *queue) pop(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := &q.reqs
	if r.urgent {
		from = &q.urgent
	}
	(*from)[0] = nil
	*from = (*from)[1:]
	q.bytes -= r.size
	q.txs -= len(r.txs)
}

// size is what waits, in bytes, by changeSize.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.txs
}

// group is one commit group on its way.
type group struct {
	seq     uint64
	buf     []byte
	entries uint32
	txs     int
	done    []*request  // whose last transaction is in this group or before
	streams []ulid.ULID // keys of the overlay
	names   []string
	events  int
	born    time.Time
}

// Commit appends each transaction, all or nothing by transaction, and returns when they are on disk, synced.
// The result has an error per transaction (nil, *ConflictError, *TakenError, ErrNotFound, …) in order;
// the second result is set when nothing was committed (ErrBusy, ErrFull, ErrClosed, ctx ended before it was queued).
// A context that ends after queueing does not undo anything: Commit still waits for the outcome.
// Refusals too are answered only after whatever they were compared with is on disk.
// When the disk is short only some of the transactions may make streams: those get ErrFull in their place.
func (s *Store) Commit(ctx context.Context, txs ...Tx) ([]error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	outcome := make(chan []error, 1) // the one answer
	if err := s.commit(isUrgent(ctx), txs, func(errs []error) { outcome <- errs }); err != nil {
		return nil, err
	}
	errs := <-outcome
	for _, err := range errs {
		if !errors.Is(err, ErrClosed) {
			return errs, nil
		}
	}
	if len(errs) > 0 {
		return nil, ErrClosed
	}
	return errs, nil
}

// CommitAsync is Commit that calls done from the coordinator's goroutine; done must not block.
// It returns ErrBusy, ErrFull or ErrClosed without calling done. When the store fails afterwards, each transaction whose
// outcome is unknown has ErrClosed. The transactions belong to the store until done is called.
func (s *Store) CommitAsync(txs []Tx, done func([]error)) error { return s.commit(false, txs, done) }

type urgent struct{}

// Urgent returns a context whose commits go before those that wait already: for the few that a person waits for, such as a
// one-time code behind a bulk of a million.
func Urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgent{}, true) }

func isUrgent(ctx context.Context) bool { return ctx.Value(urgent{}) != nil }

func (s *Store) commit(urgent bool, txs []Tx, done func([]error)) error {
	r := &request{txs: txs, errs: make([]error, len(txs)), done: done, at: s.opt.Now(), urgent: urgent}
	makes := 0
	for _, tx := range txs {
		for i := range tx {
			r.size += changeSize(&tx[i])
		}
		if tx.makesStream() {
			makes++
		}
	}
	if s.full.Load() && makes > 0 && makes == len(txs) {
		return ErrFull
	}
	if s.failed.Load() {
		return ErrClosed
	}
	if err := s.queue.put(r); err != nil {
		if errors.Is(err, ErrBusy) {
			s.metrics.busy.Inc()
		}
		return err
	}
	return nil
}

func (tx Tx) makesStream() bool {
	for i := range tx {
		if tx[i].makesStream() {
			return true
		}
	}
	return false
}

// makesStream says whether a change is refused when the disk is short. What is done then is recorded all the same (audit has a stream
// a day, each sum of money one that leads to it from its day), and told (a callback has one for each stream that it hears of).
func (c *Change) makesStream() bool {
	return c.Expect == 0 && c.Ref.Kind != Audit && c.Ref.Kind != Register && c.Ref.Kind != Callback
}

// builder is the state of the building goroutine.
type builder struct {
	s       *Store
	seq     uint64    // of the next group
	buf     []byte    // in which the next group is built
	urgent  time.Time // when there last was an urgent request
	streams map[ulid.ULID]overlaid[state]
	names   map[string]overlaid[name]
	indexed names    // what the index says of names, while a group is built
	flying  []*group // built, perhaps not yet applied, oldest first
	applied *atomic.Uint64
	checking
}

// overlaid is what a group that is not yet in the index makes of a stream or name.
type overlaid[T any] struct {
	value T
	group uint64
}

func (s *Store) build(out chan<- *group) {
	defer close(out)
	b := &builder{
		s: s, seq: s.index.next, applied: &s.applied,
		streams: map[ulid.ULID]overlaid[state]{}, names: map[string]overlaid[name]{}, indexed: s.index.names(),
	}
	timer := time.NewTimer(0)
	<-timer.C
	var last time.Time // start of the last group when it served a crowd
	for {
		first, closed := s.queue.peek()
		if first == nil {
			if closed {
				return
			}
			<-s.queue.ready
			continue
		}
		if wait := s.opt.Pace - time.Since(last); !last.IsZero() && wait > 0 && !first.urgent && !s.stopping.Load() {
			timer.Reset(wait)
			<-timer.C
		}
		for s.syncing.Load() && s.queue.size() < buildAhead && !s.stopping.Load() {
			select {
			case <-s.free:
			case <-s.queue.ready:
			}
		}
		last = clock.Now()
		g := b.group()
		if err := b.indexed.close(); err != nil {
			s.fail(err)
		}
		if g.txs <= 1 {
			last = time.Time{}
		}
		out <- g
	}
}

// group builds the next group from the queue, which is not empty.
func (b *builder) group() *group {
	b.dropApplied()
	s := b.s
	now := s.opt.Now()
	g := &group{seq: b.seq, born: now, buf: append(b.buf[:0], make([]byte, groupHeaderSize)...)}
	b.now, b.full = now, s.full.Load()
	limit := usualGroup
	if now.Sub(b.urgent) < time.Second {
		limit = urgentGroup
	}
fill:
	for {
		r, _ := s.queue.peek()
		if r == nil {
			break
		}
		if r.urgent {
			b.urgent, limit = now, urgentGroup
		}
		for r.next < len(r.txs) {
			tx := r.txs[r.next]
			size := 0
			for i := range tx {
				size += changeSize(&tx[i])
			}
			if len(g.buf) > groupHeaderSize && len(g.buf)+size > limit || len(g.buf)+size > maxGroup && groupHeaderSize+size <= maxGroup {
				break fill
			}
			r.errs[r.next] = b.add(g, tx, size)
			g.txs++
			r.next++
			if g.txs%politeness == 0 {
				runtime.Gosched()
			}
		}
		g.done = append(g.done, r)
		s.queue.pop(r)
	}
	b.buf, g.buf = g.buf, bytes.Clone(g.buf) // the buffer grows to the largest, and is used again
	if g.entries > 0 {
		floor := s.places.open(now)
		appendGroupHeader(g.buf[:0], groupHeader{entries: g.entries, time: now.UnixNano(), floor: floor})
		b.flying = append(b.flying, g)
		b.seq++
	}
	return g
}

// dropApplied takes out of the overlay what the index now says itself.
func (b *builder) dropApplied() {
	applied := b.applied.Load()
	for len(b.flying) > 0 && b.flying[0].seq <= applied {
		g := b.flying[0]
		b.flying = b.flying[1:]
		for _, id := range g.streams {
			if b.streams[id].group == g.seq {
				delete(b.streams, id)
			}
		}
		for _, key := range g.names {
			if b.names[key].group == g.seq {
				delete(b.names, key)
			}
		}
		g.streams, g.names = nil, nil
	}
}

func (s *Store) appendGroups(in <-chan *group, out chan<- *group) {
	defer close(out)
	for g := range in {
		if g.entries > 0 && !s.failed.Load() {
			s.syncing.Store(true)
			start := clock.Now()
			if err := s.log.Append(g.seq, g.buf); err != nil {
				s.fail(err)
			}
			s.metrics.sync.Observe(time.Since(start).Seconds())
			s.syncing.Store(false)
			signal(s.free)
		}
		out <- g
	}
}

func (s *Store) settle(in <-chan *group) {
	for g := range in {
		if g.entries > 0 && !s.failed.Load() {
			if err := s.settleGroup(g); err != nil {
				s.fail(fmt.Errorf("settle group %d: %w", g.seq, err))
			}
		}
		failed := s.failed.Load()
		now := s.opt.Now()
		for _, r := range g.done {
			if failed {
				for i := range r.errs {
					r.errs[i] = ErrClosed
				}
			}
			s.metrics.latency.Observe(now.Sub(r.at).Seconds())
			r.done(r.errs)
		}
	}
}

func (s *Store) settleGroup(g *group) error {
	queues, err := s.index.apply(g.seq, g.buf)
	if err != nil {
		return err
	}
	s.applied.Store(g.seq)
	s.places.close()
	if err := s.acked.write(g.seq); err != nil {
		return err
	}
	s.recent.add(g.seq, g.buf)
	for q := range queues {
		s.wakers.wake(q)
	}
	s.metrics.groups.Inc()
	s.metrics.groupBytes.Observe(float64(len(g.buf)))
	s.metrics.events.Add(float64(g.events))
	return s.keepRoom()
}
