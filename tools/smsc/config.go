package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"github.com/kakitome/kakitome/engine/private"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// Config is the file that -print-config shows. It holds passwords: nobody but
// its owner may read it.
type Config struct {
	HTTP     string        `toml:"http"`    // loopback "127.0.0.1:port"
	Ledger   string        `toml:"ledger"`  // file, relative to the configuration; "" for none
	Carriers []smsc.Config `toml:"carrier"` // see package smpp/smsc
}

// load reads the configuration strictly; errors name the file and the line or
// field, and no password.
func load(name string) (Config, error) {
	var c Config
	if name == "" {
		return c, errors.New("no -config; -print-config shows a sample")
	}
	file, err := private.Open(name)
	if err != nil {
		return c, fmt.Errorf("open configuration: %w", err)
	}
	defer file.Close()
	dec := toml.NewDecoder(file).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
			row, _ := unknown.Errors[0].Position()
			return c, fmt.Errorf("%s:%d: unknown key %v", name, row, unknown.Errors[0].Key())
		}
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			row, column := bad.Position()
			return c, fmt.Errorf("%s:%d:%d: %w", name, row, column, err)
		}
		return c, fmt.Errorf("%s: %w", name, err)
	}
	files := []*string{&c.Ledger}
	for i := range c.Carriers {
		files = append(files, &c.Carriers[i].Script, &c.Carriers[i].TLSCertificate, &c.Carriers[i].TLSKey)
	}
	for _, f := range files {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(filepath.Dir(name), *f)
		}
	}
	for i := range c.Carriers {
		if err := addScript(&c.Carriers[i]); err != nil {
			return c, fmt.Errorf("%s: carrier[%d].script: %w", name, i, err)
		}
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// addScript appends what a carrier's script says to its faults and spells.
func addScript(c *smsc.Config) error {
	if c.Script == "" {
		return nil
	}
	file, err := os.Open(c.Script)
	if err != nil {
		return err
	}
	defer file.Close()
	script, err := smsc.ReadScript(file)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Script, err)
	}
	c.Faults, c.Spells = append(c.Faults, script.Faults...), append(c.Spells, script.Spells...)
	return nil
}

func (c *Config) validate() error {
	var errs []error
	host, _, err := net.SplitHostPort(c.HTTP)
	if err != nil {
		errs = append(errs, fmt.Errorf("http %q: %w", c.HTTP, err))
	} else if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		errs = append(errs, fmt.Errorf("http %q: not a loopback address", c.HTTP))
	}
	if len(c.Carriers) == 0 {
		errs = append(errs, errors.New("carrier: none"))
	}
	seen := make(map[string]bool)
	for i := range c.Carriers {
		if err := c.Carriers[i].Validate(); err != nil {
			errs = append(errs, fmt.Errorf("carrier[%d]: %w", i, err))
		}
		if name := c.Carriers[i].Name; seen[name] {
			errs = append(errs, fmt.Errorf("carrier[%d].name %q: is there already", i, name))
		} else {
			seen[name] = true
		}
	}
	return errors.Join(errs...)
}

// sample is a configuration that works as it is.
const sample = `# Simulated carriers. This file holds passwords: chmod 600.

# Loopback listener of the ledger, the handset stream, counts and faults.
http = "127.0.0.1:2780"

# Every message that a carrier accepted, one JSON object per line, appended.
# Relative to this file; leave out for none.
ledger = "smsc-ledger.ndjson"

# One table per carrier. The last four digits of a number choose the outcome,
# for example 9401 refused, 9458 throttled twice, 9500 silent, 9601 undelivered
# (all of them in the documentation of smpp/smsc). Durations: "50ms", "3s".

[[carrier]]
name = "docomo"
listen = "127.0.0.1:2775"
# Approved senders: exact, or with * and ?. Others get ESME_RINVSRCADR.
sources = ["0312345678", "0005*"]
latency = "20ms"            # before each response
receipt_delay = "1s"        # from acceptance to receipt and phone
message_id = "decimal"      # "decimal", "padded", "hex", "hex-short" or "uuid"
receipt_id = ""             # form in receipts: "" the same, "decimal", "hex" …, or "upper" for a uuid
receipt_form = "both"       # "both", "text", "tlv", "short" or "malformed"
rate = 0                    # submit_sm a second, over it ESME_RTHROTTLED; 0 no limit
window = 0                  # unanswered a session, over it ESME_RMSGQFUL; 0 no limit
bind_linger = "0s"          # how long a session lost without unbind counts for max_binds
no_builtin_faults = false   # true: numbers choose nothing
script = ""                 # file of rules by number and of spells, one JSON object a line
tls_certificate = ""        # PEM files, relative to this one: the port then speaks TLS
tls_key = ""
ledger_size = 100000        # messages kept in memory; -1 none
  [[carrier.accounts]]
  system_id = "kakitome"
  password = "docomo01"
  max_binds = 4             # over it ESME_RALYBND; 0 no limit

[[carrier]]
name = "au"
listen = "127.0.0.1:2776"
sources = ["0312345678", "0005*"]
latency = "30ms"
receipt_delay = "1200ms"
message_id = "hex"          # hex in the response …
receipt_id = "decimal"      # … and decimal in the receipt, as some carriers do
  [[carrier.accounts]]
  system_id = "kakitome"
  password = "kddi0001"
  max_binds = 4

[[carrier]]
name = "SoftBank"
listen = "127.0.0.1:2777"
# A number of five digits of one's own, or a common one of ten.
sources = ["2????", "0005*"]
latency = "25ms"
receipt_delay = "1500ms"
message_id = "hex"
receipt_form = "text"
  [[carrier.accounts]]
  system_id = "kakitome"
  password = "sbm00001"
  max_binds = 2
  # Rules of one's own come before the built-in ones.
  [[carrier.faults]]
  suffix = "9999"
  status = "ESME_RMSGQFUL"
  times = 3
  # Trouble of the whole carrier, from a time after the start and for so long:
  # down, stall, vanish, drip, silent, reject, reject_bind, throttle, no_receipts,
  # latency.
  # [[carrier.spells]]
  # after = "30m"
  # for = "10s"
  # trouble = { reject_bind = "ESME_RALYBND", drip = "1ms" }

[[carrier]]
name = "Rakuten Mobile"
listen = "127.0.0.1:2778"
sources = ["0005*"]
latency = "40ms"
receipt_delay = "2s"
message_id = "uuid"
  [[carrier.accounts]]
  system_id = "kakitome"
  password = "rmi00001"
  max_binds = 2
`
