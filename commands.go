package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/private"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
)

func checkCommand(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	c, err := conf.Load(args[0])
	if err != nil {
		return err
	}
	for _, cr := range c.Numbers.Carriers {
		if !slices.ContainsFunc(c.Binds, func(b bind.Config) bool { return b.Carrier == cr.Name }) {
			fmt.Printf("%s: carrier %s has no bind: messages to it will wait\n", args[0], cr.Name)
		}
	}
	if len(c.Certificates) == 0 && len(c.Links.TrustedProxies) == 0 {
		fmt.Printf("%s: neither certificates nor trusted proxies: API and console refuse plain HTTP\n", args[0])
	}
	former, _ := dialSocket(c).former(ctx) // where the engine runs
	for _, f := range former {
		fmt.Printf("%s: %s\n", args[0], f)
	}
	fmt.Printf("%s: no faults; %d carriers, %d binds, %d modules\n", args[0], len(c.Numbers.Carriers), len(c.Binds), len(c.Modules))
	return nil
}

func sampleCommand(context.Context, []string) error {
	_, err := os.Stdout.Write(conf.SampleTOML())
	return err
}

func checksumCommand(_ context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	for _, path := range args {
		sum, err := host.Checksum(path)
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s\n", sum, path)
	}
	return nil
}

// operator is the client of a running engine's operator socket.
type operator struct{ http *http.Client }

// dialOperator reads the configuration for where the socket is.
func dialOperator(config string) (*operator, error) {
	c, err := conf.Load(config)
	if err != nil {
		return nil, err
	}
	return dialSocket(c), nil
}

func dialSocket(c *conf.Config) *operator {
	path := filepath.Join(c.Data.Dir, operatorSocket)
	return &operator{&http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("the engine does not answer on %s: is it running? (%w)", path, errors.Unwrap(err))
			}
			return conn, nil
		},
	}}}
}

// patient is the operator for what takes as long as it takes.
func (o *operator) patient() *operator { return &operator{&http.Client{Transport: o.http.Transport}} }

// apply and former wait for a count of what is open with contracts that are no longer in a definition: it reads a tenant's claims of a
// year, millions in minutes.
func (o *operator) apply(ctx context.Context, in *applyRequest) (out applied, err error) {
	err = o.patient().call(ctx, "/tenants", in, &out)
	return out, err
}

func (o *operator) former(ctx context.Context) (all []formerAgent, err error) {
	err = o.patient().call(ctx, "/agents/former", nil, &all)
	return all, err
}

// call posts in (or gets, when it is nil) and reads the answer into out.
func (o *operator) call(ctx context.Context, path string, in, out any) error {
	res, err := o.send(ctx, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// send posts in (or gets, when it is nil). The caller closes the answer's body; an answer other than 200 is an error.
func (o *operator) send(ctx context.Context, path string, in any) (*http.Response, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		method, body = http.MethodPost, bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://operator"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := o.http.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		data, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
		if err != nil {
			return nil, err
		}
		return nil, errors.New(strings.TrimSpace(string(data)))
	}
	return res, nil
}

func tenantApplyCommand(ctx context.Context, args []string) error {
	fs := flags("tenant apply")
	config, dry := fs.String("config", "", "configuration file of the engine"), fs.Bool("dry-run", false, "show what would change")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *config == "" {
		return errUsage
	}
	in, err := readTenant(fs.Arg(0))
	if err != nil {
		return err
	}
	in.DryRun = *dry
	o, err := dialOperator(*config)
	if err != nil {
		return err
	}
	out, err := o.apply(ctx, in)
	if err != nil {
		return err
	}
	for _, line := range out.Diff {
		fmt.Println(line)
	}
	for _, f := range out.Former {
		fmt.Println(f)
	}
	for _, name := range slices.Sorted(maps.Keys(out.Secrets)) {
		fmt.Printf("callback %s: its secret, shown only now: %s\n", name, out.Secrets[name])
	}
	switch {
	case len(out.Diff) == 0:
		fmt.Printf("tenant %s: nothing changes\n", in.Tenant.ID)
	case *dry:
		fmt.Printf("tenant %s: nothing was changed (-dry-run)\n", in.Tenant.ID)
	default:
		fmt.Printf("tenant %s: applied\n", in.Tenant.ID)
	}
	if len(out.Faults) > 0 {
		return fmt.Errorf("these callbacks are as they were:\n%s", strings.Join(out.Faults, "\n"))
	}
	return nil
}

// readTenant reads a definition and the secret files that it names, which must be readable by their owner alone.
func readTenant(path string) (*applyRequest, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	in := &applyRequest{AgentConfigs: map[string]json.RawMessage{}}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&in.Tenant); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return nil, fmt.Errorf("%s: unknown keys:\n%s", path, strict.String())
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	in.Seeds = in.Tenant.SeedNumbers
	if file := in.Tenant.Brand.LogoFile; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		logo, err := os.ReadFile(file)
		if err == nil {
			in.Tenant.Brand.Logo, err = tenant.ReadLogo(logo)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: brand.logo_file: %w", path, err)
		}
	}
	for i, a := range in.Tenant.Agents {
		if a.ConfigFile == "" {
			continue
		}
		file := a.ConfigFile
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		config, err := private.Read(file)
		if err != nil {
			return nil, fmt.Errorf("%s: agent[%d].config_file: %w", path, i, err)
		}
		if !json.Valid(config) {
			return nil, fmt.Errorf("%s: agent[%d].config_file: %s is not JSON", path, i, file)
		}
		in.AgentConfigs[a.Name] = config
	}
	return in, nil
}

