package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
)

// A segment is a file of a backup: groups of the log as they are. It gets its name when it is whole and synced, and is
// never changed afterwards. Integers are little endian.
//
//	segment: "KKSEG 1\n" | store id 16 | entry … | end
//	entry:   group 8 | length 4 | crc32c 4 (of the 12 bytes before it and the group's) | the group
//	end:     0 8 | entries 4 | crc32c 4 (of the 12 bytes before it) | sha256 32 (of all before it)
const (
	segmentMagic      = "KKSEG 1\n"
	segmentHeaderSize = len(segmentMagic) + 16
	segmentEntrySize  = 8 + 4 + 4
)

// segment is what is known of a segment file.
type segment struct {
	Name   string `json:"name"`
	First  uint64 `json:"first"` // group
	Last   uint64 `json:"last"`
	Groups uint32 `json:"groups"`
	Bytes  int64  `json:"bytes"` // of the file
	SHA256 string `json:"sha256"`
}

func segmentName(first uint64) string { return fmt.Sprintf("segment-%020d.kks", first) }

// segmentWriter writes one segment under the name path + ".new". It is closed or dropped.
type segmentWriter struct {
	segment
	path string
	f    *os.File
	w    *bufio.Writer
	sum  hash.Hash
}

func createSegment(dir string, store ulid.ULID, first uint64) (*segmentWriter, error) {
	s := &segmentWriter{segment: segment{Name: segmentName(first), First: first}, sum: sha256.New()}
	s.path = filepath.Join(dir, s.Name)
	var err error
	if s.f, err = os.OpenFile(s.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	s.w = bufio.NewWriterSize(s.f, 1<<20)
	if err := s.write(append([]byte(segmentMagic), store[:]...)); err != nil {
		return nil, errors.Join(err, s.drop())
	}
	return s, nil
}

func (s *segmentWriter) write(b []byte) error {
	s.sum.Write(b)
	s.Bytes += int64(len(b))
	_, err := s.w.Write(b)
	return err
}

func (s *segmentWriter) add(seq uint64, group []byte) error {
	if err := s.write(segmentEntry(seq, len(group), group)); err != nil {
		return err
	}
	s.Last = seq
	s.Groups++
	return s.write(group)
}

// segmentEntry is what stands before a group, or, with group 0, the begin of the end.
func segmentEntry(seq uint64, n int, group []byte) []byte {
	h := binary.LittleEndian.AppendUint64(make([]byte, 0, segmentEntrySize), seq)
	h = binary.LittleEndian.AppendUint32(h, uint32(n))
	return binary.LittleEndian.AppendUint32(h, crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, group))
}

// close ends the segment, syncs it, and gives it its name.
func (s *segmentWriter) close() error {
	err := s.write(segmentEntry(0, int(s.Groups), nil))
	sum := s.sum.Sum(nil)
	s.SHA256 = hex.EncodeToString(sum)
	if err == nil {
		_, err = s.w.Write(sum)
		s.Bytes += int64(len(sum))
	}
	if err == nil {
		err = s.w.Flush()
	}
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return errors.Join(err, s.drop())
	}
	if err := s.f.Close(); err != nil {
		return errors.Join(err, os.Remove(s.path+".new"))
	}
	if err := os.Rename(s.path+".new", s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

// drop removes what was written.
func (s *segmentWriter) drop() error { return errors.Join(s.f.Close(), os.Remove(s.path+".new")) }

// readSegment calls fn with each group of a segment file, in order; the bytes are fn's until it returns. The checksums of
// entries are verified before fn sees them, that of the file at the end.
func readSegment(path string, store ulid.ULID, fn func(seq uint64, group []byte) error) (segment, error) {
	s := segment{Name: filepath.Base(path)}
	damaged := func(what string, args ...any) (segment, error) {
		return s, fmt.Errorf("%w: %s: %s", errDamaged, path, fmt.Sprintf(what, args...))
	}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	sum := sha256.New()
	buffered := bufio.NewReaderSize(f, 1<<20)
	r := io.TeeReader(buffered, sum)
	head := make([]byte, segmentHeaderSize)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(segmentMagic)]) != segmentMagic {
		return damaged("it is no segment of a backup")
	}
	if !bytes.Equal(head[len(segmentMagic):], store[:]) {
		return damaged("it is of another store")
	}
	s.Bytes = int64(segmentHeaderSize)
	var entry [segmentEntrySize]byte
	var group []byte
	for {
		if _, err := io.ReadFull(r, entry[:]); err != nil {
			return damaged("it breaks off behind group %d", s.Last)
		}
		seq, n := binary.LittleEndian.Uint64(entry[:]), int(binary.LittleEndian.Uint32(entry[8:]))
		end := seq == 0
		if !end && (n > 2*maxGroup || seq <= s.Last) { // one that was rewritten has a table besides
			return damaged("group %d of %d bytes follows group %d", seq, n, s.Last)
		}
		group = group[:0]
		if !end {
			group = append(group, make([]byte, n)...)
		}
		if _, err := io.ReadFull(r, group); err != nil {
			return damaged("it breaks off behind group %d", s.Last)
		}
		if !bytes.Equal(entry[:], segmentEntry(seq, n, group)) {
			return damaged("checksum behind group %d", s.Last)
		}
		s.Bytes += int64(len(entry) + len(group))
		if end {
			if uint32(n) != s.Groups {
				return damaged("%d groups instead of %d", s.Groups, n)
			}
			break
		}
		if s.Groups == 0 {
			s.First = seq
		}
		s.Last = seq
		s.Groups++
		if err := fn(seq, group); err != nil {
			return s, err
		}
	}
	want := sum.Sum(nil)
	have, err := io.ReadAll(io.LimitReader(buffered, sha256.Size+1))
	if err != nil || !bytes.Equal(have, want) {
		return damaged("checksum of the file")
	}
	s.Bytes += sha256.Size
	s.SHA256 = hex.EncodeToString(want)
	return s, nil
}

// summed is how small files of a backup are stored: JSON with the checksum of what it holds.
type summed struct {
	SHA256 string          `json:"sha256"`
	Of     json.RawMessage `json:"of"`
}

// writeSummed replaces the file at path, synced.
func writeSummed(path string, v any) error {
	b, err := marshalSummed(v)
	if err != nil {
		return err
	}
	return replaceFile(path, b)
}

func marshalSummed(v any) ([]byte, error) {
	of, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(of)
	b, err := json.Marshal(summed{hex.EncodeToString(sum[:]), of})
	return append(b, '\n'), err
}

// readSummed reads what writeSummed wrote.
func readSummed(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s summed
	if err := json.Unmarshal(b, &s); err == nil {
		sum := sha256.Sum256(s.Of)
		if hex.EncodeToString(sum[:]) == s.SHA256 && json.Unmarshal(s.Of, v) == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", errDamaged, path)
}
