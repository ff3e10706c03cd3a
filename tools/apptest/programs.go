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

// Build builds the programs into dir, with the flags of the Makefile: kakitome, smsc and till, and modules/*.
func Build(ctx context.Context, dir string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	root := string(out[:max(len(out)-1, 0)])
	build := func(into string, packages ...string) error {
		if err := os.MkdirAll(into, 0o700); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", into + "/"}, packages)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %v: %w\n%s", packages, err, out)
		}
		return nil
	}
	var plugins []string
	for _, m := range modules {
		plugins = append(plugins, "./plugins/"+m)
	}
	return errors.Join(
		build(dir, ".", "./tools/smsc", "./tools/till"),
		build(filepath.Join(dir, "modules"), plugins...),
	)
}
