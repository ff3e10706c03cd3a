package link

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// recent keeps the entries that were put or found last, each in the one slot that its token hashes to: most links that are opened
// are among the newest, and finding one in Pebble's memory table goes through a dozen places of memory. Slots hold no pointer, and
// all are taken at once. Safe for concurrent use.
//
// It never outlives a change of an entry. Whoever changes one says so here behind the write (changed); whoever keeps what was read
// or written before names the count of changes from before that, and nothing is kept if there was one since.
type recent struct {
	seed    maphash.Seed
	changes atomic.Uint64
	locks   [256]sync.Mutex // slots[i] is guarded by locks[i % 256]
	slots   []slot
}

// slot is a token and the value of its entry, one behind the other.
type slot struct {
	token, value uint8 // how long they are. Both 0: nothing
	bytes        [94]byte
}

// newRecent takes about so many bytes.
func newRecent(size int64) *recent {
	return &recent{seed: maphash.MakeSeed(), slots: make([]slot, max(1, size/int64(unsafe.Sizeof(slot{}))))}
}

// lock gives the slot of a token, locked.
func (r *recent) lock(token string) (*slot, *sync.Mutex) {
	i, _ := bits.Mul64(maphash.String(r.seed, token), uint64(len(r.slots)))
	m := &r.locks[i%uint64(len(r.locks))]
	m.Lock()
	return &r.slots[i], m
}

func (s *slot) holds(token string) bool {
	return s.value > 0 && string(s.bytes[:s.token]) == token
}

func (r *recent) get(token string) (Link, bool) {
	s, m := r.lock(token)
	defer m.Unlock()
	if !s.holds(token) {
		return Link{}, false
	}
	l, err := parseEntry(token, s.bytes[s.token:int(s.token)+int(s.value)])
	return l, err == nil
}

// before is the count of changes, for keep.
func (r *recent) before() uint64 { return r.changes.Load() }

// keep keeps an entry that was read or written after before. One that does not fit is not kept.
func (r *recent) keep(before uint64, token string, value []byte) {
	if len(token)+len(value) > len(slot{}.bytes) {
		return
	}
	s, m := r.lock(token)
	defer m.Unlock()
	if r.changes.Load() != before {
		return
	}
	s.token, s.value = uint8(len(token)), uint8(len(value))
	copy(s.bytes[copy(s.bytes[:], token):], value)
}

// changed forgets entries that were written anew or deleted: behind the write.
func (r *recent) changed(tokens ...string) {
	r.changes.Add(1)
	for _, token := range tokens {
		s, m := r.lock(token)
		if s.holds(token) {
			s.value = 0
		}
		m.Unlock()
	}
}
