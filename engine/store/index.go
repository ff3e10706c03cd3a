package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/oklog/ulid/v2"
)

// The index is a Pebble without a write-ahead log. All of it follows from the log: apply does the same with a group that
// has just been synced and with one that is replayed. Keys, by their first byte (integers big endian, ~ is inverted so
// that the newest comes first, times as int64 with the sign bit flipped):
//
//	l id                                    → life
//	p id chunk 4                            → places of 64 events (streams longer than 64)
//	n space [tenant 0] key                  → holder, until, value
//	h tenant 0 kind ~at ~id                 → nothing: the heads by time
//	t tenant 0 kind field length value ~at ~id → nothing: the heads that carry a term
//	d queue 0 at seq 8 entry 4              → kind, id, tenant
//	m                                       → mark: version 1, store id 16, group 8
//
// The mark is the first group whose effects may be missing: opening replays from it. Names, terms, heads and queue
// entries are written some seconds after their groups (stage.go). Lives change with each event, so they are kept in memory in
// two generations: groups touch the young one; every few seconds the young one becomes the old one, is written to Pebble
// behind all that is staged, and then the mark moves to the group at which the generations changed. A stream that lives for
// seconds is thus written once.
// Pebble flushes its batches in order, so what is durable after a crash is a prefix of what was written, mark included.
//
// Replay may meet effects of later groups. It is right all the same, because every effect overwrites (names, final,
// queue place) and events are skipped by their number; the last group's word stands at the end.
type index struct {
	db    *pebble.DB
	store ulid.ULID

	writing sync.Mutex // held by who writes out a stage, or lives; taken before applying

	// applying is held while a group goes in, and during each step of writing out: who deletes in Pebble what no longer
	// holds knows that nobody writes it anew meanwhile.
	applying sync.Mutex
	next     uint64 // the next group to apply; guarded by applying
	live     bool   // no longer replaying: a head is of a stream that the index does not know
	scratch  storedFacts
	key, val []byte            // scratch; guarded by applying
	queues   map[string]string // guarded by applying; spares a string per event

	mu      sync.RWMutex // guards what follows, every life in it, and the stages
	young   map[ulid.ULID]*life
	touched *life // the last one, in young; may be nil
	old     map[ulid.ULID]*life
	stage   *stage    // the young one
	stage0  *stage    // the old one, while it is written out; else nil
	moves   uint64    // how often names went from a stage to Pebble, or out of it
	newest  ulid.ULID // no stream in Pebble has a later id, but for files and what lies decades ahead (see fresh)
}

const (
	keyLife  = 'l'
	keyChunk = 'p'
	keyName  = 'n'
	keyHead  = 'h'
	keyTerm  = 't'
	keyDue   = 'd'
	keyMark  = 'm'

	indexVersion = 1
	chunkLen     = 64
	maxYoung     = 250_000 // lives in the young generation at which the generations change early
)

// openIndex uses Cache, Log and files of the options. whole: it is made from the begin of the log to its end, and merged then (merge).
func openIndex(dir string, store ulid.ULID, o Options, whole bool, fatal func(error)) (*index, error) {
	log := o.Log
	ix := &index{
		store: store, young: map[ulid.ULID]*life{}, queues: map[string]string{}, stage: newStage(1),
	}
	opt := &pebble.Options{
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		FS:                          o.files,
		CacheSize:                   o.Cache,
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      &pebbleLogger{log: log, fatal: fatal},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { fatal(fmt.Errorf("index: %w", err)) },
			DataCorruption:  func(info pebble.DataCorruptionInfo) { log.Error("index damaged", "err", info.Details) },
			WriteStallBegin: func(info pebble.WriteStallBeginInfo) { log.Warn("index stalls", "err", info.Reason) },
		},
	}
	for i := range opt.Levels {
		opt.Levels[i].BlockSize = 16 << 10
		opt.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	if whole { // else each table is merged several times on the way
		opt.DisableAutomaticCompactions, opt.L0StopWritesThreshold = true, math.MaxInt32
		opt.TargetFileSizes[0], opt.TargetFileSizes[1] = int64(opt.MemTableSize), 4<<20 // one table for each time the memory is full
	}
	var err error
	if ix.db, err = pebble.Open(dir, opt); err != nil {
		return nil, fmt.Errorf("open index in %s (it is derived: move it away and it is rebuilt): %w", dir, err)
	}
	if ix.next, err = ix.readMark(); err == nil {
		err = ix.readNewest()
	}
	if err != nil {
		return nil, errors.Join(err, ix.db.Close())
	}
	return ix, nil
}

