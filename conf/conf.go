// Package conf assembles the configuration of one machine from the parts that the rooms own, and loads it from TOML.
//
// What stands in the file is the operator's: listeners, directories, carriers, binds, number data, modules allowed.
// Tenants, users, keys and sender profiles are in the store instead (`kakitome tenant apply`). Load is strict: a key that
// is not known is a fault, and every fault carries its line (Faults). kakitome.sample.toml is generated from these types
// and their comments by tools/confsample; `make check` fails when it differs.
package conf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/callback/egress"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/dlr"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/private"
	"github.com/kakitome/kakitome/engine/retention"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Config is all that a machine needs to know.
type Config struct {
	// Data is where the record is kept.
	Data Data `toml:"data"`
	// Listen has the five doors. Each is an address of its own; an empty one is not opened.
	Listen Listen `toml:"listen"`
	// Links says how links look and who may tell us a client's address.
	Links Links `toml:"links"`
	// Numbers are the carriers and which number belongs to which.
	Numbers carrier.Config `toml:"numbers"`
	// Binds are the SMPP sessions, at least one for each carrier that is to be sent to.
	Binds []bind.Config `toml:"bind"`
	// Payments is how agents' files come in.
	Payments Payments `toml:"payments"`
	// Dispatch is the policy of submissions: without an answer, refused for now, at quiet hours.
	Dispatch dispatch.Config `toml:"dispatch"`
	// Retention is how long content is kept, and how fast what is over is swept away.
	Retention retention.Config `toml:"retention"`
	// Certification is how certificates of delivery are made.
	Certification certificate.Config `toml:"certification"`
	// Egress says what callbacks may reach besides https on the public internet.
	Egress egress.Config `toml:"egress"`
	// Mail is the relay by which recipients get payment numbers by e-mail, when they ask for it. Without it that is not offered.
	Mail email.Config `toml:"mail"`
	// Modules that may run, each a program pinned by its checksum.
	Modules []Module `toml:"module"`
	// Identity has the configurations of identity modules that need one (auth/oidc).
	Identity []identity.Instance `toml:"identity"`
	// Certificates for TLS, chosen by the name that the client asks for. Without any the doors speak plain HTTP.
	Certificates []Certificate `toml:"certificate"`
	// Log says what is written to standard error.
	Log Log `toml:"log"`
}

// Data is where things are kept.
type Data struct {
	// Dir holds the store, the links, the modules' sockets and the operator's socket. Mode 0700.
	Dir string `toml:"dir"`
	// MasterKey is a file outside Dir, mode 0600, made by `kakitome key new`. Whoever has it and Dir can read everything;
	// without it nobody can. It is never part of a backup.
	MasterKey string `toml:"master_key"`
	// MinFreeMB is the free space in MiB below which no new message is taken. 0: 1024, or 5 % of a small disk.
	MinFreeMB int `toml:"min_free_mb"`
}

// Listen has the addresses of the doors.
type Listen struct {
	// Links serves recipients and the webhooks of payment agents: the public door.
	Links string `toml:"links"`
	// API serves the senders' programs.
	API string `toml:"api"`
	// Console serves the senders' and the operator's people.
	Console string `toml:"console"`
	// Operator serves metrics, health and profiles. Keep it on loopback or a management network.
	Operator string `toml:"operator"`
}

// Links is how links look from outside.
type Links struct {
	// BaseURL is what stands in front of a link's path: scheme and host, as recipients reach the links door.
	BaseURL string `toml:"base_url"`
	// WebhookURL is the same for payment agents; empty: BaseURL.
	WebhookURL string `toml:"webhook_url"`
	// TrustedProxies are the networks of proxies in front of us. From them alone is a forwarded client address believed. To the
	// console they must say "X-Forwarded-Proto: https".
	TrustedProxies []string `toml:"trusted_proxies"`
}

// Payments is how agents' files come in besides the console and the API.
type Payments struct {
	// Reports is a directory with files of agents (確報, settlements, bank statements): <tenant>/<agent>/<file>, read within a minute and
	// moved to done or failed beside them, with what became of each line. Empty: none is read.
	Reports string `toml:"reports"`
}

