package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/oklog/ulid/v2"
)

// place is where an entry lies in the log: its group, and its offset in it (for an event) or its number (for facts).
type place struct {
	group uint64
	n     uint32
}

// duePlace is where a stream stands in its queue.
type duePlace struct {
	queue string // empty: nowhere
	at    int64
	place place
	stage uint64 // in which alone it is; 0: it may be in Pebble
}

// life is what the index knows of one stream.
type life struct {
	ref            Ref
	version        uint32
	final          bool
	headAt, lastAt int64
	tail           []place // of the events from the last multiple of 64 on; those before are in chunks
	due            duePlace
}

func (l *life) state() state {
	return state{ref: l.ref, version: l.version, final: l.final, lastAt: l.lastAt, headAt: l.headAt}
}

// append encodes a life: version 1 | kind 1 | final 1 | tenant: length 1, bytes | events uv | first and last time 8, 8 |
// places of the tail (version mod 64 of them) | queue: length 1, bytes, and when it has one: at 8, group 8, entry 4.
func (l *life) append(dst []byte) []byte {
	dst = append(dst, indexVersion, byte(l.ref.Kind), boolByte(l.final), byte(len(l.ref.Tenant)))
	dst = append(dst, l.ref.Tenant...)
	dst = binary.AppendUvarint(dst, uint64(l.version))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.headAt))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.lastAt))
	dst = appendPlaces(dst, l.tail)
	dst = append(dst, byte(len(l.due.queue)))
	if l.due.queue != "" {
		dst = append(dst, l.due.queue...)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(l.due.at))
		dst = binary.LittleEndian.AppendUint64(dst, l.due.place.group)
		dst = binary.LittleEndian.AppendUint32(dst, l.due.place.n)
	}
	return dst
}

func parseLife(id ulid.ULID, b []byte) (*life, error) {
	r := reader{b: b}
	if v := r.byte(); v != indexVersion {
		return nil, fmt.Errorf("%w: stream %s in the index has version %d", errDamaged, id, v)
	}
	l := &life{}
	l.ref.ID, l.ref.Kind, l.final = id, Kind(r.byte()), r.byte() != 0
	l.ref.Tenant = tenantOf(r.take(int(r.byte())))
	version := r.uvarint()
	l.headAt, l.lastAt = r.int64(), r.int64()
	l.version = uint32(version)
	l.tail = r.places(int(l.version % chunkLen))
	if n := int(r.byte()); n > 0 {
		l.due.queue = string(r.take(n))
		l.due.at = r.int64()
		l.due.place.group = uint64(r.int64())
		if v := r.take(4); v != nil {
			l.due.place.n = binary.LittleEndian.Uint32(v)
		}
	}
	if r.bad || len(r.b) > 0 || version > math.MaxUint32 {
		return nil, fmt.Errorf("%w: stream %s in the index", errDamaged, id)
	}
	return l, nil
}

// appendPlaces encodes places in rising order: group (difference to the one before) uv | offset uv.
func appendPlaces(dst []byte, places []place) []byte {
	var before uint64
	for _, p := range places {
		dst = binary.AppendUvarint(dst, p.group-before)
		dst = binary.AppendUvarint(dst, uint64(p.n))
		before = p.group
	}
	return dst
}

func (r *reader) places(n int) []place {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	places := make([]place, 0, n+1)
	var group uint64
	for range n {
		group += r.uvarint()
		places = append(places, place{group, uint32(r.uvarint())})
	}
	return places
}

func parsePlaces(b []byte, n int) ([]place, error) {
	r := reader{b: b}
	p := r.places(n)
	if r.bad || len(r.b) > 0 {
		return nil, errDamaged
	}
	return p, nil
}
