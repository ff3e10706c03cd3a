package web

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config is the operator's part. Restart to change it.
type Config struct {
	// TrustedProxies are the addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []string `toml:"trusted_proxies"`
	// MissBudget is how many unknown links one address may try in ten minutes; a network (/24, /48) five times as many.
	MissBudget int `toml:"miss_budget"`
	// EntryBudget is how often one address may send the questions of shared entry pages in ten minutes; a network five times as often.
	// Carriers put many people behind an address.
	EntryBudget int `toml:"entry_budget"`
	// Timeout bounds one request, seconds.
	Timeout int `toml:"timeout"`
}

// DefaultConfig trusts nobody.
func DefaultConfig() Config { return Config{MissBudget: 20, EntryBudget: 300, Timeout: 20} }

// Validate reports all faults.
func (c *Config) Validate() error {
	var errs []error
	if _, err := c.proxies(); err != nil {
		errs = append(errs, err)
	}
	if c.MissBudget < 1 || c.MissBudget > 10_000 {
		errs = append(errs, fmt.Errorf("miss_budget: %d must be 1 to 10,000", c.MissBudget))
	}
	if c.EntryBudget < 1 || c.EntryBudget > 100_000 {
		errs = append(errs, fmt.Errorf("entry_budget: %d must be 1 to 100,000", c.EntryBudget))
	}
	if c.Timeout < 1 || c.Timeout > 60 {
		errs = append(errs, fmt.Errorf("timeout: %d must be 1 to 60 seconds", c.Timeout))
	}
	return errors.Join(errs...)
}

func (c *Config) timeout() time.Duration { return time.Duration(c.Timeout) * time.Second }

func (c *Config) proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for i, s := range c.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("trusted_proxies[%d]: %q is no address or network", i, s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()).Masked())
	}
	return all, nil
}
