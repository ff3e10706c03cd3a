package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A disk with no room at all. Badger writes its files through memory mappings of sparse files: where a page of one finds
// no block, the kernel ends the process by SIGBUS, in whichever goroutine of Badger that was, and nothing can be made of
// it. So the log looks before it lets Badger write a group, and ends the store by an error instead:
//
//   - less than a floor is free: what Badger makes beside (tables, new files) needs room that nobody can hold for it
//   - no blocks are to be had for what comes next in the two files that each group is written to; they are taken ahead
//     (fallocate), so that a disk that somebody else fills between the look and the write does no harm
//
// What is left is a table that Badger writes by itself, merging others, in the very moment in which somebody else takes the last block
// of the disk: that ends the process by the signal. The record is whole all the same.
//
// Long before that, below Options.MinFree, new streams are refused (checkSpace).

// errDiskFull ends the store.
var errDiskFull = errors.New("the disk is full")

// maxFloor is the floor under the free space: more than Badger makes at once while nobody looks. It is never more than
// half of the mark below which new streams are refused.
const maxFloor = 32 << 20

// space is the room of the log's directory. Safe for concurrent use.
type space struct {
	dir   string
	floor int64

	mu    sync.Mutex // guards ahead
	ahead []*ahead
}

// newSpace refuses a directory without room, before Badger makes files in it. minFree is that of Options.
func newSpace(dir string, minFree int64) (*space, error) {
	_, size, err := freeSpace(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	floor := min(maxFloor, spaceMark(minFree, size)/2)
	return &space{dir: dir, floor: floor, ahead: []*ahead{
		{dir: dir, name: "%06d.vlog", step: 8 << 20},
		{dir: dir, name: "%05d.mem", step: 1 << 20},
	}}, checkFloor(filepath.Dir(dir), floor)
}

// opened finds the files that Badger has opened to write to.
func (s *space) opened() error {
	for _, a := range s.ahead {
		all, err := filepath.Glob(filepath.Join(s.dir, "*"+filepath.Ext(a.name)))
		if err != nil {
			return err
		}
		for _, path := range all {
			var id int
			if _, err := fmt.Sscanf(filepath.Base(path), a.name, &id); err != nil {
				return fmt.Errorf("file of the log %s: %w", path, err)
			}
			a.id = max(a.id, id)
		}
		if err := a.open(a.id); err != nil {
			return err
		}
	}
	// Which files hold what is superseded: small, and written to at any time.
	discard, err := os.OpenFile(filepath.Join(s.dir, "DISCARD"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := discard.Stat()
	if err == nil {
		err = take(discard, 0, info.Size())
	}
	return errors.Join(err, discard.Close())
}

// check makes sure that n bytes can be written, and what Badger adds to them. The error is errDiskFull, or that it is not
// known.
func (s *space) check(n int) error {
	if err := checkFloor(s.dir, s.floor); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.ahead {
		if err := a.take(int64(n)); err != nil {
			return err
		}
	}
	return nil
}

func (s *space) close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.ahead {
		if a.file != nil {
			err = errors.Join(err, a.file.Close())
		}
	}
	return err
}

// checkFloor compares the free space with the floor.
func checkFloor(dir string, floor int64) error {
	free, _, err := freeSpace(dir)
	if err == nil && free < floor {
		err = fmt.Errorf("%w: %d MiB are free in %s, and less than %d is too little to write on; make room and start again", errDiskFull, free>>20, dir, floor>>20)
	}
	return err
}

// spaceMark is the free space below which new streams are refused: what Options say, or by the size of the file system.
func spaceMark(minFree, size int64) int64 {
	if minFree == 0 {
		return min(1<<30, size/20)
	}
	return minFree
}

// freeSpace of a directory's file system and its size, in bytes.
func freeSpace(dir string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// ahead takes blocks ahead of what is written to the last of some numbered files.
type ahead struct {
	dir, name string
	step      int64

	id      int
	file    *os.File
	written int64 // so much of it is, at least
	taken   int64 // blocks are there up to here
}

// entryExtra is more than Badger writes around a group: headers, key, checksum, and zeros behind the last one.
const entryExtra = 4 << 10

// open changes to another file.
func (a *ahead) open(id int) error {
	f, err := os.OpenFile(a.path(id), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if a.file != nil {
		_ = a.file.Close() // nothing was written through it
	}
	a.id, a.file, a.written, a.taken = id, f, 0, 0
	return nil
}

func (a *ahead) path(id int) string { return filepath.Join(a.dir, fmt.Sprintf(a.name, id)) }

// take makes sure that there are blocks for n bytes more. What is taken and not written is a hole for lseek, and goes when
// Badger cuts the file to its length.
func (a *ahead) take(n int64) error {
	for {
		err := a.open(a.id + 1)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
	}
	written, err := unix.Seek(int(a.file.Fd()), a.written, unix.SEEK_HOLE)
	if errors.Is(err, unix.ENXIO) {
		return nil // behind its end: it has been cut, and the next one is about to be made
	}
	if err != nil {
		return fmt.Errorf("%s: end of what is written: %w", a.file.Name(), err)
	}
	if a.written = written; a.taken >= written+n+entryExtra {
		return nil
	}
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	// Not behind its end, where blocks of a file that was just cut would stay for ever.
	more := min(n+entryExtra+a.step, info.Size()-written)
	if more <= 0 {
		return nil
	}
	a.taken = written + more
	return take(a.file, written, more)
}

// take has the file system find blocks for a part of a file. One that cannot is left to the floor alone.
func take(f *os.File, at, n int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, at, n); {
		case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			return fmt.Errorf("%w: no room for %d bytes more in %s (%w); make room and start again", errDiskFull, n, f.Name(), err)
		default:
			return fmt.Errorf("take room in %s: %w", f.Name(), err)
		}
	}
}
