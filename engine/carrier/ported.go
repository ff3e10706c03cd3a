package carrier

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// portedNumbers is the table of ported numbers, four bytes a row: ten million are 40 MB and found in some dozen steps.
//
// The ten digits behind the trunk 0 are squeezed into a key of 29 bits, see portedKey. Its upper bits choose a block, whose
// rows lie at start[block] to start[block+1]; a row is the key's lower 16 bits, then 8 bits of the carrier. Rows are sorted
// within their block.
//
//	row  00000000 kkkkkkkk kkkkkkkk cccccccc
//
// The table is made from a file of any order in two readings: the first counts the rows of each block, so that what the
// second fills has its size from the start. Nothing is kept of the file, nothing grows and nothing is copied: an import
// needs the memory of the table that it makes, besides that of the table in use until then.
type portedNumbers struct {
	rows  []uint32
	start []uint32 // nil: no table
}

const (
	portedKeys   = 4e8 // 060 to 090, each with 1e8
	portedBlocks = portedKeys>>16 + 1
)

// portedKey squeezes the ten digits behind the trunk 0: the first is 6 to 9, the second always 0.
func portedKey(n uint64) uint32 { return uint32((n/1e9-6)*1e8 + n%1e8) }

// portedNumber undoes portedKey.
func portedNumber(key uint32) Number { return Number{(uint64(key)/1e8+6)*1e9 + uint64(key)%1e8} }

func (p *portedNumbers) find(n Number) (carrier uint8, ok bool) {
	if p.start == nil || n.IsZero() {
		return 0, false
	}
	key := portedKey(n.n)
	block := p.rows[p.start[key>>16]:p.start[key>>16+1]]
	low := key << 16 >> 8
	i, _ := slices.BinarySearch(block, low) // the place of the first carrier that the number could have
	if i == len(block) || block[i]&^0xff != low {
		return 0, false
	}
	return uint8(block[i]), true
}

// errChanged: a file that is being written while it is read.
var errChanged = errors.New("has changed while it was read")

// readPorted makes the table from the file of a path.
func (v *view) readPorted(path string, limit int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if limit == 0 {
		limit = defaultMaxPorted
	}
	return v.loadPorted(f, path, limit)
}

func (v *view) loadPorted(f io.ReadSeeker, name string, limit int) error {
	count := make([]uint32, portedBlocks+1) // of the block before: summed up it is where each begins
	rows := 0
	err := v.read(f, name, func(n uint64, digits int, _ uint8) error {
		if digits != 10 {
			return fmt.Errorf("a ported number has 11 digits, this has %d", digits+1)
		}
		if rows++; rows > limit {
			return fmt.Errorf("has more than max_ported = %d rows", limit)
		}
		count[portedKey(n)>>16+1]++
		return nil
	})
	if err != nil {
		return err
	}
	for i := range portedBlocks {
		count[i+1] += count[i]
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p := portedNumbers{rows: make([]uint32, rows), start: count}
	next := slices.Clone(count) // where the next row of a block goes
	err = v.read(f, name, func(n uint64, digits int, carrier uint8) error {
		key := portedKey(n)
		if digits != 10 || next[key>>16] == p.start[key>>16+1] {
			return errChanged
		}
		p.rows[next[key>>16]] = key<<16>>8 | uint32(carrier)
		next[key>>16]++
		rows--
		return nil
	})
	if err == nil && rows != 0 {
		err = fmt.Errorf("%s: %w", name, errChanged)
	}
	if err != nil {
		return err
	}
	v.ported = p
	return p.sort(name)
}

// sort orders each block, and refuses a number that stands there twice.
func (p *portedNumbers) sort(name string) error {
	for b := range portedBlocks {
		block := p.rows[p.start[b]:p.start[b+1]]
		slices.Sort(block)
		for i := 1; i < len(block); i++ {
			if block[i]>>8 == block[i-1]>>8 {
				return fmt.Errorf("%s: the number %s stands there twice", name, portedNumber(uint32(b)<<16|block[i]>>8))
			}
		}
	}
	return nil
}
