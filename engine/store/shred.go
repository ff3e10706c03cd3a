package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A file that held keys is not only replaced: what it held is overwritten, so that a destroyed key is not found again in
// the free blocks of the disk. The old file keeps a second name until that is done, so that a crash leaves either the old
// file whole or something to finish (finishShreds). Copies that the disk itself keeps (a journal, snapshots, the cells of
// an SSD) cannot be reached from here: they are worth nothing without the master key.
const (
	oldSuffix = ".old" // the file before, to be overwritten and removed
	newSuffix = ".new" // the file after, not yet in its place (replaceFile)
)

// replaceSecret is replaceFile that leaves nothing of the old content.
func replaceSecret(path string, content []byte) error {
	if err := finishShred(path); err != nil {
		return err
	}
	if err := os.Link(path, path+oldSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := replaceFile(path, content); err != nil {
		return err
	}
	return finishShred(path)
}

// finishShred overwrites and removes what an earlier replacement of path left behind.
func finishShred(path string) error {
	if err := shred(path + newSuffix); err != nil { // it never got into its place
		return err
	}
	old := path + oldSuffix
	was, err := os.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if is, err := os.Stat(path); err == nil && os.SameFile(was, is) { // it was not replaced
		if err := os.Remove(old); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
	return shred(old)
}

// finishShreds does so for all files of the directories below dir.
func finishShreds(dir string) error {
	for _, suffix := range []string{oldSuffix, newSuffix} {
		left, err := filepath.Glob(filepath.Join(dir, "*", "*"+suffix))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := finishShred(strings.TrimSuffix(path, suffix)); err != nil {
				return err
			}
		}
	}
	return nil
}

// shred overwrites a file with zeros, syncs it, and removes it. A file that is not there is gone already.
func shred(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, info.Size()), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
