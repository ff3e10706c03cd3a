package retention

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Config is the operator's part of the policy.
type Config struct {
	// Share is how much of one core a sweep uses at most beside traffic, in percent, 1 to 100. Default 10.
	Share int `toml:"share"`
	// QuietShare is the same while the engine has little else to do, 1 to 100. Default 60.
	QuietShare int `toml:"quiet_share"`
	// Class has terms other than the default: 3 months; legal_notice 60; money and webhook 84. A tenant may set its own.
	Class []tenant.Retention `toml:"class"`
}

// DefaultConfig is what holds where a file says nothing.
func DefaultConfig() Config { return Config{Share: 10, QuietShare: 60} }

// Validate reports all faults.
func (c *Config) Validate() (errs []error) {
	if c.Share < 1 || c.Share > 100 {
		errs = append(errs, fmt.Errorf("share: %d must be 1 to 100", c.Share))
	}
	if c.QuietShare < 1 || c.QuietShare > 100 {
		errs = append(errs, fmt.Errorf("quiet_share: %d must be 1 to 100", c.QuietShare))
	}
	for i, r := range c.Class {
		if err := r.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("class[%d]: %w", i, err))
		}
		if slices.ContainsFunc(c.Class[:i], func(o tenant.Retention) bool { return o.Class == r.Class }) {
			errs = append(errs, fmt.Errorf("class[%d]: class %q is given twice", i, r.Class))
		}
	}
	return errs
}

// defaultMonths are the terms by class. What seals under another class seals what is in force until somebody changes it:
// agents' secrets, second factors, secrets of callbacks, numbers on a do-not-send list. Their keys are never destroyed.
var defaultMonths = map[string]int{
	string(message.Notice): 3, string(message.Billing): 3, string(message.Collection): 3, string(message.OTP): 3, string(message.Ad): 3,
	string(message.LegalNotice): 60, "received": 3, payment.Class: 84, payment.WebhookClass: 84,
}

// filePrefix stands before the class of a file's keys.
var filePrefix = document.FileClass("")

// months is the term of a class of keys for a tenant (nil: one that is no longer defined); 0: no term.
func (c *Config) months(t *tenant.Tenant, class string) int {
	class = strings.ReplaceAll(strings.TrimPrefix(class, filePrefix), "-", "_") // uploads seal under legal-notice
	lists := [][]tenant.Retention{c.Class}
	if t != nil {
		lists = [][]tenant.Retention{t.Policy.Retention, c.Class}
	}
	for _, list := range lists {
		for _, r := range list {
			if r.Class == class {
				return r.Months
			}
		}
	}
	return defaultMonths[class]
}

// ends is when the term of a day's content is over: so many months behind the end of the day.
func ends(day time.Time, months int) time.Time { return day.AddDate(0, months, 1) }

// dayFor is the day whose term ends when something does, or soon after, but one behind the day it has now.
func dayFor(until time.Time, months int, now time.Time) time.Time {
	day := message.Midnight(until).AddDate(0, -months, 0)
	if first := now.AddDate(0, 0, 1); day.Before(first) {
		day = first
	}
	return day
}
