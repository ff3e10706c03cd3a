package pdu

import (
	"fmt"
	"time"
)

// AbsoluteTime writes t as "YYMMDDhhmmsstnnp" with its own zone, rounded down
// to tenths of a second and to quarters of an hour of zone. SMPP 3.4 §7.1.1.1
func AbsoluteTime(t time.Time) string {
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	return fmt.Sprintf("%s%d%02d%c", t.Format("060102150405"), t.Nanosecond()/1e8, offset/900, sign)
}

// RelativeTime writes d as "YYMMDDhhmmss000R" from now, rounded up to a
// second. Days carry the whole length up to 31 days, longer times are cut
// into months of 30 days and years of 12 months; at most 99 years. A negative
// d is an error. SMPP 3.4 §7.1.1.2
func RelativeTime(d time.Duration) (string, error) {
	b, err := AppendRelativeTime(make([]byte, 0, 16), d)
	return string(b), err
}

// AppendRelativeTime appends RelativeTime to dst; nothing with an error.
func AppendRelativeTime(dst []byte, d time.Duration) ([]byte, error) {
	if d < 0 {
		return dst, fmt.Errorf("relative time %v: below zero", d)
	}
	s := int64((d + time.Second - 1) / time.Second)
	days := s / 86400
	months := int64(0)
	if days > 31 {
		months, days = days/30, days%30
	}
	years := months / 12
	months %= 12
	if years > 99 {
		return dst, fmt.Errorf("relative time %v: over 99 years", d)
	}
	for _, n := range [...]int64{years, months, days, s / 3600 % 24, s / 60 % 60, s % 60} {
		dst = append(dst, byte('0'+n/10), byte('0'+n%10))
	}
	return append(dst, "000R"...), nil
}

// ParseTime reads an absolute or relative time; a relative one counts from
// now. An empty v is the zero time ("at once", "the carrier's default").
// SMPP 3.4 §7.1.1
func ParseTime(v []byte, now time.Time) (time.Time, error) {
	if len(v) == 0 {
		return time.Time{}, nil
	}
	bad := &FieldError{Field: "time", Len: len(v), Limit: 16, Err: ErrBadTime}
	if len(v) != 16 {
		return time.Time{}, bad
	}
	var n [7]int // year month day hour minute second, quarters of an hour
	for i := range n {
		off := i * 2
		if i == 6 {
			off = 13
		}
		hi, lo := v[off]-'0', v[off+1]-'0'
		if hi > 9 || lo > 9 {
			return time.Time{}, bad
		}
		n[i] = int(hi)*10 + int(lo)
	}
	tenths := v[12] - '0'
	if tenths > 9 {
		return time.Time{}, bad
	}
	zone := n[6] * 900
	switch v[15] {
	case 'R':
		return now.AddDate(n[0], n[1], n[2]).Add(time.Duration(n[3])*time.Hour +
			time.Duration(n[4])*time.Minute + time.Duration(n[5])*time.Second), nil
	case '-':
		zone = -zone
	case '+':
	default:
		return time.Time{}, bad
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[3] > 23 || n[4] > 59 || n[5] > 59 || n[6] > 48 {
		return time.Time{}, bad
	}
	return time.Date(2000+n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], int(tenths)*1e8, time.FixedZone("", zone)), nil
}
