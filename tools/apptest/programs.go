package apptest

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/kakitome/kakitome/tools/built"
)

// modules of the box by name; each is the package plugins/<name> and becomes the program modules/<last part of the name>.
var modules = []string{"auth/knowledge", "auth/otp_sms", "payment/sandbox", "render/standard"}

// lookupModule runs where Options.Lookup says so.
const lookupModule = "number/simulated"

// Modules that run where a test says so, by Country.AddModule.
const (
	OIDCModule = "auth/oidc"
	BankModule = "payment/banktransfer"
)

// Build builds the programs and puts them into dir: kakitome, smsc and till, and modules/*.
func Build(ctx context.Context, dir string) error {
	var plugins []string
	for _, m := range append(modules[:len(modules):len(modules)], lookupModule, OIDCModule, BankModule) {
		plugins = append(plugins, "plugins/"+m)
	}
	return errors.Join(
		built.Into(ctx, dir, "", ".", "tools/smsc", "tools/till"),
		built.Into(ctx, filepath.Join(dir, "modules"), "", plugins...),
	)
}