// Merging is how long the index has been merging its tables since it was opened, each merge for itself.
func (s *Store) Merging() time.Duration { return s.index.db.Metrics().Compact.Duration }

// merge merges all tables of an index that was made as a whole, and syncs it.
func (ix *index) merge(ctx context.Context) error {
	if err := ix.db.Flush(); err != nil {
		return err
	}
	return ix.db.Compact(ctx, []byte{0}, []byte{0xff}, true)
}

func (ix *index) readMark() (uint64, error) {
	v, closer, err := ix.db.Get([]byte{keyMark})
	if errors.Is(err, pebble.ErrNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the index's mark: %w", err)
	}
	defer closer.Close()
	if len(v) != 25 || v[0] != indexVersion {
		return 0, fmt.Errorf("%w: the index's mark, or an index of another version; move the index away and it is rebuilt", errDamaged)
	}
	if ulid.ULID(v[1:17]) != ix.store {
		return 0, fmt.Errorf("the index belongs to store %s, not to %s", ulid.ULID(v[1:17]), ix.store)
	}
	return binary.BigEndian.Uint64(v[17:]), nil
}

// firstID is the id with which those of a time begin.
func firstID(at time.Time) (id ulid.ULID) {
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		panic("BUG: time of an id: " + err.Error())
	}
	return id
}

// horizon is the id from which fresh knows nothing. Ids begin with the time; but those of files are hashes, of which nearly
// all lie behind it.
var horizon = firstID(time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC))

// readNewest finds the latest id below the horizon.
func (ix *index) readNewest() error {
	it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyLife}, UpperBound: append([]byte{keyLife}, horizon[:]...)})
	if err != nil {
		return fmt.Errorf("read the newest stream in the index: %w", err)
	}
	defer it.Close()
	for ok := it.Last(); ok; ok = it.Prev() {
		if v := it.Value(); len(it.Key()) == 17 && len(v) > 1 && Kind(v[1]) != File {
			ix.newest = ulid.ULID(it.Key()[1:])
			break
		}
	}
	return it.Error()
}

// fresh reports whether an id is so new that no stream can have it: it is not in memory, and later than all in Pebble.
func (ix *index) fresh(ref Ref) bool {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.freshLocked(ref)
}

// freshLocked is fresh for whoever holds mu.
func (ix *index) freshLocked(ref Ref) bool {
	return ref.Kind != File && ref.ID.Compare(ix.newest) > 0 && ref.ID.Compare(horizon) < 0 && ix.young[ref.ID] == nil && ix.old[ref.ID] == nil
}

