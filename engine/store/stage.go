package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/tidwall/btree"
)

// A stage holds what groups did to the index and Pebble has not been told: names, heads, terms, and places in queues. Pebble
// is told of some seconds' worth at once, in the order of its keys, and has them on disk soon after. Put in one by one, at
// random places of a list of a million, they would be the dearest part of a commit, and that list would be searched for
// every name. A place in a queue that is taken and left within these seconds, as most are, never gets there.
//
// Names are found in a stage by their key, places in queues by their order, and heads and terms by looking at all that is
// there. Who reads names in their order has the stage written out before (index.publish).
//
// There are two, as there are two generations of lives: groups change the young one, the old one is being written out. Both
// are guarded by index.mu.
type stage struct {
	no     uint64    // counts stages; 0 is none
	pieces [][]byte  // keys and values, one behind the other
	bytes  int       // of them
	items  [][]keyed // in the order in which they were put in, itemRow in each but the last
	count  int       // of items
	names  map[uint64]uint32
	queues map[string]*btree.BTreeG[duePut]
	dues   int // places in queues, and those to be taken out of Pebble
}

// keyed is where a key lies, and its value behind it. A key that is there twice counts as it was put in last.
type keyed struct {
	front      [2]uint64 // the first bytes of the key, with which most of its order is known without going there
	piece, off uint32
	key, value uint32 // bytes
}

// frontOf is the first 16 bytes of a key, in its order; one that is shorter is filled up with zeros.
func frontOf(key []byte) [2]uint64 {
	var b [16]byte
	copy(b[:], key)
	return [2]uint64{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// Memory is taken in pieces that do not grow, which would copy them.
const (
	pieceSize = 256 << 10 // bytes; what is larger has a piece of its own
	itemRow   = 8192
)

// duePut is a place in a queue that was taken, or (gone) that was left and may be in Pebble or an older stage.
type duePut struct {
	at int64
	place
	ref  Ref
	gone bool
}

const (
	maxStaged      = 500_000  // items of a stage at which it is written out early
	maxStagedBytes = 64 << 20 // of their keys and values
)

var nameSeed = maphash.MakeSeed()

func newStage(no uint64) *stage {
	return &stage{no: no, names: map[uint64]uint32{}, queues: map[string]*btree.BTreeG[duePut]{}}
}

func (st *stage) len() int { return st.count + st.dues }

// full reports whether the stage should be written out.
func (st *stage) full() bool { return st.len() >= maxStaged || st.bytes >= maxStagedBytes }

// put copies a key and its value.
func (st *stage) put(key, value []byte) {
	size, n := len(key)+len(value), len(st.pieces)-1
	if n < 0 || cap(st.pieces[n])-len(st.pieces[n]) < size {
		st.pieces = append(st.pieces, make([]byte, 0, max(pieceSize, size)))
		n++
	}
	off := len(st.pieces[n])
	st.pieces[n] = append(append(st.pieces[n], key...), value...)
	st.bytes += size
	if st.count%itemRow == 0 {
		st.items = append(st.items, make([]keyed, 0, itemRow))
	}
	row := &st.items[st.count/itemRow]
	*row = append(*row, keyed{frontOf(key), uint32(n), uint32(off), uint32(len(key)), uint32(len(value))})
	st.count++
}

// putName is put for a key that name finds.
func (st *stage) putName(key, value []byte) {
	h := st.slot(key)
	st.names[h] = uint32(st.count)
	st.put(key, value)
}

// slot is the hash of a name, or the first number behind it that is free or this name's.
func (st *stage) slot(key []byte) uint64 {
	h := maphash.Bytes(nameSeed, key)
	for {
		i, taken := st.names[h]
		if !taken || bytes.Equal(st.key(st.item(i)), key) {
			return h
		}
		h++
	}
}

// name is the value of a name; it aliases the stage.
func (st *stage) name(key []byte) (value []byte, there bool) {
	i, there := st.names[st.slot(key)]
	if !there {
		return nil, false
	}
	return st.value(st.item(i)), true
}

// written is what was put in so far: it may be read while more is put in.
func (st *stage) written() stage {
	return stage{pieces: slices.Clone(st.pieces), items: slices.Clone(st.items)}
}

// each calls fn with the keys, in the order in which they were put in.
func (st *stage) each(fn func(key []byte)) {
	for _, row := range st.items {
		for _, i := range row {
			fn(st.key(i))
		}
	}
}

func (st *stage) item(n uint32) keyed { return st.items[n/itemRow][n%itemRow] }

func (st *stage) key(i keyed) []byte   { return st.pieces[i.piece][i.off : i.off+i.key] }
func (st *stage) value(i keyed) []byte { return st.pieces[i.piece][i.off+i.key : i.off+i.key+i.value] }

func dueBefore(a, b duePut) bool {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.group, b.group), cmp.Compare(a.n, b.n)) < 0
}

