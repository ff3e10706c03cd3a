package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/tenant"
)

// A rotation of the master key is four steps, each durable before the next begins:
//
//	added    the file of the master key has a new key behind the old one: both unwrap, the new one wraps
//	format   FORMAT, which only the right master key opens, is wrapped under the new key
//	keys     file by file, the data keys and hash keys of a tenant are wrapped under the new key
//	retired  the old key is taken out of the file, and overwritten
//
// Whenever it ends early, the file has both keys and everything opens. A file with more than one key is thus a rotation
// that is not done: the next one adds no key but finishes it. What was wrapped before is overwritten as destroyed keys
// are (shred.go). A backup of the keys that was made before needs the old master key, so a new one is due afterwards.

// Rotation says what a rotation did.
type Rotation struct {
	Key       string `json:"key"`       // id of the master key that is in use now
	Rewrapped int    `json:"rewrapped"` // data keys and hash keys wrapped anew
	Finished  bool   `json:"finished"`  // an earlier rotation was finished; no new key was made
}

// RotateMaster puts a new master key into use, while the store is used.
func (s *Store) RotateMaster() (Rotation, error) {
	if err := s.enter(); err != nil {
		return Rotation{}, err
	}
	defer s.exit()
	s.rotating.Lock()
	defer s.rotating.Unlock()
	r := rotation{dir: s.opt.Dir, master: s.master, keys: s.keys}
	return r.run()
}

