// Package private is the rule for files and directories that hold a password, a key or a contract's data: only their owner may
// read them, mode 0600 or less, 0700 of a directory. Whoever reads such a file does it here, so that the rule and its words
// stand once.
package private

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrReadable is in the error of a file whose mode lets others read, write or run it.
var ErrReadable = errors.New("may be read by others")

// Check looks at the mode of a file or directory without opening it. Errors: ErrReadable with path and mode, else those of os.Stat.
func Check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return own(path, info)
}

// Open opens a file and looks at the mode of what it opened, so that nobody can put another file there in between. The
// caller closes it.
func Open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = own(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Read is the whole content of a file.
func Read(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func own(path string, info fs.FileInfo) error {
	needs := 0o600
	if info.IsDir() {
		needs = 0o700
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s %w (mode %04o, needs %04o)", path, ErrReadable, mode, needs)
	}
	return nil
}
