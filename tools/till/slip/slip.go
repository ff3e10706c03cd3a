// Package slip builds and reads the 44 digits of the GS1-128 symbol that Japanese convenience stores take money by
// (標準料金代理収納). It knows digits only: what the free digits mean belongs to the company that issues the slip,
// and drawing the bars belongs to whoever shows it.
//
//	pos    1-2  3-8      9-29  30       31-36   37     38-43  44
//	       91   company  free  reissue  YYMMDD  stamp  yen    check digit
//
// Source: the public field descriptions of 「GS1-128シンボルによる標準料金代理収納ガイドライン」.
package slip

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// Length is the number of digits of every slip.
	Length = 44
	// FreeLength is the number of digits that the issuing company may use as it likes.
	FreeLength = 21
	// MaxYen is the most that a convenience store takes on one slip.
	MaxYen = 300_000
	// StampYen is the amount from which a paper receipt needs a revenue stamp (印紙).
	StampYen = 50_000

	applicationIdentifier = "91"
	noLimit               = "999999"
)

// Japan is the time zone of every date on a slip; Japan has had no daylight saving since 1951.
var Japan = time.FixedZone("JST", 9*60*60)

// ErrCheckDigit says that the last digit does not belong to the 43 before it: a misread or mistyped slip.
var ErrCheckDigit = errors.New("check digit does not match")

// Slip is the meaning of the 44 digits.
type Slip struct {
	Company string    // 請求書発行企業コード, 6 digits
	Free    string    // at most 21 digits; Digits pads it with zeros on the right, Parse gives all 21
	Reissue int       // 0 to 9
	Due     time.Time // the last day to pay, its time of day is ignored; zero: no limit (999999)
	Stamp   bool      // a paper receipt needs a revenue stamp
	Yen     int64     // 1 to 300,000
}

// NeedsStamp reports the stamp flag for an amount. taxYen is the consumption tax within yen when the bill shows it
// separately, and -1 when it does not: a tax shown separately does not count towards the 50,000 yen.
func NeedsStamp(yen, taxYen int64) bool {
	if taxYen > 0 {
		yen -= taxYen
	}
	return yen >= StampYen
}

// Digits writes the slip. It refuses what does not fit the layout, naming the field.
func (s Slip) Digits() (string, error) {
	switch {
	case len(s.Company) != 6 || !allDigits(s.Company):
		return "", fmt.Errorf("company code %q: want 6 digits", s.Company)
	case len(s.Free) > FreeLength || !allDigits(s.Free):
		return "", fmt.Errorf("free digits %q: want at most %d digits", s.Free, FreeLength)
	case s.Reissue < 0 || s.Reissue > 9:
		return "", fmt.Errorf("reissue count %d: want 0 to 9", s.Reissue)
	case s.Yen < 1 || s.Yen > MaxYen:
		return "", fmt.Errorf("amount %d yen: want 1 to %d", s.Yen, MaxYen)
	}
	due := noLimit
	if !s.Due.IsZero() {
		d := s.Due.In(Japan)
		if d.Year() < 2000 || d.Year() > 2099 {
			return "", fmt.Errorf("due date %s: a slip has two digits for the year, want 2000 to 2099", d.Format(time.DateOnly))
		}
		due = d.Format("060102")
	}
	stamp := 0
	if s.Stamp {
		stamp = 1
	}
	body := fmt.Sprintf("%s%s%s%s%d%s%d%06d", applicationIdentifier, s.Company,
		s.Free, strings.Repeat("0", FreeLength-len(s.Free)), s.Reissue, due, stamp, s.Yen)
	return body + string(CheckDigit(body)), nil
}

// Parse reads 44 digits as a till does. It returns ErrCheckDigit for a misread slip and an error that names the
// field for digits that no slip has. Whether the slip may be paid today is not its question: see Expired.
func Parse(digits string) (Slip, error) {
	if len(digits) != Length || !allDigits(digits) {
		return Slip{}, fmt.Errorf("slip of %d characters: want %d digits", len(digits), Length)
	}
	if digits[:2] != applicationIdentifier {
		return Slip{}, fmt.Errorf("application identifier %s: want %s", digits[:2], applicationIdentifier)
	}
	if CheckDigit(digits[:Length-1]) != digits[Length-1] {
		return Slip{}, ErrCheckDigit
	}
	s := Slip{Company: digits[2:8], Free: digits[8:29], Reissue: int(digits[29] - '0')}
	if day := digits[30:36]; day != noLimit {
		due, err := time.ParseInLocation("20060102", "20"+day, Japan)
		if err != nil {
			return Slip{}, fmt.Errorf("due date %s: no such day", day)
		}
		s.Due = due
	}
	switch digits[36] {
	case '0':
	case '1':
		s.Stamp = true
	default:
		return Slip{}, fmt.Errorf("stamp flag %c: want 0 or 1", digits[36])
	}
	for _, c := range []byte(digits[37:43]) {
		s.Yen = s.Yen*10 + int64(c-'0')
	}
	if s.Yen < 1 || s.Yen > MaxYen {
		return Slip{}, fmt.Errorf("amount %d yen: want 1 to %d", s.Yen, MaxYen)
	}
	return s, nil
}

// Expired reports whether a till refuses the slip for its date: from the first moment, in Japan, of the day after.
func (s Slip) Expired(now time.Time) bool {
	return !s.Due.IsZero() && now.After(EndOfDay(s.Due))
}

// EndOfDay is the last second of t's day in Japan, the last moment to pay a slip that is due on that day.
func EndOfDay(t time.Time) time.Time {
	y, m, d := t.In(Japan).Date()
	return time.Date(y, m, d, 23, 59, 59, 0, Japan)
}

// CheckDigit is the mod 10 weight 3 digit (モジュラス10/ウェイト3) of digits, which must be ASCII digits: from the
// rightmost one the weights are 3, 1, 3, 1, …; what is missing to a multiple of ten is the answer. On a slip it
// covers all 43 digits before it, the application identifier 91 included (GS1-128 標準料金代理収納; GS1 General
// Specifications §7.9, whose weights it shares).
func CheckDigit(digits string) byte {
	sum, weight := 0, 3
	for i := len(digits) - 1; i >= 0; i-- {
		sum += int(digits[i]-'0') * weight
		weight = 4 - weight
	}
	return '0' + byte((10-sum%10)%10)
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
