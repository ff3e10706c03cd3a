package message

import (
	"strconv"
	"time"
)

// How days, moments and amounts are said to people: lang is en, else Japanese.

// LongDay is the day of a moment in Tokyo as pages and letters say it.
func LongDay(at time.Time, lang string) string {
	at = at.In(Tokyo)
	if lang == "en" {
		return at.Format("2 January 2006")
	}
	return at.Format("2006年1月2日") + "（" + string([]rune("日月火水木金土")[at.Weekday()]) + "）"
}

// Moment is day and minute in Tokyo as pages say them.
func Moment(at time.Time, lang string) string {
	minute := at.In(Tokyo).Format("15:04")
	if lang == "en" {
		return LongDay(at, lang) + ", " + minute + " (Japan time)"
	}
	return LongDay(at, lang) + " " + minute
}

// Yen is an amount as pages and letters say it.
func Yen(n int64, lang string) string {
	if lang == "en" {
		return "¥" + Grouped(n)
	}
	return Grouped(n) + "円"
}

// Grouped is a number with its thousands apart.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
