package message

import (
	"strconv"
	"time"
)

// How days, moments and amounts are said to people: lang is en, else Japanese.

// LongDay is the day of a moment in Tokyo as pages and letters say it.
func LongDay(at time.Time, lang string) string {
	return string(appendDay(make([]byte, 0, 64), at.In(Tokyo), lang))
}

// appendDay is LongDay of a moment that is in Tokyo's time: every page says one.
func appendDay(dst []byte, at time.Time, lang string) []byte {
	if lang == "en" {
		return at.AppendFormat(dst, "2 January 2006")
	}
	year, month, day := at.Date()
	dst = append(strconv.AppendInt(dst, int64(year), 10), "年"...)
	dst = append(strconv.AppendInt(dst, int64(month), 10), "月"...)
	dst = append(strconv.AppendInt(dst, int64(day), 10), "日（"...)
	return append(append(dst, weekdays[at.Weekday()]...), "）"...)
}

var weekdays = [...]string{"日", "月", "火", "水", "木", "金", "土"}

// Moment is day and minute in Tokyo as pages say them.
func Moment(at time.Time, lang string) string {
	at = at.In(Tokyo)
	said := appendDay(make([]byte, 0, 64), at, lang)
	if lang == "en" {
		return string(append(at.AppendFormat(append(said, ", "...), "15:04"), " (Japan time)"...))
	}
	hour, minute, _ := at.Clock()
	said = append(said, ' ', byte('0'+hour/10), byte('0'+hour%10), ':')
	return string(append(said, byte('0'+minute/10), byte('0'+minute%10)))
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
