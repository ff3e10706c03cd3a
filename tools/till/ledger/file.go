package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// file is facts.ndjson: whole lines only, appended, synced where asked. Its user serializes calls.
type file struct {
	name    string
	f       *os.File
	size    int64 // of the whole lines
	readErr error // why lines ended early
	broken  error // an append failed and could not be undone: nothing more is written
}

func openFile(dir string, log *slog.Logger) (*file, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the books: %w", err)
	}
	name := filepath.Join(dir, "facts.ndjson")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open books: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: in use by another till: %w", name, err)
	}
	b := &file{name: name, f: f}
	if err := b.cutTorn(log); err != nil {
		f.Close()
		return nil, err
	}
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("sync directory of the books: %w", err)
	}
	return b, nil
}

// cutTorn removes a last line without its line feed: its write never ended, so nobody was told of it.
func (b *file) cutTorn(log *slog.Logger) error {
	end, err := b.f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("size of %s: %w", b.name, err)
	}
	b.size = end
	for buf := make([]byte, 64<<10); b.size > 0; {
		from := max(0, b.size-int64(len(buf)))
		part := buf[:b.size-from]
		if _, err := b.f.ReadAt(part, from); err != nil {
			return fmt.Errorf("read end of %s: %w", b.name, err)
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			b.size = from + int64(i) + 1
			break
		}
		b.size = from
	}
	if b.size == end {
		return nil
	}
	log.Warn("books end in an unfinished line, which nobody was told of: cut off", "file", b.name, "bytes", end-b.size)
	if err := b.f.Truncate(b.size); err != nil {
		return fmt.Errorf("cut the unfinished line off %s: %w", b.name, err)
	}
	return nil
}

// lines yields the lines with their numbers from 1. A line is valid until the next.
func (b *file) lines() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		sc := bufio.NewScanner(io.NewSectionReader(b.f, 0, b.size))
		sc.Buffer(nil, 1<<20)
		n := 0
		for sc.Scan() {
			if n++; !yield(n, sc.Bytes()) {
				return
			}
		}
		if err := sc.Err(); err != nil {
			b.readErr = fmt.Errorf("line %d: %w", n+1, err)
		}
	}
}

func (b *file) append(lines []byte, sync bool) error {
	if b.broken != nil {
		return b.broken
	}
	_, err := b.f.WriteAt(lines, b.size)
	if err == nil && sync {
		err = b.f.Sync()
	}
	if err == nil {
		b.size += int64(len(lines))
		return nil
	}
	err = fmt.Errorf("write %s: %w", b.name, err)
	if undo := b.f.Truncate(b.size); undo != nil {
		b.broken = fmt.Errorf("%w; cannot undo: %w; start the till again", err, undo)
	}
	return err
}

func (b *file) close() error {
	return errors.Join(b.f.Sync(), b.f.Close())
}
