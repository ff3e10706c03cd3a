package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Leaf is a stream as it was at the end of a day.
type Leaf struct {
	Kind, ID string
	N        uint32 // events
	Digest   Hash   // of the chain
}

// Hash is the leaf's in the tree. RFC 9162 §2.1.1.
func (l *Leaf) Hash() Hash {
	b := append([]byte{0}, "kakitome leaf 1\x00"...)
	b = appendText(appendText(b, l.Kind), l.ID)
	b = binary.BigEndian.AppendUint32(b, l.N)
	return sha256.Sum256(append(b, l.Digest[:]...))
}

func node(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// split is the largest power of two below n > 1.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Root is the Merkle tree hash of leaves' hashes. RFC 9162 §2.1.1.
func Root(leaves []Hash) Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := split(n)
		return node(Root(leaves[:k]), Root(leaves[k:]))
	}
}

// Path is the inclusion proof of leaf i, from the leaf up. RFC 9162 §2.1.3.1.
func Path(leaves []Hash, i int) []Hash {
	n := len(leaves)
	if n < 2 {
		return nil
	}
	if k := split(n); i < k {
		return append(Path(leaves[:k], i), Root(leaves[k:]))
	} else {
		return append(Path(leaves[k:], i-k), Root(leaves[:k]))
	}
}

// rootOf is the root that a leaf and its path lead to; false: the path does not fit the size. RFC 9162 §2.1.3.2.
func rootOf(leaf Hash, index, size uint64, path []Hash) (Hash, bool) {
	if index >= size {
		return Hash{}, false
	}
	fn, sn, r := index, size-1, leaf
	for _, p := range path {
		if sn == 0 {
			return Hash{}, false
		}
		if fn&1 == 1 || fn == sn {
			r = node(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = node(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return r, sn == 0
}

// Day is the proof that a stream is in the tree of a day.
type Day struct {
	Events uint32 `json:"events"` // how many of the stream
	Index  uint64 `json:"index"`
	Path   []Hash `json:"path"` // from the leaf up
	Line   string `json:"line"` // as published
}