// apply makes the effects of a synced group visible, all at once.
// It returns the queues that were put into.
func (ix *index) apply(seq uint64, group []byte) (queues map[string]struct{}, err error) {
	ix.applying.Lock()
	defer ix.applying.Unlock()
	if seq != ix.next {
		return nil, fmt.Errorf("BUG: group %d applied, %d expected", seq, ix.next)
	}
	h, err := parseGroupHeader(group)
	if err != nil {
		return nil, err
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	_, err = eachEntry(group, ix.live, func(n uint32, off int, body []byte) error {
		switch body[0] {
		case entryEvent:
			return ix.applyEvent(body, place{seq, uint32(off)})
		case entryFacts:
			f := &ix.scratch
			if err := parseFacts(f, body); err != nil {
				return err
			}
			if f.hasDue && len(f.queue) > 0 {
				if queues == nil {
					queues = map[string]struct{}{}
				}
				if _, ok := queues[string(f.queue)]; !ok {
					queues[string(f.queue)] = struct{}{}
				}
			}
			return ix.applyFacts(f, place{seq, n}, h.floor)
		}
		return fmt.Errorf("%w: entry of type %q", errDamaged, body[0])
	})
	if err != nil {
		return nil, err
	}
	ix.next = seq + 1
	return queues, nil
}

func (ix *index) applyEvent(body []byte, at place) error {
	e, err := parseEvent(body)
	if err != nil {
		return err
	}
	l, err := ix.touch(e.kind, e.id, e.tenant, e.seq == 0)
	if err != nil || l == nil {
		return err
	}
	switch {
	case e.seq < l.version:
		return nil // replayed
	case e.seq > l.version:
		return fmt.Errorf("%w: stream %s has %d events, event %d follows", errDamaged, l.ref, l.version, e.seq)
	}
	if e.seq == 0 {
		l.headAt = e.at
		ix.key = appendHeadKey(ix.key[:0], l.ref.Tenant, l.ref.Kind, e.at, e.id)
		ix.stage.put(ix.key, nil)
	}
	l.lastAt = e.at
	l.tail = append(l.tail, at)
	l.version++
	if l.version%chunkLen == 0 {
		if err := ix.db.Set(chunkKey(e.id, l.version/chunkLen-1), appendPlaces(nil, l.tail), pebble.NoSync); err != nil {
			return fmt.Errorf("write places of stream %s: %w", l.ref, err)
		}
		l.tail = nil
	}
	return nil
}

func (ix *index) applyFacts(f *storedFacts, at place, floor int64) error {
	l, err := ix.touch(f.kind, f.id, f.tenant, false)
	if err != nil || l == nil {
		return err
	}
	if f.final {
		l.final = true
	}
	if f.hasDue {
		if l.due.queue != "" {
			ix.stage.leavePlace(l.due.queue, l.due.at, l.due.place, l.due.stage == ix.stage.no)
		}
		l.due = duePlace{}
		if len(f.queue) > 0 {
			l.due = duePlace{queue: ix.queueName(f.queue), at: max(f.dueAt, floor), place: at}
			if ix.live { // a replay may meet in Pebble what it stages itself
				l.due.stage = ix.stage.no
			}
			ix.stage.takePlace(l.due.queue, duePut{at: l.due.at, place: at, ref: l.ref})
		}
	}
	for i := range f.names {
		n := &f.names[i]
		ix.val = binary.LittleEndian.AppendUint64(append(ix.val[:0], indexVersion, boolByte(n.whileOpen)), uint64(n.until))
		ix.val = append(appendRef(ix.val, l.ref), n.value...)
		ix.key = appendNameKey(ix.key[:0], n.space, l.ref.Tenant, n.key)
		ix.stage.putName(ix.key, ix.val)
	}
	for i := range f.terms {
		t := &f.terms[i]
		ix.key = appendTermPrefix(ix.key[:0], l.ref.Tenant, l.ref.Kind, t.field, t.value)
		ix.key = appendNewest(ix.key, l.headAt, f.id)
		ix.stage.put(ix.key, nil)
	}
	return nil
}

// queueName is the name as a string that all lives share.
func (ix *index) queueName(b []byte) string {
	name, ok := ix.queues[string(b)]
	if !ok {
		name = string(b)
		ix.queues[name] = name
	}
	return name
}

// touch returns the life of a stream for changing, in the young generation. The caller holds applying and mu. Of kind
// Callback a stream may have gone with its head (purge.go): then the life is nil, and what follows of it counts for nothing.
func (ix *index) touch(kind Kind, id ulid.ULID, t []byte, head bool) (*life, error) {
	if ix.touched != nil && ix.touched.ref.ID == id { // facts follow the events of their change
		return ix.touched, nil
	}
	if l := ix.young[id]; l != nil {
		ix.touched = l
		return l, nil
	}
	l := ix.old[id]
	if l != nil { // the old one is written out as it was with the mark
		next := *l
		next.tail = append(make([]place, 0, len(l.tail)+2), l.tail...)
		l = &next
	}
	if l == nil && !(head && (ix.live || ix.freshLocked(Ref{Kind: kind, ID: id}))) {
		var err error
		if l, err = ix.stored(id); err != nil {
			return nil, err
		}
	}
	if l == nil {
		if !head && kind == Callback {
			return nil, nil
		}
		if !head {
			return nil, fmt.Errorf("%w: stream %s has no head", errDamaged, id)
		}
		l = &life{ref: Ref{Tenant: tenantOf(t), Kind: kind, ID: id}, tail: make([]place, 0, 5)}
	}
	ix.young[id], ix.touched = l, l
	return l, nil
}

// stored reads a life from Pebble; nil when there is none.
func (ix *index) stored(id ulid.ULID) (*life, error) {
	var key [17]byte
	key[0] = keyLife
	copy(key[1:], id[:])
	v, closer, err := ix.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read stream %s in the index: %w", id, err)
	}
	defer closer.Close()
	return parseLife(id, v)
}

