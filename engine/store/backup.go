package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"github.com/kakitome/kakitome/engine/private"
)

// A backup is a directory of segments (segment.go) and of records. A record is a small file that says: these segments, and
// those of the record before, are the whole log up to this group. It is written last, so a backup that was cut off is no
// record; the segments that it finished are used by the next one. Each backup adds the groups that are new, so it may be
// made every few minutes, and an older record stays good: nothing is ever changed.
//
//	BACKUP                           which store's it is; held by flock while a backup is made
//	segment-<first group>.kks        groups
//	record-<last group>-<time>.json  readers, the record before, the segments that were added with their checksums
//
// (A second Badger, written group by group, would have to be synced twice a group, cannot be told whole from half, and
// would be copied anew each time.)
//
// A record holds no key. The wrapped data keys and hash keys go into a file of their own, which is replaced by each
// backup: keys that were destroyed at the end of retention are in no newer one, so that what they sealed cannot be read,
// from whichever record. Restore needs a record, the file of the keys, and the master key file, which is in neither.
const (
	backupFile    = "BACKUP"
	backupVersion = 1
	recordPattern = "record-*.json"
	segmentBytes  = 256 << 20 // at which a segment ends
	readBytes     = 4 << 20   // that are read of the log at a time
	maxRecords    = 10_000_000
)

// BackupOptions say where a backup goes. Paths are absolute.
type BackupOptions struct {
	Dir   string // of the record; made when it is missing, else empty or a backup of this store
	Keys  string // file of the keys, outside Dir; replaced
	Apart string // neither may lie in here, nor this in Dir; "": the store's own directory
	Rate  int64  // bytes a second at most; 0: no limit

	Tell func(Progress) // called from time to time; may be nil
}

// Progress of a long work: Done of Total, counted in what What says.
type Progress struct {
	What        string `json:"what"`
	Done, Total uint64
}

// BackupReport says what a backup holds.
type BackupReport struct {
	Record string    `json:"record"` // its path
	At     time.Time `json:"at"`     // what was acknowledged before is in it
	Last   uint64    `json:"last"`   // group
	New    uint64    `json:"new"`    // groups that no earlier backup had
	Bytes  int64     `json:"bytes"`  // of the segments that were added
}

// backupMark is the content of BACKUP.
type backupMark struct {
	Version int    `json:"version"`
	Store   string `json:"store"`
	Line    string `json:"line,omitempty"` // of the format file
}

// record is the content of a record file.
type record struct {
	backupMark
	Format   int               `json:"format"`
	At       time.Time         `json:"at"`
	Last     uint64            `json:"last"`
	Readers  map[string]uint64 `json:"readers"`
	Before   string            `json:"before,omitempty"` // name of the record that has the segments before
	Segments []segment         `json:"segments"`         // those added; once read, all
}

// Backup copies the record while the store is used. Everything that was acknowledged before the call is in it. When ctx
// ends, or the store closes, there is no new record, and what was copied is used by the next backup.
func (s *Store) Backup(ctx context.Context, o BackupOptions) (*BackupReport, error) {
	f, err := readFormat(s.opt.Dir)
	if err != nil {
		return nil, err
	}
	if o.Tell == nil {
		o.Tell = func(Progress) {}
	}
	if o.Apart == "" {
		o.Apart = s.opt.Dir
	}
	b := &backup{BackupOptions: o, s: s, mark: backupMark{backupVersion, f.Store, f.Line}, began: s.opt.Now()}
	if b.store, err = ulid.ParseStrict(f.Store); err != nil {
		return nil, fmt.Errorf("%w: %s: store id: %w", errDamaged, formatFile, err)
	}
	defer b.release()
	if err := b.claim(); err != nil {
		return nil, fmt.Errorf("backup to %s: %w", o.Dir, err)
	}
	report, err := b.run(ctx, f.Version)
	if err != nil {
		return nil, fmt.Errorf("backup to %s: %w", o.Dir, err)
	}
	return report, nil
}

