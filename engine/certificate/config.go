package certificate

import (
	"fmt"
	"slices"

	"github.com/kakitome/kakitome/engine/message"
)

// Config is the operator's part.
type Config struct {
	// Key signs the days: a file of mode 0600, made by `kakitome certificate key new`, read again for each signature. Its public
	// keys are listed in the file of the same name with .pub. Empty: no day is closed, certificates stay provisional (暫定).
	Key string `toml:"key"`
	// Published is the file that gets one line a day, to be published. Empty: certificates.txt in data.dir.
	Published string `toml:"published"`
	// ClockSource names what the clock of the machine follows, as it stands in certificates: "ntp.nict.jp (chrony)".
	ClockSource string `toml:"clock_source"`
	// Classes of messages that are certified. Default legal_notice.
	Classes []string `toml:"classes"`
}

const maxSource = 100

// DefaultConfig is what holds where a file says nothing.
func DefaultConfig() Config { return Config{Classes: []string{string(message.LegalNotice)}} }

// Validate reports all faults.
func (c *Config) Validate() (errs []error) {
	for i, name := range c.Classes {
		if !slices.Contains(message.Classes, message.Class(name)) || message.Class(name) == message.OTP {
			errs = append(errs, fmt.Errorf("classes[%d]: %q is no class, or one that cannot be certified", i, name))
		}
	}
	if n := len([]rune(c.ClockSource)); n > maxSource {
		errs = append(errs, fmt.Errorf("clock_source: %d characters, at most %d", n, maxSource))
	}
	return errs
}

// Certifies reports whether messages of a class are certified.
func (c *Config) Certifies(class message.Class) bool {
	return slices.Contains(c.Classes, string(class))
}
