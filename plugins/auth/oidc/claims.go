package main

import (
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/kakitome/kakitome/plugins/proto"
)

// Levels: what is compared. The words are stored with each message.
const (
	levelSub     = "sub"
	levelName    = "name_birthdate"
	levelAddress = "name_birthdate_address"
)

const (
	maxValue = 255 // bytes of a sub (OpenID Connect Core 1.0 §2), characters of the rest
	between  = ";"
)

// claims are what a provider says of somebody. OpenID Connect Core 1.0 §5.1
type claims struct {
	Subject   string `json:"sub"`
	Name      string `json:"name"`
	Birthdate string `json:"birthdate"`
	Address   struct {
		Formatted string `json:"formatted"`
	} `json:"address"`
}

// form is the canonical form at a level; "": something is missing or not readable.
func (c *claims) form(level string) string {
	switch level {
	case "", levelSub:
		return subject(c.Subject)
	case levelName:
		return join(folded(c.Name), day(c.Birthdate))
	case levelAddress:
		return join(folded(c.Name), day(c.Birthdate), folded(c.Address.Formatted))
	}
	return ""
}

// needsMore reports whether a level needs what an ID token often does not have.
func (c *claims) needsMore(level string) bool { return c.form(level) == "" }

// registered reads what a sender registered at a level.
func registered(level, value string) (claims, bool) {
	var c claims
	if level == "" || level == levelSub {
		c.Subject = strings.TrimSpace(value)
		return c, true
	}
	parts := strings.Split(value, between)
	switch {
	case level == levelName && len(parts) == 2:
	case level == levelAddress && len(parts) == 3:
		c.Address.Formatted = parts[2]
	default:
		return c, false
	}
	c.Name, c.Birthdate = parts[0], parts[1]
	return c, true
}

func join(parts ...string) string {
	for _, p := range parts {
		if p == "" {
			return ""
		}
	}
	return strings.Join(parts, between)
}

// subject is compared as it is: case matters.
func subject(s string) string {
	if len(s) > maxValue || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return ""
	}
	return s
}

var dashes = regexp.MustCompile(`[‐‑‒–—―−ー－-]+`)

// folded writes a name or an address in one form: NFKC, without spaces and separators, one kind of dash.
func folded(s string) string {
	if len([]rune(s)) > maxValue {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsControl(r), r == ';':
			return unicode.ReplacementChar
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(s))
	s = norm.NFKC.String(dashes.ReplaceAllString(s, "-"))
	if strings.ContainsRune(s, unicode.ReplacementChar) {
		return ""
	}
	return s
}

// day is a date as YYYY-MM-DD; a birth date without its year or day is none.
func day(s string) string {
	s = strings.TrimSpace(norm.NFKC.String(s))
	for _, form := range []string{time.DateOnly, "20060102", "2006/01/02"} {
		if t, err := time.Parse(form, s); err == nil && t.Year() >= 1868 {
			return t.Format(time.DateOnly)
		}
	}
	return ""
}

// canonical is that of what was registered. It is asked at intake alone: nobody types it.
func canonical(item *proto.CanonicalItem) *proto.CanonicalForm {
	refuse := func(code, message string) *proto.CanonicalForm {
		return &proto.CanonicalForm{Error: &proto.Error{Class: proto.ErrorClass_INVALID, Code: code, Message: message, Field: item.Field}}
	}
	switch item.Level {
	case "", levelSub, levelName, levelAddress:
	default:
		return refuse("unknown_level", "this field has no such level")
	}
	if item.Field != field {
		return refuse("unknown_field", "there is no such field")
	}
	c, ok := registered(item.Level, item.Value)
	if form := c.form(item.Level); ok && form != "" {
		return &proto.CanonicalForm{Form: form}
	}
	switch item.Level {
	case levelName:
		return refuse("not_readable", "want name;YYYY-MM-DD")
	case levelAddress:
		return refuse("not_readable", "want name;YYYY-MM-DD;address")
	}
	return refuse("not_readable", "want the provider's id of the person, at most 255 ASCII characters")
}
