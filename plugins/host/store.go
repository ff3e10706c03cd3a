package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	goplugin "github.com/hashicorp/go-plugin"
)

// ErrChecksum says that a program is not the one that is pinned.
var ErrChecksum = errors.New("the program's checksum is not the pinned one")

// maxProgram bounds what is copied.
const maxProgram = 1 << 30

// Checksum gives the SHA-256 of the file at path in hexadecimal digits, as Module.SHA256 wants it.
func Checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("checksum of a module: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("checksum of a module: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// store keeps a copy of each program under its checksum, <dir>/sha256/<hex>, mode 0555. Executing the copy, which
// nobody replaces in place, closes the gap between checking a file and executing it. Copies of earlier versions stay
// for the way back.
type store struct{ dir string }

func openStore(dir string) (*store, error) {
	s := &store{dir: filepath.Join(dir, "sha256")}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make module store: %w", err)
	}
	return s, nil
}

// program gives the path of the copy with checksum sum, making it from path when it is missing or damaged.
func (s *store) program(path, sum string) (string, error) {
	stored := filepath.Join(s.dir, sum)
	err := check(stored, sum)
	if err == nil {
		return stored, nil
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrChecksum) {
		return "", err
	}
	if err := s.copy(path, stored, sum); err != nil {
		return "", fmt.Errorf("store program %s: %w", path, err)
	}
	return stored, nil
}

// check compares a file with a checksum. A goplugin.SecureConfig serves once: it never resets its hash.
func check(path, sum string) error {
	want, err := hex.DecodeString(sum)
	if err != nil {
		return err
	}
	same, err := (&goplugin.SecureConfig{Checksum: want, Hash: sha256.New()}).Check(path)
	if err != nil {
		return fmt.Errorf("check program: %w", err)
	}
	if !same {
		return fmt.Errorf("%s: %w", path, ErrChecksum)
	}
	return nil
}

func (s *store) copy(path, stored, sum string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	if info, err := src.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxProgram {
		return errors.Join(err, errors.New("a regular file of at most 1 GiB is needed"))
	}
	tmp, err := os.CreateTemp(s.dir, "incoming-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	defer tmp.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(tmp, hash), io.LimitReader(src, maxProgram)); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fmt.Errorf("%w: it is %s, pinned is %s", ErrChecksum, got, sum)
	}
	if err := tmp.Chmod(0o555); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), stored)
}
