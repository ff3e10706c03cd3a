package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// groupLog is the truth: commit groups, numbered from 1 without gaps.
type groupLog interface {
	// Append stores a group; when it returns nil the group is on disk, synced. After an error nothing is known of the
	// group and nothing may be appended. One caller at a time.
	Append(seq uint64, group []byte) error
	// Read calls fn with a group; the bytes are those of the log itself, valid and unchanging until fn returns.
	Read(seq uint64, fn func(group []byte) error) error
	// Replay calls fn with the groups from seq on, in order, until fn fails; a gap is an error.
	Replay(from uint64, fn func(seq uint64, group []byte) error) error
	// Last is the number of the last group that was there when the log was opened; 0: none.
	Last() uint64
	Close() error
}

// badgerLog keeps each group as one value under 'g' + its number (big endian). Badger is opened in managed mode, where
// a reading transaction does not wait for the syncs of those that write: the version of a key is its group's number.
// Every group goes to the value log, also a small one, so that the scan of its tail (tail.go) sees it.
type badgerLog struct {
	db     *badger.DB
	space  *space
	last   uint64
	failed *atomic.Bool // Badger logged that a sync failed
}

// minValue is the size from which Badger puts values into the value log. The least group is larger. It must not be less
// than 21: Badger's own mark of a transaction's end, the version in decimal, has to stay in its write-ahead log, or that
// log cannot be read after a crash.
const minValue = 32

// syncFailure is how the line begins that Badger 4.9.6 logs, and goes on, when the sync of the value log fails
// (value.go, valueLog.write). TestFailedSyncStopsProcess provokes it.
const syncFailure = "Error while curlf sync"

// openBadgerLog uses MinFree, ValueLogSize and Log of the options.
func openBadgerLog(dir string, o Options, fatal func(error)) (*badgerLog, error) {
	b := &badgerLog{failed: new(atomic.Bool)}
	opt := logOptions(dir, o.ValueLogSize).WithLogger(&badgerLogger{log: o.Log, failed: b.failed, fatal: fatal})
	if err := b.open(opt, o.MinFree); err != nil {
		return nil, fmt.Errorf("open log in %s: %w", dir, err)
	}
	txn := b.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: []byte{'g'}})
	defer it.Close()
	it.Seek([]byte{'g', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	if it.Valid() {
		var err error
		if b.last, err = groupSeq(it.Item().Key()); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	return b, nil
}

// open opens Badger where there is room for it.
func (b *badgerLog) open(opt badger.Options, minFree int64) (err error) {
	if b.space, err = newSpace(opt.Dir, minFree); err != nil {
		return err
	}
	if b.db, err = badger.OpenManaged(opt); err != nil {
		return err
	}
	if err := b.space.opened(); err != nil {
		return errors.Join(err, b.Close())
	}
	return nil
}

func logOptions(dir string, vlogSize int64) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithValueThreshold(minValue).
		WithValueLogFileSize(vlogSize).
		WithMemTableSize(16 << 20).
		WithNumMemtables(3).
		WithNumLevelZeroTables(1). // merged at once, which tells what is superseded (reclaim.go)
		WithBlockCacheSize(32 << 20).
		WithIndexCacheSize(32 << 20).
		WithNumCompactors(2).
		WithMetricsEnabled(false)
}

func groupKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{'g'}, seq)
}

func groupSeq(key []byte) (uint64, error) {
	if len(key) != 9 || key[0] != 'g' {
		return 0, fmt.Errorf("%w: key %x in the log", errDamaged, key)
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

func (b *badgerLog) Append(seq uint64, group []byte) error {
	if err := b.space.check(len(group)); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	txn := b.db.NewTransactionAt(seq, true)
	defer txn.Discard()
	if err := txn.Set(groupKey(seq), group); err != nil {
		return fmt.Errorf("append group %d: %w", seq, err)
	}
	if err := txn.CommitAt(seq, nil); err != nil {
		return fmt.Errorf("append group %d: %w", seq, err)
	}
	if b.failed.Load() {
		return fmt.Errorf("append group %d: sync failed", seq)
	}
	return nil
}

// Read looks a second time when a group moved to another file (Reclaim) after its place was looked up.
func (b *badgerLog) Read(seq uint64, fn func([]byte) error) (err error) {
	for range 3 {
		seen := false
		err = b.read(seq, func(group []byte) error {
			seen = true
			return fn(group)
		})
		if err == nil || seen {
			return err
		}
	}
	return err
}

func (b *badgerLog) read(seq uint64, fn func([]byte) error) error {
	txn := b.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	item, err := txn.Get(groupKey(seq))
	if err != nil {
		return fmt.Errorf("read group %d: %w", seq, err)
	}
	if err := item.Value(fn); err != nil {
		return fmt.Errorf("read group %d: %w", seq, err)
	}
	return nil
}

func (b *badgerLog) Replay(from uint64, fn func(uint64, []byte) error) error {
	txn := b.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{'g'}})
	defer it.Close()
	next := from
	for it.Seek(groupKey(from)); it.Valid(); it.Next() {
		seq, err := groupSeq(it.Item().Key())
		if err != nil {
			return err
		}
		if seq != next {
			return fmt.Errorf("%w: group %d is missing, %d follows", errDamaged, next, seq)
		}
		if err := it.Item().Value(func(v []byte) error { return fn(seq, v) }); err != nil {
			return fmt.Errorf("replay group %d: %w", seq, err)
		}
		next++
	}
	return nil
}

func (b *badgerLog) Last() uint64 { return b.last }

// gap finds the first group that is missing before the last one. It reads keys alone.
func (b *badgerLog) gap() (missing uint64, found bool) {
	txn := b.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{'g'}})
	defer it.Close()
	next := uint64(1)
	for it.Seek(groupKey(next)); it.Valid(); it.Next() {
		if seq, err := groupSeq(it.Item().Key()); err != nil || seq != next {
			return next, true
		}
		next++
	}
	return next, next <= b.last
}

func (b *badgerLog) Close() error { return errors.Join(b.db.Close(), b.space.close()) }

// badgerLogger passes Badger's lines on and turns the one that means lost durability into an end.
type badgerLogger struct {
	log    *slog.Logger
	failed *atomic.Bool
	fatal  func(error)
}

func (l *badgerLogger) Errorf(format string, args ...any) {
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	if strings.HasPrefix(line, syncFailure) {
		l.failed.Store(true) // before anybody can be told that the commit went well
		l.fatal(fmt.Errorf("log: %s", line))
		return
	}
	l.log.Error("log", "err", line)
}

func (l *badgerLogger) Warningf(format string, args ...any) {
	l.log.Warn("log", "err", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l *badgerLogger) Infof(string, ...any)  {}
func (l *badgerLogger) Debugf(string, ...any) {}
