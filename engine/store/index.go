package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
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
// entries are written with each group. Lives change with each event, so they are kept in memory in two generations:
// groups touch the young one; every few seconds the young one becomes the old one, is written to Pebble, and then the
// mark moves to the group at which the generations changed. A stream that lives for seconds is thus written once.
// Pebble flushes its batches in order, so what is durable after a crash is a prefix of what was written, mark included.
//
// Replay may meet effects of later groups. It is right all the same, because every effect overwrites (names, final,
// queue place) and events are skipped by their number; the last group's word stands at the end.
type index struct {
	db    *pebble.DB
	store ulid.ULID

	// applying is held while a group goes in (lives, then batch) and while lives are written out, so that a life in
	// Pebble is never ahead of the names and queue entries that belong to it.
	applying sync.Mutex
	next     uint64 // the next group to apply; guarded by applying
	live     bool   // no longer replaying: a head is of a stream that the index does not know
	scratch  storedFacts
	key, val []byte               // scratch; guarded by applying
	tenants  map[string]tenant.ID // guarded by applying; spares a string per event

	mu    sync.RWMutex // guards young, old, and every life in them
	young map[ulid.ULID]*life
	old   map[ulid.ULID]*life
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

func openIndex(dir string, store ulid.ULID, cacheSize int64, log *slog.Logger, fatal func(error)) (*index, error) {
	ix := &index{
		store: store, young: map[ulid.ULID]*life{}, tenants: map[string]tenant.ID{},
	}
	opt := &pebble.Options{
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   cacheSize,
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
	var err error
	if ix.db, err = pebble.Open(dir, opt); err != nil {
		return nil, fmt.Errorf("open index in %s (it is derived: move it away and it is rebuilt): %w", dir, err)
	}
	if ix.next, err = ix.readMark(); err != nil {
		return nil, errors.Join(err, ix.db.Close())
	}
	return ix, nil
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

// apply makes the effects of a synced group visible: lives first, then what leads to them.
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
	b := ix.db.NewBatchWithSize(len(group)/2 + 4<<10) // about what its names, terms and places take
	defer b.Close()
	ix.mu.Lock()
	_, err = eachEntry(group, func(n uint32, off int, body []byte) error {
		switch body[0] {
		case entryEvent:
			return ix.applyEvent(b, body, place{seq, uint32(off)})
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
			return ix.applyFacts(b, f, place{seq, n}, h.floor)
		}
		return fmt.Errorf("%w: entry of type %q", errDamaged, body[0])
	})
	ix.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return nil, fmt.Errorf("write group %d to the index: %w", seq, err)
	}
	ix.next = seq + 1
	return queues, nil
}

func (ix *index) applyEvent(b *pebble.Batch, body []byte, at place) error {
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
		if err := b.Set(ix.key, nil, nil); err != nil {
			return err
		}
	}
	l.lastAt = e.at
	l.tail = append(l.tail, at)
	l.version++
	if l.version%chunkLen == 0 {
		if err := b.Set(chunkKey(e.id, l.version/chunkLen-1), appendPlaces(nil, l.tail), nil); err != nil {
			return err
		}
		l.tail = nil
	}
	return nil
}

