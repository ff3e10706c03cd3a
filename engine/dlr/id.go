package dlr

import (
	"bytes"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
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
func (r IDRule) FromResponse(id string) string {
	return string(r.Response.appendKey(nil, []byte(id)))
}

// FromReceipt is the key of an id as it stands in a receipt.
func (r IDRule) FromReceipt(id string) string {
	return string(r.Receipt.appendKey(nil, []byte(id)))
}

// AppendKey appends the Key of an id as it stands in submit_sm_resp.
func (r IDRule) AppendKey(dst []byte, carrier string, id []byte) []byte {
	return r.Response.appendKey(appendCarrier(dst, carrier), id)
}

func appendCarrier(dst []byte, carrier string) []byte { return append(append(dst, carrier...), '/') }

// appendKey gives ids that mean the same the same key. An id that is no number where one is expected is kept as text behind
// "=", so that it can still match its own twin, and never the number that it would be in another base.
func (f Form) appendKey(dst, id []byte) []byte {
	id = bytes.TrimSpace(id)
	switch f {
	case Fold:
		return append(dst, bytes.ToLower(id)...)
	case Hex:
		return appendNumberKey(dst, id, 16)
	case Decimal:
		return appendNumberKey(dst, id, 10)
	}
	return append(dst, id...)
}

func appendNumberKey(dst, id []byte, base int) []byte {
	if len(id) == 0 || len(id) > 65 { // SMPP 3.4 §5.2.23
		return append(append(dst, '='), id...)
	}
	var n uint64
	for _, c := range id {
		d := digit(c)
		if d >= base {
			return append(append(dst, '='), id...)
		}
		high, low := bits.Mul64(n, uint64(base))
		sum, carry := bits.Add64(low, uint64(d), 0)
		if high+carry > 0 { // longer than 64 bits: rare
			big, _ := new(big.Int).SetString(string(id), base)
			if big == nil { // a character behind the 64 bits is no digit
				return append(append(dst, '='), id...)
			}
			return big.Append(dst, 16)
		}
		n = sum
	}
	return strconv.AppendUint(dst, n, 16)
}

// digit is the value of a hexadecimal digit; 99: it is none.
func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}
