// Package apptest starts the built programs of a country (simulated carriers, the payment company, the engine) in a
// directory and on free ports, for tests of the whole program (its own tests) and for measurements (bench).
//
// Build builds the programs once. New writes the configurations of a country, which the tests may change in their files;
// StartCarriers, StartTill and StartEngine run them; Command runs an operator's command. The engine is killed, stopped and
// started again through its Process: carriers and payment company live on, as they do in the world.
//
// Ports lie below those that the kernel gives to outgoing connections, so that a port is free when the engine comes back.
package apptest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
)

// Tenant is the tenant of the country.
const Tenant = "suido"

// Carriers of the country, each with its own form of message ids. Numbers 0700n000000 to 0700n999999 belong to the n-th.
var Carriers = []string{"docomo", "au", "softbank", "rakuten"}

var carriers = []struct{ senders, source, messageID, receiptID, idRule string }{
	{`["phone", "code0005"]`, "0312345678", "decimal", "", "decimal"},
	{`["phone", "code0005"]`, "0312345678", "hex", "decimal", "hex/decimal"},
	{`["individual", "common", "code0005"]`, "21234", "uuid", "", "fold"},
	{`["phone", "code0005"]`, "0312345678", "hex", "", "hex"},
}

// Number is the i-th mobile number of the country; neighbours have different carriers. i is below 4,000,000.
func Number(i int) string { return fmt.Sprintf("0700%d%06d", i%len(Carriers)+1, i/len(Carriers)) }

// Options of a country. The zero value of each field is the default.
type Options struct {
	Programs     string        // where Build put them
	Dir          string        // of everything that the country keeps; deep paths are fine
	Window       int           // of each bind; default 100
	Latency      time.Duration // of a carrier's response
	ReceiptDelay time.Duration // from acceptance to delivery
	Confirm      time.Duration // from 速報 to 確報; 0: by hand at the till
	Doubt        string        // dispatch.doubt
	NoLedger     bool          // carriers keep nothing: for measurements
	Egress       []string      // egress.allow: receivers of callbacks
	Lookup       string        // lines of [numbers.lookup] that number/simulated is asked by; empty: nobody is asked
	Engine       string        // the engine's program; default kakitome of Programs
	Env          []string      // added to the environment of the engine
	Segments     int           // policy.max_segments of the tenant; 0: its default
	Data         string        // the engine's data directory; default one in Dir
	Bind         string        // lines of TOML that each bind has besides
	Methods      []string      // that the tenant's agent takes; default konbini_barcode, konbini_number, card
	Mail         string        // address of a mail relay on this machine; empty: there is none
	Between      bool          // binds go to BindAddr instead of the carriers: somebody listens there and passes on
}

// Country is a set of programs. Its methods are for one goroutine, but for those of its clients.
type Country struct {
	o     Options
	ports []int
	// Engine is the running engine, nil before StartEngine.
	Engine *Process
	// Carriers is the program of the carriers, nil before StartCarriers.
	Carriers *Process
	till     *Process
}

// Ports of a country, in this order.
const (
	portLinks = iota
	portAPI
	portOperator
	portTill
	portSMSC
	portCarriers                    // and the next three
	portBinds    = portCarriers + 4 // Options.Between, and the next three
	portCount    = portBinds + 4
)

// New writes the files of a country: kakitome.toml, suido.toml, smsc.toml, till.toml, master.key, agent.json,
// bind.password, ranges.csv.
func New(ctx context.Context, o Options) (*Country, error) {
	c := &Country{o: o}
	var err error
	if c.ports, err = freePorts(portCount); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := c.Command(ctx, "key", "new", c.File("master.key")); err != nil {
		return nil, err
	}
	config, err := c.engineConfig()
	if err != nil {
		return nil, err
	}
	secret := rand.Text()
	agent, err := json.Marshal(map[string]string{"endpoint": c.TillURL(), "merchant": Tenant, "secret": secret})
	if err != nil {
		return nil, err
	}
	var errs []error
	for name, data := range map[string][]byte{
		"agent.json": agent, "bind.password": []byte("himitsu1\n"), "kakitome.toml": config, "smsc.toml": c.smscConfig(),
		"till.toml": c.tillConfig(secret), "suido.toml": c.tenant(), "ranges.csv": []byte("07001,docomo\n07002,au\n07003,softbank\n07004,rakuten\n"),
	} {
		errs = append(errs, os.WriteFile(c.File(name), data, 0o600))
	}
	return c, errors.Join(errs...)
}

// freePorts finds ports that nobody listens on, below those of outgoing connections.
func freePorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000 {
			return nil, errors.New("there are no free ports between 12000 and 32000")
		}
		p := 12000 + mathrand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue // taken
		}
		held, ports = append(held, l), append(ports, p)
	}
	return ports, nil
}

// File is the path of one of the country's files.
func (c *Country) File(name string) string { return filepath.Join(c.o.Dir, name) }

