// Package wording says amounts, dates and interface texts in the two languages of pages and documents, Japanese
// first. What the tenant wrote is never translated.
package wording

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Lang is the language of interface texts.
type Lang string

const (
	Japanese Lang = "ja"
	English  Lang = "en"
)

// Of gives the language that is asked for: English for "en", Japanese for everything else.
func Of(lang string) Lang {
	if lang == string(English) {
		return English
	}
	return Japanese
}

// Say picks the text and fills it as fmt.Sprintf does when there are args.
func (l Lang) Say(ja, en string, args ...any) string {
	s := ja
	if l == English {
		s = en
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// Yen writes an amount with thousands separated: 7,440円, ¥7,440.
func (l Lang) Yen(yen int64) string {
	return l.Say("%s円", "¥%s", Number(yen))
}

// Number writes digits in groups of three.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

var (
	jst      = time.FixedZone("JST", 9*60*60)
	weekdays = []string{"日", "月", "火", "水", "木", "金", "土"}
)

// Date writes the day in Japan, with its weekday. Nil gives "".
func (l Lang) Date(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return ""
	}
	t := ts.AsTime().In(jst)
	if l == English {
		return t.Format("2 January 2006")
	}
	return t.Format("2006年1月2日") + "（" + weekdays[t.Weekday()] + "）"
}

// Moment writes day and minute in Japan. Nil gives "".
func (l Lang) Moment(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return ""
	}
	return l.Date(ts) + l.Say(" %s", ", %s (Japan time)", ts.AsTime().In(jst).Format("15:04"))
}

// Until writes a term: the day alone when it ends with the day, else the minute too. Nil gives "".
func (l Lang) Until(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return ""
	}
	if t := ts.AsTime().In(jst); t.Hour() == 23 && t.Minute() == 59 {
		return l.Date(ts)
	}
	return l.Moment(ts)
}