// state is what a reader or the coordinator needs to know of a stream.
type state struct {
	ref     Ref
	version uint32
	final   bool
	lastAt  int64
	headAt  int64
}

// state returns false when the stream is not there.
func (ix *index) state(id ulid.ULID) (state, bool, error) {
	ix.mu.RLock()
	l := ix.young[id]
	if l == nil {
		l = ix.old[id]
	}
	if l != nil {
		s := l.state()
		ix.mu.RUnlock()
		return s, true, nil
	}
	ix.mu.RUnlock()
	l, err := ix.stored(id)
	if err != nil || l == nil {
		return state{}, false, err
	}
	return l.state(), true, nil
}

// places appends to dst where the events of a stream from event from on are, and returns whose it is; false when it is not
// there.
func (ix *index) places(dst []place, id ulid.ULID, from uint32) (_ []place, ref Ref, there bool, err error) {
	var version uint32
	var tail []place
	ix.mu.RLock()
	l := ix.young[id]
	if l == nil {
		l = ix.old[id]
	}
	switch {
	case l == nil:
	case l.version < chunkLen: // all are in the tail
		dst, ref = append(dst, l.tail[min(int(from), len(l.tail)):]...), l.ref
		ix.mu.RUnlock()
		return dst, ref, true, nil
	default:
		ref, version, tail = l.ref, l.version, append([]place(nil), l.tail...)
	}
	ix.mu.RUnlock()
	if l == nil {
		l, err := ix.stored(id)
		if err != nil || l == nil {
			return dst, Ref{}, false, err
		}
		ref, version, tail = l.ref, l.version, l.tail
	}
	full := version / chunkLen
	for c := from / chunkLen; c < full; c++ {
		v, closer, err := ix.db.Get(chunkKey(id, c))
		if err != nil {
			return dst, Ref{}, false, fmt.Errorf("read places of stream %s: %w", id, err)
		}
		chunk, err := parsePlaces(v, chunkLen)
		closer.Close()
		if err != nil {
			return dst, Ref{}, false, fmt.Errorf("places of stream %s: %w", id, err)
		}
		dst = append(dst, chunk[max(from, c*chunkLen)-c*chunkLen:]...)
	}
	if skip := max(from, full*chunkLen) - full*chunkLen; skip < uint32(len(tail)) {
		dst = append(dst, tail[skip:]...)
	}
	return dst, ref, true, nil
}

// writeOut writes the lives of the young generation, behind all that is staged, and then the mark, to Pebble's memory;
// flush makes it durable.
func (ix *index) writeOut() error {
	ix.writing.Lock()
	defer ix.writing.Unlock()
	return ix.finish(ix.change())
}

// finish writes the old stage, the lives of the old generation, and then the mark. The caller holds writing.
func (ix *index) finish(mark uint64, lives []*life) error {
	if err := ix.writeStage(); err != nil {
		return err
	}
	const step = 256
	var buf []byte
	for len(lives) > 0 {
		part := lives[:min(step, len(lives))]
		lives = lives[len(part):]
		if err := ix.writeLives(part, &buf); err != nil {
			return err
		}
	}
	v := append([]byte{indexVersion}, ix.store[:]...)
	if err := ix.db.Set([]byte{keyMark}, binary.BigEndian.AppendUint64(v, mark), pebble.NoSync); err != nil {
		return fmt.Errorf("write the index's mark: %w", err)
	}
	ix.mu.Lock()
	ix.old = nil
	ix.mu.Unlock()
	return nil
}