// BackupStopped is Backup of a store that nobody has open, of which nothing is changed.
func BackupStopped(ctx context.Context, o Options, b BackupOptions) (_ *BackupReport, err error) {
	o = o.withDefaults()
	v, err := makeView(o, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	s, err := Open(v.options(o))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if b.Apart == "" {
		b.Apart = o.Dir
	}
	return s.Backup(ctx, b)
}

// backup is one backup under way.
type backup struct {
	BackupOptions
	s     *Store
	store ulid.ULID
	mark  backupMark
	began time.Time
	lock  *os.File
}

// claim checks where the backup goes, and takes the directory for this one.
func (b *backup) claim() error {
	for _, path := range []string{b.Dir, b.Keys} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q is no absolute path", path)
		}
	}
	if err := apart([2]string{b.Dir, b.Apart}, [2]string{b.Apart, b.Dir}, [2]string{b.Keys, b.Apart}); err != nil {
		return err
	}
	if err := privateEmpty(b.Dir, backupFile); err != nil {
		return err
	}
	if err := apart([2]string{b.Keys, b.Dir}); err != nil {
		return err
	}
	path := filepath.Join(b.Dir, backupFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := writeSummed(path, b.mark); err != nil {
			return err
		}
	}
	var err error
	if b.lock, err = os.Open(path); err != nil {
		return err
	}
	if err := unix.Flock(int(b.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.New("a backup is being made there already")
	}
	return b.mark.check(b.Dir)
}

// check refuses a directory of another store, or of this one before it was restored: the groups of the two differ.
func (m backupMark) check(dir string) error {
	var have backupMark
	if err := readSummed(filepath.Join(dir, backupFile), &have); err != nil {
		return err
	}
	switch {
	case have.Version > m.Version:
		return fmt.Errorf("it is a backup of format %d, this program knows up to %d", have.Version, m.Version)
	case have.Store != m.Store:
		return fmt.Errorf("it is a backup of store %s, this is %s", have.Store, m.Store)
	case have.Line != m.Line:
		return errors.New("it was begun before this store was restored; begin a new one in another directory")
	}
	return nil
}

func (b *backup) release() {
	if b.lock != nil {
		b.lock.Close()
	}
}

// apart refuses pairs of which the first lies in the second.
func apart(pairs ...[2]string) error {
	for _, p := range pairs {
		inside, err := liesIn(p[0], p[1])
		if err != nil {
			return err
		}
		if inside {
			return fmt.Errorf("%s lies in %s; record, keys and data are kept apart", p[0], p[1])
		}
	}
	return nil
}

// liesIn reports whether path is, or will be, dir or in it, links resolved.
func liesIn(path, dir string) (bool, error) {
	for {
		in, err := within(path, dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return in, err
		}
		if path == filepath.Dir(path) {
			return false, nil
		}
		path = filepath.Dir(path)
	}
}

// privateEmpty makes a directory of mode 0700. One that is there must be private, and empty unless it holds mark.
func privateEmpty(dir, mark string) error {
	if err := os.Mkdir(dir, 0o700); err == nil {
		return syncDir(filepath.Dir(dir))
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := private.Check(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 && (mark == "" || !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == mark })) {
		return fmt.Errorf("%s holds %s and is no backup; give an empty directory", dir, entries[0].Name())
	}
	return nil
}

func (b *backup) run(ctx context.Context, version int) (*BackupReport, error) {
	readers := b.s.readers.places() // before the last group, so that none is ahead of it
	last := b.s.applied.Load()
	before, segments, end, err := b.have(last)
	if err != nil {
		return nil, err
	}
	next := end + 1
	report := &BackupReport{At: b.began, Last: last, New: last - end}
	for next <= last {
		seg, err := b.copySegment(ctx, next, last)
		if err != nil {
			return nil, err
		}
		segments = append(segments, *seg)
		report.Bytes += seg.Bytes
		next = seg.Last + 1
	}
	if err := b.writeKeys(); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	report.Record = filepath.Join(b.Dir, fmt.Sprintf("record-%020d-%s.json", last, b.began.UTC().Format("20060102T150405.000Z")))
	return report, writeSummed(report.Record, record{b.mark, version, b.began, last, readers, before, segments})
}

