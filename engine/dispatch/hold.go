package dispatch

import (
	"slices"
	"sync"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/jp"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// quietHours hold whatever operator and tenant say. 貸金業法 §21 bans contact from 21:00 to 08:00 by telephone, fax and
// visit; an SMS is held to the same hours. Advertising is held to them as a courtesy.
var quietHours = []tenant.Quiet{
	{Class: string(message.Collection), From: "21:00", To: "08:00"},
	{Class: string(message.Ad), From: "21:00", To: "08:00"},
}

// spread is over how long held messages are let go.
const spread = 10 * time.Minute

// Release returns when a message of the class and window may be sent at the earliest, not before now, by the quiet hours
// above and by rules, which can only add to them. A message that has to wait gets up to spread of delay, derived from its
// id by seed, so that a night's messages do not all leave at once; none where the delay would lead into the next hold.
// One-time codes are never held.
func Release(now time.Time, class message.Class, window *message.Window, rules []tenant.Quiet, seed uint32) time.Time {
	if class == message.OTP {
		return now
	}
	at := opensAt(now, class, window, rules)
	if at.After(now) {
		later := at.Add(time.Duration(seed%uint32(spread/time.Second)) * time.Second)
		if opensAt(later, class, window, rules).Equal(later) {
			return later
		}
	}
	return at
}

// opensAt is the first moment from t on at which nothing holds the class. Leaving one closed stretch may lead into another;
// after many it gives up, and the message is looked at again then.
func opensAt(t time.Time, class message.Class, window *message.Window, rules []tenant.Quiet) time.Time {
	for range 100 {
		next := intoWindow(t, window)
		for _, list := range [][]tenant.Quiet{quietHours, rules} {
			for i := range list {
				if list[i].Class == string(class) || list[i].Class == "*" {
					next = afterQuiet(next, &list[i])
				}
			}
		}
		if next.Equal(t) {
			break
		}
		t = next
	}
	return t
}

func afterQuiet(t time.Time, q *tenant.Quiet) time.Time {
	day, minute := tokyoDay(t)
	if closedOn(day, q.Closed) {
		return day.AddDate(0, 0, 1)
	}
	from, ok1 := tenant.MinuteOfDay(q.From)
	to, ok2 := tenant.MinuteOfDay(q.To)
	if !ok1 || !ok2 {
		return t
	}
	until := day.Add(time.Duration(to) * time.Minute)
	switch {
	case from < to && minute >= from && minute < to, from > to && minute < to:
		return until
	case from > to && minute >= from:
		return until.AddDate(0, 0, 1)
	}
	return t
}

func closedOn(day time.Time, closed []string) bool {
	if len(closed) == 0 {
		return false
	}
	return slices.Contains(closed, tenant.Days[day.Weekday()]) || slices.Contains(closed, tenant.Holiday) && isHoliday(day)
}

// holidays of Japan, computed once a day and year.
var holidays = struct {
	calendar *cal.BusinessCalendar
	known    sync.Map // time.Time of the midnight → bool
}{calendar: func() *cal.BusinessCalendar {
	c := cal.NewBusinessCalendar()
	c.AddHoliday(jp.Holidays...)
	return c
}()}

func isHoliday(day time.Time) bool {
	if v, ok := holidays.known.Load(day.Unix()); ok {
		return v.(bool)
	}
	actual, observed, _ := holidays.calendar.IsHoliday(day)
	holidays.known.Store(day.Unix(), actual || observed)
	return actual || observed
}

func intoWindow(t time.Time, w *message.Window) time.Time {
	if w == nil {
		return t
	}
	from, ok1 := tenant.MinuteOfDay(w.From)
	to, ok2 := tenant.MinuteOfDay(w.To)
	if !ok1 || !ok2 || from >= to {
		return t // refused at intake; a record that has it all the same is not held for ever
	}
	day, minute := tokyoDay(t)
	switch {
	case minute < from:
		return day.Add(time.Duration(from) * time.Minute)
	case minute >= to:
		return day.AddDate(0, 0, 1).Add(time.Duration(from) * time.Minute)
	}
	return t
}

func tokyoDay(t time.Time) (midnight time.Time, minute int) {
	l := t.In(message.Tokyo)
	return time.Date(l.Year(), l.Month(), l.Day(), 0, 0, 0, 0, message.Tokyo), l.Hour()*60 + l.Minute()
}