// publish writes what is staged to Pebble's memory: what was applied before the call can be read there in its order.
func (ix *index) publish() error {
	if ix.staged() == 0 {
		return nil
	}
	ix.writing.Lock()
	defer ix.writing.Unlock()
	return ix.writeStaged()
}

// writeStaged is publish for a caller who holds writing.
func (ix *index) writeStaged() error {
	ix.applying.Lock()
	ix.mu.Lock()
	ix.changeStage()
	ix.mu.Unlock()
	ix.applying.Unlock()
	return ix.writeStage()
}

// change makes the young generation and the young stage the old ones, and returns the mark that holds once they are written.
// The lives are in the order of their keys. The caller holds writing.
func (ix *index) change() (mark uint64, lives []*life) {
	ix.applying.Lock()
	defer ix.applying.Unlock()
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.changeStage()
	for id, l := range ix.young {
		if l.ref.Kind != File && id.Compare(ix.newest) > 0 && id.Compare(horizon) < 0 {
			ix.newest = id
		}
	}
	ix.touched = nil
	ix.old, ix.young = ix.young, make(map[ulid.ULID]*life, len(ix.young)/2)
	lives = slices.SortedFunc(maps.Values(ix.old), func(a, b *life) int { return bytes.Compare(a.ref.ID[:], b.ref.ID[:]) })
	return ix.next, lives
}

// changeStage makes the young stage the old one. The caller holds writing, applying and mu.
func (ix *index) changeStage() {
	ix.stage0, ix.stage = ix.stage, newStage(ix.stage.no+1)
}

// writeStage writes the old stage and lets it go. The caller holds writing.
func (ix *index) writeStage() error {
	err := ix.stage0.write(ix.db, func(b *pebble.Batch) error {
		ix.applying.Lock()
		defer ix.applying.Unlock()
		return b.Commit(pebble.NoSync)
	})
	if err != nil {
		return err
	}
	ix.mu.Lock()
	ix.stage0 = nil
	ix.moves++
	ix.mu.Unlock()
	return nil
}

// heldName is a name and the stream that took it.
type heldName struct {
	key    []byte
	holder ulid.ULID
}

// forget makes durable a batch of deletions, and deletes names that are still their streams'. It sorts the names: hundreds
// of thousands are read in passing, not each from its own block. No stage is written meanwhile: what is staged from then on,
// a name that somebody else takes, comes behind the deletions.
func (ix *index) forget(b *pebble.Batch, names []heldName) error {
	slices.SortFunc(names, func(a, b heldName) int { return bytes.Compare(a.key, b.key) })
	if err := ix.forgetHeld(b, names); err != nil {
		return err
	}
	return ix.db.Flush()
}

