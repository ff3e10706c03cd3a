package apptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// modules of the box by name; each is the package plugins/<name> and becomes the program modules/<last part of the name>.
var modules = []string{"auth/knowledge", "auth/otp_sms", "payment/sandbox", "render/standard"}

// lookupModule runs where Options.Lookup says so.
const lookupModule = "number/simulated"

// Modules that run where a test says so, by Country.AddModule.
const (
	oidcModule = "auth/oidc"
	BankModule = "payment/banktransfer"
)

// Build builds the programs with the flags of the Makefile and puts them into dir: kakitome, smsc and till, and modules/*.
func Build(ctx context.Context, dir string) error {
	var plugins []string
	for _, m := range append(modules[:len(modules):len(modules)], lookupModule, oidcModule, BankModule) {
		plugins = append(plugins, "./plugins/"+m)
	}
	return errors.Join(
		build(ctx, dir, "", ".", "./tools/smsc", "./tools/till"),
		build(ctx, filepath.Join(dir, "modules"), "", plugins...),
	)
}

// BuildEngine builds kakitome alone into dir, with a build tag.
func BuildEngine(ctx context.Context, dir, tag string) error { return build(ctx, dir, tag, ".") }

// build keeps what it built in bin/apptest, where go build finds that nothing has changed since and links nothing again, and
// gives dir links to it: those stay what they are when it is built anew meanwhile. One process builds at a time.
func build(ctx context.Context, dir, tag string, packages ...string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	root := string(out[:max(len(out)-1, 0)])
	kept := filepath.Join(root, "bin", "apptest", tag)
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
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-trimpath", "-tags", tag, "-ldflags", "-s -w", "-o", kept + "/"}, packages)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", packages, err, out)
	}
	for _, p := range packages {
		name := filepath.Base(p)
		if p == "." {
			name = "kakitome"
		}
		if err := place(filepath.Join(kept, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
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
