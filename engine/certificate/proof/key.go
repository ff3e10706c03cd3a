package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/private"
)

const keyIDLength = 16

// PublicKey verifies what a private key signed.
type PublicKey struct {
	ID     string            `json:"id"` // the first 16 hexadecimal digits of the SHA-256 of Public
	Public ed25519.PublicKey `json:"public"`
	Since  time.Time         `json:"-"` // when it was made
}

// PrivateKey signs days and certificates.
type PrivateKey struct{ key ed25519.PrivateKey }

func newPublicKey(public ed25519.PublicKey) PublicKey {
	sum := sha256.Sum256(public)
	return PublicKey{ID: hex.EncodeToString(sum[:])[:keyIDLength], Public: public}
}

// ok reports whether the id is that of the key.
func (k *PublicKey) ok() bool {
	return len(k.Public) == ed25519.PublicKeySize && newPublicKey(k.Public).ID == k.ID
}

// Public is the public half.
func (k *PrivateKey) Public() PublicKey { return newPublicKey(k.key.Public().(ed25519.PublicKey)) }

const publicWord = "kakitome-certificate-key"

// String is the key's line in a file of public keys.
func (k PublicKey) String() string {
	return fmt.Sprintf("%s %s %s %s", publicWord, k.ID, base64.StdEncoding.EncodeToString(k.Public), k.Since.UTC().Format(time.RFC3339))
}

// ParseKeys reads a file of public keys, one a line. Empty lines, and lines that begin with "#", are passed over.
func ParseKeys(data []byte) ([]PublicKey, error) {
	var keys []PublicKey
	for n, text := range strings.Split(string(data), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		words := strings.Fields(text)
		if len(words) != 4 || words[0] != publicWord {
			return nil, fmt.Errorf("line %d: is not \"%s ID PUBLIC TIME\"", n+1, publicWord)
		}
		public, err := base64.StdEncoding.DecodeString(words[2])
		k := PublicKey{ID: words[1], Public: public}
		if err != nil || !k.ok() {
			return nil, fmt.Errorf("line %d: the id %.20q is not that of the key: one of them was changed", n+1, words[1])
		}
		if k.Since, err = time.Parse(time.RFC3339, words[3]); err != nil {
			return nil, fmt.Errorf("line %d: %.40q is no time", n+1, words[3])
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// PublicFile is the list of public keys beside a private key: the one in use last, those before it above.
func PublicFile(path string) string { return path + ".pub" }

// NewKey makes a private key at path, mode 0600, and adds its public half to PublicFile. A key that is there already is
// refused, unless rotate says that it is to be replaced; its public half stays listed.
func NewKey(path string, rotate bool, now time.Time) (PublicKey, error) {
	switch _, err := ReadKey(path); {
	case err == nil && !rotate:
		return PublicKey{}, fmt.Errorf("%s is there already; -rotate replaces it and keeps its public key listed", path)
	case err == nil, errors.Is(err, fs.ErrNotExist) && !rotate:
	default:
		return PublicKey{}, err
	}
	old, err := os.ReadFile(PublicFile(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return PublicKey{}, err
	}
	if _, err := ParseKeys(old); err != nil {
		return PublicKey{}, fmt.Errorf("%s: %w", PublicFile(path), err)
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return PublicKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return PublicKey{}, err
	}
	public := newPublicKey(secret.Public().(ed25519.PublicKey))
	public.Since = now
	// The public key first: one that signs nothing yet harms nobody, a signature that nobody can check does.
	if err := replace(PublicFile(path), append(old, public.String()+"\n"...), 0o644); err != nil {
		return PublicKey{}, err
	}
	return public, replace(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// ReadKey reads a private key. A file that others may read is refused (private.ErrReadable).
func ReadKey(path string) (*PrivateKey, error) {
	data, err := private.Read(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s is not a key of `kakitome certificate key new`", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if signs, ok := key.(ed25519.PrivateKey); ok && err == nil {
		return &PrivateKey{signs}, nil
	}
	return nil, fmt.Errorf("%s is no ed25519 key", path)
}

// replace writes a file anew, synced, all or nothing.
func replace(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
