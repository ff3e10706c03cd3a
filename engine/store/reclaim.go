package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/kakitome/kakitome/engine/clock"
)

// Badger gives space back file by file: a file of the value log whose values are mostly superseded is read, what lives
// moves to the log's end, the file goes. It knows what is superseded from merging its tables. A sweep writes some
// thousand small keys, which would lie in memory for weeks until a table is made of them, so reclaim fills the memory up
// with keys of nothing that have expired, and waits until the table of all that is merged. There is no other way to have
// Badger write its memory out.
const (
	fillKey     = 60_000 // bytes of a key that fills; Badger takes 65,000
	fillKeys    = 20     // in a transaction
	maxTables   = 1 << 30
	reclaimFrom = 0.5 // of a file is superseded
	mergeLimit  = 30 * time.Second
)

type rewritten struct {
	seq   uint64
	group []byte
}

// Rewrite replaces groups that are in the log, all or none, synced. One caller at a time; Append goes on beside it.
func (b *badgerLog) Rewrite(groups []rewritten) error {
	txn := b.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	version, size := uint64(0), 0
	for _, g := range groups {
		size += len(g.group) + entryExtra
		item, err := txn.Get(groupKey(g.seq))
		if err != nil {
			return fmt.Errorf("rewrite group %d: %w", g.seq, err)
		}
		version = max(version, item.Version()+1) // above each of them: every reader reads the highest
		if err := txn.Set(groupKey(g.seq), g.group); err != nil {
			return fmt.Errorf("rewrite group %d: %w", g.seq, err)
		}
	}
	if err := b.space.check(size); err != nil {
		return fmt.Errorf("rewrite groups from %d on: %w", groups[0].seq, err)
	}
	if err := txn.CommitAt(version, nil); err != nil {
		return fmt.Errorf("rewrite groups from %d on: %w", groups[0].seq, err)
	}
	if b.failed.Load() {
		return fmt.Errorf("rewrite groups from %d on: sync failed", groups[0].seq)
	}
	return nil
}

// Reclaim gives the space of rewritten groups back and returns how many files went. rest is called between steps, each of
// which is some MB of work, and may end it; alive ends what only waits.
func (b *badgerLog) Reclaim(rest, alive func() error) (files int, err error) {
	b.db.SetDiscardTs(math.MaxUint64) // nobody reads an older version
	if err := b.roomToReclaim(); err != nil {
		return 0, err
	}
	if b.tables() < maxTables { // else they are merged as they come
		if err := errors.Join(b.fill(rest), b.awaitMerge(alive)); err != nil {
			return 0, err
		}
	}
	for {
		if err := errors.Join(rest(), b.roomToReclaim()); err != nil {
			return files, err
		}
		switch err := b.db.RunValueLogGC(reclaimFrom); {
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return files, nil
		case err != nil:
			return files, fmt.Errorf("reclaim the log's space: %w", err)
		}
		files++
	}
}

// tables is what the tables take on the disk. Badger's own list of them counts the values too, which lie elsewhere.
func (b *badgerLog) tables() (size int64) {
	for _, l := range b.db.Levels() {
		size += l.Size
	}
	return size
}

// roomToReclaim: what lives in a file is written to the log's end before the file goes.
func (b *badgerLog) roomToReclaim() error {
	opt := b.db.Opts()
	return checkFloor(b.space.dir, b.space.floor+opt.ValueLogFileSize+opt.MemTableSize)
}

// awaitMerge waits until there is no memory but what is written to, and no table that has not been merged. What is late is found by the next Reclaim.
func (b *badgerLog) awaitMerge(alive func() error) error {
	const look = 50 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for waited, merged := time.Duration(0), 0; waited < mergeLimit && merged < 3; waited += look {
		<-timer.C
		timer.Reset(look)
		if err := alive(); err != nil {
			return err
		}
		memory, err := numbered(b.db.Opts().Dir, ".mem")
		if err != nil {
			return err
		}
		if merged++; len(memory) > 1 || b.db.Levels()[0].NumTables > 0 {
			merged = 0
		}
	}
	return nil
}

func (b *badgerLog) fill(rest func() error) error {
	size := b.db.Opts().MemTableSize
	key := make([]byte, fillKey)
	key[0] = 'x'
	for n := 0; int64(n)*fillKey < size+size/8; n += fillKeys {
		if err := rest(); err != nil {
			return err
		}
		batch := b.db.NewManagedWriteBatch()
		for i := range fillKeys {
			binary.BigEndian.PutUint32(key[1:], uint32(n+i))
			e := badger.NewEntry(append([]byte(nil), key...), nil)
			e.ExpiresAt = 1 // 1970
			if err := batch.SetEntryAt(e, uint64(clock.Now().UnixNano())); err != nil {
				batch.Cancel()
				return fmt.Errorf("fill the log's memory: %w", err)
			}
		}
		if err := batch.Flush(); err != nil {
			return fmt.Errorf("fill the log's memory: %w", err)
		}
	}
	return nil
}

// Reclaim gives the space of what Purge shortened back to the file system and returns how many files of the log went. rest
// is called between steps and may wait, or end it by an error. One caller at a time, and none of Purge beside it.
func (s *Store) Reclaim(ctx context.Context, rest func() error) (files int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.exit()
	alive := func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop:
			return ErrClosed
		default:
			return nil
		}
	}
	return s.log.(*badgerLog).Reclaim(func() error { return errors.Join(alive(), rest()) }, alive)
}
