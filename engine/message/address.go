package message

import (
	"regexp"
	"strings"

	"golang.org/x/text/width"
)

// MaxAddress is the longest e-mail address, in bytes. RFC 5321 §4.5.3.1.3
const MaxAddress = 254

const maxLocal = 64 // RFC 5321 §4.5.3.1.1

var (
	// atoms is what may stand before the @ without quotes, with dots wherever they are: phones had addresses such as
	// "a..b.@docomo.ne.jp", which go out quoted.
	atoms   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+$")
	dotAtom = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	domains = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,59})$`)
)

// ParseAddress reads one e-mail address as a person types it, full-width and with spaces around it, and gives its one form: the domain in
// small letters, the local part quoted where it must be. ok is false for whatever else: names, lists, comments, routes,
// addresses of machines by number, letters beyond ASCII.
func ParseAddress(typed string) (address string, ok bool) {
	if len(typed) > 4*MaxAddress { // full-width letters have three bytes
		return "", false
	}
	s := strings.TrimSpace(width.Fold.String(typed))
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return "", false
	}
	local, domain := s[:at], strings.ToLower(s[at+1:])
	if bare := strings.TrimSuffix(strings.TrimPrefix(local, `"`), `"`); len(bare) == len(local)-2 {
		local = bare
	}
	if len(local) > maxLocal || !atoms.MatchString(local) || len(domain) > 253 || !domains.MatchString(domain) {
		return "", false
	}
	if !dotAtom.MatchString(local) {
		local = `"` + local + `"`
	}
	if address = local + "@" + domain; len(address) > MaxAddress {
		return "", false
	}
	return address, true
}

// MaskAddress shows enough of an address for whoever typed it to know it again, and no more: t***@e***.jp.
func MaskAddress(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "***"
	}
	local, domain := strings.TrimPrefix(address[:at], `"`), address[at+1:]
	last := strings.LastIndexByte(domain, '.')
	if local == "" || last < 1 {
		return "***"
	}
	return local[:1] + "***@" + domain[:1] + "***" + domain[last:]
}
