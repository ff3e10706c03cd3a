package carrier

import (
	"regexp"
	"time"

	"github.com/kakitome/kakitome/engine/private"
)

// Lookup is the module that is asked which carrier a number has now, and whether it changed hands.
type Lookup struct {
	// Module is its name, number/…; empty: numbers are found by the two files alone.
	Module string `toml:"module"`
	// ConfigFile is a file with the module's configuration, a JSON object; mode 0600, for it may hold a password. Empty: {}.
	ConfigFile string `toml:"config_file"`
	// Ask: all asks about every number that is not in the table of ported numbers, but for one-time codes; registered only
	// about messages with recipient.registered_on. Default all.
	Ask string `toml:"ask"`
	// Failure is what becomes of a message when the module does not answer: send, by the two files, or hold, and ask again
	// later. Default send.
	Failure string `toml:"failure"`
	// FailureRegistered is the same for messages with recipient.registered_on, which a stranger might get. Default hold.
	FailureRegistered string `toml:"failure_registered"`
	// HoldSeconds is how long such a message waits before it is asked again, 10 to 3600. Default 60.
	HoldSeconds int `toml:"hold_seconds"`
	// DeadlineMS is how many milliseconds one call may take, 100 to 10000. Default 2000.
	DeadlineMS int `toml:"deadline_ms"`
	// CacheMinutes is how long an answer is used again, 1 to 10080. Default 60.
	CacheMinutes int `toml:"cache_minutes"`
	// CacheNumbers bounds the answers that are kept, in memory alone, about 100 bytes each. Default 200000.
	CacheNumbers int `toml:"cache_numbers"`
}

const (
	askAll        = "all"
	askRegistered = "registered"
	failureSend   = "send"
	failureHold   = "hold"
)

// DefaultLookup is what holds before a file is read.
func DefaultLookup() Lookup {
	return Lookup{Ask: askAll, Failure: failureSend, FailureRegistered: failureHold, HoldSeconds: 60, DeadlineMS: 2000, CacheMinutes: 60, CacheNumbers: 200_000}
}

var moduleName = regexp.MustCompile(`^number/[a-z0-9_]{1,32}$`)

// validate reports the faults of a lookup that is used.
func (l *Lookup) validate(bad func(field, format string, args ...any)) {
	if l.Module == "" {
		return
	}
	if !moduleName.MatchString(l.Module) {
		bad("lookup.module", "%q must be number/…", l.Module)
	}
	if l.Ask != askAll && l.Ask != askRegistered {
		bad("lookup.ask", "%q must be all or registered", l.Ask)
	}
	for field, v := range map[string]string{"lookup.failure": l.Failure, "lookup.failure_registered": l.FailureRegistered} {
		if v != failureSend && v != failureHold {
			bad(field, "%q must be send or hold", v)
		}
	}
	for _, n := range []struct {
		field      string
		v, min, up int
	}{
		{"hold_seconds", l.HoldSeconds, 10, 3600}, {"deadline_ms", l.DeadlineMS, 100, 10_000},
		{"cache_minutes", l.CacheMinutes, 1, 10_080}, {"cache_numbers", l.CacheNumbers, 1000, 10_000_000},
	} {
		if n.v < n.min || n.v > n.up {
			bad("lookup."+n.field, "%d must be %d to %d", n.v, n.min, n.up)
		}
	}
	if _, err := l.ModuleConfig(); err != nil {
		bad("lookup.config_file", "%v", err)
	}
}

// ModuleConfig reads the module's configuration.
func (l *Lookup) ModuleConfig() ([]byte, error) {
	if l.ConfigFile == "" {
		return []byte("{}"), nil
	}
	return private.Read(l.ConfigFile)
}

// hold is how long a question waits after a failure; 0: the message goes by the tables.
func (l *Lookup) hold(registered bool) time.Duration {
	policy := l.Failure
	if registered {
		policy = l.FailureRegistered
	}
	if policy == failureHold {
		return time.Duration(l.HoldSeconds) * time.Second
	}
	return 0
}