// Data is the engine's data directory.
func (c *Country) Data() string {
	if c.o.Data != "" {
		return c.o.Data
	}
	return c.File("data")
}

func (c *Country) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", c.ports[port]) }

// LinksURL is the links door. The others are the doors of the same names.
func (c *Country) LinksURL() string    { return "http://" + c.addr(portLinks) }
func (c *Country) APIURL() string      { return "http://" + c.addr(portAPI) }
func (c *Country) OperatorURL() string { return "http://" + c.addr(portOperator) }
func (c *Country) TillURL() string     { return "http://" + c.addr(portTill) }
func (c *Country) SMSCURL() string     { return "http://" + c.addr(portSMSC) }

// CarrierAddr is where the i-th carrier listens, BindAddr where its bind goes if Options.Between is set.
func (c *Country) CarrierAddr(i int) string { return c.addr(portCarriers + i) }
func (c *Country) BindAddr(i int) string    { return c.addr(portBinds + i) }

func (c *Country) engineConfig() ([]byte, error) {
	var s bytes.Buffer
	fmt.Fprintf(&s, "[data]\ndir = %q\nmaster_key = %q\nmin_free_mb = 64\n", c.Data(), c.File("master.key"))
	fmt.Fprintf(&s, "[listen]\nlinks = %q\napi = %q\noperator = %q\n", c.addr(portLinks), c.addr(portAPI), c.addr(portOperator))
	fmt.Fprintf(&s, "[links]\nbase_url = %q\ntrusted_proxies = [\"127.0.0.1\"]\n", c.LinksURL())
	if c.o.Doubt != "" {
		fmt.Fprintf(&s, "[dispatch]\ndoubt = %q\n", c.o.Doubt)
		if c.o.Doubt == string(message.DoubtResend) { // faults on faults: what is in doubt again must not wait ten minutes
			s.WriteString("doubt_wait_seconds = 5\n")
		}
	}
	if len(c.o.Egress) > 0 {
		fmt.Fprintf(&s, "[egress]\nallow = [\"%s\"]\n", strings.Join(c.o.Egress, `", "`))
	}
	if c.o.Mail != "" {
		fmt.Fprintf(&s, "[mail]\nrelay = %q\ntls = \"none\"\nfrom = \"no-reply@kk.example.jp\"\n", c.o.Mail)
	}
	fmt.Fprintf(&s, "[numbers]\nranges = %q\n", c.File("ranges.csv"))
	if c.o.Lookup != "" {
		fmt.Fprintf(&s, "[numbers.lookup]\nmodule = %q\n%s\n", lookupModule, c.o.Lookup)
	}
	for i, cr := range carriers {
		fmt.Fprintf(&s, "[[numbers.carrier]]\nname = %q\nlabel_ja = %q\nsimulated = true\nsenders = %s\nid_rule = %q\n", Carriers[i], Carriers[i], cr.senders, cr.idRule)
	}
	for i, name := range Carriers {
		address := c.CarrierAddr(i)
		if c.o.Between {
			address = c.BindAddr(i)
		}
		fmt.Fprintf(&s, "[[bind]]\nname = %q\ncarrier = %q\naddress = %q\nsystem_id = \"kakitome\"\npassword_file = %q\nwindow = %d\n%s\n", name+"-1", name, address, c.File("bind.password"), c.o.Window, c.o.Bind)
	}
	run := modules
	if c.o.Lookup != "" {
		run = append(run[:len(run):len(run)], lookupModule)
	}
	for _, m := range run {
		lines, err := c.module(m)
		if err != nil {
			return nil, err
		}
		s.WriteString(lines)
	}
	return s.Bytes(), nil
}

// module is the configuration of one.
func (c *Country) module(name string) (string, error) {
	program := filepath.Join(c.o.Programs, "modules", path.Base(name))
	data, err := os.ReadFile(program)
	return fmt.Sprintf("[[module]]\nname = %q\npath = %q\nsha256 = \"%x\"\n", name, program, sha256.Sum256(data)), err
}

// AddModule has the engine run one more module from its next start on.
func (c *Country) AddModule(name string) error {
	lines, err := c.module(name)
	if err != nil {
		return err
	}
	return c.Append("kakitome.toml", lines)
}

