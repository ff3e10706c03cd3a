package store

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kakitome/kakitome/engine/clock"
)

// Options of a store. Dir and MasterKey are needed; the rest has defaults.
type Options struct {
	Dir       string // made when missing, its parent must be there
	MasterKey string // path of a file of NewMasterKey: mode 0600, outside Dir

	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics are registered

	Pace    time.Duration // least time between groups that serve a crowd; 0: 2 ms, negative: none
	Flush   time.Duration // how often the index is written out, and how much a restart replays; 0: 5 s
	MinFree int64         // free bytes below which new streams are refused; 0: 1 GiB or 5 %, whichever is less
	Cache   int64         // bytes of the index's block cache; 0: 256 MiB

	ValueLogSize int64 // bytes of a file of the log, 1 MiB to 1 GiB; 0: 256 MiB

	files vfs.FS // of the index; nil: the disk. Tests let it fail

	Now   func() time.Time // nil: clock.Now
	Fatal func(error)      // called when durability or the index is lost, after logging; nil: the process exits with 1
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Pace == 0 {
		o.Pace = 2 * time.Millisecond
	}
	if o.Flush <= 0 {
		o.Flush = 5 * time.Second
	}
	if o.Cache <= 0 {
		o.Cache = 256 << 20
	}
	if o.ValueLogSize <= 0 {
		o.ValueLogSize = 256 << 20
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.Fatal == nil {
		o.Fatal = func(error) { os.Exit(1) }
	}
	return o
}

// Store is the engine's record. All methods are safe for concurrent use.
type Store struct {
	opt     Options
	metrics *metrics
	lock    *os.File
	master  *masterKeys
	log     groupLog
	index   *index
	acked   *ackMark
	newest  time.Time // see Newest
	keys    *keyring

	rotating  sync.Mutex   // held by a rotation of the master key
	forgotten func() error // nil but in tests: Purge ends between index and log

	queue   queue
	places  floors
	wakers  wakers
	recent  recent
	readers readers
	numbers numbers
	days    days

	applied  atomic.Uint64 // the last group in the index
	failed   atomic.Bool
	syncing  atomic.Bool // the log takes a group
	stopping atomic.Bool
	full     atomic.Bool
	failOnce sync.Once

	use    sync.RWMutex // read: a reader is inside; write: Close ends reading
	closed bool         // guarded by use

	commits sync.WaitGroup // build, append, settle
	upkeep  sync.WaitGroup // keepUp, keepSwept
	stop    chan struct{}  // closed by Close
	turn    chan struct{}  // size 1: write the index out now
	turned  chan struct{}  // size 1: the index has been written out
	crowd   chan struct{}  // size 1: write out now what is staged
	free    chan struct{}  // size 1: the log has taken a group
	halted  chan struct{}  // closed by fail

	closeOnce sync.Once
	closeErr  error
}

// Open opens the store in o.Dir, or makes it when the directory is missing or empty. It replays into the index what the
// index has not yet on disk. It refuses, changing nothing, when another process has the store, when the format is newer,
// when something is damaged, and when the master key is missing, readable by others, inside Dir, or not the store's.
func Open(o Options) (_ *Store, err error) {
	o = o.withDefaults()
	s := &Store{
		opt: o, metrics: newMetrics(o.Registerer),
		stop: make(chan struct{}), turn: make(chan struct{}, 1), turned: make(chan struct{}, 1), crowd: make(chan struct{}, 1), free: make(chan struct{}, 1), halted: make(chan struct{}),
	}
	s.queue.ready = make(chan struct{}, 1)
	var undo []func() error
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				err = errors.Join(err, undo[i]())
			}
		}
	}()

	if s.master, err = readMasterKeys(o.MasterKey, o.Dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(o.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make the store's directory: %w", err)
	}
	if s.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	undo = append(undo, s.lock.Close)

	if err := shredKeys(filepath.Join(o.Dir+viewSuffix, keysDir)); err != nil { // of a verify or backup that was killed
		return nil, fmt.Errorf("shred copies of the keys: %w", err)
	}
	if err := finishShred(o.MasterKey); err != nil {
		o.Log.Warn("an old master key is left, which is to be removed by hand", "file", o.MasterKey+oldSuffix, "err", err)
	}
	if err := finishShred(filepath.Join(o.Dir, formatFile)); err != nil {
		return nil, fmt.Errorf("finish a rotation of the master key: %w", err)
	}

	f, err := readFormat(o.Dir)
	if err != nil {
		return nil, err
	}
	if f == nil {
		if f, err = s.create(); err != nil {
			return nil, fmt.Errorf("make store %s: %w", o.Dir, err)
		}
	}
	if err := s.master.check(f); err != nil {
		return nil, err
	}
	if s.acked, err = openAckMark(filepath.Join(o.Dir, ackedFile)); err != nil {
		return nil, err
	}
	undo = append(undo, s.acked.close)
	if s.keys, err = openKeyring(filepath.Join(o.Dir, keysDir), s.master, s.acked.seq == 0); err != nil {
		return nil, err
	}

	if err := checkTail(filepath.Join(o.Dir, logDir), s.acked.seq); err != nil {
		return nil, err
	}
	if err := checkLogFiles(filepath.Join(o.Dir, logDir)); err != nil {
		return nil, err
	}
	log, err := openBadgerLog(filepath.Join(o.Dir, logDir), o, s.fail)
	if err != nil {
		return nil, err
	}
	s.log = log
	undo = append(undo, s.log.Close)
	last := s.log.Last()
	if last < s.acked.seq {
		return nil, fmt.Errorf("%w: the log ends at group %d, but group %d was acknowledged; restore %s from a backup",
			errDamaged, last, s.acked.seq, filepath.Join(o.Dir, logDir))
	}
	if err := releaseKept(filepath.Join(o.Dir, logDir), log); err != nil {
		return nil, err
	}

	store, err := ulid.ParseStrict(f.Store)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: store id: %w", errDamaged, formatFile, err)
	}
	if s.index, err = openIndex(filepath.Join(o.Dir, indexDir), store, o, false, s.fail); err != nil {
		return nil, err
	}
	undo = append(undo, s.index.db.Close)
	if s.index.next > last+1 {
		return nil, fmt.Errorf("%w: the index knows group %d, the log ends at %d; restore %s from a backup",
			errDamaged, s.index.next-1, last, filepath.Join(o.Dir, logDir))
	}
	if err := s.replay(); err != nil {
		return nil, err
	}
	if err := s.readers.load(filepath.Join(o.Dir, readersFile), last); err != nil {
		return nil, err
	}
	if s.newest, err = s.log.(*badgerLog).made(last); err != nil {
		return nil, err
	}
	s.index.live = true
	s.recent.start(last)
	s.applied.Store(last)
	if err := s.checkSpace(); err != nil {
		return nil, err
	}
	s.metrics.watch(s)

	built, synced := make(chan *group), make(chan *group, 1)
	s.commits.Go(func() { s.build(built) })
	s.commits.Go(func() { s.appendGroups(built, synced) })
	s.commits.Go(func() { s.settle(synced) })
	s.upkeep.Go(s.keepUp)
	s.upkeep.Go(s.keepSwept)
	return s, nil
}

