package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/retention"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/host"
)

// operatorSocket lies in the data directory, mode 0600: whoever may open it is the operator.
const operatorSocket = "operator.sock"

// agentClass is the retention class under which agents' secrets are sealed.
const agentClass = "agent"

// operatorDoor serves the commands of the operator.
type operatorDoor struct {
	store        *store.Store
	directory    *tenant.Directory
	carriers     *carrier.Table
	modules      *host.Host
	pages        *page.Pages
	audit        *audit.Log
	dispatch     *dispatch.Dispatcher
	reloader     *reloader
	callbacks    *callback.Callbacks
	retention    *retention.Retention
	campaigns    *campaign.Campaigns
	certificates *certificate.Certificates
	payments     *payment.Payments
	started      time.Time
	dataDir      string          // backups lie elsewhere
	ending       <-chan struct{} // closed when the engine stops: a backup does not hold it up
	log          *slog.Logger
}

type applyRequest struct {
	Tenant       tenant.Tenant              `json:"tenant"`
	AgentConfigs map[string]json.RawMessage `json:"agent_configs"`   // by agent name, plain: they cross only the socket
	Seeds        map[string]string          `json:"seeds,omitempty"` // numbers by carrier, plain
	DryRun       bool                       `json:"dry_run"`
}

type applied struct {
	Diff []string `json:"diff"`
	// Secrets of new callbacks, by name, to be shown once.
	Secrets map[string]string `json:"secrets,omitempty"`
	Faults  []string          `json:"faults,omitempty"` // callbacks that were refused; all else was applied
	Former  []formerAgent     `json:"former,omitempty"` // contracts that are no longer in the definition
}

type userRequest struct {
	Tenant tenant.ID   `json:"tenant"`
	Login  string      `json:"login"`
	Name   string      `json:"name"`
	Role   tenant.Role `json:"role"`
}

type keyRequest struct {
	Tenant tenant.ID `json:"tenant"`
	Name   string    `json:"name"`
	Key    string    `json:"key"`
}

// secret is shown once.
type secret struct {
	Text string `json:"text"`
}

type status struct {
	Version string        `json:"version"`
	Since   time.Time     `json:"since"`
	Tenants int           `json:"tenants"`
	Binds   []bind.Status `json:"binds"`
	Modules []host.Status `json:"modules"`
}

