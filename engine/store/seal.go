package store

import (
	"cmp"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/tenant"
)

// A box is: version 1 | data key id 8 | nonce 12 | ciphertext | tag 16. The id is part of what is authenticated.
// What the sweep leaves of a box whose key was destroyed is its stub: version and key id.
const (
	boxVersion  = 1
	boxOverhead = 1 + 8 + 12 + 16
	stubSize    = 1 + 8
)

func isStub(box []byte) bool { return len(box) == stubSize && box[0] == boxVersion }

// keyring holds the wrapped keys: one small file per tenant and class under keys/, replaced whole with each new key of a
// day. They are not in the log, because a log does not forget, and destroying a data key is how content is erased. A key
// that was destroyed leaves its id, so that its boxes are known to be erased and its day never gets another key.
type keyring struct {
	dir    string
	master *masterKeys
	files  sync.Mutex // held while a file is replaced

	mu     sync.RWMutex // guards what follows; never held while a file is written
	byID   map[keyID]*dataKey
	bySlot map[keySlot]*dataKey
	hash   map[tenant.ID]*hashKey
}

type keyID [8]byte

type keySlot struct {
	tenant tenant.ID
	class  string
	day    string // 2006-01-02 in Asia/Tokyo
}

type dataKey struct {
	id     keyID
	slot   keySlot
	stored storedKey
	aead   cipher.AEAD // nil: not unwrapped yet, or erased; guarded by keyring.mu
}

