package dispatch

import (
	"fmt"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// Config is the policy of submissions. All of it may be reloaded.
type Config struct {
	// Doubt is what follows a submission that was written and got no answer: resend, wait or fail. Empty: wait for a
	// delivery receipt, then resend once. One-time codes fail, and the recipient asks again; see class. Resend repeats it at
	// once and, while that gets no answer either, up to twice more after the wait.
	Doubt string `toml:"doubt"`
	// DoubtWait is how many seconds a delivery receipt is awaited before such a submission is repeated, 1 to 86400.
	// Default 600.
	DoubtWait int `toml:"doubt_wait_seconds"`
	// Class overrides doubt for classes of messages.
	Class []ClassRule `toml:"class"`
	// Quiet adds hours and days at which a class is not sent to those that always hold: collection and ad, 21:00 to 08:00.
	// Tenants may add more (policy.quiet).
	Quiet []tenant.Quiet `toml:"quiet"`
	// Status says what a command_status means, where a carrier uses one in its own way. The first rule that fits counts,
	// then what SMPP 3.4 says.
	Status []StatusRule `toml:"status"`
}

// ClassRule is the policy of one class.
type ClassRule struct {
	// Class: notice, billing, collection, otp, legal_notice or ad.
	Class string `toml:"class"`
	// Doubt: resend, wait or fail.
	Doubt string `toml:"doubt"`
}

// StatusRule gives a meaning to some command_status of a carrier.
type StatusRule struct {
	// Carrier that it is for; empty: all.
	Carrier string `toml:"carrier"`
	// Codes are the command_status, 1 to 4294967295; TOML takes 0x58.
	Codes []int64 `toml:"codes"`
	// Meaning: refuse (for good), retry (after waits), or throttle (the bind slows down, the message steps aside and no
	// retry is used up).
	Meaning string `toml:"meaning"`
	// Waits are the seconds before each retry, 1 to 86400, at most 20; behind the last the message is refused. Only with
	// retry; empty: 30, 120, 300, 900, 3600.
	Waits []int `toml:"waits"`
}

// DefaultConfig is the policy before a file is read.
func DefaultConfig() Config { return Config{DoubtWait: 600} }

var meanings = map[string]verdict{"refuse": refuse, "retry": retry, "throttle": throttle}

func validDoubt(s string) bool {
	return slices.Contains([]message.Doubt{message.DoubtResend, message.DoubtWait, message.DoubtFail}, message.Doubt(s))
}

// Validate reports all faults, each naming its field.
func (c Config) Validate() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Doubt != "" && !validDoubt(c.Doubt) {
		bad("doubt", "%q must be resend, wait or fail", c.Doubt)
	}
	if c.DoubtWait < 1 || c.DoubtWait > 86400 {
		bad("doubt_wait_seconds", "%d must be 1 to 86400", c.DoubtWait)
	}
	for i, r := range c.Class {
		field := fmt.Sprintf("class[%d].", i)
		if _, err := message.ParseClass(r.Class); err != nil || r.Class == "" {
			bad(field+"class", "%q must be notice, billing, collection, otp, legal_notice or ad", r.Class)
		}
		if slices.ContainsFunc(c.Class[:i], func(o ClassRule) bool { return o.Class == r.Class }) {
			bad(field+"class", "%q stands there twice", r.Class)
		}
		if !validDoubt(r.Doubt) {
			bad(field+"doubt", "%q must be resend, wait or fail", r.Doubt)
		}
	}
	for i, q := range c.Quiet {
		if err := q.Validate(); err != nil {
			bad(fmt.Sprintf("quiet[%d]", i), "%v", err)
		}
	}
	for i, r := range c.Status {
		field := fmt.Sprintf("status[%d].", i)
		if len(r.Codes) == 0 {
			bad(field+"codes", "is required")
		}
		for _, code := range r.Codes {
			if code < 1 || code > 0xffffffff {
				bad(field+"codes", "%d must be 1 to 0xffffffff", code)
			}
		}
		if _, ok := meanings[r.Meaning]; !ok {
			bad(field+"meaning", "%q must be refuse, retry or throttle", r.Meaning)
		}
		if len(r.Waits) > 0 && r.Meaning != "retry" || len(r.Waits) > 20 {
			bad(field+"waits", "has %d entries: at most 20 are allowed, and only with retry", len(r.Waits))
		}
		for _, w := range r.Waits {
			if w < 1 || w > 86400 {
				bad(field+"waits", "%d must be 1 to 86400 seconds", w)
			}
		}
	}
	return errs
}

// doubt is the policy of a class.
func (c *Config) doubt(class message.Class) message.Doubt {
	for _, r := range c.Class {
		if r.Class == string(class) {
			return message.Doubt(r.Doubt)
		}
	}
	if c.Doubt != "" && class != message.OTP {
		return message.Doubt(c.Doubt)
	}
	return class.DefaultDoubt()
}

// meaning is what a status means at a carrier, and the waits before retries.
func (c *Config) meaning(carrier string, s pdu.Status) (verdict, []time.Duration) {
	for i := range c.Status {
		r := &c.Status[i]
		if r.Carrier != "" && r.Carrier != carrier || !slices.Contains(r.Codes, int64(s)) {
			continue
		}
		if len(r.Waits) == 0 {
			return meanings[r.Meaning], backOff
		}
		waits := make([]time.Duration, len(r.Waits))
		for i, w := range r.Waits {
			waits[i] = time.Duration(w) * time.Second
		}
		return meanings[r.Meaning], waits
	}
	return verdicts[s], backOff
}
