package bind

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/private"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// Config is one SMPP bind of a carrier.
type Config struct {
	// Name of the bind, unique: in logs, metrics and on screens. 1 to 32 characters.
	Name string `toml:"name"`
	// Carrier that it belongs to.
	Carrier string `toml:"carrier"`
	// Address of the carrier's SMSC, host:port.
	Address string `toml:"address"`
	// SystemID, at most 15 characters. SMPP 3.4 §5.2.1
	SystemID string `toml:"system_id"`
	// PasswordFile holds the password (at most 8 characters, SMPP 3.4 §5.2.2) and is readable by its owner alone.
	PasswordFile string `toml:"password_file"`
	// SystemType, at most 12 characters; most carriers want it empty.
	SystemType string `toml:"system_type"`
	// TLS speaks TLS 1.2 or newer; the certificate is always verified.
	TLS bool `toml:"tls"`
	// TLSCA is a PEM file of the authorities that may have issued the carrier's certificate. Empty: the system's.
	TLSCA string `toml:"tls_ca"`
	// TLSName is the name in the carrier's certificate. Empty: the host of Address.
	TLSName string `toml:"tls_name"`
	// TLSCert and TLSKey are PEM files of the certificate that we show, where the carrier asks for one. The key is readable
	// by its owner alone.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
	// Window is how many PDUs may be outstanding at once, 1 to 10000, as the carrier's contract says. Default 100.
	Window int `toml:"window"`
	// Rate is how many PDUs a second may be submitted; 0: no limit, but what the carrier says of too many.
	Rate int `toml:"rate"`
	// EnquireLink is the silence in seconds after which the link is checked, 1 to 3600. Default 30.
	EnquireLink int `toml:"enquire_link_seconds"`
	// Response is how many seconds a response is awaited before a submission is in doubt, 1 to 3600. Default 60.
	Response int `toml:"response_timeout_seconds"`
}

// Default is a bind before its file is read.
func Default() Config { return Config{Window: 100, EnquireLink: 30, Response: 60} }

// Validate reports all faults, each naming its field.
func (c Config) Validate() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Name == "" || len(c.Name) > 32 {
		bad("name", "%q must have 1 to 32 characters", c.Name)
	}
	if c.Carrier == "" {
		bad("carrier", "is required")
	}
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		bad("address", "%q must be host:port", c.Address)
	}
	if c.SystemID == "" || len(c.SystemID) > 15 {
		bad("system_id", "has %d characters, 1 to 15 are allowed", len(c.SystemID))
	}
	if len(c.SystemType) > 12 {
		bad("system_type", "has %d characters, at most 12 are allowed", len(c.SystemType))
	}
	if c.PasswordFile == "" {
		bad("password_file", "is required")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls_cert", "needs tls_key, and the other way round")
	}
	if !c.TLS && c.TLSCA+c.TLSName+c.TLSCert != "" {
		bad("tls", "is off: tls_ca, tls_name and tls_cert would not be used")
	}
	if c.Window < 1 || c.Window > 10_000 {
		bad("window", "%d must be 1 to 10000", c.Window)
	}
	if c.Rate < 0 {
		bad("rate", "%d must not be negative", c.Rate)
	}
	if c.EnquireLink < 1 || c.EnquireLink > 3600 {
		bad("enquire_link_seconds", "%d must be 1 to 3600", c.EnquireLink)
	}
	if c.Response < 1 || c.Response > 3600 {
		bad("response_timeout_seconds", "%d must be 1 to 3600", c.Response)
	}
	return errs
}

func (c Config) response() time.Duration { return time.Duration(c.Response) * time.Second }

// SessionOptions are those of a session of this bind, without handlers. It reads the password.
func (c Config) SessionOptions() (session.Options, error) {
	password, err := c.password()
	if err != nil {
		return session.Options{}, err
	}
	o := session.Options{
		Addr: c.Address,
		Bind: pdu.Bind{SystemID: c.SystemID, Password: password, SystemType: c.SystemType},
		Settings: session.Settings{
			Window:          c.Window,
			ResponseTimeout: c.response(),
			EnquireInterval: time.Duration(c.EnquireLink) * time.Second,
		},
	}
	if c.TLS {
		if o.TLS, err = c.TLSConfig(); err != nil {
			return session.Options{}, fmt.Errorf("TLS of bind %s: %w", c.Name, err)
		}
	}
	return o, nil
}

// TLSConfig reads the files of TLS.
func (c Config) TLSConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSName}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.TLSCA)
		}
	}
	if c.TLSCert != "" {
		if err := private.Check(c.TLSKey); err != nil {
			return nil, err
		}
		cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

// password reads the bind's password from its file.
func (c Config) password() (string, error) {
	b, err := private.Read(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password of bind %s: %w", c.Name, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
