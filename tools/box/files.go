package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// carriers of the box: each with its own form of message ids and its own sender rule.
var carriers = []struct {
	name, ja, en, senders, source string
	messageID, receiptID, idRule  string
	latency, delay                string
}{
	{"docomo", "NTTドコモ", "NTT docomo", `["phone", "code0005"]`, "0312345678", "decimal", "", "decimal", "15ms", "800ms"},
	{"au", "au", "au", `["phone", "code0005"]`, "0312345678", "hex", "decimal", "hex/decimal", "25ms", "1200ms"},
	{"softbank", "SoftBank", "SoftBank", `["individual", "common", "code0005"]`, "21234", "uuid", "", "fold", "20ms", "1s"},
	{"rakuten", "楽天モバイル", "Rakuten Mobile", `["phone", "code0005"]`, "0312345678", "hex", "", "hex", "30ms", "1500ms"},
}

var modules = []string{"auth/knowledge", "auth/otp_sms", "number/simulated", "payment/sandbox", "render/standard"}

// ledger is where the carriers write what they took, and the phones find what they got before.
func (b *box) ledger() string { return filepath.Join(b.dir, "ledger.ndjson") }

func (b *box) secret(name string) string { return filepath.Join(b.dir, "secrets", name) }

// writeFiles writes what is not there yet, and the engine's configuration anew: the modules may have been built again.
func (b *box) writeFiles() error {
	if err := b.once("bind.password", func() ([]byte, error) { return []byte(strings.ToLower(rand.Text()[:8]) + "\n"), nil }); err != nil {
		return err
	}
	if _, err := os.Stat(b.secret("master.key")); errors.Is(err, os.ErrNotExist) {
		if err := b.kakitome(context.Background(), nil, "key", "new", b.secret("master.key")); err != nil {
			return err
		}
	}
	if err := b.once("agent.json", func() ([]byte, error) {
		return json.Marshal(map[string]string{"endpoint": b.url(portTill), "merchant": "suido", "secret": rand.Text()})
	}); err != nil {
		return err
	}
	password, err := os.ReadFile(b.secret("bind.password"))
	if err != nil {
		return err
	}
	var agent struct{ Secret string }
	data, err := os.ReadFile(b.secret("agent.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &agent); err != nil {
		return fmt.Errorf("%s: %w", b.secret("agent.json"), err)
	}
	// The address may have changed with -base.
	data, err = json.Marshal(map[string]string{"endpoint": b.url(portTill), "merchant": "suido", "secret": agent.Secret})
	if err != nil {
		return err
	}
	return errors.Join(
		write(b.secret("agent.json"), data),
		write(b.secret("smsc.toml"), b.smscConfig(strings.TrimSpace(string(password)))),
		write(b.secret("till.toml"), b.tillConfig(agent.Secret)),
		b.writeEngineConfig(),
		write(filepath.Join(b.dir, "suido.toml"), b.tenant()),
	)
}

// once writes a secret unless it is there.
func (b *box) once(name string, make func() ([]byte, error)) error {
	if _, err := os.Stat(b.secret(name)); err == nil {
		return nil
	}
	data, err := make()
	if err != nil {
		return err
	}
	return write(b.secret(name), data)
}

func write(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }

func (b *box) smscConfig(password string) []byte {
	var s bytes.Buffer
	fmt.Fprintf(&s, "http = %q\nledger = %q\n", b.port(portSMSC), b.ledger())
	for i, c := range carriers {
		fmt.Fprintf(&s, "\n[[carrier]]\nname = %q\nlisten = %q\nsources = [%q]\nlatency = %q\nreceipt_delay = %q\nmessage_id = %q\nreceipt_id = %q\n[[carrier.accounts]]\nsystem_id = \"kakitome\"\npassword = %q\n",
			c.name, b.port(portCarriers+i), c.source, c.latency, c.delay, c.messageID, c.receiptID, password)
	}
	return s.Bytes()
}

func (b *box) tillConfig(secret string) []byte {
	return fmt.Appendf(nil, "listen = %q\npublic_url = %q\ndirectory = %q\nconfirm_after = \"10s\"\n[[merchant]]\nid = \"suido\"\nname = \"〇〇県水道局\"\nsecret = %q\n",
		b.port(portTill), b.url(portTill), filepath.Join(b.dir, "till"), secret)
}

func (b *box) writeEngineConfig() error {
	var s bytes.Buffer
	fmt.Fprintf(&s, "# Written by the box at each start.\n[data]\ndir = %q\nmaster_key = %q\nmin_free_mb = 256\n", filepath.Join(b.dir, "data"), b.secret("master.key"))
	fmt.Fprintf(&s, "[listen]\nlinks = %q\napi = %q\nconsole = %q\noperator = %q\n", b.port(portLinks), b.port(portAPI), b.port(portConsole), b.port(portOperator))
	fmt.Fprintf(&s, "[links]\nbase_url = %q\ntrusted_proxies = [\"127.0.0.1\", \"::1\"]\n", b.url(portLinks))
	ranges := filepath.Join(b.dir, "ranges.csv")
	data, err := os.ReadFile("conf/data/ranges.csv")
	if err != nil {
		return fmt.Errorf("run the box at the root of the repository: %w", err)
	}
	if err := write(ranges, data); err != nil {
		return err
	}
	fmt.Fprintf(&s, "[numbers]\nranges = %q\n[numbers.lookup]\nmodule = \"number/simulated\"\n", ranges)
	for _, c := range carriers {
		fmt.Fprintf(&s, "[[numbers.carrier]]\nname = %q\nlabel_ja = %q\nlabel_en = %q\nsimulated = true\nsenders = %s\nid_rule = %q\n", c.name, c.ja, c.en, c.senders, c.idRule)
	}
	for i, c := range carriers {
		fmt.Fprintf(&s, "[[bind]]\nname = %q\ncarrier = %q\naddress = %q\nsystem_id = \"kakitome\"\npassword_file = %q\n", c.name+"-1", c.name, b.port(portCarriers+i), b.secret("bind.password"))
	}
	for _, m := range modules {
		path := filepath.Join(b.bin, "modules", strings.ReplaceAll(m, "/", "_"))
		var out bytes.Buffer
		if err := b.kakitome(context.Background(), &out, "module", "checksum", path); err != nil {
			return err
		}
		sum, _, _ := strings.Cut(out.String(), " ")
		fmt.Fprintf(&s, "[[module]]\nname = %q\npath = %q\nsha256 = %q\n", m, path, sum)
	}
	if err := toml.Unmarshal(s.Bytes(), new(any)); err != nil {
		return fmt.Errorf("BUG: configuration of the box: %w", err)
	}
	return write(filepath.Join(b.dir, "kakitome.toml"), s.Bytes())
}

// tenant is the definition of the tenant in the box.
func (b *box) tenant() []byte {
	var s bytes.Buffer
	s.WriteString(`id = "suido"
name = "〇〇県水道局"
name_en = "Waterworks Bureau (sample)"
allow = ["127.0.0.1", "::1"]

[brand]
color = "#0b5394"
phone = "000-000-0000"
hours = "平日 9:00～18:00、土曜日 9:00～17:00"
hours_en = "weekdays 9:00–18:00, Saturday 9:00–17:00"

[issuer]
name = "〇〇県水道局"
address = "〇〇県〇〇市〇〇町1-1"
phone = "000-000-0000"
registration = "T9000000000000"

[policy]
optional_totp = true

[[sender]]
name = "default"
[sender.addresses]
`)
	for _, c := range carriers {
		fmt.Fprintf(&s, "%s = %q\n", c.name, c.source)
	}
	s.WriteString(`
[[template]]
name = "payment"
text = "〇〇県水道局からお支払いに関するお知らせです。{url}"

[[template]]
name = "notice"
text = "〇〇県水道局からのお知らせです。{url}"

[[agent]]
name = "sandbox"
module = "payment/sandbox"
methods = ["konbini_barcode", "konbini_number", "card"]
config_file = "secrets/agent.json"
`)
	return s.Bytes()
}

// kakitome runs a command of the program; out nil: its output is shown only when it fails.
func (b *box) kakitome(ctx context.Context, out *bytes.Buffer, args ...string) error {
	if out == nil {
		out = new(bytes.Buffer)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "kakitome"), args...)
	cmd.Stdout, cmd.Stderr = out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kakitome %s: %w\n%s%s", strings.Join(args[:min(2, len(args))], " "), err, out, &said)
	}
	return nil
}
