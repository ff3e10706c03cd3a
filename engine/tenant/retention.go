package tenant

import (
	"fmt"
	"slices"
)

// Retention is how long content of a class is kept.
type Retention struct {
	// Class is notice, billing, collection, otp, legal_notice, ad; received (messages from phones); money (claims, receipts)
	// and webhook (what agents sent).
	Class string `json:"class" toml:"class"`
	// Months from the end of the day. notice, billing, collection, otp, ad, received: 1 to 60. legal_notice: 12 to 120.
	// money, webhook: 84 to 120.
	Months int `json:"months" toml:"months"`
}

// retentionBounds are the least and the most months; seven years is what the law asks for of money.
var retentionBounds = map[string][2]int{
	"notice": {1, 60}, "billing": {1, 60}, "collection": {1, 60}, "otp": {1, 60}, "ad": {1, 60}, "received": {1, 60},
	"legal_notice": {12, 120}, "money": {84, 120}, "webhook": {84, 120},
}

// Validate reports the first fault.
func (r Retention) Validate() error {
	b, known := retentionBounds[r.Class]
	if !known {
		return fmt.Errorf("class %q must be notice, billing, collection, otp, legal_notice, ad, received, money or webhook", r.Class)
	}
	if r.Months < b[0] || r.Months > b[1] {
		return fmt.Errorf("months: %d of class %s must be %d to %d", r.Months, r.Class, b[0], b[1])
	}
	return nil
}

func (t *Tenant) validateRetention(bad func(field, format string, args ...any)) {
	for i, r := range t.Policy.Retention {
		field := fmt.Sprintf("policy.retention[%d]", i)
		if err := r.Validate(); err != nil {
			bad(field, "%v", err)
		}
		if slices.ContainsFunc(t.Policy.Retention[:i], func(o Retention) bool { return o.Class == r.Class }) {
			bad(field, "class %q is given twice", r.Class)
		}
	}
}