// Append adds lines to one of the country's files.
func (c *Country) Append(name, lines string) error {
	f, err := os.OpenFile(c.File(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lines)
	return errors.Join(err, f.Close())
}

func (c *Country) smscConfig() []byte {
	var s bytes.Buffer
	size := 100_000
	if c.o.NoLedger {
		size = -1
	} else {
		fmt.Fprintf(&s, "ledger = %q\n", c.File("ledger.ndjson"))
	}
	fmt.Fprintf(&s, "http = %q\n", c.addr(portSMSC))
	for i, cr := range carriers {
		fmt.Fprintf(&s, "[[carrier]]\nname = %q\nlisten = %q\nsources = [%q]\nlatency = %q\nreceipt_delay = %q\nmessage_id = %q\nreceipt_id = %q\nno_builtin_faults = true\nledger_size = %d\n[[carrier.accounts]]\nsystem_id = \"kakitome\"\npassword = \"himitsu1\"\n",
			Carriers[i], c.addr(portCarriers+i), cr.source, c.o.Latency, c.o.ReceiptDelay, cr.messageID, cr.receiptID, size)
	}
	return s.Bytes()
}

func (c *Country) tillConfig(secret string) []byte {
	return fmt.Appendf(nil, "listen = %q\npublic_url = %q\ndirectory = %q\nconfirm_after = %q\n[[merchant]]\nid = %q\nname = \"〇〇県水道局\"\nsecret = %q\n",
		c.addr(portTill), c.TillURL(), c.File("till"), c.o.Confirm, Tenant, secret)
}

func (c *Country) tenant() []byte {
	var s bytes.Buffer
	fmt.Fprintf(&s, `id = %q
name = "〇〇県水道局"
allow = ["127.0.0.1"]
[brand]
phone = "000-000-0000"
[issuer]
name = "〇〇県水道局"
registration = "T9000000000000"
[[sender]]
name = "default"
[sender.addresses]
`, Tenant)
	for i, cr := range carriers {
		fmt.Fprintf(&s, "%s = %q\n", Carriers[i], cr.source)
	}
	if c.o.Segments > 0 {
		fmt.Fprintf(&s, "[policy]\nmax_segments = %d\n", c.o.Segments)
	}
	methods := c.o.Methods
	if methods == nil {
		methods = []string{"konbini_barcode", "konbini_number", "card"}
	}
	fmt.Fprintf(&s, "[[agent]]\nname = \"sandbox\"\nmodule = \"payment/sandbox\"\nmethods = [\"%s\"]\nconfig_file = \"agent.json\"\n", strings.Join(methods, `", "`))
	return s.Bytes()
}

// Command runs a command of the program and returns what it printed. The error holds what it wrote to standard error.
func (c *Country) Command(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	return c.LongCommand(ctx, args...)
}

// LongCommand is Command for what takes as long as it takes.
func (c *Country) LongCommand(ctx context.Context, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(c.o.Programs, "kakitome"), args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kakitome %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// StartCarriers starts the simulated carriers.
func (c *Country) StartCarriers(ctx context.Context) (err error) {
	c.Carriers, err = c.startOther(ctx, "smsc", c.SMSCURL()+"/healthz")
	return err
}

// StartTill starts the payment company.
func (c *Country) StartTill(ctx context.Context) (err error) {
	c.till, err = c.startOther(ctx, "till", c.TillURL()+"/till")
	return err
}

func (c *Country) startOther(ctx context.Context, name, health string) (*Process, error) {
	p, err := start(name, c.File(name+".log"), nil, filepath.Join(c.o.Programs, name), "-config", c.File(name+".toml"))
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, health)
}

// LaunchEngine starts the engine and does not wait.
func (c *Country) LaunchEngine() (err error) {
	program := c.o.Engine
	if program == "" {
		program = filepath.Join(c.o.Programs, "kakitome")
	}
	c.Engine, err = start("kakitome", c.File("kakitome.log"), c.o.Env, program, "serve", "-config", c.File("kakitome.toml"))
	return err
}

// StartEngine starts the engine and waits until it is ready.
func (c *Country) StartEngine(ctx context.Context) error {
	if err := c.LaunchEngine(); err != nil {
		return err
	}
	return c.EngineReady(ctx)
}

// EngineReady waits until the launched engine is ready.
func (c *Country) EngineReady(ctx context.Context) error {
	return c.Engine.ready(ctx, c.OperatorURL()+"/readyz")
}

// Join defines the tenant and returns a client of its API.
func (c *Country) Join(ctx context.Context) (*Sender, error) {
	if _, err := c.Command(ctx, "tenant", "apply", "-config", c.File("kakitome.toml"), c.File("suido.toml")); err != nil {
		return nil, err
	}
	key, err := c.Command(ctx, "apikey", "issue", "-config", c.File("kakitome.toml"), "-tenant", Tenant, "-name", "test")
	if err != nil {
		return nil, err
	}
	return NewSender(c.APIURL(), strings.TrimSpace(key)), nil
}

// Metric reads the sum of a metric of the engine over its labels.
func (c *Country) Metric(ctx context.Context, name string) (sum float64, err error) {
	body, err := get(ctx, c.OperatorURL()+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name); ok && strings.ContainsAny(rest[:1], "{ ") {
			var v float64
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err != nil {
				return 0, fmt.Errorf("metric %s: %w", name, err)
			}
			sum += v
		}
	}
	return sum, nil
}

// Profile writes a CPU profile of the engine over some seconds to a file.
func (c *Country) Profile(ctx context.Context, seconds int, file string) error {
	body, err := get(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", c.OperatorURL(), seconds))
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o644)
}

// Close kills all programs.
func (c *Country) Close() {
	for _, p := range []*Process{c.Carriers, c.till, c.Engine} {
		if p != nil {
			p.Kill()
		}
	}
}