// takePlace puts a stream into a queue.
func (st *stage) takePlace(queue string, d duePut) {
	q := st.queues[queue]
	if q == nil {
		q = btree.NewBTreeGOptions(dueBefore, btree.Options{NoLocks: true})
		st.queues[queue] = q
	}
	if _, was := q.Set(d); !was {
		st.dues++
	}
}

// leavePlace takes a stream out of a queue; here says that its place is in this stage and nowhere else.
func (st *stage) leavePlace(queue string, at int64, p place, here bool) {
	d := duePut{at: at, place: p, gone: true}
	if !here {
		st.takePlace(queue, d)
	} else if q := st.queues[queue]; q != nil {
		if _, was := q.Delete(d); was {
			st.dues--
		}
	}
}

// due appends the places of a queue from one on, with those that were left among them, until there are limit that
// were not.
func (st *stage) due(dst []duePut, queue string, from duePut, limit int) []duePut {
	if q := st.queues[queue]; q != nil {
		q.Ascend(from, func(d duePut) bool {
			dst = append(dst, d)
			if !d.gone {
				limit--
			}
			return limit > 0
		})
	}
	return dst
}

// stageStep is how many items are written while no group is applied.
const stageStep = 1024

// write gives the stage to Pebble, some items at a time, each time by commit.
func (st *stage) write(db *pebble.DB, commit func(*pebble.Batch) error) error {
	b := db.NewBatch()
	defer func() { b.Close() }()
	step := func(least int) error {
		if int(b.Count()) < least || b.Empty() {
			return nil
		}
		if err := commit(b); err != nil {
			return fmt.Errorf("write out to the index: %w", err)
		}
		b.Close()
		b = db.NewBatch()
		return nil
	}
	queues := make([]string, 0, len(st.queues))
	for q := range st.queues {
		queues = append(queues, q)
	}
	slices.Sort(queues)
	var key, val []byte
	for _, queue := range queues {
		var err error
		st.queues[queue].Scan(func(d duePut) bool {
			key = appendDueKey(key[:0], queue, d.at, d.place)
			if d.gone {
				err = b.Delete(key, nil)
			} else {
				val = appendRef(val[:0], d.ref)
				err = b.Set(key, val, nil)
			}
			if err == nil {
				err = step(stageStep)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	order := st.sorted()
	for i, it := range order {
		k := st.key(it)
		if i+1 < len(order) && bytes.Equal(k, st.key(order[i+1])) {
			continue
		}
		if err := b.Set(k, st.value(it), nil); err != nil {
			return err
		}
		if err := step(stageStep); err != nil {
			return err
		}
	}
	return step(1)
}

// sorted is the items in the order of their keys, those of one key in the order in which they were put in. Those whose keys begin alike, as
// the heads do and the terms of one value, came nearly in order.
func (st *stage) sorted() []keyed {
	order := slices.Concat(st.items...)
	slices.SortFunc(order, func(a, b keyed) int {
		switch {
		case a.front != b.front:
			return cmp.Or(cmp.Compare(a.front[0], b.front[0]), cmp.Compare(a.front[1], b.front[1]))
		case a.piece != b.piece:
			return cmp.Compare(a.piece, b.piece)
		}
		return cmp.Compare(a.off, b.off)
	})
	for rest := order; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].front == rest[0].front {
			n++
		}
		slices.SortFunc(rest[:n], func(a, b keyed) int {
			return cmp.Or(bytes.Compare(st.key(a), st.key(b)), cmp.Compare(a.piece, b.piece), cmp.Compare(a.off, b.off))
		})
		rest = rest[n:]
	}
	return order
}
