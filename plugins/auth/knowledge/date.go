package main

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The faults of a date. None repeats the date.
var (
	errNotADate    = errors.New("not a date: a year, a month and a day are needed")
	errYear        = errors.New("the year needs four digits or an era")
	errNoSuchDay   = errors.New("no such day in the calendar")
	errOutsideEra  = errors.New("outside of the era that is named")
	errOutOfRange  = errors.New("before 1868-01-25 or in the future")
	errDateTooLong = errors.New("longer than 40 characters")
	errTwoYears    = errors.New("the two calendars say different years")
)

// era is one of the five since 1868. It ends on the day before the next one starts.
type era struct {
	names []string // as they stand in front of a year, upper case; the code of the banks is the place in eras plus one
	first time.Time
	last  time.Time
}

var eras = [...]era{
	{[]string{"明治", "明", "M"}, day(1868, 1, 25), day(1912, 7, 29)},
	{[]string{"大正", "大", "T"}, day(1912, 7, 30), day(1926, 12, 24)},
	{[]string{"昭和", "昭", "S"}, day(1926, 12, 25), day(1989, 1, 7)},
	{[]string{"平成", "平", "H"}, day(1989, 1, 8), day(2019, 4, 30)},
	{[]string{"令和", "令", "R"}, day(2019, 5, 1), day(9999, 12, 31)},
}

// weekday is what calendars put behind a date.
var weekday = regexp.MustCompile(`\s*\([月火水木金土日](曜日?)?\)$`)

// bothCalendars is a year in one calendar, in brackets the same in the other, and what follows.
var bothCalendars = regexp.MustCompile(`^([^()]+年?)\s*\(([^()]+年?)\)\s*年?([^()]+)$`)