func (ix *index) forgetHeld(b *pebble.Batch, names []heldName) (err error) {
	ix.writing.Lock()
	defer ix.writing.Unlock()
	if err := ix.writeStaged(); err != nil { // else it would bring back what is forgotten
		return err
	}
	it, err := ix.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for _, n := range names {
		if !it.SeekGE(n.key) || !bytes.Equal(it.Key(), n.key) {
			continue
		}
		now, err := parseName(it.Value())
		if err != nil {
			return err
		}
		if now.holder.ID == n.holder {
			if err := b.Delete(n.key, nil); err != nil {
				return err
			}
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	ix.applying.Lock()
	err = b.Commit(pebble.NoSync)
	ix.applying.Unlock()
	if err != nil {
		return err
	}
	ix.mu.Lock()
	ix.moves++
	ix.mu.Unlock()
	return nil
}

// staged is how much publish would write.
func (ix *index) staged() int {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	n := ix.stage.len()
	if ix.stage0 != nil {
		n += ix.stage0.len()
	}
	return n
}

// crowded reports whether more is in memory than should be.
func (ix *index) crowded() (lives, stage bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return len(ix.young) >= maxYoung, ix.stage.full()
}

func (ix *index) writeLives(part []*life, buf *[]byte) error {
	ix.applying.Lock()
	defer ix.applying.Unlock()
	b := ix.db.NewBatch()
	defer b.Close()
	var key [17]byte
	key[0] = keyLife
	for _, l := range part { // touch copies those that change meanwhile
		copy(key[1:], l.ref.ID[:])
		*buf = l.append((*buf)[:0])
		if err := b.Set(key[:], *buf, nil); err != nil {
			return fmt.Errorf("write lives: %w", err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write lives: %w", err)
	}
	return nil
}

func (ix *index) counts() (young, old int) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return len(ix.young), len(ix.old)
}

// name is what the index holds of a name.
type name struct {
	holder    Ref
	until     int64
	whileOpen bool
	value     []byte
}

// names reads names in the index, many of them with one iterator. It sees at each call all that has been applied by then.
// It is for one goroutine at a time. Close lets go of the files that it holds; it may be used again afterwards.
type names struct {
	ix    *index
	it    *pebble.Iterator // over Pebble as it was at moves; nil when closed
	moves uint64
}

// names returns a reader that is closed.
func (ix *index) names() names { return names{ix: ix} }

// get returns false when nobody ever had the name.
func (r *names) get(key []byte) (name, bool, error) {
	n, there, moves, err := r.ix.stagedName(key)
	if there || err != nil {
		return n, there, err
	}
	if r.it != nil && r.moves != moves {
		if err := r.close(); err != nil {
			return name{}, false, err
		}
	}
	if n, there, err = r.stored(key, moves); err != nil {
		err = fmt.Errorf("read a name in the index: %w", err)
	}
	return n, there, err
}

// stored reads a name in Pebble. Most names that are asked for are new, and in none of its files. Pebble's Get does not look at
// the filters of the lowest level, which has nearly all that is old: it would read a block from there, for nothing. An
// iterator does, but takes as long to make as some ten names to read: hence one for many.
func (r *names) stored(key []byte, moves uint64) (n name, there bool, err error) {
	if r.it == nil {
		if r.it, err = r.ix.db.NewIter(&pebble.IterOptions{UseL6Filters: true}); err != nil {
			return name{}, false, err
		}
		r.moves = moves
	}
	if !r.it.SeekPrefixGE(key) || !bytes.Equal(r.it.Key(), key) {
		return name{}, false, r.it.Error()
	}
	n, err = parseName(r.it.Value())
	return n, err == nil, err
}

// close lets go of what the reader holds.
func (r *names) close() error {
	if r.it == nil {
		return nil
	}
	err := r.it.Close()
	r.it = nil
	return err
}

// stagedName also returns how often names have moved: who sees that number sees them in Pebble from then on.
func (ix *index) stagedName(key []byte) (n name, there bool, moves uint64, err error) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	v, there := ix.stage.name(key)
	if !there && ix.stage0 != nil {
		v, there = ix.stage0.name(key)
	}
	if there {
		n, err = parseName(v)
	}
	return n, there, ix.moves, err
}

// parseName reads: version 1 | while open 1 | until 8 | kind, id, tenant of the holder | value (the rest).
func parseName(v []byte) (name, error) {
	r := reader{b: v}
	version, open, until := r.byte(), r.byte(), r.int64()
	kind, id, t := r.ref()
	if r.bad || version != indexVersion {
		return name{}, fmt.Errorf("%w: name in the index", errDamaged)
	}
	n := name{holder: Ref{tenantOf(t), kind, id}, until: until, whileOpen: open != 0}
	if len(r.b) > 0 {
		n.value = append([]byte(nil), r.b...)
	}
	return n, nil
}

// holds reports whether the name resolves now; final says whether its holder is.
func (n *name) holds(now time.Time, final func(ulid.ULID) (bool, error)) (bool, error) {
	if n.until == 0 || now.UnixNano() < n.until {
		return true, nil
	}
	if !n.whileOpen {
		return false, nil
	}
	f, err := final(n.holder.ID)
	return !f, err
}

// pebbleLogger passes on what Pebble says of failures; its running commentary is dropped.
type pebbleLogger struct {
	log   *slog.Logger
	fatal func(error)
}

func (l *pebbleLogger) Infof(string, ...any) {}
func (l *pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("index", "err", fmt.Sprintf(format, args...))
}
func (l *pebbleLogger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf("index: "+format, args...))
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
