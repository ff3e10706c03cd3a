package identity

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/kakitome/kakitome/engine/private"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Instance is the configuration of an identity module that needs one, for one tenant or for all.
type Instance struct {
	// Module is its name, auth/….
	Module string `toml:"module"`
	// Tenant is the id of the tenant whose messages use it. Empty: of all that have none of their own.
	Tenant string `toml:"tenant"`
	// ConfigFile is a file with the module's configuration, a JSON object; mode 0600, for it may hold a key.
	ConfigFile string `toml:"config_file"`
}

var moduleName = regexp.MustCompile(`^auth/[a-z0-9_]{1,32}$`)

// ValidateInstances tells bad all faults, each with the path of its field behind the list's.
func ValidateInstances(all []Instance, bad func(field, format string, args ...any)) {
	for i, in := range all {
		at := fmt.Sprintf("[%d]", i)
		if !moduleName.MatchString(in.Module) {
			bad(at+".module", "%q must be auth/…", in.Module)
		}
		if _, err := private.Read(in.ConfigFile); err != nil {
			bad(at+".config_file", "%v", err)
		}
		if slices.ContainsFunc(all[:i], func(o Instance) bool { return o.Module == in.Module && o.Tenant == in.Tenant }) {
			bad(at+".tenant", "module %q has a configuration for it already", in.Module)
		}
	}
}

// Name is that under which the module knows it.
func (in *Instance) Name() string {
	if in.Tenant == "" {
		return "identity"
	}
	return "identity/" + in.Tenant
}

// Config reads the module's configuration.
func (in *Instance) Config() ([]byte, error) { return private.Read(in.ConfigFile) }

// UseInstances puts other configurations into use: their modules have them already. all must not be changed any more.
func (id *Identity) UseInstances(all []Instance) { id.instances.Store(&all) }

// instance is the name of the one that a tenant's calls of a module use; empty: none is configured.
func (id *Identity) instance(module string, t tenant.ID) string {
	name := ""
	all := *id.instances.Load()
	for i := range all {
		in := &all[i]
		if in.Module == module && (in.Tenant == string(t) || in.Tenant == "" && name == "") {
			name = in.Name()
		}
	}
	return name
}
