package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// A commit group is one value of the log. Integers are little endian, "uv" is an unsigned varint.
//
//	group:  version 1 | crc32c 4 (of the 20 bytes behind it) | entries 4 | time 8 | floor 8 | entry …
//	        version 2 | crc32c 4 (as above)                  | entries 4 | time 8 | floor 8 | table | entry …
//	table:  crc32c 4 (of what follows) | per entry: its offset in version 1 4, its offset now 4
//	entry:  length 4 (of the body) | crc32c 4 (of the body) | body
//	body:   type 1 ('e' or 'x'; 'd' and nothing more: dropped) | kind 1 | stream id 16 | tenant: length 1, bytes | …
//	event:  … | seq uv | type 1 | at 8 | data (the rest)
//	facts:  … | flags 1 | due: queue length 1, bytes, at 8 | names uv, name … | terms uv, term …
//	name:   space 1 | flags 1 | until 8 | key: length uv, bytes | value: length uv, bytes
//	term:   field 1 | value: length 1, bytes
//
// Times are nanoseconds since 1970 in UTC; 0 is "none". The floor is the earliest place that an entry of this group
// can have in a queue (see due.go). The facts of a change follow its events.
//
// Version 2 is a group that the sweep of retention wrote anew under its own number (rewrite.go): its entries are shorter,
// and are found by the offsets that they had, which the index keeps for ever.
const (
	groupVersion    = 1
	groupRewritten  = 2
	groupHeaderSize = 25
	entryHeaderSize = 8

	entryEvent   = 'e'
	entryFacts   = 'x'
	entryDropped = 'd'

	factFinal  = 1 << 0
	factDue    = 1 << 1
	factHead   = 1 << 2 // the change made the stream
	nameOpen   = 1 << 0
	maxGroup   = 5 << 20
	maxTenant  = 32
	maxNameKey = 256
	maxTerm    = 64
	maxQueue   = 64
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("damaged record")
)

type groupHeader struct {
	entries     uint32
	time, floor int64
}

func appendGroupHeader(dst []byte, h groupHeader) []byte {
	start := len(dst)
	dst = append(dst, groupVersion, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.entries)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.time))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.floor))
	binary.LittleEndian.PutUint32(dst[start+1:], crc32.Checksum(dst[start+5:], castagnoli))
	return dst
}

func parseGroupHeader(b []byte) (groupHeader, error) {
	if len(b) < groupHeaderSize {
		return groupHeader{}, fmt.Errorf("%w: group of %d bytes", errDamaged, len(b))
	}
	if b[0] != groupVersion && b[0] != groupRewritten {
		return groupHeader{}, fmt.Errorf("%w: group version %d, this program knows up to %d", errDamaged, b[0], groupRewritten)
	}
	if crc32.Checksum(b[5:groupHeaderSize], castagnoli) != binary.LittleEndian.Uint32(b[1:]) {
		return groupHeader{}, fmt.Errorf("%w: checksum of the group header", errDamaged)
	}
	return groupHeader{
		entries: binary.LittleEndian.Uint32(b[5:]),
		time:    int64(binary.LittleEndian.Uint64(b[9:])),
		floor:   int64(binary.LittleEndian.Uint64(b[17:])),
	}, nil
}

// entryAt returns the body of the entry that was written at off, its checksum verified.
func entryAt(group []byte, off int) (body []byte, err error) {
	if len(group) > groupHeaderSize && group[0] == groupRewritten {
		now, ok := movedTo(group, off)
		if !ok {
			return nil, fmt.Errorf("%w: no entry was at offset %d", errDamaged, off)
		}
		off = now
	}
	body, _, err = entryHere(group, off, false)
	return body, err
}