// Module is one program that may run.
type Module struct {
	// Name is kind/name, as tenants refer to it: payment/sandbox, auth/knowledge, auth/otp_sms, auth/oidc, render/standard; or payment/banktransfer, payment/stripe, number/…, see numbers.lookup.
	Name string `toml:"name"`
	// Path of the program.
	Path string `toml:"path"`
	// SHA256 of the program in hexadecimal, as `kakitome module checksum FILE` prints it.
	SHA256 string `toml:"sha256"`
	// Hosts that the module reaches, name or name:port (443), https alone: it gets a proxy to them (HTTPS_PROXY), with the
	// checks of egress. Empty: it gets none.
	Hosts []string `toml:"hosts"`
}

// Certificate is a pair of PEM files.
type Certificate struct {
	// Cert is the chain, the leaf first.
	Cert string `toml:"cert"`
	// Key is the private key, mode 0600.
	Key string `toml:"key"`
}

// Log is what is written to standard error.
type Log struct {
	// Level: debug, info, warn or error. Default info.
	Level string `toml:"level"`
	// Format: text or json. Default text.
	Format string `toml:"format"`
}

// Default is a configuration before a file is read.
func Default() Config {
	return Config{Numbers: carrier.Config{Lookup: carrier.DefaultLookup()}, Dispatch: dispatch.DefaultConfig(), Retention: retention.DefaultConfig(), Certification: certificate.DefaultConfig(), Mail: email.DefaultConfig(), Log: Log{Level: "info", Format: "text"}}
}

// Sample is the configuration that the commented sample shows.
func Sample() Config {
	c := Default()
	c.Data = Data{Dir: "/var/lib/kakitome", MasterKey: "/etc/kakitome/master.key"}
	c.Listen = Listen{Links: ":443", API: ":8443", Console: ":9443", Operator: "127.0.0.1:9090"}
	c.Links = Links{BaseURL: "https://kk.example.jp", TrustedProxies: []string{}}
	c.Numbers = carrier.Config{Ranges: "/etc/kakitome/ranges.csv", Ported: "/etc/kakitome/ported.csv", MaxPorted: 20_000_000, Lookup: carrier.DefaultLookup(), Carriers: []carrier.Carrier{
		{Name: "docomo", LabelJA: "NTTドコモ", LabelEN: "NTT docomo", Senders: []carrier.AddressForm{carrier.FormPhone, carrier.Form0005}, IDRule: "text", MaxSegments: 10},
	}}
	b := bind.Default()
	b.Name, b.Carrier, b.Address, b.SystemID, b.PasswordFile = "docomo-1", "docomo", "smsc.example.jp:2775", "kakitome", "/etc/kakitome/docomo-1.password"
	c.Binds = []bind.Config{b}
	c.Dispatch.Class = []dispatch.ClassRule{{Class: "collection", Doubt: "fail"}}
	c.Dispatch.Quiet = []tenant.Quiet{{Class: "collection", From: "20:00", To: "09:00", Closed: []string{"sun", "holiday"}}}
	c.Dispatch.Status = []dispatch.StatusRule{{Carrier: "docomo", Codes: []int64{1025}, Meaning: "retry", Waits: []int{60, 600}}}
	c.Retention.Class = []tenant.Retention{{Class: "notice", Months: 6}}
	c.Certification.Key, c.Certification.ClockSource = "/etc/kakitome/certificate.key", "ntp.example.jp (chrony)"
	c.Egress.Allow = []string{}
	c.Mail.Relay, c.Mail.User, c.Mail.PasswordFile, c.Mail.From = "smtp.example.jp:587", "kakitome", "/etc/kakitome/mail.password", "no-reply@kk.example.jp"
	for _, name := range []string{"auth/knowledge", "auth/otp_sms", "auth/oidc", "payment/sandbox", "render/standard"} {
		c.Modules = append(c.Modules, Module{Name: name, Path: "/usr/lib/kakitome/" + strings.ReplaceAll(name, "/", "_"), SHA256: strings.Repeat("0", 64), Hosts: []string{}})
	}
	c.Identity = []identity.Instance{{Module: "auth/oidc", Tenant: "suido", ConfigFile: "/etc/kakitome/oidc.json"}}
	c.Certificates = []Certificate{{Cert: "/etc/kakitome/kk.example.jp.pem", Key: "/etc/kakitome/kk.example.jp.key"}}
	return c
}