// have looks at what earlier backups left: the newest record, behind it segments that a backup finished before it was cut
// off, and the last group in these.
func (b *backup) have(last uint64) (before string, more []segment, end uint64, err error) {
	r, path, err := newestRecord(b.Dir)
	if err != nil {
		return "", nil, 0, err
	}
	if r != nil {
		before, end = filepath.Base(path), r.Last
		for _, s := range r.Segments {
			if info, err := os.Stat(filepath.Join(b.Dir, s.Name)); err != nil {
				return "", nil, 0, err
			} else if info.Size() != s.Bytes {
				return "", nil, 0, fmt.Errorf("%w: %s has %d bytes, not %d", errDamaged, s.Name, info.Size(), s.Bytes)
			}
		}
	}
	paths, err := filepath.Glob(filepath.Join(b.Dir, "segment-*.kks"))
	if err != nil {
		return "", nil, 0, err
	}
	for _, path := range paths {
		if filepath.Base(path) < segmentName(end+1) {
			continue
		}
		s, err := readSegment(path, b.store, func(uint64, []byte) error { return nil })
		if err == nil && s.First != end+1 {
			err = fmt.Errorf("%w: %s follows group %d", errDamaged, s.Name, end)
		}
		if err != nil {
			return "", nil, 0, err
		}
		more, end = append(more, s), s.Last
	}
	if end > last {
		return "", nil, 0, fmt.Errorf("it goes on to group %d, this store to %d; begin a new one in another directory", end, last)
	}
	return before, more, end, nil
}

// newestRecord finds the record that reaches furthest; nil when there is none.
func newestRecord(dir string) (*record, string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, recordPattern))
	if err != nil || len(paths) == 0 {
		return nil, "", err
	}
	path := slices.Max(paths) // they are named by their last group
	r, err := readRecord(path)
	return r, path, err
}

// readRecord reads a record and, from those before it, all of its segments.
func readRecord(path string) (*record, error) {
	var r record
	if err := readSummed(path, &r); err != nil {
		return nil, err
	}
	if r.Version > backupVersion || r.Format > formatVersion {
		return nil, fmt.Errorf("%s is a backup of format %d of a store of format %d, this program knows up to %d and %d",
			path, r.Version, r.Format, backupVersion, formatVersion)
	}
	parts := [][]segment{r.Segments}
	for at := &r; at.Before != ""; {
		next := new(record)
		if err := readSummed(filepath.Join(filepath.Dir(path), filepath.Base(at.Before)), next); err != nil {
			return nil, fmt.Errorf("the record before: %w", err)
		}
		if next.backupMark != r.backupMark || next.Last > at.Last || len(parts) > maxRecords {
			return nil, fmt.Errorf("%w: %s is not the record before", errDamaged, at.Before)
		}
		parts = append(parts, next.Segments)
		at = next
	}
	slices.Reverse(parts)
	r.Segments = slices.Concat(parts...)
	return &r, nil
}

// copySegment copies groups from first on until the segment is full.
func (b *backup) copySegment(ctx context.Context, first, last uint64) (*segment, error) {
	w, err := createSegment(b.Dir, b.store, first)
	if err != nil {
		return nil, err
	}
	for next := first; next <= last && w.Bytes < segmentBytes; {
		before := w.Bytes
		if next, err = b.s.copyGroups(next, last, w); err == nil {
			b.Tell(Progress{"groups", next - 1, last})
			err = b.pace(ctx, w.Bytes-before)
		}
		if err != nil {
			return nil, errors.Join(err, w.drop())
		}
	}
	return &w.segment, w.close()
}

var errEnough = errors.New("enough")

// copyGroups adds some groups to a segment, each verified, and returns the group to go on with.
func (s *Store) copyGroups(from, last uint64, w *segmentWriter) (next uint64, err error) {
	if err := s.enter(); err != nil {
		return from, err
	}
	defer s.exit()
	next = from
	end := w.Bytes + readBytes
	err = s.log.Replay(from, func(seq uint64, group []byte) error {
		if seq > last || w.Bytes >= end {
			return errEnough
		}
		if _, err := eachEntry(group, false, func(uint32, int, []byte) error { return nil }); err != nil {
			return err
		}
		next = seq + 1
		return w.add(seq, group)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && next == from {
		err = fmt.Errorf("%w: group %d is missing", errDamaged, from)
	}
	return next, err
}

// pace waits until what was read keeps to the rate.
func (b *backup) pace(ctx context.Context, n int64) error {
	if b.Rate <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Duration(float64(n) / float64(b.Rate) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.s.stop:
		return ErrClosed
	case <-timer.C:
		return nil
	}
}

// places is how far the named readers are.
func (r *readers) places() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.next)
}
