package payment

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Config is the operator's part of payments.
type Config struct {
	// WebhookBase is the public URL below which agents' webhooks come in; the hook's path follows, so it ends
	// with a slash. Empty: no payments are started.
	WebhookBase string `toml:"webhook_base"`
	// Renderer is the module that draws receipts. Default render/standard.
	Renderer string `toml:"renderer"`
	// Reports is a directory of agents' files (確報, settlements, statements), <tenant>/<agent>/<file>, read within a minute and
	// moved to done or failed beside them, with what became of each line. Empty: none is read.
	Reports string `toml:"reports"`
	// CreateTimeout bounds a call that may move money. Default 15s.
	CreateTimeout time.Duration `toml:"create_timeout"`
	// CallTimeout bounds all other calls of a module. Default 10s.
	CallTimeout time.Duration `toml:"call_timeout"`
	// Patience is how long an agent may deny a payment that it was asked for before it is believed. Default 1m.
	Patience time.Duration `toml:"patience"`
	// SettleFirst and SettleMost bound the waits between questions about an unknown attempt. Default 500ms and 5m.
	SettleFirst time.Duration `toml:"settle_first"`
	SettleMost  time.Duration `toml:"settle_most"`
	// Grace is how long after its due date an attempt counts as live, for news that travel slowly. Default 24h.
	Grace time.Duration `toml:"grace"`
	// Poll is how often the agent is asked for the 確報 of a 速報. Default 24h.
	Poll time.Duration `toml:"poll"`
	// HookRate and HookBurst bound the webhooks of one agent account, in requests a second. Half is kept for addresses from which
	// one verified before, a quarter is for all from which one did not. Default 50 and 200.
	HookRate  float64 `toml:"hook_rate"`
	HookBurst int     `toml:"hook_burst"`
	// Unverified bounds how many webhooks that fail verification are kept per account and hour. Default 60.
	Unverified int `toml:"unverified"`
}

// DefaultConfig has the defaults.
func DefaultConfig() Config {
	return Config{
		Renderer:      "render/standard",
		CreateTimeout: 15 * time.Second, CallTimeout: 10 * time.Second,
		Patience: time.Minute, SettleFirst: 500 * time.Millisecond, SettleMost: 5 * time.Minute,
		Grace: 24 * time.Hour, Poll: 24 * time.Hour,
		HookRate: 50, HookBurst: 200, Unverified: 60,
	}
}

// Validate reports all faults.
func (c *Config) Validate() error {
	var errs []error
	if c.WebhookBase != "" {
		u, err := url.Parse(c.WebhookBase)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || !strings.HasSuffix(u.Path, "/") {
			errs = append(errs, fmt.Errorf("webhook_base: %q must be an http or https URL that ends with a slash", c.WebhookBase))
		}
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"create_timeout", c.CreateTimeout}, {"call_timeout", c.CallTimeout}, {"patience", c.Patience},
		{"settle_first", c.SettleFirst}, {"settle_most", c.SettleMost}, {"grace", c.Grace}, {"poll", c.Poll},
	} {
		if d.v <= 0 {
			errs = append(errs, fmt.Errorf("%s: %s must be positive", d.name, d.v))
		}
	}
	if c.SettleFirst > c.SettleMost {
		errs = append(errs, fmt.Errorf("settle_first: %s is longer than settle_most %s", c.SettleFirst, c.SettleMost))
	}
	if c.HookRate <= 0 || c.HookBurst < 1 || c.Unverified < 1 {
		errs = append(errs, errors.New("hook_rate, hook_burst and unverified must be positive"))
	}
	if c.Reports != "" && !filepath.IsAbs(c.Reports) {
		errs = append(errs, fmt.Errorf("reports: %q must be an absolute path", c.Reports))
	}
	if c.Renderer == "" {
		errs = append(errs, errors.New("renderer: is required"))
	}
	return errors.Join(errs...)
}