// create writes the FORMAT file of a new store, and its directories before it is relied on.
func (s *Store) create() (*format, error) {
	f := &format{Version: formatVersion, Store: ulid.MustNew(ulid.Timestamp(s.opt.Now()), rand.Reader).String()}
	f.Master, f.Check = s.master.wrap([]byte(f.Store), "format")
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := makeAckMark(filepath.Join(s.opt.Dir, ackedFile)); err != nil { // before FORMAT, which says that it is there
		return nil, err
	}
	if err := replaceFile(filepath.Join(s.opt.Dir, formatFile), append(b, '\n')); err != nil {
		return nil, err
	}
	readers := readers{path: filepath.Join(s.opt.Dir, readersFile), dirty: true} // that there are none yet
	return f, errors.Join(readers.save(), syncDir(filepath.Dir(s.opt.Dir)))
}

// replay brings the index up to the log, writing it out as it goes.
func (s *Store) replay() error {
	from, start := s.index.next, clock.Now()
	err := s.log.Replay(from, func(seq uint64, group []byte) error {
		if _, err := s.index.apply(seq, group); err != nil {
			return err
		}
		return s.index.makeRoom()
	})
	if err != nil {
		return err
	}
	if s.index.next != s.log.Last()+1 {
		return fmt.Errorf("%w: the log ends at group %d instead of %d", errDamaged, s.index.next-1, s.log.Last())
	}
	if n := s.index.next - from; n > 0 {
		s.opt.Log.Info("index replayed", "groups", n, "took", time.Since(start))
	}
	return nil
}

