package tenant

import (
	"regexp"
	"slices"
)

// Chain is what every page and claim of a tenant is protected by at the least; a message may ask for more.
type Chain struct {
	Fields []string `json:"fields,omitempty" toml:"fields,omitempty"` // that the message's identity asks for, at most 4: birth_date, kana_name …
	Code   bool     `json:"code,omitempty" toml:"code,omitempty"`     // a one-time code follows, whether or not the message says so
}

// Empty reports whether every message says for itself what it asks for.
func (c Chain) Empty() bool { return len(c.Fields) == 0 && !c.Code }

// maxChain is message.MaxIdentityItems, which this room does not know.
const maxChain = 4

var fieldPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func (c *Chain) validate(bad func(field, format string, args ...any)) {
	if len(c.Fields) > maxChain {
		bad("policy.identity.fields", "%d fields, at most %d", len(c.Fields), maxChain)
	}
	for i, f := range c.Fields {
		if !fieldPattern.MatchString(f) {
			bad("policy.identity.fields", "%q is no name of a field", f)
		}
		if slices.Contains(c.Fields[:i], f) {
			bad("policy.identity.fields", "%q stands twice", f)
		}
	}
}
