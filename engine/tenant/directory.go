package tenant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kakitome/kakitome/engine/clock"
)

// EventType is what happened in the directory. Values are stored.
type EventType byte

const (
	TenantApplied EventType = 1 // Tenant
	UserSet       EventType = 2 // User
	KeyIssued     EventType = 3 // APIKey
	KeyRevoked    EventType = 4 // APIKey
	CarrierHeld   EventType = 5 // Hold
)

// Event is one change of the directory. Data is JSON of the type named beside the constant.
type Event struct {
	Type EventType
	At   time.Time
	Data []byte
}

// ErrStale: somebody else changed the directory at the same time.
var ErrStale = errors.New("directory changed meanwhile")

// Log keeps the directory's events durably. engine/store implements it.
type Log interface {
	// Append adds events when expect events are there, synced; else it returns ErrStale.
	Append(ctx context.Context, expect int, events []Event) error
	// Replay returns all events in order.
	Replay(ctx context.Context) ([]Event, error)
}

// Snapshot is the directory at one moment. It never changes; its maps must not be changed.
type Snapshot struct {
	Version int
	Tenants map[ID]*Tenant
	Users   map[string]*User   // by login
	Keys    map[string]*APIKey // by id
	Held    map[string]Hold    // by carrier
	hooks   map[string]hook
	logos   map[string]*Logo // by name
	hosts   map[string][]ID  // whose links have it, by name without port
}

type hook struct {
	tenant ID
	agent  Agent
}

// Hook finds the agent whose webhooks come to this path; it may be a former one.
func (s *Snapshot) Hook(path string) (*Tenant, Agent, bool) {
	h, ok := s.hooks[path]
	if !ok {
		return nil, Agent{}, false
	}
	return s.Tenants[h.tenant], h.agent, true
}

// Foreign reports whether a host is one that other tenants have for their links, and this one has not.
func (s *Snapshot) Foreign(host string, id ID) bool {
	if len(s.hosts) == 0 { // asked with every page
		return false
	}
	of, taken := s.hosts[HostName(host)]
	return taken && !slices.Contains(of, id)
}

