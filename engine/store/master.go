package store

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kakitome/kakitome/engine/private"
)

// The master key file is text: a first line with the version of the format, then one line per key, id (16 hex digits),
// a space, 32 bytes in base64. The last key wraps what is wrapped from now on; all unwrap. There is more than one only while
// a rotation is under way (rotate.go). It never lies in the store's
// directory, so that a backup of that directory is worth nothing without it.
const masterHeader = "kakitome-master-key 1"

type masterKeys struct {
	path string

	mu     sync.RWMutex // guards what follows
	newest string
	keys   map[string]cipher.AEAD
	ids    []string // in the order of the file
}

func (m *masterKeys) key(id string) cipher.AEAD {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.keys[id]
}

// current is the id of the key that wraps.
func (m *masterKeys) current() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.newest
}

// NewMasterKey makes a master key file. It never replaces one: that would make a store unreadable.
func NewMasterKey(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make master key: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s\n%s\n", masterHeader, masterLine())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make master key %s: %w", path, err)
	}
	return nil
}

func masterLine() string {
	var id [8]byte
	var key [32]byte
	rand.Read(id[:])
	rand.Read(key[:])
	return hex.EncodeToString(id[:]) + " " + base64.StdEncoding.EncodeToString(key[:])
}

// readMasterKeys reads the file; dir, when given, is the directory that it must not lie in.
func readMasterKeys(path, dir string) (*masterKeys, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("master key %s is missing; without the right one the store cannot be read", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("master key %s is not a regular file", path)
	}
	if dir != "" {
		inside, err := within(path, dir)
		if err != nil {
			return nil, fmt.Errorf("read master key: %w", err)
		}
		if inside {
			return nil, fmt.Errorf("master key %s lies inside the store %s; keep it elsewhere", path, dir)
		}
	}
	b, err := private.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	m := &masterKeys{path: path, keys: map[string]cipher.AEAD{}}
	sc := bufio.NewScanner(bytes.NewReader(b))
	if !sc.Scan() || sc.Text() != masterHeader {
		return nil, fmt.Errorf("master key %s: line 1 must be %q", path, masterHeader)
	}
	for line := 2; sc.Scan(); line++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		id, text, _ := strings.Cut(sc.Text(), " ")
		key, err := base64.StdEncoding.DecodeString(text)
		if raw, hexErr := hex.DecodeString(id); err != nil || hexErr != nil || len(raw) != 8 || len(key) != 32 {
			return nil, fmt.Errorf("master key %s: line %d is not an id of 16 hex digits and 32 bytes in base64", path, line)
		}
		if m.keys[id] != nil {
			return nil, fmt.Errorf("master key %s: line %d repeats the id %s", path, line, id)
		}
		m.keys[id], m.newest = newAEAD(key), id
		m.ids = append(m.ids, id)
	}
	if m.newest == "" {
		return nil, fmt.Errorf("master key %s holds no key", path)
	}
	return m, nil
}

// within reports whether the file lies in dir or below, links resolved.
func within(path, dir string) (bool, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return false, err
	}
	in, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if in, err = filepath.Abs(in); err != nil {
		return false, err
	}
	rel, err := filepath.Rel(in, real)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

// wrap seals a key under the newest master key; aad says what the key is for.
func (m *masterKeys) wrap(key []byte, aad string) (id string, box []byte) {
	m.mu.RLock()
	id, a := m.newest, m.keys[m.newest]
	m.mu.RUnlock()
	return id, sealWith(a, nil, key, []byte(aad))
}

func (m *masterKeys) unwrap(id string, box []byte, aad string) ([]byte, error) {
	a := m.key(id)
	if a == nil {
		return nil, fmt.Errorf("master key %q, which wrapped %s, is not in the master key file", id, aad)
	}
	key, err := openWith(a, box, []byte(aad))
	if err != nil {
		return nil, fmt.Errorf("unwrap %s: %w", aad, err)
	}
	return key, nil
}

// check fails when the file is not that of the store.
func (m *masterKeys) check(f *format) error {
	if m.key(f.Master) == nil {
		return fmt.Errorf("the master key is not this store's: it was made under key %s, which is not in the file", f.Master)
	}
	if id, err := m.unwrap(f.Master, f.Check, "format"); err != nil || string(id) != f.Store {
		return fmt.Errorf("the master key is not this store's, or %s is damaged", formatFile)
	}
	return nil
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: " + err.Error()) // only for a key of another length
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return a
}

// sealWith appends nonce 12 | ciphertext | tag 16 to dst. Nonces are random: a key seals far fewer than 2^32 boxes.
func sealWith(a cipher.AEAD, dst, plain, aad []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, 12)...)
	nonce := dst[at:]
	rand.Read(nonce)
	return a.Seal(dst, nonce, plain, aad)
}

var errSeal = errors.New("sealed box is damaged or belongs elsewhere")

func openWith(a cipher.AEAD, box, aad []byte) ([]byte, error) {
	if len(box) < 12 {
		return nil, errSeal
	}
	plain, err := a.Open(nil, box[:12], box[12:], aad)
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}