var (
	modulePattern   = regexp.MustCompile(`^(auth|payment|render|number)/[a-z0-9_]{1,32}$`)
	checksumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Validate reports all faults. Each begins with the path of its field.
func (c *Config) Validate() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	c.validateData(bad)
	for field, addr := range map[string]string{"listen.links": c.Listen.Links, "listen.api": c.Listen.API, "listen.console": c.Listen.Console, "listen.operator": c.Listen.Operator} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad(field, "%q must be host:port or :port", addr)
		}
	}
	for field, u := range map[string]string{"links.base_url": c.Links.BaseURL, "links.webhook_url": c.Links.WebhookURL} {
		if u == "" && field == "links.webhook_url" {
			continue
		}
		p, err := url.Parse(u)
		if err != nil || (p.Scheme != "https" && p.Scheme != "http") || p.Host == "" || strings.TrimSuffix(p.Path, "/") != "" || p.RawQuery != "" {
			bad(field, "%q must be a scheme and a host, such as https://kk.example.jp", u)
		}
	}
	for i, p := range c.Links.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			bad(fmt.Sprintf("links.trusted_proxies[%d]", i), "%q is no address or network", p)
		}
	}
	for _, err := range unjoin(c.Numbers.Validate()) {
		errs = append(errs, fmt.Errorf("numbers.%w", err))
	}
	if c.Payments.Reports != "" && !filepath.IsAbs(c.Payments.Reports) {
		bad("payments.reports", "%q must be an absolute path", c.Payments.Reports)
	}
	c.validateBinds(bad, &errs)
	for _, err := range c.Dispatch.Validate() {
		errs = append(errs, fmt.Errorf("dispatch.%w", err))
	}
	for i, r := range c.Dispatch.Status {
		if r.Carrier != "" && !slices.ContainsFunc(c.Numbers.Carriers, func(cr carrier.Carrier) bool { return cr.Name == r.Carrier }) {
			bad(fmt.Sprintf("dispatch.status[%d].carrier", i), "there is no carrier %q", r.Carrier)
		}
	}
	for _, err := range c.Retention.Validate() {
		errs = append(errs, fmt.Errorf("retention.%w", err))
	}
	for _, err := range c.Certification.Validate() {
		errs = append(errs, fmt.Errorf("certification.%w", err))
	}
	for _, err := range c.Mail.Validate() {
		errs = append(errs, fmt.Errorf("mail.%w", err))
	}
	for _, err := range c.Egress.Validate() {
		errs = append(errs, fmt.Errorf("egress.%w", err))
	}
	c.validateModules(bad)
	for i, ct := range c.Certificates {
		if _, err := tls.LoadX509KeyPair(ct.Cert, ct.Key); err != nil {
			bad(fmt.Sprintf("certificate[%d].cert", i), "%v", err)
		}
		if err := private.Check(ct.Key); errors.Is(err, private.ErrReadable) {
			bad(fmt.Sprintf("certificate[%d].key", i), "%v", err)
		}
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level", "%q must be debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", "%q must be text or json", c.Log.Format)
	}
	slices.SortStableFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

func (c *Config) validateData(bad func(field, format string, args ...any)) {
	if c.Data.Dir == "" {
		bad("data.dir", "is required")
	} else if !filepath.IsAbs(c.Data.Dir) {
		bad("data.dir", "%q must be an absolute path", c.Data.Dir)
	}
	switch rel, err := filepath.Rel(c.Data.Dir, c.Data.MasterKey); {
	case c.Data.MasterKey == "":
		bad("data.master_key", "is required")
	case err == nil && rel != ".." && !strings.HasPrefix(rel, "../"):
		bad("data.master_key", "lies inside data.dir: a copy of the data would be a copy of the key")
	}
	if err := private.Check(c.Data.MasterKey); errors.Is(err, private.ErrReadable) {
		bad("data.master_key", "%v", err)
	} else if err != nil && c.Data.MasterKey != "" {
		bad("data.master_key", "%v; `kakitome key new FILE` makes one", err)
	}
	if c.Data.MinFreeMB < 0 {
		bad("data.min_free_mb", "%d must not be negative", c.Data.MinFreeMB)
	}
}