// entryHere returns the body of the entry at off and the offset of the next one. Entries that have not left memory are
// trusted, their checksums are not looked at.
func entryHere(group []byte, off int, trust bool) (body []byte, next int, err error) {
	if off < groupHeaderSize || off+entryHeaderSize > len(group) {
		return nil, 0, fmt.Errorf("%w: no entry at offset %d of %d", errDamaged, off, len(group))
	}
	n := int(binary.LittleEndian.Uint32(group[off:]))
	start := off + entryHeaderSize
	if n < 1 || n > len(group)-start {
		return nil, 0, fmt.Errorf("%w: entry of %d bytes at offset %d of %d", errDamaged, n, off, len(group))
	}
	body = group[start : start+n]
	if !trust && crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(group[off+4:]) {
		return nil, 0, fmt.Errorf("%w: checksum of the entry at offset %d", errDamaged, off)
	}
	return body, start + n, nil
}

// eachEntry calls fn with every entry of a group in order, but for those that were dropped; n counts from 0, off is where
// it was written first. Nothing may be left over.
func eachEntry(group []byte, trust bool, fn func(n uint32, off int, body []byte) error) (groupHeader, error) {
	return walkEntries(group, trust, func(n uint32, off int, body []byte) error {
		if body[0] == entryDropped {
			return nil
		}
		return fn(n, off, body)
	})
}

// walkEntries is eachEntry with those that were dropped.
func walkEntries(group []byte, trust bool, fn func(n uint32, off int, body []byte) error) (groupHeader, error) {
	h, err := parseGroupHeader(group)
	if err != nil {
		return h, err
	}
	off := groupHeaderSize
	var table []byte
	if group[0] == groupRewritten {
		if table, err = movedTable(group, h.entries); err != nil {
			return h, err
		}
		off += tableSize(h.entries)
	}
	for n := range h.entries {
		first := off
		if table != nil {
			if first, err = tableEntry(table, n, off); err != nil {
				return h, err
			}
		}
		body, next, err := entryHere(group, off, trust)
		if err != nil {
			return h, err
		}
		if err := fn(n, first, body); err != nil {
			return h, err
		}
		off = next
	}
	if off != len(group) {
		return h, fmt.Errorf("%w: %d bytes behind the last entry", errDamaged, len(group)-off)
	}
	return h, nil
}

// sealEntry fills in the length and checksum of the entry that starts at start and ends at the end of dst.
func sealEntry(dst []byte, start int) {
	body := dst[start+entryHeaderSize:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(body, castagnoli))
}

func appendRef(dst []byte, r Ref) []byte {
	dst = append(dst, byte(r.Kind))
	dst = append(dst, r.ID[:]...)
	dst = append(dst, byte(len(r.Tenant)))
	return append(dst, r.Tenant...)
}

// appendEvent appends the entry of one event; its place in the group is the length of dst before.
func appendEvent(dst []byte, ref Ref, seq uint32, typ byte, at int64, data []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, entryEvent)
	dst = appendRef(dst, ref)
	dst = binary.AppendUvarint(dst, uint64(seq))
	dst = append(dst, typ)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = append(dst, data...)
	sealEntry(dst, start)
	return dst
}

func appendFacts(dst []byte, c *Change) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, entryFacts)
	dst = appendRef(dst, c.Ref)
	var flags byte
	if c.Final {
		flags |= factFinal
	}
	if c.Due != nil {
		flags |= factDue
	}
	if c.Expect == 0 {
		flags |= factHead
	}
	dst = append(dst, flags)
	if c.Due != nil {
		dst = append(dst, byte(len(c.Due.Queue)))
		dst = append(dst, c.Due.Queue...)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(nanos(c.Due.At)))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Names)))
	for _, n := range c.Names {
		var flags byte
		if n.WhileOpen {
			flags |= nameOpen
		}
		dst = append(dst, byte(n.Space), flags)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(nanos(n.Until)))
		dst = binary.AppendUvarint(dst, uint64(len(n.Key)))
		dst = append(dst, n.Key...)
		dst = binary.AppendUvarint(dst, uint64(len(n.Value)))
		dst = append(dst, n.Value...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Terms)))
	for _, t := range c.Terms {
		dst = append(dst, t.Field, byte(len(t.Value)))
		dst = append(dst, t.Value...)
	}
	sealEntry(dst, start)
	return dst
}