// listenOperator opens the socket. The data directory is ours alone (the store holds its lock), so a socket that is there
// was left behind.
func listenOperator(dir string) (net.Listener, error) {
	path := filepath.Join(dir, operatorSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("operator socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("operator socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("operator socket: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

func (d *operatorDoor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tenants", answer(d.applyTenant))
	mux.HandleFunc("POST /users", answer(d.setUser))
	mux.HandleFunc("POST /keys", answer(d.issueKey))
	mux.HandleFunc("POST /keys/revoke", answer(d.revokeKey))
	mux.HandleFunc("POST /reload", answer(d.reload))
	mux.HandleFunc("GET /agents/former", d.formerAgents)
	mux.HandleFunc("POST /backup", d.backup)
	mux.HandleFunc("POST /retention", answer(d.endContent))
	mux.HandleFunc("POST /masterkey/rotate", answer(d.rotateKey))
	mux.HandleFunc("POST /certificates", answer(d.makeCertificate))
	mux.HandleFunc("POST /carriers/hold", answer(d.hold))
	mux.HandleFunc("GET /carriers", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, d.carrierStatus()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, status{Version: version, Since: d.started, Tenants: len(d.directory.Now().Tenants), Binds: d.dispatch.Status(), Modules: d.modules.Status()})
	})
	return mux
}

// answer makes a handler of a function from request to answer. Whoever reaches it is the operator: errors are told whole.
func answer[In, Out any](fn func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&in); err != nil {
			http.Error(w, "request: "+err.Error(), http.StatusBadRequest)
			return
		}
		out, err := fn(r.Context(), in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		writeJSON(w, out)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

func (d *operatorDoor) applyTenant(ctx context.Context, in applyRequest) (applied, error) {
	t := in.Tenant
	errs := t.Validate()
	errs = append(errs, d.carriers.CheckSenders(t.Senders)...)
	if err := errors.Join(errs...); err != nil {
		return applied{}, err
	}
	old := d.directory.Now().Tenants[t.ID]
	if err := d.tryRenderer(ctx, old, &t); err != nil {
		return applied{}, err
	}
	out := applied{Diff: diff(old, &t)}
	over, err := d.former(ctx, old, &t, &out)
	if err != nil {
		return applied{}, err
	}
	for i := range t.Agents {
		a := &t.Agents[i]
		plain, given := in.AgentConfigs[a.Name]
		if !given {
			if !old.Configured(a) {
				return applied{}, fmt.Errorf("agent[%d].config_file: is required for a new agent, and for another module", i)
			}
			continue
		}
		out.Diff = append(out.Diff, fmt.Sprintf("~ agent[%d].config: given anew", i))
		if in.DryRun {
			continue
		}
		var refused *host.ConfigError // a module that does not answer gets it when it does
		if err := d.modules.Configure(ctx, a.Module, payment.Instance(t.ID, a.Name), string(t.ID), plain); errors.As(err, &refused) {
			return applied{}, fmt.Errorf("agent[%d]: %w", i, err)
		}
		box, err := d.store.Seal(t.ID, agentClass, clock.Now(), "agent/"+a.Name, plain)
		if err != nil {
			return applied{}, err
		}
		a.Config = box
	}
	definition := len(out.Diff)
	seeds, err := d.seedDiff(old, t.ID, in.Seeds)
	if err != nil {
		return applied{}, err
	}
	out.Diff = append(append(out.Diff, callbackDiff(old, t.Callbacks)...), seeds...)
	if in.DryRun || len(out.Diff) == 0 {
		return out, nil
	}
	if definition > 0 {
		if d.directory.Now().Tenants[t.ID] != old { // by the console, while former agents were looked at
			return applied{}, fmt.Errorf("%s: the tenant was changed meanwhile: apply it again", t.ID)
		}
		if err := d.directory.Apply(ctx, t, over...); err != nil {
			return applied{}, err
		}
	}
	for name, number := range in.Seeds {
		if err := d.campaigns.SetSeed(ctx, t.ID, name, number); err != nil {
			return applied{}, err
		}
	}
	out.Secrets, out.Faults = d.applyCallbacks(ctx, old, t.ID, t.Callbacks)
	return out, d.audit.Record(ctx, t.ID, audit.Entry{By: "operator", Action: "tenant.apply", Detail: strings.Join(out.Diff, "\n")})
}

// tryRenderer has a renderer that is new to the tenant draw everything. One that does not run now is taken: the standard one stands in.
func (d *operatorDoor) tryRenderer(ctx context.Context, old, t *tenant.Tenant) error {
	module := t.Brand.Renderer
	if module == "" || old != nil && old.Brand.Renderer == module ||
		!slices.ContainsFunc(d.modules.Status(), func(s host.Status) bool { return s.Module == module && s.State == host.Running }) {
		return nil
	}
	if err := d.pages.Trial(ctx, t, module); err != nil {
		return fmt.Errorf("brand.renderer: %s: %w", module, err)
	}
	return nil
}

// seedDiff lists what a definition changes of its tenant's seeds, numbers masked. Those that it does not name stay.
func (d *operatorDoor) seedDiff(old *tenant.Tenant, id tenant.ID, next map[string]string) (lines []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(next)) {
		n, err := d.campaigns.CheckSeed(name, next[name])
		if err != nil {
			return nil, fmt.Errorf("seed.%s: %w", name, err)
		}
		if old == nil {
			old = &tenant.Tenant{ID: id}
		}
		switch same, err := d.campaigns.HasSeed(old, name, n); {
		case err != nil:
			return nil, err
		case !same:
			lines = append(lines, fmt.Sprintf("~ seed.%s: %s", name, n.Masked()))
		}
	}
	return lines, nil
}

// configureAgents gives every agent's sealed configuration to its module. A module that does not answer gets it when it does.
func (d *operatorDoor) configureAgents(ctx context.Context) error {
	var errs []error
	snap := d.directory.Now()
	for _, id := range snap.IDs() {
		t := snap.Tenants[id]
		all := slices.Clone(t.Agents)
		for _, f := range t.Former {
			all = append(all, f.Agent)
		}
		for _, a := range all {
			plain, err := d.store.Open(id, "agent/"+a.Name, a.Config)
			if err == nil {
				err = d.modules.Configure(ctx, a.Module, payment.Instance(id, a.Name), string(id), plain)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("agent %s of tenant %s: %w", a.Name, id, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (d *operatorDoor) setUser(ctx context.Context, in userRequest) (secret, error) {
	password := tenant.NewPassword()
	hash := tenant.HashPassword(password)
	set := func(u *tenant.User) error {
		u.Role, u.Password, u.Name = in.Role, hash, cmp.Or(in.Name, u.Name)
		return nil
	}
	u := tenant.User{Login: in.Login, Tenant: in.Tenant}
	var err error
	if old := d.directory.Now().Users[in.Login]; old != nil && old.Tenant == in.Tenant {
		_, err = d.directory.ChangeUser(ctx, in.Login, set) // the second factor, language and a lock stay
	} else if err = set(&u); err == nil {
		err = d.directory.AddUser(ctx, u)
	}
	if err != nil {
		return secret{}, err
	}
	return secret{password}, d.audit.Record(ctx, in.Tenant, audit.Entry{By: "operator", Action: "user.set", Target: in.Login, Detail: string(in.Role)})
}

func (d *operatorDoor) issueKey(ctx context.Context, in keyRequest) (secret, error) {
	text, key, err := d.directory.IssueKey(ctx, in.Tenant, in.Name)
	if err != nil {
		return secret{}, err
	}
	return secret{text}, d.audit.Record(ctx, in.Tenant, audit.Entry{By: "operator", Action: "apikey.issue", Target: key.ID, Detail: in.Name})
}

func (d *operatorDoor) revokeKey(ctx context.Context, in keyRequest) (secret, error) {
	if err := d.directory.RevokeKey(ctx, in.Tenant, in.Key); err != nil {
		return secret{}, err
	}
	return secret{}, d.audit.Record(ctx, in.Tenant, audit.Entry{By: "operator", Action: "apikey.revoke", Target: in.Key})
}

// diff lists what changes from old (nil: nothing yet) to next, a line a field. Secrets and hooks are not in it.
func diff(old, next *tenant.Tenant) []string {
	was, is := map[string]string{}, map[string]string{}
	if old != nil {
		flatten("", plain(old), was)
	}
	if old != nil && next.Brand.Logo == nil { // it stays
		kept := *next
		kept.Brand.Logo = old.Brand.Logo
		next = &kept
	}
	flatten("", plain(next), is)
	var lines []string
	for field, v := range is {
		switch w, ok := was[field]; {
		case !ok:
			lines = append(lines, fmt.Sprintf("+ %s: %s", field, v))
		case w != v:
			lines = append(lines, fmt.Sprintf("~ %s: %s → %s", field, w, v))
		}
	}
	for field, w := range was {
		if _, ok := is[field]; !ok {
			lines = append(lines, fmt.Sprintf("- %s: %s", field, w))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return lines
}

// plain is the JSON form of a definition without what the engine itself minted or sealed.
func plain(t *tenant.Tenant) any {
	c := *t
	c.Callbacks, c.Seeds, c.Former = nil, nil, nil // callbackDiff, seedDiff and former have them
	c.Agents = slices.Clone(c.Agents)
	for i := range c.Agents {
		c.Agents[i].Hook, c.Agents[i].Config = "", nil
	}
	if l := c.Brand.Logo; l != nil { // its name says what it is
		c.Brand.Logo = &tenant.Logo{Name: l.Name, Width: l.Width, Height: l.Height}
	}
	data, err := json.Marshal(c)
	if err != nil {
		panic("BUG: tenant definition: " + err.Error())
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		panic("BUG: tenant definition: " + err.Error())
	}
	return v
}

func flatten(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			flatten(strings.TrimPrefix(path+"."+k, "."), item, into)
		}
	case []any:
		for i, item := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), item, into)
		}
	case nil:
	default:
		into[path] = fmt.Sprintf("%v", v)
	}
}