// validateBinds also refuses to mix simulated and real carriers: a rehearsal must not reach a person, nor a real message a
// simulator.
func (c *Config) validateBinds(bad func(field, format string, args ...any), errs *[]error) {
	simulated := map[string]bool{}
	for i, cr := range c.Numbers.Carriers {
		simulated[cr.Name] = cr.Simulated
		if cr.Simulated != c.Numbers.Carriers[0].Simulated {
			bad(fmt.Sprintf("numbers.carrier[%d].simulated", i), "simulated and real carriers may not stand in one configuration")
		}
		if _, err := dlr.ParseIDRule(cr.IDRule); err != nil {
			bad(fmt.Sprintf("numbers.carrier[%d].id_rule", i), "%v", err)
		}
	}
	seen := map[string]bool{}
	for i, b := range c.Binds {
		field := fmt.Sprintf("bind[%d].", i)
		for _, err := range b.Validate() {
			*errs = append(*errs, fmt.Errorf("%s%w", field, err))
		}
		sim, known := simulated[b.Carrier]
		if !known && b.Carrier != "" {
			bad(field+"carrier", "there is no carrier %q", b.Carrier)
		}
		if seen[b.Name] {
			bad(field+"name", "%q stands there twice", b.Name)
		}
		seen[b.Name] = true
		if host, _, err := net.SplitHostPort(b.Address); err == nil && sim && !loopback(host) {
			bad(field+"address", "a simulated carrier is on loopback, %q is not", b.Address)
		}
		if err := private.Check(b.PasswordFile); errors.Is(err, private.ErrReadable) {
			bad(field+"password_file", "%v", err)
		} else if err != nil && b.PasswordFile != "" {
			bad(field+"password_file", "%v", errors.Unwrap(err))
		}
		if b.TLS {
			if _, err := b.TLSConfig(); err != nil {
				bad(field+"tls", "%v", err)
			}
		}
	}
}

func (c *Config) validateModules(bad func(field, format string, args ...any)) {
	seen := map[string]bool{}
	for i, m := range c.Modules {
		field := fmt.Sprintf("module[%d].", i)
		if !modulePattern.MatchString(m.Name) {
			bad(field+"name", "%q must be auth/…, payment/…, render/… or number/…", m.Name)
		}
		if seen[m.Name] {
			bad(field+"name", "%q stands there twice", m.Name)
		}
		seen[m.Name] = true
		if _, err := os.Stat(m.Path); err != nil {
			bad(field+"path", "%v", err)
		}
		for _, err := range (egress.Config{Allow: m.Hosts}).Validate() {
			bad(field+"hosts", "%v", strings.TrimPrefix(err.Error(), "allow"))
		}
		if !checksumPattern.MatchString(m.SHA256) {
			bad(field+"sha256", "must be 64 hexadecimal digits")
		}
	}
	if need := c.Numbers.Lookup.Module; need != "" && !seen[need] {
		bad("numbers.lookup.module", "there is no module %q", need)
	}
	identity.ValidateInstances(c.Identity, func(field, format string, args ...any) { bad("identity"+field, format, args...) })
	for i, in := range c.Identity {
		if !seen[in.Module] {
			bad(fmt.Sprintf("identity[%d].module", i), "there is no module %q", in.Module)
		}
	}
	for _, need := range []string{"auth/knowledge", "auth/otp_sms", "render/standard"} {
		if !seen[need] {
			bad("module", "%s is required", need)
		}
	}
}

// Simulated reports whether the configuration is a rehearsal: all its carriers are simulated.
func (c *Config) Simulated() bool {
	return len(c.Numbers.Carriers) > 0 && c.Numbers.Carriers[0].Simulated
}

// ParseNetwork reads an address or a network in CIDR form.
func ParseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
