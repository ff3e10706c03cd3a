package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"
)

// Rebuild makes the index anew from the log alone, beside the old one (index.new), and then puts it in its place in one
// step: whenever the process ends, the one or the other is there. It refuses a store that is open, and a log that is
// damaged; then the old index stays.
func Rebuild(ctx context.Context, o Options, tell func(Progress)) (err error) {
	o = o.withDefaults()
	v, err := makeView(o, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	log, err := v.openLog(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	path := filepath.Join(o.Dir, indexDir)
	if err := errors.Join(os.RemoveAll(path+".new"), os.RemoveAll(path+".old")); err != nil { // of one that was cut off
		return err
	}
	if err := buildIndex(ctx, path+".new", v.of, log, o, tell); err != nil {
		return errors.Join(err, os.RemoveAll(path+".new"))
	}
	return exchange(path, path+".new", path+".old")
}

// openLog opens the log of a view as Open does.
func (v *view) openLog(o Options) (*badgerLog, error) {
	acked, err := openAckMark(filepath.Join(v.dir, ackedFile))
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(v.dir, logDir)
	if err := errors.Join(acked.close(), checkTail(dir, acked.seq)); err != nil {
		return nil, err
	}
	if err := checkLogFiles(dir); err != nil {
		return nil, err
	}
	log, err := openBadgerLog(dir, o, func(err error) { o.Log.Error("log", "err", err) })
	if err != nil {
		return nil, err
	}
	if log.last < acked.seq {
		return nil, errors.Join(fmt.Errorf("%w: the log ends at group %d, but group %d was acknowledged", errDamaged, log.last, acked.seq), log.Close())
	}
	return log, nil
}

// buildIndex makes the index of a log in dir, synced.
func buildIndex(ctx context.Context, dir string, f *format, log groupLog, o Options, tell func(Progress)) (err error) {
	ix, err := newIndex(dir, f, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ix.db.Close()) }()
	last := log.Last()
	err = log.Replay(1, func(seq uint64, group []byte) error {
		if seq%tellGroups == 0 {
			tell(Progress{"groups", seq, last})
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := ix.apply(seq, group); err != nil {
			return err
		}
		return ix.makeRoom()
	})
	if err != nil {
		return err
	}
	if ix.next != last+1 {
		return fmt.Errorf("%w: the log ends at group %d instead of %d", errDamaged, ix.next-1, last)
	}
	tell(Progress{"groups", last, last})
	if err := ix.writeOut(); err != nil {
		return err
	}
	return ix.merge(ctx)
}

// tellGroups is after how many groups progress is told.
const tellGroups = 256

// newIndex opens an index that is made as a whole.
func newIndex(dir string, f *format, o Options) (*index, error) {
	store, err := ulid.ParseStrict(f.Store)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: store id: %w", errDamaged, formatFile, err)
	}
	return openIndex(dir, store, o, true, func(err error) { o.Log.Error("index", "err", err) })
}

// makeRoom writes out what is more than should be in memory.
func (ix *index) makeRoom() error {
	switch lives, stage := ix.crowded(); {
	case lives:
		return ix.writeOut()
	case stage:
		return ix.publish()
	}
	return nil
}

// exchange puts the directory next in the place of the one at path, which goes. Where the file system cannot exchange
// two, there is none for a moment: then opening makes it from the log.
func exchange(path, next, old string) error {
	if err := syncDir(next); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, next, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		old = next
	case errors.Is(err, unix.ENOENT): // there is no old one
		err = os.Rename(next, path)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		if err = os.Rename(path, old); err == nil {
			err = os.Rename(next, path)
		}
	}
	if err != nil {
		return fmt.Errorf("put the new index in its place: %w", err)
	}
	return errors.Join(syncDir(filepath.Dir(path)), os.RemoveAll(old))
}
