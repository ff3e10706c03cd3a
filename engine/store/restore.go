package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
)

// restoredFile says that the store is the restored state of an earlier time, until whoever starts on it has dealt with
// that (Store.Restored).
const restoredFile = "RESTORED"

// RestoreOptions say what is restored, and where. Options.Dir must be missing or empty.
type RestoreOptions struct {
	Options
	From   string // a backup's directory, whose newest record is taken, or one of its records
	Keys   string // file of the keys
	Anyway bool   // put the store in its place although verifying it found something

	Verify VerifyOptions // how it is verified; its Options are not looked at
}

// Restored says which state a store was restored to.
type Restored struct {
	At     time.Time `json:"at"`      // of the restore
	Record time.Time `json:"record"`  // of the backup: nothing that came after is here
	Last   uint64    `json:"last"`    // group
	ToSend uint64    `json:"to_send"` // streams that stand in queues
}

// Restore makes a store of a backup, verifies it, and puts it in its place: until then it lies in <dir>.restoring, where a
// restore that was cut off stays and is made anew by the next. The report is there whenever it was verified.
func Restore(ctx context.Context, o RestoreOptions) (_ *Restored, _ *VerifyReport, err error) {
	o.Options = o.Options.withDefaults()
	o.Verify.fill()
	r := &restore{RestoreOptions: o, dir: o.Dir + ".restoring"}
	if err := r.read(); err != nil {
		return nil, nil, fmt.Errorf("restore %s: %w", o.From, err)
	}
	if err := r.claim(); err != nil {
		return nil, nil, fmt.Errorf("restore to %s: %w", o.Dir, err)
	}
	defer func() { err = errors.Join(err, r.lock.Close()) }()
	if err := r.write(ctx); err != nil {
		return nil, nil, fmt.Errorf("restore to %s: %w", o.Dir, err)
	}
	return r.finish(ctx)
}

type restore struct {
	RestoreOptions
	dir    string // that is filled
	lock   *os.File
	from   string // directory of the backup
	record *record
	keys   keyBackup
	store  ulid.ULID
	made   format
}

// read reads what says what is in the backup, and checks that the three parts belong together.
func (r *restore) read() error {
	info, err := os.Stat(r.From)
	if err != nil {
		return err
	}
	if r.from = r.From; info.IsDir() {
		if r.record, _, err = newestRecord(r.From); err == nil && r.record == nil {
			return errors.New("there is no record in it: it is no backup, or one that was cut off before it was whole")
		}
	} else {
		r.from = filepath.Dir(r.From)
		r.record, err = readRecord(r.From)
	}
	if err != nil {
		return err
	}
	if err := readSummed(r.Keys, &r.keys); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if r.keys.Store != r.record.Store {
		return fmt.Errorf("the record is of store %s, the keys are of %s", r.record.Store, r.keys.Store)
	}
	if r.keys.At.Before(r.record.At) && !r.Anyway {
		return fmt.Errorf("the keys are of %s, older than the record: what was erased in between would be readable again, and what was sealed in between is not; with -anyway they are taken all the same",
			r.keys.At.Format(time.RFC3339))
	}
	if r.store, err = ulid.ParseStrict(r.record.Store); err != nil {
		return fmt.Errorf("%w: store id: %w", errDamaged, err)
	}
	r.made = format{Version: r.record.Format, Store: r.record.Store, Check: r.keys.Check, Master: r.keys.Master, Line: ulid.Make().String()}
	master, err := readMasterKeys(r.MasterKey, r.Dir)
	if err != nil {
		return err
	}
	return master.check(&r.made)
}

// claim takes an empty directory beside the one that is to be.
func (r *restore) claim() error {
	if err := apart([2]string{r.Dir, r.from}, [2]string{r.from, r.Dir}); err != nil {
		return err
	}
	if entries, err := os.ReadDir(r.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", r.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(r.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var err error
	if r.lock, err = lockDir(r.dir); err != nil {
		return err
	}
	err = shredKeys(filepath.Join(r.dir, keysDir)) // of a restore that was cut off, as all that follows
	entries, listErr := os.ReadDir(r.dir)
	err = errors.Join(err, listErr)
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(r.dir, e.Name())))
		}
	}
	if err != nil {
		return errors.Join(err, r.lock.Close())
	}
	return nil
}

