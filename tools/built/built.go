// Package built gives tests and benchmarks the programs of this repository, built from the source as it is, and each linked once
// for all of them.
package built

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// module is the import path of the repository's root, whose program is kakitome.
const module = "github.com/kakitome/kakitome"

// Program builds the package at a path below the root ("plugins/auth/oidc") and returns the program, which ends with the test.
func Program(t testing.TB, path string) string {
	t.Helper()
	dir := t.TempDir()
	if err := Into(t.Context(), dir, "", path); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name(path))
}

// Into builds packages, by their paths below the root (".": kakitome itself), with the flags of the Makefile and a build tag (empty:
// none), and puts the programs into dir, each by the last part of its path.
//
// What was built is kept in bin/built, where go build finds that nothing has changed since and links nothing again. dir gets links to
// it, which stay what they are when it is built anew meanwhile. One process builds at a time.
func Into(ctx context.Context, dir, tag string, paths ...string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	root := string(out[:max(len(out)-1, 0)])
	kept := filepath.Join(root, "bin", "built", tag)
	if err := errors.Join(os.MkdirAll(kept, 0o700), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	lock, err := os.Open(kept)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", kept, err)
	}
	args := []string{"build", "-trimpath", "-tags", tag, "-ldflags", "-s -w", "-o", kept + "/"}
	for _, p := range paths {
		args = append(args, "./"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", paths, err, out)
	}
	for _, p := range paths {
		if err := place(filepath.Join(kept, name(p)), filepath.Join(dir, name(p))); err != nil {
			return err
		}
	}
	return nil
}

// name is that of the program of a path.
func name(path string) string {
	if path == "." {
		path = module
	}
	return filepath.Base(path)
}

// place links to a file, or copies it where that is another file system.
func place(from, to string) error {
	err := os.Link(from, to)
	if err == nil || !errors.Is(err, syscall.EXDEV) {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o700)
}