func day(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// midnight is what spreadsheets and databases append to a date.
var midnight = regexp.MustCompile(`[T ]+0{1,2}:00(:00(\.0+)?)?Z?$`)

// canonicalDate gives a date of birth as eight digits, YYYYMMDD. It reads, in any width and with any of the usual
// separators:
//
//	19980101   1998/1/1   1998年1月1日   一九九八年一月一日   (year, month, day)
//	平成10年1月1日   H10.1.1   平10-01-01   H100101   ㍻10/1/1   令和元年五月一日   (era)
//	4100101   4-10-01-01   (the banks' code of the era, 1 明治 to 5 令和)
//	1998年（平成10年）1月1日   平成10年（1998年）1月1日   1998年1月1日（木）   (both calendars must say one year)
//
// now is the host's clock, the zero time when it is not known.
func canonicalDate(typed string, now time.Time) (string, error) {
	if len(typed) > 40*len("年") {
		return "", errDateTooLong
	}
	s := strings.ToUpper(norm.NFKC.String(typed))
	s = strings.TrimSpace(midnight.ReplaceAllString(strings.TrimSpace(s), ""))
	s = strings.TrimPrefix(s, "西暦")
	s = strings.TrimSuffix(strings.TrimSuffix(s, "生まれ"), "生")
	s = weekday.ReplaceAllString(s, "")
	if m := bothCalendars.FindStringSubmatch(s); m != nil {
		one, err := canonicalDate(m[1]+"年"+m[3], now)
		if err != nil {
			return "", err
		}
		if other, err := canonicalDate(m[2]+"年"+m[3], now); err != nil || one != other {
			return "", errTwoYears
		}
		return one, nil
	}

	e, s := cutEra(s)
	numbers, err := numbersOf(s, e != nil)
	if err != nil {
		return "", err
	}
	if len(numbers) == 1 {
		numbers, err = splitDigits(numbers[0], e != nil)
		if err != nil {
			return "", err
		}
	}
	// The banks' code of the era in front: 4 10 01 01, or 4 100101.
	if e == nil && len(numbers) > 1 && len(numbers[0]) == 1 && (len(numbers) == 4 || len(numbers) == 2) {
		if e, err = eraOfCode(numbers[0]); err != nil {
			return "", err
		}
		if numbers = numbers[1:]; len(numbers) == 1 {
			if numbers, err = splitDigits(numbers[0], true); err != nil {
				return "", err
			}
		}
	}
	if len(numbers) != 3 || len(numbers[1]) > 2 || len(numbers[2]) > 2 {
		return "", errNotADate
	}
	if e == nil && len(numbers[0]) != 4 || e != nil && len(numbers[0]) > 2 {
		return "", errYear
	}
	var ymd [3]int
	for i, n := range numbers {
		ymd[i], _ = strconv.Atoi(n) // one to four digits by now
	}
	if e != nil {
		if ymd[0] == 0 {
			return "", errYear
		}
		ymd[0] += e.first.Year() - 1
	}
	date := day(ymd[0], ymd[1], ymd[2])
	if date.Month() != time.Month(ymd[1]) || date.Day() != ymd[2] {
		return "", errNoSuchDay
	}
	if e != nil && (date.Before(e.first) || date.After(e.last)) {
		return "", errOutsideEra
	}
	// A day of grace: the host's clock counts in another zone than the person.
	if date.Before(eras[0].first) || !now.IsZero() && date.After(now.AddDate(0, 0, 1)) {
		return "", errOutOfRange
	}
	return date.Format("20060102"), nil
}

func cutEra(s string) (*era, string) {
	for i := range eras {
		for _, name := range eras[i].names {
			if rest, ok := strings.CutPrefix(s, name); ok {
				return &eras[i], rest
			}
		}
	}
	return nil, s
}

func eraOfCode(code string) (*era, error) {
	if code < "1" || code > "5" {
		return nil, errYear
	}
	return &eras[code[0]-'1'], nil
}

// splitDigits cuts a date that is written without separators.
func splitDigits(digits string, inEra bool) ([]string, error) {
	switch n := len(digits); {
	case inEra && n == 6:
		return []string{digits[:2], digits[2:4], digits[4:]}, nil
	case !inEra && n == 8:
		return []string{digits[:4], digits[4:6], digits[6:]}, nil
	case !inEra && n == 7:
		return []string{digits[:1], digits[1:3], digits[3:5], digits[5:]}, nil
	case !inEra && n == 6:
		return nil, errYear
	}
	return nil, errNotADate
}

// numbersOf cuts s into its numbers, in digits. After an era 元 is 1.
func numbersOf(s string, inEra bool) ([]string, error) {
	var numbers []string
	var run []rune // of one number
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		n, err := digitsOf(run)
		run = run[:0]
		numbers = append(numbers, n)
		return err
	}
	first := true // of what is not a separator
	for _, r := range s {
		switch {
		case r == '元' && inEra && first:
			numbers = append(numbers, "1")
		case '0' <= r && r <= '9' || strings.ContainsRune(kanjiDigits, r) || unit(r) > 0:
			run = append(run, r)
		case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("年月日/.,、。・−ー'", r):
			if err := flush(); err != nil {
				return nil, err
			}
			continue
		default:
			return nil, errNotADate
		}
		first = false
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return numbers, nil
}

// kanjiDigits has three spellings of 0, then each digit with its formal one.
const kanjiDigits = "〇○零一壱二弐三参四五六七八九"

var kanjiValue = map[rune]int{'〇': 0, '○': 0, '零': 0, '一': 1, '壱': 1, '二': 2, '弐': 2, '三': 3, '参': 3, '四': 4, '五': 5, '六': 6, '七': 7, '八': 8, '九': 9}

func unit(r rune) int {
	switch r {
	case '十', '拾', '廿', '卅':
		return 10
	case '百':
		return 100
	case '千':
		return 1000
	}
	return 0
}

// digitsOf writes one number, in digits or kanji (一九九八, 千九百九十八, 二十三), in digits.
func digitsOf(run []rune) (string, error) {
	var digits []byte // read one by one
	total, pending, units := 0, -1, 0
	limit := 10_000 // the next unit must be smaller
	for _, r := range run {
		if u := unit(r); u > 0 {
			if n := map[rune]int{'廿': 2, '卅': 3}[r]; n > 0 { // they are the ten and what stands before it in one
				if pending >= 0 {
					return "", errNotADate
				}
				pending = n
			}
			if u >= limit || len(digits) > 1 {
				return "", errNotADate
			}
			limit = u
			if pending < 0 {
				pending = 1
			}
			total += pending * u
			pending, digits = -1, nil
			units++
			continue
		}
		v, ok := kanjiValue[r]
		if !ok {
			v = int(r - '0')
		}
		digits = append(digits, byte('0'+v))
		pending = v
	}
	if units == 0 {
		return string(digits), nil
	}
	if len(digits) > 1 {
		return "", errNotADate
	}
	return strconv.Itoa(total + max(pending, 0)), nil
}