// Close ends acceptance, commits what is queued, writes the index out, and lets go of the directory. Follow returns
// ErrClosed. Close waits for readers that are inside a method.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.shut() })
	return s.closeErr
}

func (s *Store) shut() error {
	s.stopping.Store(true)
	s.queue.close()
	close(s.stop)
	s.recent.close()
	s.commits.Wait()
	s.upkeep.Wait()
	s.use.Lock()
	s.closed = true
	s.use.Unlock()
	var errs []error
	if !s.failed.Load() {
		errs = append(errs, s.writeOut(), s.index.db.Flush())
	}
	s.metrics.forget()
	errs = append(errs, s.index.db.Close(), s.log.Close(), s.acked.close(), s.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store %s: %w", s.opt.Dir, err)
	}
	return nil
}

// fail ends all commits: what is in memory may be ahead of, or behind, what is on disk.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.failed.Store(true)
		close(s.halted)
		s.opt.Log.Error("store failed", "err", err)
		s.opt.Fatal(err)
	})
}

// enter lets a reader in unless the store is closed; the reader leaves with exit.
func (s *Store) enter() error {
	s.use.RLock()
	if s.closed {
		s.use.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) exit() { s.use.RUnlock() }

// keepUp writes the index out every few seconds and looks at the free space every second.
func (s *Store) keepUp() {
	flush, space := time.NewTicker(s.opt.Flush), time.NewTicker(time.Second)
	defer flush.Stop()
	defer space.Stop()
	for {
		write := s.writeOut
		select {
		case <-s.stop:
			return
		case <-space.C:
			if err := s.checkSpace(); err != nil {
				s.opt.Log.Error("free space unknown", "err", err)
			}
			continue
		case <-s.crowd:
			write = s.index.publish
		case <-flush.C:
		case <-s.turn:
		}
		if s.failed.Load() {
			return
		}
		err := write()
		if err == nil {
			err = s.flush()
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// flush has Pebble write to disk, in the background, what it has in memory.
func (s *Store) flush() error {
	if _, err := s.index.db.AsyncFlush(); err != nil {
		return fmt.Errorf("flush the index: %w", err)
	}
	return nil
}

// writeOut makes durable, or hands to Pebble for its next flush, what is only in memory besides the log.
func (s *Store) writeOut() error {
	if young, _ := s.index.counts(); young > 0 || s.index.staged() > 0 {
		if err := s.index.writeOut(); err != nil {
			return err
		}
	}
	signal(s.turned)
	if err := s.acked.sync(); err != nil {
		return fmt.Errorf("sync the mark of acknowledged groups: %w", err)
	}
	return s.readers.save()
}

// keepRoom has written out what is more than should be in memory, and waits when that is slower than commits are.
func (s *Store) keepRoom() error {
	lives, stage := s.index.crowded()
	if lives {
		signal(s.turn)
		s.awaitTurn()
	}
	if stage {
		signal(s.crowd)
		if s.index.staged() >= 4*maxStaged {
			return s.index.publish()
		}
	}
	return nil
}

// signal asks on a channel of size 1; when it is full, that was asked for already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// awaitTurn holds the settling goroutine, and with it all commits, while the index is written out more slowly than lives
// are touched.
func (s *Store) awaitTurn() {
	for young, old := s.index.counts(); old > 0 && young >= 2*maxYoung; young, old = s.index.counts() {
		select {
		case <-s.turned:
		case <-s.stop:
			return
		case <-s.halted:
			return
		}
	}
}

// checkSpace sets full by the free space of the file system.
func (s *Store) checkSpace() error {
	free, size, err := freeSpace(s.opt.Dir)
	if err != nil {
		return err
	}
	mark := spaceMark(s.opt.MinFree, size)
	s.metrics.free.Set(float64(free))
	if full := free < mark; s.full.Swap(full) != full {
		s.opt.Log.Warn("free space mark", "full", full, "free", free, "mark", mark)
	}
	return nil
}
