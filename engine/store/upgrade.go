package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The format of a store's directory has a number (FORMAT). A program reads only its own; Upgrade leads an older one there,
// step by step. A step makes what the next format has beside what is there; FORMAT with the new number, replaced behind
// each step, says that it is done, so a step that was cut off is done again.
//
// Format 1 is the first and the current one: there is no step yet.
type upgrades struct {
	current int
	steps   map[int]func(dir string) error // from this number to the next
}

var formats = upgrades{current: formatVersion}

// Upgrade brings a store that nobody has open to the current format, and says from which to which. It refuses a newer
// one, and to begin unless the newest record of the backup in backupDir reaches the last acknowledged group.
func Upgrade(o Options, backupDir string) (from, to int, err error) { return formats.run(o, backupDir) }

func (u upgrades) run(o Options, backupDir string) (from, to int, err error) {
	path := filepath.Join(o.Dir, formatFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, fmt.Errorf("there is no store in %s", o.Dir)
	}
	if err != nil {
		return 0, 0, err
	}
	var f format
	if err := json.Unmarshal(b, &f); err != nil || f.Version < 1 {
		return 0, 0, fmt.Errorf("%w: %s; restore it from a backup", errDamaged, path)
	}
	if f.Version > u.current {
		return f.Version, 0, fmt.Errorf("store %s has format %d, this program knows up to %d; run a newer one", o.Dir, f.Version, u.current)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return f.Version, 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	from = f.Version
	if from == u.current {
		return from, from, nil
	}
	master, err := readMasterKeys(o.MasterKey, o.Dir)
	if err != nil {
		return from, from, err
	}
	if err := errors.Join(master.check(&f), backedUp(o.Dir, &f, backupDir)); err != nil {
		return from, from, err
	}
	for ; f.Version < u.current; f.Version++ {
		step := u.steps[f.Version]
		if step == nil {
			return from, f.Version, fmt.Errorf("BUG: no step leads on from format %d", f.Version)
		}
		if err := step(o.Dir); err != nil {
			return from, f.Version, fmt.Errorf("upgrade from format %d: %w", f.Version, err)
		}
		next := f
		next.Version++
		b, err := json.MarshalIndent(next, "", "  ")
		if err == nil {
			err = replaceFile(path, append(b, '\n'))
		}
		if err != nil {
			return from, f.Version, fmt.Errorf("upgrade from format %d: %w", f.Version, err)
		}
	}
	return from, f.Version, nil
}

// backedUp fails unless a backup in dir holds everything that the store has acknowledged.
func backedUp(store string, f *format, dir string) error {
	if dir == "" {
		return errors.New("make a backup first, with the program that the store was used with, and say where it is")
	}
	acked, err := openAckMark(filepath.Join(store, ackedFile))
	if err != nil {
		return err
	}
	if err := acked.close(); err != nil {
		return err
	}
	r, path, err := newestRecord(dir)
	switch {
	case err != nil:
		return err
	case r == nil:
		return fmt.Errorf("there is no record in %s: it is no backup, or one that was cut off before it was whole", dir)
	case r.Store != f.Store || r.Line != f.Line:
		return fmt.Errorf("%s is not of this store", path)
	case r.Last < acked.seq:
		return fmt.Errorf("%s ends at group %d, group %d was acknowledged since; make a backup first, with the program that the store was used with", path, r.Last, acked.seq)
	}
	return nil
}
