package apptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// Build builds the programs into dir, with the flags of the Makefile: kakitome, smsc and till, and modules/*.
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

func build(ctx context.Context, dir, tag string, packages ...string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-trimpath", "-tags", tag, "-ldflags", "-s -w", "-o", dir + "/"}, packages)...)
	cmd.Dir = string(out[:max(len(out)-1, 0)])
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", packages, err, out)
	}
	return nil
}
