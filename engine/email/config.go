package email

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/private"
)

// How the connection to the relay is protected.
const (
	StartTLS = "starttls"
	Implicit = "implicit"
	NoTLS    = "none"
)

// Config is the operator's relay. Restart to change it; the password file is read anew for each connection.
type Config struct {
	// Relay is the SMTP server that takes the mails, host:port; 587 with starttls, 465 with implicit. Empty: no e-mail is offered.
	Relay string `toml:"relay"`
	// TLS: starttls (required of the relay, default), implicit, or none, which is for a relay on this machine alone.
	TLS string `toml:"tls"`
	// CA is a PEM file of those who may have signed the relay's certificate. Empty: whom the system trusts.
	CA string `toml:"ca"`
	// User logs in to the relay, with the password in PasswordFile (mode 0600). Empty: without.
	User         string `toml:"user"`
	PasswordFile string `toml:"password_file"`
	// From is the address that mails come from and to which what cannot be delivered comes back.
	From string `toml:"from"`
	// Hello is the name that we say (EHLO). Empty: the machine's.
	Hello string `toml:"hello"`
	// PerMessage is how many mails one message may cause in a day, Asia/Tokyo. Default 3.
	PerMessage int `toml:"per_message"`
	// PerDay is how many mails one tenant may cause in a day; from four fifths on the log says so. Default 5000.
	PerDay int `toml:"per_day"`
	// Timeout bounds the connection and each answer of the relay, seconds. Default 30.
	Timeout int `toml:"timeout"`
}

// DefaultConfig offers no e-mail.
func DefaultConfig() Config {
	return Config{TLS: StartTLS, PerMessage: 3, PerDay: 5000, Timeout: 30}
}

// Offered reports whether there is a relay.
func (c *Config) Offered() bool { return c.Relay != "" }

// Validate reports all faults.
func (c *Config) Validate() []error {
	if !c.Offered() {
		return nil
	}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	host, port, err := net.SplitHostPort(c.Relay)
	if n, _ := strconv.Atoi(port); err != nil || host == "" || n < 1 || n > 65535 {
		bad("relay", "%q must be host:port", c.Relay)
	}
	switch c.TLS {
	case StartTLS, Implicit:
	case NoTLS:
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
			bad("tls", "none is for a relay on this machine; %q is another", host)
		}
	default:
		bad("tls", "%q must be starttls, implicit or none", c.TLS)
	}
	if c.CA != "" {
		if _, err := roots(c.CA); err != nil {
			bad("ca", "%v", err)
		}
	}
	switch {
	case (c.User == "") != (c.PasswordFile == ""):
		bad("user", "user and password_file go together")
	case c.PasswordFile != "":
		if err := private.Check(c.PasswordFile); errors.Is(err, private.ErrReadable) {
			bad("password_file", "%v", err)
		} else if err != nil {
			bad("password_file", "%v", errors.Unwrap(err))
		}
	}
	if from, ok := message.ParseAddress(c.From); !ok || from != c.From {
		bad("from", "%q must be one e-mail address, the domain in small letters", c.From)
	}
	if c.PerMessage < 1 || c.PerMessage > 100 {
		bad("per_message", "%d must be 1 to 100", c.PerMessage)
	}
	if c.PerDay < 1 {
		bad("per_day", "%d must be positive", c.PerDay)
	}
	if c.Timeout < 1 || c.Timeout > 300 {
		bad("timeout", "%d must be 1 to 300 seconds", c.Timeout)
	}
	return errs
}

func (c *Config) timeout() time.Duration { return time.Duration(c.Timeout) * time.Second }

// roots reads a PEM file of certificates.
func roots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}
