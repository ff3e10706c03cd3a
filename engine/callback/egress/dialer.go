package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrRefused: the address may not be reached. It is *RefusedError.
var ErrRefused = errors.New("this address may not be reached")

// RefusedError says why a host or its address is refused. Its text names the range and never the address: a tenant must not
// learn from it how our network looks.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string        { return ErrRefused.Error() + ": " + e.Why }
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// Config is the operator's part.
type Config struct {
	// Allow are hosts, with or without a port, that callbacks may reach although their addresses are private, and over plain
	// http: "receiver.internal", "127.0.0.1:9000". Restart needed.
	Allow []string `toml:"allow"`
}

var exceptionPattern = regexp.MustCompile(`^(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?)(:[0-9]{1,5})?$`)

// Validate reports all faults.
func (c Config) Validate() []error {
	var errs []error
	for i, h := range c.Allow {
		if !exceptionPattern.MatchString(h) {
			errs = append(errs, fmt.Errorf("allow[%d]: %q must be a host, with or without a port, in lower case", i, h))
		}
	}
	return errs
}

// Options of a dialer. The zero value reaches the public internet.
type Options struct {
	Config
	Own        []netip.AddrPort             // our listeners; an unspecified address stands for every one of this machine
	OwnHosts   []string                     // names under which our own doors are known outside
	Resolver   *net.Resolver                // nil: the system's
	Interfaces func() ([]netip.Addr, error) // this machine's addresses; nil: asked for at each connection
	Connect    time.Duration                // for name and connection together; 0: 5 s
}

// Dialer makes connections. Safe for concurrent use.
type Dialer struct{ Options }

// New makes a dialer.
func New(o Options) (*Dialer, error) {
	if err := errors.Join(o.Validate()...); err != nil {
		return nil, err
	}
	if o.Interfaces == nil {
		o.Interfaces = interfaces
	}
	if o.Connect == 0 {
		o.Connect = 5 * time.Second
	}
	return &Dialer{o}, nil
}

func interfaces() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			all = append(all, plain(p.Addr()))
		}
	}
	return all, nil
}

// maxURL bounds an address that a tenant gives.
const maxURL = 1024

// CheckURL says what is wrong with an address before anything is resolved: *RefusedError.
func (d *Dialer) CheckURL(address string) error {
	refuse := func(why string) error { return &RefusedError{why} }
	u, err := url.Parse(address)
	switch {
	case len(address) > maxURL:
		return refuse(fmt.Sprintf("it has %d characters, at most %d are allowed", len(address), maxURL))
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return refuse("it is no absolute URL")
	case u.User != nil:
		return refuse("it holds a user or a password")
	case u.Fragment != "" || strings.Contains(address, "#"):
		return refuse("it holds a fragment")
	}
	host := strings.ToLower(u.Hostname())
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f || c == '%' {
			return refuse("its host must be written in ASCII (Punycode)")
		}
	}
	if strings.HasSuffix(host, ".") {
		return refuse("its host ends in a dot")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	excepted := d.excepted(host, port)
	switch {
	case u.Scheme == "http" && !excepted:
		return refuse("https is required")
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse("https is required")
	case !excepted && slices.Contains(d.OwnHosts, host):
		return refuse("it is our own host")
	}
	if a, err := netip.ParseAddr(host); err == nil && !excepted {
		if word := special(a); word != "" {
			return refuse(word)
		}
	}
	return nil
}

// excepted reports whether the operator lets the host have any address.
func (d *Dialer) excepted(host, port string) bool {
	host = strings.ToLower(host)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return slices.Contains(d.Allow, host) || slices.Contains(d.Allow, host+":"+port)
}

// DialContext connects to host:port over TCP. Whatever the name resolves to is checked before the first byte.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	excepted := d.excepted(host, port)
	dialer := net.Dialer{Timeout: d.Connect, Resolver: d.Resolver, Control: func(network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || (network != "tcp4" && network != "tcp6") {
			return &RefusedError{"not TCP"}
		}
		return d.check(to, excepted)
	}}
	return dialer.DialContext(ctx, network, address)
}

// check says whether a connection may be made to a resolved address.
func (d *Dialer) check(to netip.AddrPort, excepted bool) error {
	a := plain(to.Addr())
	if word := within(a, metadata); word != "" {
		return &RefusedError{word}
	}
	if !excepted {
		if word := special(a); word != "" {
			return &RefusedError{word}
		}
	}
	here, err := d.Interfaces()
	if err != nil {
		return fmt.Errorf("addresses of this machine: %w", err)
	}
	ours := a.IsLoopback() || a.IsUnspecified() || slices.Contains(here, a)
	if ours && !excepted {
		return &RefusedError{"this machine"}
	}
	for _, l := range d.Own {
		if l.Port() == to.Port() && (plain(l.Addr()) == a || ours && (l.Addr().IsUnspecified() || a.IsUnspecified())) {
			return &RefusedError{"our own listener"}
		}
	}
	return nil
}
