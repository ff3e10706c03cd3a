package tenant

import (
	"fmt"
	"slices"
	"time"
)

// Duplicate says for how long a message of a class is not sent again to the same number: with the same text (before the link
// is put in), the same claim, or the same reference.
type Duplicate struct {
	// Class is notice, billing, collection, legal_notice, ad, otp; "*": all of them but otp.
	Class string `json:"class" toml:"class"`
	// Minutes is 1 to 10,080 (a week); 0: never held for one.
	Minutes int `json:"minutes" toml:"minutes"`
}

const maxDuplicate = 7 * 24 * 60

// Validate reports the first fault.
func (d Duplicate) Validate() error {
	if d.Class != "otp" && !slices.Contains(quietClasses, d.Class) {
		return fmt.Errorf("class %q must be notice, billing, collection, legal_notice, ad, otp or *", d.Class)
	}
	if d.Minutes < 0 || d.Minutes > maxDuplicate {
		return fmt.Errorf("minutes: %d must be 0 to %d", d.Minutes, maxDuplicate)
	}
	return nil
}

// collectionGuard holds where a tenant says nothing of collection. All other classes have none: two messages alike may be
// meant, and a sender that repeats a request has its idempotency keys. But a demand that a program's fault repeats is more
// than a nuisance: the law on moneylending forbids demands that come again and again (貸金業法21条), whoever is to blame.
const collectionGuard = time.Hour

// DuplicateFor is how long a message of the class guards against another like it; 0: not at all. What names the class goes
// before "*", which is not otp.
func (p *Policy) DuplicateFor(class string) time.Duration {
	for _, name := range []string{class, "*"} {
		for _, d := range p.Duplicates {
			if d.Class == name && (name != "*" || class != "otp") {
				return time.Duration(d.Minutes) * time.Minute
			}
		}
	}
	if class == "collection" {
		return collectionGuard
	}
	return 0
}

// Limit bounds what is accepted for a sender profile, whichever way it comes. Codes that the engine itself sends count and are
// never refused.
type Limit struct {
	Sender string `json:"sender,omitempty" toml:"sender,omitempty"`   // name of a profile; empty: all of the tenant's messages
	PerSec int    `json:"per_sec,omitempty" toml:"per_sec,omitempty"` // 0: no limit
	PerDay int    `json:"per_day,omitempty" toml:"per_day,omitempty"` // of a day in Asia/Tokyo; 0: no limit
}

// Validate reports the first fault.
func (l Limit) Validate() error {
	if l.PerSec < 0 || l.PerDay < 0 || l.PerSec == 0 && l.PerDay == 0 {
		return fmt.Errorf("per_sec %d and per_day %d: one of them must be above 0, none below", l.PerSec, l.PerDay)
	}
	return nil
}

// CountsSender reports whether the messages of a profile are counted by the day.
func (p *Policy) CountsSender(profile string) bool {
	return slices.ContainsFunc(p.Limits, func(l Limit) bool { return l.PerDay > 0 && l.Sender == profile })
}

func (t *Tenant) validateGuards(bad func(field, format string, args ...any)) {
	seen := map[string]bool{}
	for i, d := range t.Policy.Duplicates {
		field := fmt.Sprintf("policy.duplicate[%d]", i)
		if err := d.Validate(); err != nil {
			bad(field, "%v", err)
		}
		if seen["class "+d.Class] {
			bad(field, "class %q stands there twice", d.Class)
		}
		seen["class "+d.Class] = true
	}
	for i, l := range t.Policy.Limits {
		field := fmt.Sprintf("policy.limit[%d]", i)
		if err := l.Validate(); err != nil {
			bad(field, "%v", err)
		}
		if _, ok := t.Sender(l.Sender); l.Sender != "" && !ok {
			bad(field, "there is no sender %q", l.Sender)
		}
		if seen["sender "+l.Sender] {
			bad(field, "sender %q stands there twice", l.Sender)
		}
		seen["sender "+l.Sender] = true
	}
}
