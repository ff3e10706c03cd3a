package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kakitome/kakitome/engine/tenant"
)

// files looks at what lies in the store's directory, as it lies there.
func (v *verifier) files() error {
	v.ackedFile()
	if _, err := os.Stat(filepath.Join(v.dir, readersFile)); errors.Is(err, os.ErrNotExist) {
		v.find(readersFile, "it is missing: all readers would begin anew, and tell again what they told")
	}
	v.keyFiles()
	return v.valueLogs()
}

// ackedFile looks at both slots: one that was torn by lost power is written anew by the next commits.
func (v *verifier) ackedFile() {
	b, err := os.ReadFile(filepath.Join(v.dir, ackedFile))
	if err != nil || len(b) != ackSlot && len(b) != 2*ackSlot {
		v.find(ackedFile, "it has %d bytes, not %d: %v", len(b), 2*ackSlot, err)
		return
	}
	for n := 0; n < len(b); n += ackSlot {
		s := b[n:][:ackSlot]
		if seq := binary.LittleEndian.Uint64(s); binary.LittleEndian.Uint64(s[8:]) != ^seq || binary.LittleEndian.Uint32(s[16:]) != crc32.Checksum(s[:16], castagnoli) {
			v.find(ackedFile, "slot %d of 2 is damaged; the commits after the next start renew it", n/ackSlot+1)
		}
	}
}

// keyFiles unwraps every key.
func (v *verifier) keyFiles() {
	k, err := openKeyring(filepath.Join(v.dir, keysDir), v.view.master, false)
	if err != nil {
		v.find(keysDir, "%v", err)
		return
	}
	lost := map[tenant.ID]bool{}
	for _, d := range k.byID {
		if t := d.slot.tenant; d.stored.Hashed && k.hash[t] == nil && !lost[t] {
			lost[t] = true
			v.find(keysDir, "the hash key of tenant %s is missing", t)
		}
		if _, err := k.unwrap(d); err != nil && !errors.Is(err, ErrErased) {
			v.find(keysDir, "key of tenant %s, class %s, %s: %v", d.slot.tenant, d.slot.class, d.slot.day, err)
		}
	}
}

// valueLogs reads the files of the log record by record, with Badger's own checksums.
func (v *verifier) valueLogs() error {
	dir := filepath.Join(v.dir, logDir)
	logs, err := numbered(dir, ".vlog")
	if err != nil {
		return err
	}
	for i, n := range logs {
		v.Tell(Progress{"files of the log", uint64(i), uint64(len(logs))})
		name := fmt.Sprintf("%06d.vlog", n)
		_, end, err := scanFile(filepath.Join(dir, name))
		if err != nil {
			v.find(filepath.Join(logDir, name), "%v", err)
		} else if end == tailTorn && i < len(logs)-1 { // of the newest, opening says what was acknowledged
			v.find(filepath.Join(logDir, name), "a record in it is damaged")
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// marked is the first group that the index may not have; 0: it does not open. On the way it reads all blocks of the
// index's tables.
func (v *verifier) marked() (next uint64, err error) {
	dir := filepath.Join(v.dir, indexDir)
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return 0, err
	}
	if manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*")); err != nil || len(manifests) == 0 {
		if len(tables) > 0 {
			v.find(indexDir, "its MANIFEST is missing; a start makes it anew from the whole log")
		}
		return 1, err
	}
	db, err := pebble.Open(filepath.Join(v.view.dir, indexDir), &pebble.Options{
		ReadOnly: true, DisableWAL: true, FormatMajorVersion: pebble.FormatNewest, Logger: &pebbleLogger{v.Log, func(error) {}},
	})
	if err != nil {
		return 0, nil // opening says so
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if next, err = (&index{db: db, store: v.storeID}).readMark(); err != nil {
		return 0, nil
	}
	levels, err := db.SSTables()
	if err != nil {
		return 0, err
	}
	done := uint64(0)
	for _, level := range levels {
		for _, table := range level {
			done++
			v.Tell(Progress{"tables of the index", done, uint64(len(tables))})
			path := filepath.Join(dir, fmt.Sprintf("%06d.sst", uint64(table.BackingSSTNum)))
			if err := checkTable(v.ctx, path); err != nil {
				v.find(filepath.Join(indexDir, filepath.Base(path)), "%v", err)
			}
			if err := v.ctx.Err(); err != nil {
				return 0, err
			}
		}
	}
	return next, nil
}

func checkTable(ctx context.Context, path string) error {
	f, err := vfs.Default.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, sstable.ReaderOptions{
		Comparer: pebble.DefaultComparer, Filters: map[string]sstable.FilterPolicy{bloom.FilterPolicy(10).Name(): bloom.FilterPolicy(10)},
	})
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

func renamed(text, from, to string) string { return strings.ReplaceAll(text, from, to) }