// write makes everything but FORMAT, without which it is no store, syncs it, and then FORMAT.
func (r *restore) write(ctx context.Context) error {
	log, err := r.writeLog(ctx)
	if err != nil {
		return err
	}
	err = buildIndex(ctx, filepath.Join(r.dir, indexDir), &r.made, log, r.Options, r.Verify.Tell)
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	mark := filepath.Join(r.dir, ackedFile)
	if err := makeAckMark(mark); err != nil {
		return err
	}
	acked, err := openAckMark(mark)
	if err != nil {
		return err
	}
	if err := errors.Join(acked.write(r.record.Last), acked.close()); err != nil {
		return err
	}
	places := &readers{path: filepath.Join(r.dir, readersFile), next: r.record.Readers, dirty: true}
	if err := places.save(); err != nil {
		return err
	}
	if err := r.keys.writeTo(filepath.Join(r.dir, keysDir)); err != nil {
		return err
	}
	if err := syncTree(r.dir); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r.made, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(r.dir, formatFile), append(b, '\n'))
}

// writeLog appends the groups of the segments to a new log, which is synced once, at its end.
func (r *restore) writeLog(ctx context.Context) (*badgerLog, error) {
	b := &badgerLog{failed: new(atomic.Bool)}
	logger := &badgerLogger{log: r.Log, failed: b.failed, fatal: func(err error) { r.Log.Error("log", "err", err) }}
	opt := logOptions(filepath.Join(r.dir, logDir), r.ValueLogSize).WithSyncWrites(false).WithLogger(logger)
	if err := b.open(opt, r.MinFree); err != nil {
		return nil, fmt.Errorf("make the log: %w", err)
	}
	for _, s := range r.record.Segments {
		have, err := readSegment(filepath.Join(r.from, s.Name), r.store, func(seq uint64, group []byte) error {
			if seq%tellGroups == 0 {
				r.Verify.Tell(Progress{"groups restored", seq, r.record.Last})
			}
			if seq != b.last+1 {
				return fmt.Errorf("%w: %s: group %d follows group %d", errDamaged, s.Name, seq, b.last)
			}
			b.last = seq
			return errors.Join(ctx.Err(), b.Append(seq, group))
		})
		if err == nil && have != s {
			err = fmt.Errorf("%w: %s is not the file that the record names", errDamaged, s.Name)
		}
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	if b.last != r.record.Last {
		return nil, errors.Join(fmt.Errorf("%w: the segments end at group %d, the record at %d", errDamaged, b.last, r.record.Last), b.Close())
	}
	if err := b.db.Sync(); err != nil || b.failed.Load() {
		return nil, errors.Join(errors.New("sync the log"), err, b.Close())
	}
	return b, nil
}

// finish verifies the store and gives it its name.
func (r *restore) finish(ctx context.Context) (*Restored, *VerifyReport, error) {
	v := r.Verify
	v.Options = r.Options
	v.Dir = r.dir
	if err := r.lock.Close(); err != nil { // verifying takes it
		return nil, nil, err
	}
	report, err := Verify(ctx, v)
	if err != nil {
		return nil, nil, fmt.Errorf("verify what was restored: %w", err)
	}
	if r.lock, err = lockDir(r.dir); err != nil {
		return nil, report, err
	}
	restored := &Restored{At: r.Now(), Record: r.record.At, Last: r.record.Last, ToSend: report.Queued}
	if report.Found > 0 && !r.Anyway {
		return restored, report, fmt.Errorf("verifying found %d faults; what was restored stays in %s", report.Found, r.dir)
	}
	b, err := json.Marshal(restored)
	if err != nil {
		return nil, report, err
	}
	if err := replaceFile(filepath.Join(r.dir, restoredFile), append(b, '\n')); err != nil {
		return nil, report, err
	}
	if err := os.Remove(r.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // empty
		return nil, report, err
	}
	if err := os.Rename(r.dir, r.Dir); err != nil {
		return nil, report, err
	}
	return restored, report, syncDir(filepath.Dir(r.Dir))
}

// syncTree syncs all files and directories below dir.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncDir(path) // the same for a file
	})
}

// Restored says which state this store was restored to, when nobody has said yet that it was dealt with (SettleRestored);
// else nil.
func (s *Store) Restored() (*Restored, error) {
	b, err := os.ReadFile(filepath.Join(s.opt.Dir, restoredFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r Restored
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", restoredFile, err)
	}
	return &r, nil
}

// SettleRestored ends what Restored says, durably.
func (s *Store) SettleRestored() error {
	if err := os.Remove(filepath.Join(s.opt.Dir, restoredFile)); err != nil {
		return err
	}
	return syncDir(s.opt.Dir)
}
