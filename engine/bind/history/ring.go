package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// shape is one resolution. Those of a bind are rings, the finest first; each is a multiple of the one before.
type shape struct {
	suffix string // of the file's name
	every  time.Duration
	slots  int64
}

var rings = [...]shape{
	{".10s", 10 * time.Second, 24 * 360},
	{".1m", time.Minute, 7 * 24 * 60},
	{".15m", 15 * time.Minute, 366 * 24 * 4},
}

// BytesPerBind is what the history of a bind takes on disk at the most.
const BytesPerBind = (1+24*360)*recordSize + (1+7*24*60)*recordSize + (1+366*24*4)*recordSize

func (s shape) span() time.Duration { return time.Duration(s.slots) * s.every }

// slot is the beginning of the slot of t.
func (s shape) slot(t time.Time) time.Time {
	every := int64(s.every / time.Second)
	return time.Unix(t.Unix()/every*every, 0).UTC()
}

// offset is where the slot that begins at t lies.
func (s shape) offset(t time.Time) int64 {
	return (1 + t.Unix()/int64(s.every/time.Second)%s.slots) * recordSize
}

// path of a bind's file. The name of a bind is the operator's to choose, slashes too.
func (s shape) path(dir, name string) string {
	return filepath.Join(dir, url.PathEscape(name)+s.suffix)
}

const (
	magic   = "kakibind"
	version = 1
)

// errNewer: a newer program has written the file.
var errNewer = errors.New("is of a newer format")

func (s shape) header(name string) []byte {
	b := make([]byte, recordSize)
	copy(b, magic)
	b[8], b[9] = version, byte(len(name))
	copy(b[10:], name)
	binary.LittleEndian.PutUint32(b[recordSize-12:], uint32(s.every/time.Second))
	binary.LittleEndian.PutUint32(b[recordSize-8:], uint32(s.slots))
	binary.LittleEndian.PutUint32(b[recordSize-4:], crc32.Checksum(b[:recordSize-4], castagnoli))
	return b
}

// check looks at a header: nil, errNewer, or what is wrong with it.
func (s shape) check(b []byte, name string) error {
	switch {
	case len(b) != recordSize || string(b[:8]) != magic:
		return errors.New("is no history of a bind")
	case b[8] > version:
		return errNewer
	case string(b) != string(s.header(name)):
		return errors.New("has a damaged header")
	}
	return nil
}

// ring is a file that is written.
type ring struct {
	shape
	file *os.File
	now  Record // the present slot
	buf  []byte
}

// open opens the ring of a bind, or makes it. A file with a damaged header is set aside, and told as such.
func (s shape) open(dir, name string) (r *ring, setAside string, err error) {
	path := s.path(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", err
	}
	head := make([]byte, recordSize)
	n, err := f.ReadAt(head, 0)
	switch {
	case n < recordSize && !errors.Is(err, io.EOF):
		return nil, "", errors.Join(err, f.Close())
	case n < recordSize: // new, or its making was interrupted: there is nothing in it
		if _, err := f.WriteAt(s.header(name), 0); err != nil {
			return nil, "", errors.Join(err, f.Close())
		}
		return &ring{shape: s, file: f}, "", nil
	}
	switch err := s.check(head, name); {
	case errors.Is(err, errNewer):
		return nil, "", errors.Join(fmt.Errorf("%s %w", path, err), f.Close())
	case err != nil:
		if err := errors.Join(f.Close(), os.Rename(path, path+".damaged")); err != nil {
			return nil, "", err
		}
		r, _, again := s.open(dir, name)
		return r, fmt.Sprintf("%s %s", path, err), again
	}
	return &ring{shape: s, file: f}, "", nil
}

// add puts a stretch that ends at or after at into the slot of at.
func (r *ring) add(at time.Time, delta *Record) error {
	if slot := r.slot(at); !r.now.At.Equal(slot) {
		r.now = Record{At: slot}
		b := make([]byte, recordSize)
		if _, err := r.file.ReadAt(b, r.offset(slot)); err == nil {
			if old, ok := parse(b); ok && old.At.Equal(slot) {
				r.now = old // of before a restart
			}
		}
	}
	r.now.add(delta)
	r.buf = r.now.append(r.buf[:0])
	_, err := r.file.WriteAt(r.buf, r.offset(r.now.At))
	return err
}

// scan calls fn with the slots that begin in [from, to), in order, as far as they are there. A missing file has none.
func (s shape) scan(dir, name string, from, to time.Time, fn func(*Record)) error {
	f, err := os.Open(s.path(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, recordSize)
	if n, _ := f.ReadAt(head, 0); n < recordSize {
		return nil
	}
	if err := s.check(head, name); err != nil {
		return fmt.Errorf("%s %w", f.Name(), err)
	}
	from = s.slot(from.Add(s.every - 1))
	buf := make([]byte, 512*recordSize)
	for from.Before(to) {
		offset := s.offset(from)
		want := min(int64(to.Sub(from)+s.every-1)/int64(s.every), int64(len(buf)/recordSize), s.slots+1-offset/recordSize) // not past the end of the ring
		n, err := f.ReadAt(buf[:want*recordSize], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := range int64(n / recordSize) {
			if r, ok := parse(buf[i*recordSize : (i+1)*recordSize]); ok && r.At.Equal(from.Add(time.Duration(i)*s.every)) {
				fn(&r)
			}
		}
		from = from.Add(time.Duration(want) * s.every)
	}
	return nil
}