// HostName is the name in a host as addresses have it: in lower case, without port, and without the final dot that browsers take for none.
func HostName(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// IDs lists the tenants in order.
func (s *Snapshot) IDs() []ID { return slices.Sorted(maps.Keys(s.Tenants)) }

// UsersOf lists a tenant's users by login.
func (s *Snapshot) UsersOf(id ID) []*User {
	var all []*User
	for _, login := range slices.Sorted(maps.Keys(s.Users)) {
		if s.Users[login].Tenant == id {
			all = append(all, s.Users[login])
		}
	}
	return all
}

// KeysOf lists a tenant's API keys, the oldest first.
func (s *Snapshot) KeysOf(id ID) []*APIKey {
	var all []*APIKey
	for _, k := range s.Keys {
		if k.Tenant == id {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b *APIKey) int { return a.Since.Compare(b.Since) })
	return all
}

func (s *Snapshot) apply(events []Event) (*Snapshot, error) {
	n := &Snapshot{Version: s.Version + len(events), Tenants: maps.Clone(s.Tenants), Users: maps.Clone(s.Users), Keys: maps.Clone(s.Keys), Held: maps.Clone(s.Held), hooks: map[string]hook{}, logos: map[string]*Logo{}, hosts: map[string][]ID{}}
	for _, e := range events {
		var err error
		switch e.Type {
		case TenantApplied:
			t := new(Tenant)
			err = json.Unmarshal(e.Data, t)
			n.Tenants[t.ID] = t
		case UserSet:
			u := new(User)
			err = json.Unmarshal(e.Data, u)
			n.Users[u.Login] = u
		case KeyIssued, KeyRevoked:
			k := new(APIKey)
			err = json.Unmarshal(e.Data, k)
			n.Keys[k.ID] = k
		case CarrierHeld:
			var h Hold
			err = json.Unmarshal(e.Data, &h)
			n.Held[h.Carrier] = h
		default:
			err = errors.New("written by a newer program")
		}
		if err != nil {
			return nil, fmt.Errorf("directory event of type %d: %w", e.Type, err)
		}
	}
	for id, t := range n.Tenants {
		for _, a := range t.Agents {
			n.hooks[a.Hook] = hook{id, a}
		}
		for _, f := range t.Former {
			n.hooks[f.Hook] = hook{id, f.Agent}
		}
		if t.Brand.Logo != nil {
			n.logos[t.Brand.Logo.Name] = t.Brand.Logo
		}
		if host := HostName(t.LinkHost); host != "" {
			n.hosts[host] = append(n.hosts[host], id)
		}
	}
	return n, nil
}

// Directory is the live directory. Safe for concurrent use.
type Directory struct {
	log Log
	now atomic.Pointer[Snapshot]
	mu  sync.Mutex // one change at a time
}

// OpenDirectory replays the log.
func OpenDirectory(ctx context.Context, log Log) (*Directory, error) {
	events, err := log.Replay(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	snap, err := (&Snapshot{Tenants: map[ID]*Tenant{}, Users: map[string]*User{}, Keys: map[string]*APIKey{}, Held: map[string]Hold{}}).apply(events)
	if err != nil {
		return nil, err
	}
	d := &Directory{log: log}
	d.now.Store(snap)
	return d, nil
}

// Now returns the directory as it is.
func (d *Directory) Now() *Snapshot { return d.now.Load() }

// change appends what make returns for the newest snapshot.
func (d *Directory) change(ctx context.Context, typ EventType, make func(*Snapshot) (any, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	snap := d.Now()
	v, err := make(snap)
	if err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	events := []Event{{Type: typ, At: clock.Now(), Data: data}}
	if err := d.log.Append(ctx, snap.Version, events); err != nil {
		return err
	}
	next, err := snap.apply(events)
	if err != nil {
		return err
	}
	d.now.Store(next)
	return nil
}

// Apply stores a tenant's definition. Agents keep the hook (and, without a new one, the sealed configuration) that they had;
// a new agent gets a fresh hook. An agent that is left out, or gets another module, becomes a former one, except those in over, of
// which nothing is open any more. A logo stays unless there is another. Callbacks and seeds stay as they are: SetCallback and SetSeed
// set them.
func (d *Directory) Apply(ctx context.Context, t Tenant, over ...Agent) error {
	if errs := t.Validate(); len(errs) > 0 {
		return errors.Join(errs...)
	}
	return d.change(ctx, TenantApplied, func(s *Snapshot) (any, error) {
		if t.Parent != "" && s.Tenants[t.Parent] == nil {
			return nil, fmt.Errorf("parent: there is no tenant %q", t.Parent)
		}
		t.Callbacks, t.Seeds = nil, nil
		if old, ok := s.Tenants[t.ID]; ok {
			t.Callbacks, t.Seeds = old.Callbacks, old.Seeds
			if t.Brand.Logo == nil {
				t.Brand.Logo = old.Brand.Logo
			}
		}
		t.inherit(s.Tenants[t.ID], over, clock.Now())
		return t, nil
	})
}

// Leaves lists the agents of the tenant that next no longer has, and those that it left before; each once.
func (t *Tenant) Leaves(next *Tenant, now time.Time) (all []FormerAgent) {
	stays := func(a *Agent) bool {
		return slices.ContainsFunc(next.Agents, func(n Agent) bool { return n.is(a) })
	}
	for _, f := range t.Former {
		if !stays(&f.Agent) {
			all = append(all, f)
		}
	}
	for _, a := range t.Agents {
		if !stays(&a) {
			all = append(all, FormerAgent{a, now})
		}
	}
	return all
}

// inherit gives the agents what they had under the old definition; nil: there was none.
func (t *Tenant) inherit(old *Tenant, over []Agent, now time.Time) {
	t.Former = nil
	if old != nil {
		t.Former = slices.DeleteFunc(old.Leaves(t, now), func(f FormerAgent) bool {
			return slices.ContainsFunc(over, func(a Agent) bool { return a.is(&f.Agent) })
		})
	}
	t.Agents = slices.Clone(t.Agents)
	for i := range t.Agents {
		a := &t.Agents[i]
		a.Hook = randomHex(16)
		if was, ok := old.had(a); ok {
			a.Hook = was.Hook
			if a.Config == nil {
				a.Config = was.Config
			}
		}
	}
}

// had returns the contract as the tenant has it, or had it before; t may be nil.
func (t *Tenant) had(a *Agent) (Agent, bool) {
	if t == nil {
		return Agent{}, false
	}
	for _, was := range t.Agents {
		if was.is(a) {
			return was, true
		}
	}
	for _, f := range t.Former {
		if f.is(a) {
			return f.Agent, true
		}
	}
	return Agent{}, false
}

// Configured reports whether a configuration of the contract is kept, so that it needs none given anew; t may be nil.
func (t *Tenant) Configured(a *Agent) bool {
	was, ok := t.had(a)
	return ok && was.Config != nil
}

var loginPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{2,63}$`)

// ValidLogin reports whether a user may have the login.
func ValidLogin(login string) bool { return loginPattern.MatchString(login) }

// ValidKeyName reports whether an API key may have the name.
func ValidKeyName(name string) bool { return namePattern.MatchString(name) }

// HasKey reports whether a key of the tenant that is not revoked has the name.
func (s *Snapshot) HasKey(id ID, name string) bool {
	return slices.ContainsFunc(s.KeysOf(id), func(k *APIKey) bool { return k.Name == name && k.Revoked.IsZero() })
}

func (u *User) check() error {
	if !ValidLogin(u.Login) {
		return fmt.Errorf("login: %q must be 3 to 64 of a-z, 0-9, \".\", \"_\", \"@\" and \"-\", a letter or digit first", u.Login)
	}
	if !slices.Contains(Roles, u.Role) {
		return fmt.Errorf("role: %q must be one of %v", u.Role, Roles)
	}
	if (u.Role == RoleOperator) != (u.Tenant == OperatorID) {
		return fmt.Errorf("role: %q does not belong into tenant %q", u.Role, u.Tenant)
	}
	return nil
}

// AddUser adds a user with a login that nobody has.
func (d *Directory) AddUser(ctx context.Context, u User) error {
	if err := u.check(); err != nil {
		return err
	}
	return d.change(ctx, UserSet, func(s *Snapshot) (any, error) {
		if u.Tenant != OperatorID && s.Tenants[u.Tenant] == nil {
			return nil, fmt.Errorf("tenant: there is no tenant %q", u.Tenant)
		}
		if s.Users[u.Login] != nil {
			return nil, fmt.Errorf("login: %q is taken", u.Login)
		}
		u.Since = clock.Now()
		return u, nil
	})
}

// ChangeUser changes a user as it is now, and returns what it became: what somebody else changed meanwhile stays. A user keeps its login and
// its tenant. An error of change is returned, and nothing is changed.
func (d *Directory) ChangeUser(ctx context.Context, login string, change func(*User) error) (User, error) {
	var u User
	err := d.change(ctx, UserSet, func(s *Snapshot) (any, error) {
		old := s.Users[login]
		if old == nil {
			return nil, fmt.Errorf("login: there is no user %q", login)
		}
		u = *old
		if err := change(&u); err != nil {
			return nil, err
		}
		u.Login, u.Tenant, u.Since = old.Login, old.Tenant, old.Since
		return u, u.check()
	})
	return u, err
}

// IssueKey makes an API key and returns its text, which is not kept. What a key does stands under its name on messages and claims: two that
// are in use never have the same.
func (d *Directory) IssueKey(ctx context.Context, id ID, name string) (text string, key APIKey, err error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	sec := base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(sec))
	key = APIKey{ID: strings.ToLower(rand.Text()[:10]), Tenant: id, Name: name, Hash: hash[:], Since: clock.Now()}
	err = d.change(ctx, KeyIssued, func(s *Snapshot) (any, error) {
		if s.Tenants[id] == nil {
			return nil, fmt.Errorf("tenant: there is no tenant %q", id)
		}
		if !ValidKeyName(name) {
			return nil, fmt.Errorf("name: %q must be 1 to 32 of a-z, 0-9, \"_\" and \"-\", a letter or digit first", name)
		}
		if s.HasKey(id, name) {
			return nil, fmt.Errorf("name: %q is that of a key which is in use", name)
		}
		return key, nil
	})
	return "kk_" + key.ID + "_" + sec, key, err
}

// RevokeKey ends a key of the tenant at once.
func (d *Directory) RevokeKey(ctx context.Context, id ID, keyID string) error {
	return d.change(ctx, KeyRevoked, func(s *Snapshot) (any, error) {
		k := s.Keys[keyID]
		if k == nil || k.Tenant != id {
			return nil, fmt.Errorf("key: there is no key %q", keyID)
		}
		ended := *k
		if ended.Revoked.IsZero() {
			ended.Revoked = clock.Now()
		}
		return ended, nil
	})
}

// HoldMode is what the operator lets a carrier's binds do.
type HoldMode string

const (
	Released HoldMode = ""      // submit
	Paused   HoldMode = "pause" // stay bound, take receipts, submit nothing
	Drained  HoldMode = "drain" // finish what is outstanding, unbind, stay down
)

// Hold is the operator's word on one carrier. It holds over restarts.
type Hold struct {
	Carrier string    `json:"carrier"`
	Mode    HoldMode  `json:"mode,omitempty"`
	By      string    `json:"by"`
	Since   time.Time `json:"since"`
}

// Hold pauses, drains or releases a carrier.
func (d *Directory) Hold(ctx context.Context, carrier string, mode HoldMode, by string) error {
	if mode != Released && mode != Paused && mode != Drained {
		return fmt.Errorf("mode: %q must be pause, drain or empty", mode)
	}
	return d.change(ctx, CarrierHeld, func(*Snapshot) (any, error) {
		return Hold{Carrier: carrier, Mode: mode, By: by, Since: clock.Now()}, nil
	})
}

// CheckKey returns the live key that the text is of. An unknown id costs the same as a wrong secret.
func (s *Snapshot) CheckKey(text string) (*APIKey, bool) {
	rest, _ := strings.CutPrefix(text, "kk_")
	id, sec, _ := strings.Cut(rest, "_")
	hash := sha256.Sum256([]byte(sec))
	k, known := s.Keys[id]
	if !known {
		k = &APIKey{Hash: make([]byte, sha256.Size)}
	}
	if subtle.ConstantTimeCompare(hash[:], k.Hash) != 1 || !known || !k.Revoked.IsZero() {
		return nil, false
	}
	return k, true
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