// keyFile is the content of keys/<tenant>/<class>.json. The hash key is that of keys/<tenant>/hash.json.
type keyFile struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`
}

type storedKey struct {
	ID     string `json:"id"`
	Day    string `json:"day,omitempty"`
	Master string `json:"master,omitempty"`
	Key    []byte `json:"key,omitempty"` // wrapped; empty once erased
	Erased bool   `json:"erased,omitempty"`
	Hashed bool   `json:"hashed,omitempty"` // the tenant had a hash key when this one was made; always, since this is noted
	// ErasedAt is zero for one that was destroyed before this was noted.
	ErasedAt time.Time `json:"erased_at,omitzero"`
}

const (
	hashClass = "hash" // the file of the tenant's hash key; no class of content
	classDir  = "class-"
)

// openKeyring makes the directory of the keys when fresh says that nothing can have been sealed yet. A store that has
// lost it would get new keys, under which nothing of the old can be read or found.
func openKeyring(dir string, master *masterKeys, fresh bool) (*keyring, error) {
	k := &keyring{dir: dir, master: master, byID: map[keyID]*dataKey{}, bySlot: map[keySlot]*dataKey{}, hash: map[tenant.ID]*hashKey{}}
	switch _, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist) && !fresh:
		return nil, fmt.Errorf("%w: %s is missing; restore it from a backup", errDamaged, dir)
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open the keys: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("open the keys: %w", err)
	}
	if err := finishShreds(dir); err != nil {
		return nil, fmt.Errorf("open the keys: %w", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("open the keys: %w", err)
	}
	for _, path := range paths {
		if err := k.load(path); err != nil {
			return nil, fmt.Errorf("open the keys: %w", err)
		}
	}
	return k, nil
}

func readKeyFile(path string) (*keyFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f keyFile
	if err := json.Unmarshal(b, &f); err != nil || f.Version != 1 {
		return nil, fmt.Errorf("%w: %s; restore it from a backup", errDamaged, path)
	}
	return &f, nil
}

// load reads one file and checks that its keys can be unwrapped.
func (k *keyring) load(path string) error {
	f, err := readKeyFile(path)
	if err != nil {
		return err
	}
	t := tenant.ID(filepath.Base(filepath.Dir(path)))
	class := filepath.Base(path[:len(path)-len(".json")])
	for _, stored := range f.Keys {
		if class == hashClass {
			key, err := k.master.unwrap(stored.Master, stored.Key, wrapAAD(t, class, stored))
			if err != nil {
				return err
			}
			k.hash[t] = newHashKey(key)
			continue
		}
		d := &dataKey{slot: keySlot{t, class[min(len(classDir), len(class)):], stored.Day}, stored: stored}
		if n, err := hex.Decode(d.id[:], []byte(stored.ID)); err != nil || n != len(d.id) {
			return fmt.Errorf("%w: %s: key id %q; restore it from a backup", errDamaged, path, stored.ID)
		}
		if !stored.Erased && k.master.key(stored.Master) == nil {
			return fmt.Errorf("master key %q, which wrapped keys in %s, is not in the master key file", stored.Master, path)
		}
		k.byID[d.id], k.bySlot[d.slot] = d, d
	}
	return nil
}

func wrapAAD(t tenant.ID, class string, s storedKey) string {
	return "key " + s.ID + " " + string(t) + " " + class + " " + s.Day
}

func (k *keyring) path(t tenant.ID, class string) string {
	return filepath.Join(k.dir, string(t), class+".json")
}

// write replaces a file of a tenant. The caller holds files.
func (k *keyring) write(t tenant.ID, file string, keys []storedKey) error {
	b, err := json.MarshalIndent(keyFile{1, keys}, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Join(k.dir, string(t))
	if err := os.Mkdir(dir, 0o700); err == nil {
		err = syncDir(k.dir)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return replaceSecret(k.path(t, file), append(b, '\n'))
}

// of lists the stored keys of a tenant's class in the order of their days.
func (k *keyring) of(t tenant.ID, class string) []*dataKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var keys []*dataKey
	for slot, d := range k.bySlot {
		if slot.tenant == t && slot.class == class {
			keys = append(keys, d)
		}
	}
	slices.SortFunc(keys, func(a, b *dataKey) int { return strings.Compare(a.slot.day, b.slot.day) })
	return keys
}

// current returns the data key of a slot, making it when it is new.
func (k *keyring) current(slot keySlot) (*dataKey, cipher.AEAD, error) {
	k.mu.RLock()
	d := k.bySlot[slot]
	if d != nil && d.aead != nil {
		a := d.aead
		k.mu.RUnlock()
		return d, a, nil
	}
	k.mu.RUnlock()
	if d == nil {
		if !validTenant(string(slot.tenant)) || !validTenant(strings.ReplaceAll(slot.class, "_", "-")) {
			return nil, nil, fmt.Errorf("tenant %q or class %q is not 2 to %d of a-z, 0-9, \"-\" (and \"_\" in a class)", slot.tenant, slot.class, maxTenant)
		}
		var err error
		if d, err = k.add(slot); err != nil {
			return nil, nil, err
		}
	}
	a, err := k.unwrap(d)
	return d, a, err
}

func (k *keyring) add(slot keySlot) (*dataKey, error) {
	if _, err := k.hashKey(slot.tenant); err != nil {
		return nil, err
	}
	k.files.Lock()
	defer k.files.Unlock()
	k.mu.RLock()
	d := k.bySlot[slot]
	k.mu.RUnlock()
	if d != nil {
		return d, nil // somebody else was first
	}
	var key [32]byte
	rand.Read(key[:])
	d = &dataKey{slot: slot}
	rand.Read(d.id[:])
	d.stored = storedKey{ID: hex.EncodeToString(d.id[:]), Day: slot.day, Hashed: true}
	class := classDir + slot.class
	d.stored.Master, d.stored.Key = k.master.wrap(key[:], wrapAAD(slot.tenant, class, d.stored))
	var all []storedKey
	for _, other := range k.of(slot.tenant, slot.class) {
		all = append(all, other.stored)
	}
	if err := k.write(slot.tenant, class, append(all, d.stored)); err != nil {
		return nil, fmt.Errorf("store the data key of tenant %s, class %s, %s: %w", slot.tenant, slot.class, slot.day, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[d.id], k.bySlot[slot] = d, d
	return d, nil
}

func (k *keyring) unwrap(d *dataKey) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d.stored.Erased {
		return nil, ErrErased
	}
	if d.aead == nil {
		key, err := k.master.unwrap(d.stored.Master, d.stored.Key, wrapAAD(d.slot.tenant, classDir+d.slot.class, d.stored))
		if err != nil {
			return nil, err
		}
		d.aead = newAEAD(key)
	}
	return d.aead, nil
}

// Seal encrypts plain (AES-256-GCM) under the data key of tenant, class and day (Asia/Tokyo), making and storing the key
// durably when it is new. aad binds the box to its place (a stream id and a field's name).
// Class is 2 to 32 of a-z, 0-9, "-" and "_". Seal returns ErrErased when the day's key has been destroyed already.
func (s *Store) Seal(id tenant.ID, class string, day time.Time, aad string, plain []byte) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.exit()
	d, a, err := s.keys.current(keySlot{id, class, s.days.of(day).date})
	if err != nil {
		return nil, fmt.Errorf("seal for tenant %s: %w", id, err)
	}
	box := make([]byte, 0, boxOverhead+len(plain))
	box = append(box, boxVersion)
	box = append(box, d.id[:]...)
	room := aads.Get().(*[]byte)
	defer aads.Put(room)
	*room = append(append((*room)[:0], box...), aad...)
	return sealWith(a, box, plain, *room), nil
}

// aads are buffers for what is authenticated beside the sealed text; all are short.
var aads = sync.Pool{New: func() any { b := make([]byte, 0, 128); return &b }}

// Open decrypts a box of Seal. It returns ErrErased when its key has been destroyed.
func (s *Store) Open(id tenant.ID, aad string, box []byte) ([]byte, error) {
	return s.AppendOpen(nil, id, []byte(aad), box)
}

// AppendOpen is Open that appends what it decrypted to dst.
func (s *Store) AppendOpen(dst []byte, id tenant.ID, aad, box []byte) ([]byte, error) {
	if err := s.enter(); err != nil {
		return dst, err
	}
	defer s.exit()
	if isStub(box) {
		return dst, fmt.Errorf("open for tenant %s: %w", id, ErrErased)
	}
	if len(box) < boxOverhead || box[0] != boxVersion {
		return dst, fmt.Errorf("open for tenant %s: %w", id, errSeal)
	}
	k := s.keys
	k.mu.RLock()
	d := k.byID[keyID(box[1:9])]
	var a cipher.AEAD
	if d != nil {
		a = d.aead
	}
	k.mu.RUnlock()
	if d == nil || d.slot.tenant != id {
		return dst, fmt.Errorf("open for tenant %s: %w", id, errSeal)
	}
	if a == nil {
		var err error
		if a, err = k.unwrap(d); err != nil {
			return dst, fmt.Errorf("open for tenant %s: %w", id, err)
		}
	}
	// What is authenticated beside the box lies behind dst for the time, and the plain bytes then take its place.
	at := len(dst)
	with := append(append(dst, box[:9]...), aad...)
	out, err := a.Open(with, box[9:21], box[21:], with[at:])
	if err != nil {
		return dst, fmt.Errorf("open for tenant %s: %w", id, errSeal)
	}
	return out[:at+copy(out[at:], out[len(with):])], nil
}

// EraseKeys destroys the data keys of a tenant's class for all days before the day of before (Asia/Tokyo), and returns
// how many. What they sealed can never be read again: Open returns ErrErased.
func (s *Store) EraseKeys(before time.Time, id tenant.ID, class string) (int, error) {
	first := before.In(tokyo).Format(time.DateOnly)
	return s.erase(id, class, func(day string) bool { return day < first })
}

// EraseKey destroys the data key of a tenant's class for one day (2006-01-02 in Asia/Tokyo); false: there was none, or it
// had been destroyed already.
func (s *Store) EraseKey(id tenant.ID, class, day string) (bool, error) {
	n, err := s.erase(id, class, func(d string) bool { return d == day })
	return n > 0, err
}

// erase destroys keys: when it returns, the file that holds the keys is there without them, synced, and the one that held
// them is overwritten and removed (shred.go).
func (s *Store) erase(id tenant.ID, class string, which func(day string) bool) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.exit()
	k := s.keys
	k.files.Lock()
	defer k.files.Unlock()
	now := clock.Now().UTC().Truncate(time.Millisecond)
	rest := func(d *dataKey) storedKey {
		return storedKey{ID: d.stored.ID, Day: d.stored.Day, Erased: true, ErasedAt: now, Hashed: d.stored.Hashed}
	}
	var all []storedKey
	var gone []*dataKey
	for _, d := range k.of(id, class) {
		if which(d.slot.day) && !d.stored.Erased {
			gone = append(gone, d)
			all = append(all, rest(d))
		} else {
			all = append(all, d.stored)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	if err := k.write(id, classDir+class, all); err != nil {
		return 0, fmt.Errorf("erase data keys of tenant %s, class %s: %w", id, class, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range gone {
		d.aead, d.stored = nil, rest(d)
	}
	return len(gone), nil
}

// ErasedAt is when the key of a tenant's box, or of what a sweep left of it, was destroyed. Zero: it was not, or not known.
func (s *Store) ErasedAt(id tenant.ID, box []byte) time.Time {
	if len(box) < stubSize || box[0] != boxVersion {
		return time.Time{}
	}
	k := s.keys
	k.mu.RLock()
	defer k.mu.RUnlock()
	d := k.byID[keyID(box[1:stubSize])]
	if d == nil || d.slot.tenant != id {
		return time.Time{}
	}
	return d.stored.ErasedAt
}

// DataKey is one data key of the store, without the key.
type DataKey struct {
	Tenant tenant.ID
	Class  string
	Day    string // 2006-01-02 in Asia/Tokyo
	Erased bool   // destroyed
}

// DataKeys lists the data keys by tenant, class and day.
func (s *Store) DataKeys() []DataKey {
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	keys := make([]DataKey, 0, len(s.keys.bySlot))
	for slot, d := range s.keys.bySlot {
		keys = append(keys, DataKey{slot.tenant, slot.class, slot.day, d.stored.Erased})
	}
	slices.SortFunc(keys, func(a, b DataKey) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Day, b.Day))
	})
	return keys
}

// Keyed returns the first 16 bytes of HMAC-SHA256 of value under the tenant's own hash key, for purpose
// ("number", "last4", "reference", "identity", "code", …). The key is made, durably, when the tenant is first seen.
func (s *Store) Keyed(id tenant.ID, purpose, value string) ([16]byte, error) {
	if err := s.enter(); err != nil {
		return [16]byte{}, err
	}
	defer s.exit()
	key, err := s.keys.hashKey(id)
	if err != nil {
		return [16]byte{}, err
	}
	return key.sum(purpose, value), nil
}

// hashKey is a tenant's hash key. A MAC that is used again has half of the work of its key done.
type hashKey struct{ macs sync.Pool }

// keyedMAC is a MAC with room for what it is given and gives.
type keyedMAC struct {
	hash.Hash
	room []byte
}

// keptRoom bounds the room that a MAC keeps for the next text.
const keptRoom = 4 << 10

func newHashKey(key []byte) *hashKey {
	return &hashKey{macs: sync.Pool{New: func() any { return &keyedMAC{Hash: hmac.New(sha256.New, key)} }}}
}

func (k *hashKey) sum(purpose, value string) [16]byte {
	mac := k.macs.Get().(*keyedMAC)
	defer k.macs.Put(mac)
	mac.Reset()
	text := append(strconv.AppendInt(mac.room[:0], int64(len(purpose)), 10), ' ')
	text = append(append(text, purpose...), value...)
	mac.Write(text)
	text = mac.Sum(text[:0])
	if mac.room = text; cap(text) > keptRoom {
		mac.room = nil
	}
	return [16]byte(text[:16])
}

// hadHash reports whether a tenant is known to have had a hash key.
func (k *keyring) hadHash(id tenant.ID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for slot, d := range k.bySlot {
		if slot.tenant == id && d.stored.Hashed {
			return true
		}
	}
	return false
}

// hashKey returns the tenant's hash key, making it when the tenant is new. Another in place of one that was lost would find nothing again:
// no order, no number on the do-not-send list, no answer of anybody.
func (k *keyring) hashKey(id tenant.ID) (*hashKey, error) {
	k.mu.RLock()
	key := k.hash[id]
	k.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	if !validTenant(string(id)) {
		return nil, fmt.Errorf("hash key: tenant %q is not 2 to %d of a-z, 0-9 and \"-\"", id, maxTenant)
	}
	k.files.Lock()
	defer k.files.Unlock()
	k.mu.RLock()
	key = k.hash[id]
	k.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	if k.hadHash(id) {
		return nil, fmt.Errorf("%w: %s is missing; restore it from a backup", errDamaged, k.path(id, hashClass))
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	var kid keyID
	rand.Read(kid[:])
	stored := storedKey{ID: hex.EncodeToString(kid[:])}
	stored.Master, stored.Key = k.master.wrap(secret, wrapAAD(id, hashClass, stored))
	if err := k.write(id, hashClass, []storedKey{stored}); err != nil {
		return nil, fmt.Errorf("store the hash key of tenant %s: %w", id, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key = newHashKey(secret)
	k.hash[id] = key
	return key, nil
}
