package dlr

import (
	"fmt"
	"math/big"
	"strings"
)

// Form is how a carrier writes a message id on one side.
type Form string

const (
	Text    Form = "text"    // an opaque string, compared byte for byte
	Fold    Form = "fold"    // an opaque string whose case does not count
	Decimal Form = "decimal" // a decimal number of any length; leading zeros do not count
	Hex     Form = "hex"     // a hexadecimal number of any length; leading zeros and case do not count
)

// IDRule says how a carrier writes ids in submit_sm_resp and in receipts. Carriers differ: hexadecimal in the response
// and decimal in the receipt, zero padding on one side only, another case.
type IDRule struct{ Response, Receipt Form }

// ParseIDRule reads "form" or "form of response/form of receipt"; empty is "text".
func ParseIDRule(s string) (IDRule, error) {
	if s == "" {
		return IDRule{Text, Text}, nil
	}
	resp, rcpt, both := strings.Cut(s, "/")
	if !both {
		rcpt = resp
	}
	r := IDRule{Form(resp), Form(rcpt)}
	for _, f := range []Form{r.Response, r.Receipt} {
		if f != Text && f != Fold && f != Decimal && f != Hex {
			return IDRule{}, fmt.Errorf("id rule %q: %q must be text, fold, decimal or hex", s, f)
		}
	}
	if r.Response.number() != r.Receipt.number() {
		return IDRule{}, fmt.Errorf("id rule %q: a number on one side and text on the other never match", s)
	}
	return r, nil
}

func (f Form) number() bool { return f == Decimal || f == Hex }

// FromResponse is the key of an id as it stands in submit_sm_resp.
func (r IDRule) FromResponse(id string) string { return r.Response.key(id) }

// FromReceipt is the key of an id as it stands in a receipt.
func (r IDRule) FromReceipt(id string) string { return r.Receipt.key(id) }

// key gives ids that mean the same the same key. An id that is no number where one is expected is kept as text behind "=",
// so that it can still match its own twin, and never the number that it would be in another base.
func (f Form) key(id string) string {
	id = strings.TrimSpace(id)
	base := 10
	switch f {
	case Fold:
		return strings.ToLower(id)
	case Hex:
		base = 16
	case Decimal:
	default:
		return id
	}
	if id == "" || len(id) > 65 || strings.ContainsAny(id, "+-_") { // 65: SMPP 3.4 §5.2.23
		return "=" + id
	}
	n, ok := new(big.Int).SetString(id, base)
	if !ok {
		return "=" + id
	}
	return n.Text(16)
}
