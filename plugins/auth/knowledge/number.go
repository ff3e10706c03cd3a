package main

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxTyped bounds a number or passcode as it is given, in bytes.
const maxTyped = 256

// The faults of a number. None repeats the number.
var (
	errEmpty     = errors.New("empty")
	errTooLong   = errors.New("longer than 256 bytes")
	errCharacter = errors.New("a character that has no place in it")
	errPhone     = errors.New("not a Japanese mobile number")
	errPostcode  = errors.New("a postcode has seven digits")
)

// dashes are what is typed between the groups of a number, besides Unicode's own class.
const dashes = "−ー─━⁻~〜"

// compact folds widths and drops spaces, dashes and what is invisible.
func compact(typed string) (string, error) {
	if len(typed) > maxTyped {
		return "", errTooLong
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(dashes, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(typed))
	if s == "" {
		return "", errEmpty
	}
	return s, nil
}

// canonicalCustomerNumber keeps leading zeros and every sign other than dashes and spaces; letters are upper case.
func canonicalCustomerNumber(typed string) (string, error) {
	s, err := compact(typed)
	if err != nil {
		return "", err
	}
	for _, r := range s {
		if r > unicode.MaxASCII && !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r < ' ' || r == 0x7F || unicode.IsMark(r) {
			return "", errCharacter
		}
	}
	return strings.ToUpper(s), nil
}

// mobile is a Japanese mobile number: 070, 080, 090 and, from July 2026, 060; and those of rehearsals, 070-0 and 090-0, which nobody has.
var mobile = regexp.MustCompile(`^0(?:[6-9]0[1-9]|[79]00)\d{7}$`)

// abroad is the country's code in front of it, with or without the 0 that is dropped abroad.
var abroad = regexp.MustCompile(`^(?:\+|00|010)?810?((?:[6-9]0[1-9]|[79]00)\d{7})$`)

// canonicalPhone gives a mobile number in E.164: +819012345678.
func canonicalPhone(typed string) (string, error) {
	s, err := compact(typed)
	if err != nil {
		return "", err
	}
	s = strings.NewReplacer("(", "", ")", "", ".", "").Replace(s)
	s = abroad.ReplaceAllString(s, "0$1")
	if !mobile.MatchString(s) {
		return "", errPhone
	}
	return "+81" + s[1:], nil
}

var sevenDigits = regexp.MustCompile(`^\d{7}$`)

func canonicalPostcode(typed string) (string, error) {
	s, err := compact(typed)
	if err != nil {
		return "", err
	}
	s = strings.TrimPrefix(s, "〒")
	if !sevenDigits.MatchString(s) {
		return "", errPostcode
	}
	return s, nil
}

// canonicalPasscode folds widths and trims the ends; upper and lower case differ.
func canonicalPasscode(typed string) (string, error) {
	if len(typed) > maxTyped {
		return "", errTooLong
	}
	s := strings.TrimSpace(norm.NFKC.String(typed))
	if s == "" {
		return "", errEmpty
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", errCharacter
	}
	return s, nil
}

// canonicalFree is for words as well as numbers: widths, case, hiragana and katakana, and what stands between words do not
// matter.
func canonicalFree(typed string) (string, error) {
	if len(typed) > maxTyped {
		return "", errTooLong
	}
	s := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case 'ぁ' <= r && r <= 'ゖ' || r == 'ゝ' || r == 'ゞ':
			return r + 'ァ' - 'ぁ'
		}
		return unicode.ToUpper(r)
	}, norm.NFKC.String(typed))
	s = strings.Join(strings.Fields(norm.NFKC.String(s)), " ")
	switch {
	case s == "":
		return "", errEmpty
	case !utf8.ValidString(typed) || strings.ContainsFunc(s, unicode.IsControl):
		return "", errCharacter
	}
	return s, nil
}

// plainDashes makes a hyphen of whatever is typed for a dash: 1ー2, 1−2, 1‐2. A ー that lengthens a kana stays.
func plainDashes(form string) string {
	kana := false // what is before is one, or lengthens one
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Pd, r) || strings.ContainsRune("−─━", r) || r == 'ー' && !kana {
			kana = false
			return '-'
		}
		kana = r == 'ー' || unicode.In(r, unicode.Hiragana, unicode.Katakana)
		return r
	}, form)
}
