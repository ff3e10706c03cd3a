package store

import (
	"encoding/binary"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// ofTenant reports whether the names of a space are a tenant's own; the others are one set over all tenants.
func (s Space) ofTenant() bool {
	return s == ByKey || s == ByClaimNumber || s == ByFileHash || s == ByFileName || s == ByKept
}

func (s Space) known() bool {
	switch s {
	case ByToken, ByNo, ByKey, ByClaimNumber, BySMSCID, ByFileHash, ByFileName, ByAttempt, ByNoticeID, ByKept:
		return true
	}
	return false
}

func (k Kind) known() bool {
	switch k {
	case Message, Claim, Campaign, Verification, Tenant, Audit, Register, Notice, File, Callback, Day, FollowUp:
		return true
	}
	return false
}

func appendTenant(dst []byte, t tenant.ID) []byte {
	return append(append(dst, t...), 0)
}

func appendNameKey[K string | []byte](dst []byte, space Space, t tenant.ID, key K) []byte {
	dst = append(dst, keyName, byte(space))
	if space.ofTenant() {
		dst = appendTenant(dst, t)
	}
	return append(dst, key...)
}

func appendHeadPrefix(dst []byte, t tenant.ID, kind Kind) []byte {
	return append(appendTenant(append(dst, keyHead), t), byte(kind))
}

func appendHeadKey(dst []byte, t tenant.ID, kind Kind, at int64, id ulid.ULID) []byte {
	return appendNewest(appendHeadPrefix(dst, t, kind), at, id)
}

func appendTermPrefix[V string | []byte](dst []byte, t tenant.ID, kind Kind, field byte, value V) []byte {
	dst = append(appendTenant(append(dst, keyTerm), t), byte(kind), field, byte(len(value)))
	return append(dst, value...)
}

// newestSize is the length of what appendNewest appends.
const newestSize = 8 + 16

// appendNewest appends a time and an id so that the newest sorts first.
func appendNewest(dst []byte, at int64, id ulid.ULID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, ^ordered(at))
	for _, b := range id {
		dst = append(dst, ^b)
	}
	return dst
}

func parseNewest(b []byte) (at int64, id ulid.ULID) {
	at = fromOrdered(^binary.BigEndian.Uint64(b))
	for i := range id {
		id[i] = ^b[8+i]
	}
	return at, id
}

func appendDuePrefix(dst []byte, queue string) []byte {
	return append(append(append(dst, keyDue), queue...), 0)
}

// dueSize is the length of a due key behind its prefix.
const dueSize = 8 + 8 + 4

func appendDueKey(dst []byte, queue string, at int64, p place) []byte {
	dst = binary.BigEndian.AppendUint64(appendDuePrefix(dst, queue), ordered(at))
	dst = binary.BigEndian.AppendUint64(dst, p.group)
	return binary.BigEndian.AppendUint32(dst, p.n)
}

func chunkKey(id ulid.ULID, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{keyChunk}, id[:]...), chunk)
}

// ordered maps times to numbers that sort as the times do.
func ordered(at int64) uint64    { return uint64(at) ^ 1<<63 }
func fromOrdered(u uint64) int64 { return int64(u ^ 1<<63) }
func prefixEnd(prefix []byte) []byte { // the first key behind all that start with prefix
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