func (ix *index) applyFacts(b *pebble.Batch, f *storedFacts, at place, floor int64) error {
	l, err := ix.touch(f.kind, f.id, f.tenant, false)
	if err != nil || l == nil {
		return err
	}
	if f.final {
		l.final = true
	}
	if f.hasDue {
		if l.due.queue != "" {
			ix.key = appendDueKey(ix.key[:0], l.due.queue, l.due.at, l.due.place)
			if err := b.Delete(ix.key, nil); err != nil {
				return err
			}
		}
		l.due = duePlace{}
		if len(f.queue) > 0 {
			l.due = duePlace{queue: string(f.queue), at: max(f.dueAt, floor), place: at}
			ix.key, ix.val = appendDueKey(ix.key[:0], l.due.queue, l.due.at, at), appendRef(ix.val[:0], l.ref)
			if err := b.Set(ix.key, ix.val, nil); err != nil {
				return err
			}
		}
	}
	for i := range f.names {
		n := &f.names[i]
		ix.val = binary.LittleEndian.AppendUint64(append(ix.val[:0], indexVersion, boolByte(n.whileOpen)), uint64(n.until))
		ix.val = append(appendRef(ix.val, l.ref), n.value...)
		ix.key = appendNameKey(ix.key[:0], n.space, l.ref.Tenant, n.key)
		if err := b.Set(ix.key, ix.val, nil); err != nil {
			return err
		}
	}
	for i := range f.terms {
		t := &f.terms[i]
		ix.key = appendTermPrefix(ix.key[:0], l.ref.Tenant, l.ref.Kind, t.field, t.value)
		ix.key = appendNewest(ix.key, l.headAt, f.id)
		if err := b.Set(ix.key, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// touch returns the life of a stream for changing, in the young generation. The caller holds applying and mu. Of kind
// Callback a stream may have gone with its head (purge.go): then the life is nil, and what follows of it counts for nothing.
func (ix *index) touch(kind Kind, id ulid.ULID, t []byte, head bool) (*life, error) {
	if l := ix.young[id]; l != nil {
		return l, nil
	}
	l := ix.old[id]
	if l == nil && !(head && ix.live) {
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
		name, ok := ix.tenants[string(t)]
		if !ok {
			name = tenant.ID(t)
			ix.tenants[string(name)] = name
		}
		l = &life{ref: Ref{Tenant: name, Kind: kind, ID: id}, tail: make([]place, 0, 5)}
	}
	ix.young[id] = l
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

// places returns where the events of a stream from event from on are; nil when it is not there.
func (ix *index) places(dst []place, id ulid.ULID, from uint32) ([]place, *Ref, error) {
	var ref Ref
	var version uint32
	var tail []place
	ix.mu.RLock()
	l := ix.young[id]
	if l == nil {
		l = ix.old[id]
	}
	if l != nil {
		ref, version, tail = l.ref, l.version, append([]place(nil), l.tail...)
	}
	ix.mu.RUnlock()
	if l == nil {
		l, err := ix.stored(id)
		if err != nil || l == nil {
			return dst, nil, err
		}
		ref, version, tail = l.ref, l.version, l.tail
	}
	full := version / chunkLen
	for c := from / chunkLen; c < full; c++ {
		v, closer, err := ix.db.Get(chunkKey(id, c))
		if err != nil {
			return dst, nil, fmt.Errorf("read places of stream %s: %w", id, err)
		}
		chunk, err := parsePlaces(v, chunkLen)
		closer.Close()
		if err != nil {
			return dst, nil, fmt.Errorf("places of stream %s: %w", id, err)
		}
		dst = append(dst, chunk[max(from, c*chunkLen)-c*chunkLen:]...)
	}
	if skip := max(from, full*chunkLen) - full*chunkLen; skip < uint32(len(tail)) {
		dst = append(dst, tail[skip:]...)
	}
	return dst, &ref, nil
}

// change makes the young generation the old one and returns the mark that holds once the old one is written.
func (ix *index) change() (mark uint64, olds []*life) {
	ix.applying.Lock()
	defer ix.applying.Unlock()
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.old, ix.young = ix.young, make(map[ulid.ULID]*life, len(ix.young)/2)
	olds = make([]*life, 0, len(ix.old))
	for _, l := range ix.old {
		olds = append(olds, l)
	}
	return ix.next, olds
}

// writeOut writes the old generation and the mark to Pebble's memory; flush makes it durable.
func (ix *index) writeOut() error {
	return ix.finish(ix.change())
}

// finish writes the lives of the old generation, and then the mark.
func (ix *index) finish(mark uint64, olds []*life) error {
	const step = 256
	var buf []byte
	for len(olds) > 0 {
		part := olds[:min(step, len(olds))]
		olds = olds[len(part):]
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

func (ix *index) writeLives(part []*life, buf *[]byte) error {
	ix.applying.Lock()
	defer ix.applying.Unlock()
	b := ix.db.NewBatch()
	defer b.Close()
	var key [17]byte
	key[0] = keyLife
	for _, l := range part { // only apply changes lives, and it needs applying
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

// name returns false when nobody ever had the name.
func (ix *index) name(key []byte) (name, bool, error) {
	v, closer, err := ix.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return name{}, false, nil
	}
	if err != nil {
		return name{}, false, fmt.Errorf("read a name in the index: %w", err)
	}
	defer closer.Close()
	n, err := parseName(v)
	return n, err == nil, err
}

// parseName reads: version 1 | while open 1 | until 8 | kind, id, tenant of the holder | value (the rest).
func parseName(v []byte) (name, error) {
	r := reader{b: v}
	version, open, until := r.byte(), r.byte(), r.int64()
	kind, id, t := r.ref()
	if r.bad || version != indexVersion {
		return name{}, fmt.Errorf("%w: name in the index", errDamaged)
	}
	n := name{holder: Ref{tenant.ID(t), kind, id}, until: until, whileOpen: open != 0}
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
