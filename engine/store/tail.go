package store

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Badger cuts the newest value-log file at the first record that is not whole, wherever that is: right for a torn write
// that nobody was told of, wrong for a damaged one in the middle, which would take acknowledged groups with it. So the
// file is read before Badger opens it, and the store refuses to open when an acknowledged group would go. What was
// acknowledged is known from the ACKED file (files.go), which is never ahead of the truth: after a killed process it is
// exact, after lost power it may lag by the seconds since its last sync.

//
// A file of no length is left behind when the process ends between its creation and its first use. Badger does not open
// over it, so it is removed when what lies before it reaches the last acknowledged group.

// checkTail fails when the newest value-log file in dir ends, for Badger, before group acked although the file goes on.
func checkTail(dir string, acked uint64) error {
	memtables, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return fmt.Errorf("check the log's tail: %w", err)
	}
	for _, path := range memtables { // when one held something once, the log will end before acked, and Open refuses
		if err := removeEmpty(path); err != nil {
			return fmt.Errorf("check the log's tail: %w", err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		return fmt.Errorf("check the log's tail: %w", err)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for len(files) > 0 {
		newest := files[len(files)-1]
		files = files[:len(files)-1]
		last, end, err := scanFile(newest)
		if err != nil {
			return fmt.Errorf("check the log's tail: %w", err)
		}
		if end == tailTorn && last < acked { // a sweep may have written older groups anew at the end: then it is before them
			before, err := lastOf(files, acked)
			if err != nil {
				return fmt.Errorf("check the log's tail: %w", err)
			}
			last = max(last, before)
		}
		if end == tailTorn && last < acked {
			return fmt.Errorf("%w: %s breaks off behind group %d, but group %d was acknowledged; restore the file from a backup",
				errDamaged, newest, last, acked)
		}
		if end != tailEmpty {
			return nil // nothing is cut, or only what nobody was told of
		}
		if len(files) > 0 && acked > 0 {
			if last, err := lastOf(files, acked); err != nil {
				return fmt.Errorf("check the log's tail: %w", err)
			} else if last < acked && last > 0 {
				return fmt.Errorf("%w: %s is empty, but group %d, behind those of the file before it, was acknowledged; restore the file from a backup",
					errDamaged, newest, acked)
			}
		}
		if err := removeEmpty(newest); err != nil {
			return fmt.Errorf("check the log's tail: %w", err)
		}
	}
	return nil
}

// lastOf is the last group in files, or one from acked on, looked for from the newest file back.
func lastOf(files []string, acked uint64) (last uint64, err error) {
	for i := len(files) - 1; i >= 0 && last < acked; i-- {
		n, _, err := scanFile(files[i])
		if err != nil {
			return 0, err
		}
		last = max(last, n)
	}
	return last, nil
}

func removeEmpty(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() > 0 {
		return err
	}
	return os.Remove(path)
}

func scanFile(path string) (last uint64, end tailEnd, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, tailClean, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		return 0, tailEmpty, err
	}
	return scanValueLog(f)
}

type tailEnd int

const (
	tailClean tailEnd = iota // the end of the file or the zeros of its preallocation
	tailTorn                 // a record that is not whole
	tailEmpty                // a file of no length
)

// scanValueLog walks the records of a Badger value-log file as Badger does: a header of 20 bytes, then records of
// meta 1, user meta 1, key length, value length, expiry (unsigned varints), key, value, crc32c (big endian).
// It returns the highest group seen and how the walk ended.
func scanValueLog(f io.Reader) (last uint64, end tailEnd, err error) {
	r := bufio.NewReaderSize(f, 1<<20)
	if _, err := io.CopyN(io.Discard, r, 20); err != nil {
		return 0, tailClean, ignoreEOF(err)
	}
	var key [64]byte
	for {
		sum := crc32.New(castagnoli)
		h := hashedBytes{r: r, sum: sum}
		meta, err := h.ReadByte()
		if err != nil {
			return last, tailClean, ignoreEOF(err)
		}
		user, _ := h.ReadByte()
		klen, _ := binary.ReadUvarint(&h)
		vlen, _ := binary.ReadUvarint(&h)
		if _, err := binary.ReadUvarint(&h); err != nil {
			return last, tailTorn, nil
		}
		if meta == 0 && user == 0 && klen == 0 && vlen == 0 {
			return last, tailClean, nil
		}
		if klen == 0 || klen > uint64(len(key)) || vlen > 1<<31 {
			return last, tailTorn, nil
		}
		tee := io.TeeReader(r, sum)
		if _, err := io.ReadFull(tee, key[:klen]); err != nil {
			return last, tailTorn, ignoreEOF(err)
		}
		if _, err := io.CopyN(io.Discard, tee, int64(vlen)); err != nil {
			return last, tailTorn, ignoreEOF(err)
		}
		var want [4]byte
		if _, err := io.ReadFull(r, want[:]); err != nil {
			return last, tailTorn, ignoreEOF(err)
		}
		if binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
			return last, tailTorn, nil
		}
		if k := key[:klen]; k[0] == 'g' && klen == 9+8 { // behind the key lies its version
			last = max(last, binary.BigEndian.Uint64(k[1:]))
		}
	}
}

type hashedBytes struct {
	r   *bufio.Reader
	sum io.Writer
}

func (h *hashedBytes) ReadByte() (byte, error) {
	b, err := h.r.ReadByte()
	if err == nil {
		h.sum.Write([]byte{b})
	}
	return b, err
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
