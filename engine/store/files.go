package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// The files of a store's directory.
const (
	lockFile    = "LOCK"    // held by flock while a process has the store open
	formatFile  = "FORMAT"  // format version, the store's id, a box that only the right master key opens
	ackedFile   = "ACKED"   // the last acknowledged group
	readersFile = "READERS" // how far the named readers of Follow are
	logDir      = "log"     // Badger: the truth
	indexDir    = "index"   // Pebble: derived, may be deleted
	keysDir     = "keys"    // wrapped data keys and hash keys
)

// formatVersion of the whole directory.
const formatVersion = 1

// format is the content of the FORMAT file.
type format struct {
	Version int    `json:"version"`
	Store   string `json:"store"` // a ULID
	Check   []byte `json:"check"` // the store's id, wrapped under the master key
	Master  string `json:"master"`
	// Line is another after each restore: groups of the same number are no longer the same.
	Line string `json:"line,omitempty"`
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("store %s is in use by another process", dir)
		}
		return nil, fmt.Errorf("lock the store: %w", err)
	}
	return f, nil
}

// readFormat returns nil when there is no FORMAT file and nothing else of a store either.
func readFormat(dir string) (*format, error) {
	path := filepath.Join(dir, formatFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{logDir, indexDir, keysDir, ackedFile} {
			// ACKED is made before FORMAT: an empty one is of a first start that was cut off.
			if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && (name != ackedFile || info.Size() > 0) {
				return nil, fmt.Errorf("%w: %s is missing beside %s; restore it from a backup", errDamaged, path, name)
			}
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the store's format: %w", err)
	}
	var f format
	if err := json.Unmarshal(b, &f); err != nil || f.Store == "" || f.Version < 1 {
		return nil, fmt.Errorf("%w: %s; restore it from a backup", errDamaged, path)
	}
	if f.Version > formatVersion {
		return nil, fmt.Errorf("store %s has format %d, this program knows up to %d; run a newer one", dir, f.Version, formatVersion)
	}
	return &f, nil
}

// replaceFile writes a file so that after a crash either the old or the new content is there, whole and synced.
func replaceFile(path string, content []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ackMark is the ACKED file: two slots of 20 bytes, written in turn (group 8, not the group 8, crc32c 4, little endian).
// It is written before each acknowledgement and synced every few seconds.
type ackMark struct {
	mu   sync.Mutex // guards f after Close
	f    *os.File
	slot int64
	seq  uint64 // the higher of the slots when the file was opened
}

const ackSlot = 20

// openAckMark opens the mark of a store: one that is missing would say that nothing was acknowledged.
func openAckMark(path string) (*ackMark, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing; restore it from a backup", errDamaged, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the mark of acknowledged groups: %w", err)
	}
	m := &ackMark{f: f}
	var b [2 * ackSlot]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read the mark of acknowledged groups: %w", err), f.Close())
	}
	valid := n == 0
	for i := range int64(2) {
		s := b[i*ackSlot:][:ackSlot]
		seq := binary.LittleEndian.Uint64(s)
		if binary.LittleEndian.Uint64(s[8:]) != ^seq || binary.LittleEndian.Uint32(s[16:]) != crc32.Checksum(s[:16], castagnoli) {
			continue
		}
		valid = true
		if seq >= m.seq {
			m.seq, m.slot = seq, 1-i
		}
	}
	if !valid {
		f.Close()
		return nil, fmt.Errorf("%w: %s; restore it from a backup", errDamaged, path)
	}
	return m, nil
}

// makeAckMark makes the mark of a new store.
func makeAckMark(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the mark of acknowledged groups: %w", err)
	}
	return f.Close()
}

// write notes that group seq is on disk. It reaches the page cache only: enough for a killed process.
func (m *ackMark) write(seq uint64) error {
	var b [ackSlot]byte
	binary.LittleEndian.PutUint64(b[:], seq)
	binary.LittleEndian.PutUint64(b[8:], ^seq)
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.f.WriteAt(b[:], m.slot*ackSlot); err != nil {
		return fmt.Errorf("mark group %d as acknowledged: %w", seq, err)
	}
	m.slot = 1 - m.slot
	return nil
}

func (m *ackMark) sync() error { return m.f.Sync() }

func (m *ackMark) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(m.f.Sync(), m.f.Close())
}
