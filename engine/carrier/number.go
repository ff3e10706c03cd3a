package carrier

import (
	"fmt"
	"log/slog"
	"strings"
)

// Number is a Japanese mobile number. It prints masked, whatever the verb, so that it cannot slip into a log or an error.
// The zero Number is none. Numbers compare with ==.
type Number struct{ n uint64 } // the ten digits behind the trunk 0

// Reason is why a number cannot be sent to. The words are stable.
type Reason string

const (
	Landline  Reason = "landline"  // 固定電話
	IPPhone   Reason = "ip_phone"  // 050
	M2M       Reason = "m2m"       // 020: machines and pagers
	Special   Reason = "special"   // 0120, 0570, 0800, 0600, 110 …
	Foreign   Reason = "foreign"   // another country
	Malformed Reason = "malformed" // no number at all
)

var reasonText = map[Reason]string{
	Landline:  "is a landline number, which takes no SMS",
	IPPhone:   "is a 050 number, which takes no SMS",
	M2M:       "is a 020 number of machines or pagers",
	Special:   "is a service number, not a mobile number",
	Foreign:   "is not a number of Japan",
	Malformed: "is not a mobile number of 11 digits (060, 070, 080 or 090)",
}

// Text says the reason as an English clause without the number.
func (r Reason) Text() string { return reasonText[r] }

// NumberError says why a number was refused. It never holds the number.
type NumberError struct {
	Reason Reason
	Masked string // its shape: first three and last two characters, if it is long enough
}

func (e *NumberError) Error() string {
	return fmt.Sprintf("number %q %s", e.Masked, e.Reason.Text())
}

const maxNumberInput = 64 // bytes; a full-width number with +81 and hyphens has 54

// ParseNumber reads a mobile number as people write it: full-width or half-width, with hyphens of any kind, spaces or
// parentheses, with the trunk 0, with +81 or 81, or with both (+81-090-…). The error is a [*NumberError].
func ParseNumber(s string) (Number, error) {
	digits, plus, ok := scanDigits(s)
	if !ok {
		return Number{}, refuse(Malformed, digits)
	}
	national := digits
	switch {
	case plus || strings.HasPrefix(digits, "010"):
		if !plus {
			digits = digits[3:] // the international dialling prefix
		}
		rest, japan := strings.CutPrefix(digits, "81")
		if !japan {
			if digits == "" {
				return Number{}, refuse(Malformed, digits)
			}
			return Number{}, refuse(Foreign, digits)
		}
		national = "0" + strings.TrimPrefix(rest, "0")
	case strings.HasPrefix(digits, "81") && (len(digits) == 11 || len(digits) == 12 || len(digits) == 13):
		national = "0" + strings.TrimPrefix(digits[2:], "0")
	}
	if reason := classify(national); reason != "" {
		return Number{}, refuse(reason, national)
	}
	var n uint64
	for _, c := range []byte(national) {
		n = n*10 + uint64(c-'0')
	}
	return Number{n}, nil
}

// scanDigits drops what people put between digits. It fails on anything else, and on a plus that is not in front.
func scanDigits(s string) (digits string, plus, ok bool) {
	if len(s) > maxNumberInput {
		return "", false, false
	}
	if bare164(s) { // as records have it
		return s[1:], true, true
	}
	b := make([]byte, 0, 16)
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r >= '０' && r <= '９':
			b = append(b, byte(r-'０')+'0')
		case r == '+' || r == '＋':
			if plus || len(b) > 0 {
				return string(b), plus, false
			}
			plus = true
		case strings.ContainsRune("-‐‑‒–—―−－ーｰ 　\u00a0\t()（）", r):
		default:
			return string(b), plus, false
		}
	}
	return string(b), plus, len(b) > 0
}

// bare164 reports whether s is a plus and digits.
func bare164(s string) bool {
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) > 1 && s[0] == '+'
}

// classify returns why a national number is refused; "" for a mobile number.
func classify(d string) Reason {
	has := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(d, p) {
				return true
			}
		}
		return false
	}
	switch {
	case len(d) == 3 && d[0] == '1':
		return Special // 110, 118, 119, 1XY
	case len(d) < 10 || d[0] != '0':
		return Malformed
	case has("050"):
		return IPPhone
	case has("020"):
		return M2M
	case has("00", "0120", "0170", "0180", "0570", "0600", "0800", "091", "0990"):
		return Special
	case has("060", "070", "080", "090"):
		if len(d) != 11 {
			return Malformed
		}
		return ""
	case len(d) == 10 && d[1] != '0':
		if has("030", "040") {
			return Malformed // not in use
		}
		return Landline
	}
	return Malformed
}

func refuse(reason Reason, digits string) error {
	shape := strings.Repeat("*", min(len(digits), 8))
	if len(digits) >= 9 {
		shape = digits[:3] + "****" + digits[len(digits)-2:]
	}
	return &NumberError{Reason: reason, Masked: shape}
}

// Simulated reports whether the number lies in a block that is not assigned (see the package comment).
func (n Number) Simulated() bool { return isSimulated(n.n / 1e7) }

// isSimulated takes the first three digits behind the trunk 0.
func isSimulated(block uint64) bool { return block == 700 || block == 900 }

// IsZero reports whether n is no number.
func (n Number) IsZero() bool { return n.n == 0 }

// E164 is the number as +818012349008. Personal: it belongs into sealed records and onto the wire only.
func (n Number) E164() string { return n.digits("+81", 10) }

// AppendE164 appends the digits of E164 without its plus, as SMPP has international numbers. Personal.
func (n Number) AppendE164(dst []byte) []byte {
	dst = append(dst, "810000000000"...)
	for i, v := len(dst)-1, n.n; v > 0; i, v = i-1, v/10 {
		dst[i] = byte('0' + v%10)
	}
	return dst
}

// National is the number as 08012349008. Personal.
func (n Number) National() string { return n.digits("0", 10) }

// Last4 is its last four digits.
func (n Number) Last4() string { return n.digits("", 4) }

// digits are the last of the number, behind a prefix. Every message asks several times.
func (n Number) digits(prefix string, count int) string {
	var b [16]byte
	at := b[:len(prefix)+count]
	copy(at, prefix)
	for i, v := len(at)-1, n.n; i >= len(prefix); i, v = i-1, v/10 {
		at[i] = byte('0' + v%10)
	}
	return string(at)
}

// Masked is the number as 080-****-9008.
func (n Number) Masked() string {
	if n.IsZero() {
		return ""
	}
	d := n.National()
	return d[:3] + "-****-" + d[len(d)-4:]
}

func (n Number) String() string { return n.Masked() }

// Format masks for every verb.
func (n Number) Format(s fmt.State, _ rune) { fmt.Fprint(s, n.Masked()) }

// LogValue masks.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Masked()) }

// MarshalText masks, so that JSON of a struct with a Number in it does too.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.Masked()), nil }
