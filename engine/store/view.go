package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A view is a directory beside a store's, <dir>.view, that holds the same and may be opened, replayed into and thrown
// away, while nothing of the store itself changes. Large files that are never written again are linked (copied where links
// cannot be made): tables of the index, and value-log files but the newest, which Badger cuts. The rest is copied, also the
// tables of the log and empty value-log files: Badger truncates what it deletes, and with a link the store's own would go.
// The store's lock is held as long as the view lives, so there is one at a time, and none while an engine runs.
type view struct {
	of     *format
	dir    string
	lock   *os.File
	master *masterKeys
}

const viewSuffix = ".view"

// makeView makes the view of a store that nobody has open; without index, it has none.
func makeView(o Options, index bool) (_ *view, err error) {
	f, err := readFormat(o.Dir)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("there is no store in %s", o.Dir)
	}
	v := &view{of: f, dir: o.Dir + viewSuffix}
	if v.master, err = readMasterKeys(o.MasterKey, o.Dir); err != nil {
		return nil, err
	}
	if err := v.master.check(f); err != nil {
		return nil, err
	}
	if v.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
		}
	}()
	if err := v.remove(); err != nil { // left by a process that was killed
		return nil, err
	}
	if err := os.Mkdir(v.dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{formatFile, ackedFile, readersFile, keysDir, logDir, indexDir} {
		if name == indexDir && !index {
			continue
		}
		if err := show(filepath.Join(o.Dir, name), filepath.Join(v.dir, name)); err != nil {
			return nil, fmt.Errorf("make a view of the store: %w", err)
		}
	}
	return v, nil
}

// options to open the view with.
func (v *view) options(o Options) Options {
	o.Dir, o.Registerer = v.dir, nil
	o.MinFree = 1
	return o
}

func (v *view) close() error { return errors.Join(v.remove(), v.lock.Close()) }

func (v *view) remove() error {
	return errors.Join(shredKeys(filepath.Join(v.dir, keysDir)), os.RemoveAll(v.dir))
}

// shredKeys overwrites the files of copied keys, which are not to be found in free blocks when the keys are destroyed.
func shredKeys(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	for _, path := range paths {
		err = errors.Join(err, shred(path))
	}
	return err
}

const linkFrom = 64 << 10 // bytes of a value-log file; one without content is smaller

// show makes to show what lies at from, if anything.
func show(from, to string) error {
	logs, err := numbered(from, ".vlog")
	if err != nil {
		return err
	}
	newest := ""
	if len(logs) > 0 {
		newest = fmt.Sprintf("%06d.vlog", logs[len(logs)-1])
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == from {
			return nil
		}
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		switch {
		case d.Name() == keptDir && d.IsDir():
			return fs.SkipDir
		case d.IsDir():
			return os.Mkdir(target, 0o700)
		case d.Name() == lockFile:
			return nil
		case filepath.Base(from) == indexDir && strings.HasSuffix(path, ".sst"), strings.HasSuffix(path, ".vlog") && d.Name() != newest && size(d) >= linkFrom:
			if os.Link(path, target) == nil {
				return nil
			}
		}
		return copySparse(path, target)
	})
}

func size(d fs.DirEntry) int64 {
	info, err := d.Info()
	if err != nil {
		return 0 // copying tells
	}
	return info.Size()
}

// copySparse copies a file and leaves out blocks of zeros: Badger's files begin as large ones without content.
func copySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var size int64
	block, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := out.WriteAt(block[:n], size); err != nil {
				return errors.Join(err, out.Close())
			}
		}
		size += int64(n)
		if err := ignoreEOF(err); err != nil {
			return errors.Join(err, out.Close())
		}
		if n < len(block) {
			break
		}
	}
	return errors.Join(out.Truncate(size), out.Close())
}
