package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"
)

// A group is written anew when the content of some of its entries has been erased: under the same number, in version 2 of
// the format, with a table from the offsets that its entries had to those that they have now. So the index, which has the
// old offsets in millions of places, stays as it is, numbers stay without gaps, and one write of the log, all or nothing,
// is the whole step. An entry that goes leaves a mark, because facts are known by their number in the group.

func tableSize(entries uint32) int { return 4 + 8*int(entries) }

// rewriteGroup gives a group with entries changed; nil when none is. change returns the body to write: the same one to
// leave it, nil to drop it. It sees no entries that were dropped before.
func rewriteGroup(group []byte, change func(n uint32, body []byte) ([]byte, error)) ([]byte, error) {
	type moved struct {
		first int
		body  []byte
	}
	var all []moved
	changed := false
	size := 0
	h, err := walkEntries(group, false, func(n uint32, off int, body []byte) error {
		next := body
		if body[0] != entryDropped {
			var err error
			if next, err = change(n, body); err != nil {
				return err
			}
			if next == nil {
				next = []byte{entryDropped}
			}
			changed = changed || len(next) != len(body) || &next[0] != &body[0]
		}
		all = append(all, moved{off, next})
		size += entryHeaderSize + len(next)
		return nil
	})
	if err != nil || !changed {
		return nil, err
	}
	out := make([]byte, 0, groupHeaderSize+tableSize(h.entries)+size)
	out = appendGroupHeader(out, h)
	out[0] = groupRewritten
	table := len(out)
	out = append(out, make([]byte, tableSize(h.entries))...)
	for n, m := range all {
		place := out[table+4+8*n:]
		binary.LittleEndian.PutUint32(place, uint32(m.first))
		binary.LittleEndian.PutUint32(place[4:], uint32(len(out)))
		start := len(out)
		out = append(out, 0, 0, 0, 0, 0, 0, 0, 0)
		out = append(out, m.body...)
		sealEntry(out, start)
	}
	places := out[table+4:][:8*len(all)]
	binary.LittleEndian.PutUint32(out[table:], crc32.Checksum(places, castagnoli))
	return out, nil
}

// movedTable returns the places of a rewritten group, their checksum verified.
func movedTable(group []byte, entries uint32) ([]byte, error) {
	if uint64(entries) > uint64(len(group))/8 || groupHeaderSize+tableSize(entries) > len(group) {
		return nil, fmt.Errorf("%w: %d entries in a group of %d bytes", errDamaged, entries, len(group))
	}
	table := group[groupHeaderSize:][:tableSize(entries)]
	if crc32.Checksum(table[4:], castagnoli) != binary.LittleEndian.Uint32(table) {
		return nil, fmt.Errorf("%w: checksum of the table of a group", errDamaged)
	}
	return table[4:], nil
}

// tableEntry is where entry n was first; it must be at off now.
func tableEntry(table []byte, n uint32, off int) (first int, err error) {
	place := table[8*n:]
	if now := int(binary.LittleEndian.Uint32(place[4:])); now != off {
		return 0, fmt.Errorf("%w: entry %d lies at offset %d instead of %d", errDamaged, n, off, now)
	}
	return int(binary.LittleEndian.Uint32(place)), nil
}

// movedTo finds where the entry lies that was written at off. Offsets rise in both columns.
func movedTo(group []byte, off int) (int, bool) {
	entries := binary.LittleEndian.Uint32(group[5:])
	if uint64(entries) > uint64(len(group))/8 || groupHeaderSize+tableSize(entries) > len(group) {
		return 0, false
	}
	table := group[groupHeaderSize+4:][:8*entries]
	first := func(i int) int { return int(binary.LittleEndian.Uint32(table[8*i:])) }
	i := sort.Search(int(entries), func(i int) bool { return first(i) >= off })
	if i == int(entries) || first(i) != off {
		return 0, false
	}
	return int(binary.LittleEndian.Uint32(table[8*i+4:])), true
}