// changeSize is an upper bound of what a change takes in a group.
func changeSize(c *Change) int {
	const perEntry = entryHeaderSize + 1 + 18 + maxTenant
	n := perEntry + 96 + 24 // facts with the due entry
	for i := range c.Events {
		n += perEntry + 19 + len(c.Events[i].Data)
	}
	for i := range c.Names {
		n += 30 + len(c.Names[i].Key) + len(c.Names[i].Value)
	}
	for i := range c.Terms {
		n += 2 + len(c.Terms[i].Value)
	}
	return n
}

// reader takes fields off the front of b; after a short field bad is set and everything reads as zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) int64() int64 {
	if v := r.take(8); v != nil {
		return int64(binary.LittleEndian.Uint64(v))
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a uvarint that is a number of things of at least one byte each.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) ref() (kind Kind, id ulid.ULID, tenant []byte) {
	kind = Kind(r.byte())
	copy(id[:], r.take(16))
	return kind, id, r.take(int(r.byte()))
}

// storedEvent is an event as it lies in a group; tenant and data alias the group.
type storedEvent struct {
	kind   Kind
	id     ulid.ULID
	tenant []byte
	seq    uint32
	typ    byte
	at     int64
	data   []byte
}

func parseEvent(body []byte) (storedEvent, error) {
	var e storedEvent
	r := reader{b: body}
	if r.byte() != entryEvent {
		return e, fmt.Errorf("%w: entry is no event", errDamaged)
	}
	e.kind, e.id, e.tenant = r.ref()
	seq := r.uvarint()
	e.typ = r.byte()
	e.at = r.int64()
	e.data = r.b
	if r.bad || seq > math.MaxUint32 {
		return e, fmt.Errorf("%w: event", errDamaged)
	}
	e.seq = uint32(seq)
	return e, nil
}

// event returns a copy that the reader owns. t spares an allocation when it is the tenant already.
func (e *storedEvent) event(t tenant.ID) Event {
	return e.eventOf(t, append(make([]byte, 0, len(e.data)), e.data...))
}

// eventOf is event with the data given, which is e's or a copy.
func (e *storedEvent) eventOf(t tenant.ID, data []byte) Event {
	if string(t) != string(e.tenant) {
		t = tenantOf(e.tenant)
	}
	return Event{
		Ref: Ref{Tenant: t, Kind: e.kind, ID: e.id}, Seq: e.seq, Type: e.typ,
		At: time.Unix(0, e.at).UTC(), Data: data,
	}
}

// storedFacts is what a change says beside its events; everything aliases the group.
type storedFacts struct {
	kind   Kind
	id     ulid.ULID
	tenant []byte
	final  bool
	head   bool
	hasDue bool
	queue  []byte
	dueAt  int64
	names  []storedName
	terms  []storedTerm
}

type storedName struct {
	space      Space
	key, value []byte
	until      int64
	whileOpen  bool
}

type storedTerm struct {
	field byte
	value []byte
}

// parseFacts reads a body into f, reusing its slices.
func parseFacts(f *storedFacts, body []byte) error {
	r := reader{b: body}
	if r.byte() != entryFacts {
		return fmt.Errorf("%w: entry holds no facts", errDamaged)
	}
	f.kind, f.id, f.tenant = r.ref()
	flags := r.byte()
	f.final, f.hasDue, f.head = flags&factFinal != 0, flags&factDue != 0, flags&factHead != 0
	f.queue, f.dueAt = nil, 0
	if f.hasDue {
		f.queue = r.take(int(r.byte()))
		f.dueAt = r.int64()
	}
	f.names = f.names[:0]
	for range r.count() {
		n := storedName{space: Space(r.byte()), whileOpen: r.byte()&nameOpen != 0, until: r.int64()}
		n.key = r.take(r.count())
		n.value = r.take(r.count())
		f.names = append(f.names, n)
	}
	f.terms = f.terms[:0]
	for range r.count() {
		t := storedTerm{field: r.byte()}
		t.value = r.take(int(r.byte()))
		f.terms = append(f.terms, t)
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%w: facts", errDamaged)
	}
	return nil
}

// nanos is how a time is stored; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
