package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/proto"
)

// Badger removes the tables that its MANIFEST does not name. They are left-overs when the process ended while tables were
// made or merged: what they hold is elsewhere too. They are the record itself when the MANIFEST is damaged, and a log
// without one is taken for an empty one. So the store refuses a log whose MANIFEST is missing, and keeps a link to
// each table that is to go, in log/kept, until it has seen that the groups run on without it.
const keptDir = "kept"

// checkLogFiles refuses a log without a readable MANIFEST, and keeps the tables that Badger would remove.
// Nothing else is changed.
func checkLogFiles(dir string) error {
	logs, err := numbered(dir, ".vlog")
	if err != nil {
		return err
	}
	tables, err := numbered(dir, ".sst")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, badger.ManifestFilename)
	f, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && len(logs)+len(tables) == 0:
		return nil // a new store
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %s is missing; restore it from a backup", errDamaged, path)
	case err != nil:
		return fmt.Errorf("check the log's tables: %w", err)
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return fmt.Errorf("%w: %s: %w; restore it from a backup", errDamaged, path, err)
	}
	for _, n := range tables {
		if _, named := manifest.Tables[n]; named {
			if err := checkLogTable(filepath.Join(dir, tableName(n))); err != nil {
				return err
			}
			continue
		}
		if err := keepTable(dir, n); err != nil {
			return fmt.Errorf("keep a table of the log: %w", err)
		}
	}
	return nil
}

// numbered lists the numbers of the files with the suffix, in order.
func numbered(dir, suffix string) ([]uint64, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("list the log's files: %w", err)
	}
	var numbers []uint64
	for _, p := range paths {
		if n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(p), suffix), 10, 32); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func tableName(n uint64) string { return fmt.Sprintf("%06d.sst", n) }

// checkLogTable refuses a damaged table of the log: Badger would end the process on it, or read on. The tables hold no
// groups, only where they are, so this is quick.
//
//	table: block … | index | length of the index 4 | checksum of the index | its length 4
//	block: (compressed) content | checksum of the content | its length 4
//
// Lengths are big endian; checksums and index are read by Badger's own code.
func checkLogTable(path string) error {
	damaged := func(what string) error {
		return fmt.Errorf("%w: %s: %s; restore it from a backup", errDamaged, path, what)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("check the log's tables: %w", err)
	}
	rest, sum, ok := cutChecksum(b)
	if !ok || len(rest) < 4 {
		return damaged("its end")
	}
	n := int(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	rest = rest[:len(rest)-4]
	if n > len(rest) {
		return damaged("its end")
	}
	content := rest[len(rest)-n:]
	if err := y.VerifyChecksum(content, sum); err != nil {
		return damaged("checksum of its index")
	}
	index := fb.GetRootAsTableIndex(content, 0)
	for i := range index.OffsetsLength() {
		var at fb.BlockOffset
		if !index.Offsets(&at, i) || int(at.Offset())+int(at.Len()) > len(rest)-n {
			return damaged("its index")
		}
		block, err := snappy.Decode(nil, rest[at.Offset():][:at.Len()])
		if err != nil {
			return damaged(fmt.Sprintf("block %d cannot be unpacked", i))
		}
		content, sum, ok := cutChecksum(block)
		if !ok || y.VerifyChecksum(content, sum) != nil {
			return damaged(fmt.Sprintf("checksum of block %d", i))
		}
	}
	return nil
}

func cutChecksum(b []byte) (rest []byte, sum *pb.Checksum, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint32(b[len(b)-4:]))
	b = b[:len(b)-4]
	if n > len(b) {
		return nil, nil, false
	}
	sum = new(pb.Checksum)
	if proto.Unmarshal(b[len(b)-n:], sum) != nil || sum.Algo != pb.Checksum_CRC32C { // y panics for others that it does not know
		return nil, nil, false
	}
	return b[:len(b)-n], sum, true
}

func keepTable(dir string, n uint64) error {
	kept := filepath.Join(dir, keptDir)
	if err := os.Mkdir(kept, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	name := tableName(n)
	if err := os.Link(filepath.Join(dir, name), filepath.Join(kept, name)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(kept)
}

// releaseKept removes the kept tables once the log holds every group without them.
func releaseKept(dir string, log *badgerLog) error {
	kept := filepath.Join(dir, keptDir)
	if _, err := os.Stat(kept); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if missing, gap := log.gap(); gap {
		return fmt.Errorf("%w: group %d is missing; restore %s from a backup (tables that %s did not name are in %s)",
			errDamaged, missing, dir, badger.ManifestFilename, kept)
	}
	return os.RemoveAll(kept)
}