// RotateStopped does so for a store that nobody has open.
func RotateStopped(dir, masterKey string) (_ Rotation, err error) {
	if _, err := os.Stat(filepath.Join(dir, formatFile)); err != nil {
		return Rotation{}, fmt.Errorf("there is no store in %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return Rotation{}, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	master, err := readMasterKeys(masterKey, dir)
	if err != nil {
		return Rotation{}, err
	}
	f, err := readFormat(dir)
	if err != nil {
		return Rotation{}, err
	}
	if err := master.check(f); err != nil {
		return Rotation{}, err
	}
	keys, err := openKeyring(filepath.Join(dir, keysDir), master, false)
	if err != nil {
		return Rotation{}, err
	}
	r := rotation{dir: dir, master: master, keys: keys}
	return r.run()
}

type rotation struct {
	dir    string
	master *masterKeys
	keys   *keyring
	reach  func(step string) error // called behind each durable step; nil: nobody looks
}

func (r *rotation) run() (Rotation, error) {
	out := Rotation{Finished: len(r.master.ids) > 1}
	for _, step := range []func(*Rotation) error{r.add, r.rewrapFormat, r.rewrapKeys, r.retire} {
		if err := step(&out); err != nil {
			return out, fmt.Errorf("rotate master key %s: %w; everything opens as before, run it again to finish", r.master.path, err)
		}
	}
	out.Key = r.master.current()
	return out, nil
}

func (r *rotation) reached(step string) error {
	if r.reach == nil {
		return nil
	}
	return r.reach(step)
}

// add makes the new key. One that is not durable is not used.
func (r *rotation) add(out *Rotation) error {
	if out.Finished {
		return nil
	}
	b, err := os.ReadFile(r.master.path)
	if err != nil {
		return err
	}
	b = append(bytes.TrimRight(b, "\n"), '\n')
	if err := replaceSecret(r.master.path, append(b, masterLine()+"\n"...)); err != nil {
		return err
	}
	next, err := readMasterKeys(r.master.path, r.dir)
	if err != nil {
		return err
	}
	r.master.become(next)
	return r.reached("added")
}

// become takes over the keys of another reading of the file.
func (m *masterKeys) become(next *masterKeys) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newest, m.keys, m.ids = next.newest, next.keys, next.ids
}

func (r *rotation) rewrapFormat(*Rotation) error {
	f, err := readFormat(r.dir)
	if err != nil {
		return err
	}
	if f.Master == r.master.current() {
		return nil
	}
	f.Master, f.Check = r.master.wrap([]byte(f.Store), "format")
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceSecret(filepath.Join(r.dir, formatFile), append(b, '\n')); err != nil {
		return err
	}
	return r.reached("format")
}

func (r *rotation) rewrapKeys(out *Rotation) error {
	r.keys.files.Lock() // a key that is being made under the old one has its file then
	paths, err := filepath.Glob(filepath.Join(r.keys.dir, "*", "*.json"))
	r.keys.files.Unlock()
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, path := range paths { // a file that is made from now on is made under the new key
		t := tenant.ID(filepath.Base(filepath.Dir(path)))
		n, err := r.keys.rewrap(t, strings.TrimSuffix(filepath.Base(path), ".json"))
		if err != nil {
			return err
		}
		if out.Rewrapped += n; n > 0 {
			if err := r.reached("keys " + string(t)); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrap wraps the keys of one file under the newest master key and returns how many were not.
func (k *keyring) rewrap(t tenant.ID, file string) (n int, err error) {
	k.files.Lock()
	defer k.files.Unlock()
	f, err := readKeyFile(k.path(t, file))
	if err != nil {
		return 0, err
	}
	for i := range f.Keys {
		stored := &f.Keys[i]
		if stored.Erased || stored.Master == k.master.current() {
			continue
		}
		key, err := k.master.unwrap(stored.Master, stored.Key, wrapAAD(t, file, *stored))
		if err != nil {
			return 0, err
		}
		stored.Master, stored.Key = k.master.wrap(key, wrapAAD(t, file, *stored))
		n++
	}
	if n == 0 {
		return 0, nil
	}
	if err := k.write(t, file, f.Keys); err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, stored := range f.Keys {
		var id keyID
		if _, err := hex.Decode(id[:], []byte(stored.ID)); err == nil && k.byID[id] != nil { // a hash key is not among them
			k.byID[id].stored = stored
		}
	}
	return n, nil
}

// retire leaves the newest key alone in the file.
func (r *rotation) retire(*Rotation) error {
	b, err := os.ReadFile(r.master.path)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return line != masterHeader && !strings.HasPrefix(line, r.master.current()+" ")
	})
	if err := replaceSecret(r.master.path, []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		return err
	}
	next, err := readMasterKeys(r.master.path, r.dir)
	if err != nil {
		return err
	}
	r.master.become(next)
	return r.reached("retired")
}

// KeyReport says what the master key of a store opens.
type KeyReport struct {
	File     string         // of the master key
	Store    string         // id of the store
	Keys     map[string]int // wrapped keys by the id of the master key that wrapped them
	Erased   int            // data keys that were destroyed
	Rotating bool           // a rotation is not done
}

// CheckKeys unwraps every key of the store in dir, which may be in use, and changes nothing. Its error names what does not
// open.
func CheckKeys(dir, masterKey string) (*KeyReport, error) {
	f, err := readFormat(dir)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("there is no store in %s", dir)
	}
	master, err := readMasterKeys(masterKey, dir)
	if err != nil {
		return nil, err
	}
	if err := master.check(f); err != nil {
		return nil, err
	}
	r := &KeyReport{File: masterKey, Store: f.Store, Keys: map[string]int{}, Rotating: len(master.ids) > 1}
	paths, err := filepath.Glob(filepath.Join(dir, keysDir, "*", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		file, err := readKeyFile(path)
		if err != nil {
			return nil, err
		}
		for _, stored := range file.Keys {
			if stored.Erased {
				r.Erased++
				continue
			}
			t, name := tenant.ID(filepath.Base(filepath.Dir(path))), strings.TrimSuffix(filepath.Base(path), ".json")
			if _, err := master.unwrap(stored.Master, stored.Key, wrapAAD(t, name, stored)); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			r.Keys[stored.Master]++
		}
	}
	return r, nil
}