func userSetCommand(ctx context.Context, args []string) error {
	fs := flags("user set")
	config := fs.String("config", "", "configuration file of the engine")
	in := userRequest{}
	id := fs.String("tenant", "", "tenant; \"operator\" for the operator's own people")
	role := fs.String("role", "", "operator, admin, sender or viewer")
	fs.StringVar(&in.Login, "login", "", "name to sign in with")
	fs.StringVar(&in.Name, "name", "", "name as shown")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || *id == "" || in.Login == "" || *role == "" {
		return errUsage
	}
	in.Tenant, in.Role = tenant.ID(*id), tenant.Role(*role)
	o, err := dialOperator(*config)
	if err != nil {
		return err
	}
	var out secret
	if err := o.call(ctx, "/users", in, &out); err != nil {
		return err
	}
	fmt.Println(out.Text)
	return nil
}

func keyIssueCommand(ctx context.Context, args []string) error {
	return keyCommand(ctx, "apikey issue", "/keys", args)
}

func keyRevokeCommand(ctx context.Context, args []string) error {
	return keyCommand(ctx, "apikey revoke", "/keys/revoke", args)
}

func keyCommand(ctx context.Context, name, path string, args []string) error {
	fs := flags(name)
	config := fs.String("config", "", "configuration file of the engine")
	in := keyRequest{}
	id := fs.String("tenant", "", "tenant")
	fs.StringVar(&in.Name, "name", "", "what the key is for")
	fs.StringVar(&in.Key, "key", "", "id of the key: the part between the underscores")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || *id == "" || in.Name == "" && in.Key == "" {
		return errUsage
	}
	in.Tenant = tenant.ID(*id)
	o, err := dialOperator(*config)
	if err != nil {
		return err
	}
	var out secret
	if err := o.call(ctx, path, in, &out); err != nil {
		return err
	}
	if out.Text != "" {
		fmt.Println(out.Text)
	}
	return nil
}

func statusCommand(ctx context.Context, args []string) error {
	fs := flags("status")
	config := fs.String("config", "", "configuration file of the engine")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" {
		return errUsage
	}
	o, err := dialOperator(*config)
	if err != nil {
		return err
	}
	var st status
	if err := o.call(ctx, "/status", nil, &st); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%s\nsince\t%s\ntenants\t%d\n\nBIND\tCARRIER\tSTATE\tSINCE\tOUTSTANDING\tWHY\n", st.Version, st.Since.Format(time.DateTime), st.Tenants)
	for _, b := range st.Binds {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", b.Name, b.Carrier, b.State, b.Since.Format(time.TimeOnly), b.Stats.Outstanding, b.Why)
	}
	fmt.Fprintf(w, "\nMODULE\tSTATE\tVERSION\tRESTARTS\tERROR\n")
	for _, m := range st.Modules {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", m.Module, m.State, m.Version, m.Restarts, m.LastError)
	}
	return w.Flush()
}
