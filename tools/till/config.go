package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/kakitome/kakitome/engine/private"
)

// Config is the file till.toml. It holds secrets: nobody but its owner may read it.
type Config struct {
	Listen       string     `toml:"listen"`        // loopback address; default 127.0.0.1:7070
	PublicURL    string     `toml:"public_url"`    // where payers reach the card page; default: the address
	Directory    string     `toml:"directory"`     // of the books; relative to the file; default "books"
	CompanyCode  string     `toml:"company_code"`  // 請求書発行企業コード, 6 digits; default "908081", fictitious
	ConfirmAfter duration   `toml:"confirm_after"` // 確報 follows 速報 by itself; default: by hand
	ShowFor      duration   `toml:"show_for"`      // how long a barcode may be on a payer's screen; default: until it expires
	Merchants    []merchant `toml:"merchant"`
}

type merchant struct {
	ID     string `toml:"id"`
	Name   string `toml:"name"`
	Secret string `toml:"secret"`
}

type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// MinSecret is the least length of a secret, in bytes.
const MinSecret = 16

var (
	merchantID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	companyCode = regexp.MustCompile(`^[0-9]{6}$`)
)

// readConfig reads and validates; errors name the file, and the line where there is one, and no secret.
func readConfig(name string) (Config, error) {
	c := Config{Listen: "127.0.0.1:7070", Directory: "books", CompanyCode: "908081"}
	f, err := private.Open(name)
	if err != nil {
		return c, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close()
	err = toml.NewDecoder(f).DisallowUnknownFields().Decode(&c)
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		e := strict.Errors[0]
		row, _ := e.Position()
		return c, fmt.Errorf("%s: line %d: unknown key %s", name, row, strings.Join(e.Key(), "."))
	case errors.As(err, &decode):
		row, _ := decode.Position()
		return c, fmt.Errorf("%s: line %d: %s", name, row, decode.Error())
	case err != nil:
		return c, fmt.Errorf("%s: %w", name, err)
	}
	if !filepath.IsAbs(c.Directory) {
		c.Directory = filepath.Join(filepath.Dir(name), c.Directory)
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%s:\n%w", name, err)
	}
	return c, nil
}

// Validate reports all faults.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if host, _, err := net.SplitHostPort(c.Listen); err != nil {
		fault("listen: %v", err)
	} else if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		fault("listen: %q is not a loopback address: the till has no sign-in", c.Listen)
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			fault("public_url: %q is no http or https URL", c.PublicURL)
		}
	}
	if !companyCode.MatchString(c.CompanyCode) {
		fault("company_code: %q: want 6 digits", c.CompanyCode)
	}
	if c.ConfirmAfter < 0 {
		fault("confirm_after: is negative")
	}
	if c.ShowFor != 0 && time.Duration(c.ShowFor) < time.Minute {
		fault("show_for: want 1m or more")
	}
	if len(c.Merchants) == 0 {
		fault("merchant: none; want at least one [[merchant]]")
	}
	seen := map[string]bool{}
	for i, m := range c.Merchants {
		switch {
		case !merchantID.MatchString(m.ID):
			fault("merchant %d: id %q: want 1 to 64 of A-Z a-z 0-9 . _ -", i+1, m.ID)
		case seen[m.ID]:
			fault("merchant %d: id %q is used twice", i+1, m.ID)
		}
		seen[m.ID] = true
		if m.Name == "" {
			fault("merchant %d: name is missing", i+1)
		}
		if len(m.Secret) < MinSecret {
			fault("merchant %d: secret has %d bytes, want at least %d", i+1, len(m.Secret), MinSecret)
		}
	}
	return errors.Join(faults...)
}

const sample = `# サンドボックス決済. This file holds a secret: keep its mode 0600.
listen = "127.0.0.1:7070"   # loopback only: the till has no sign-in
# public_url = "http://127.0.0.1:7070"  # where payers reach the card page; by default the address above
directory = "books"         # of the books, relative to this file
company_code = "908081"     # 請求書発行企業コード in the barcodes, fictitious
# confirm_after = "5s"      # 確報 follows 速報 by itself; without it, by hand on the screen
# show_for = "10m"          # a barcode on a screen is for so long, then another one is asked for

[[merchant]]
id = "kakitome"
name = "〇〇県水道局"
secret = "%s"               # also in the payment module's configuration
`

// writeSample makes a configuration with a new secret; it never replaces a file.
func writeSample(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = fmt.Fprintf(f, sample, rand.Text())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
