package carrier

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/tenant"
)

// SenderError says why a sender profile has no address for a carrier.
type SenderError struct {
	Profile string
	Carrier string
	Address string        // empty: the profile has none for this carrier
	Permits []AddressForm // set when the address has a form that the carrier does not permit
}

func (e *SenderError) Error() string {
	if e.Address == "" {
		return fmt.Sprintf("sender profile %q has no address approved by %s", e.Profile, e.Carrier)
	}
	forms := make([]string, len(e.Permits))
	for i, f := range e.Permits {
		forms[i] = string(f)
	}
	return fmt.Sprintf("sender profile %q: %s does not permit the address %s, only %s", e.Profile, e.Carrier, e.Address, strings.Join(forms, ", "))
}

// SenderFor returns the source address under which the profile sends to the carrier. An address approved by another
// carrier is never used. The error is a [*SenderError].
func SenderFor(p tenant.SenderProfile, c *Carrier) (string, error) {
	a, ok := p.Addresses[c.Name]
	if !ok || a == "" {
		return "", &SenderError{Profile: p.Name, Carrier: c.Name}
	}
	if !c.Permits(a) {
		return "", &SenderError{Profile: p.Name, Carrier: c.Name, Address: a, Permits: c.Senders}
	}
	return a, nil
}

// Permits reports whether the address has one of the forms that the carrier takes.
func (c *Carrier) Permits(address string) bool {
	return slices.ContainsFunc(c.Senders, func(f AddressForm) bool { return formPatterns[f].MatchString(address) })
}

// CheckSenders reports every address of the profiles that its carrier does not permit, and every carrier that is not known.
func (t *Table) CheckSenders(profiles []tenant.SenderProfile) []error {
	var errs []error
	for i, p := range profiles {
		for _, name := range slices.Sorted(maps.Keys(p.Addresses)) {
			field := fmt.Sprintf("sender[%d].addresses.%s", i, name)
			c, ok := t.Carrier(name)
			if !ok {
				errs = append(errs, fmt.Errorf("%s: there is no carrier %q", field, name))
			} else if _, err := SenderFor(p, c); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", field, err))
			}
		}
	}
	return errs
}
