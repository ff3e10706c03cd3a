package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keyBackup is the file of the keys: what lies in keys/, each file by its path, and the box that says which master key
// is the right one.
type keyBackup struct {
	backupMark
	At     time.Time         `json:"at"`
	Check  []byte            `json:"check"`
	Master string            `json:"master"`
	Files  map[string][]byte `json:"files"` // "acme/class-billing.json"
}

// writeKeys replaces the file of the keys. It never replaces anything else, nor a file that holds keys which this store
// does not know.
func (b *backup) writeKeys() error {
	b.s.rotating.Lock() // FORMAT and keys are of one master key
	defer b.s.rotating.Unlock()
	f, err := readFormat(b.s.opt.Dir)
	if err != nil {
		return err
	}
	k, err := b.s.keys.backup()
	if err != nil {
		return err
	}
	k.backupMark, k.At, k.Check, k.Master = b.mark, b.began, f.Check, f.Master
	var old keyBackup
	switch err := readSummed(b.Keys, &old); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("%w; it is not replaced: move it away", err)
	case old.Store != b.mark.Store:
		return fmt.Errorf("%s has the keys of store %s; it is not replaced", b.Keys, old.Store)
	default:
		if lost := old.unknownTo(k); lost != "" {
			return fmt.Errorf("%s has a key that this store does not know (in %s), as after a restore of an older state; it is not replaced: move it away", b.Keys, lost)
		}
	}
	raw, err := marshalSummed(k)
	if err != nil {
		return err
	}
	return replaceSecret(b.Keys, raw)
}

// backup reads all key files as they are on disk, where the truth about keys is.
func (k *keyring) backup() (*keyBackup, error) {
	k.files.Lock()
	defer k.files.Unlock()
	all := &keyBackup{Files: map[string][]byte{}}
	paths, err := filepath.Glob(filepath.Join(k.dir, "*", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		name := strings.TrimPrefix(path, k.dir+string(filepath.Separator))
		if all.Files[name], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// unknownTo returns the first file with a key that next has neither live nor erased; "": there is none.
func (k *keyBackup) unknownTo(next *keyBackup) string {
	for _, name := range slices.Sorted(maps.Keys(k.Files)) {
		known := map[string]bool{}
		for _, key := range storedKeys(next.Files[name]) {
			known[key.ID] = true
		}
		for _, key := range storedKeys(k.Files[name]) {
			if !known[key.ID] && !key.Erased {
				return name
			}
		}
	}
	return ""
}

func storedKeys(file []byte) []storedKey {
	var f keyFile
	_ = json.Unmarshal(file, &f) // openKeyring refuses what it cannot read
	return f.Keys
}

// writeTo puts the files where a store has them. Nothing is synced.
func (k *keyBackup) writeTo(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, content := range k.Files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%w: key file %q", errDamaged, name)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
