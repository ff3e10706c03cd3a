package dispatch

import (
	"time"

	"github.com/kakitome/kakitome/engine/message"
)

// quiet is when nothing of a class is sent, as minutes of the day in Asia/Tokyo; from > to spans midnight.
type quiet struct{ from, to int }

// quietHours of the classes. 貸金業法 §21 bans contact from 21:00 to 08:00 by telephone, fax and visit; an SMS is held to
// the same hours. Advertising is held to them as a courtesy. Codes and the rest are sent at any hour.
var quietHours = map[message.Class]quiet{
	message.Collection: {21 * 60, 8 * 60},
	message.Ad:         {21 * 60, 8 * 60},
}

// Release returns when a message of the class and window may be sent at the earliest, not before now. A message that has
// to wait gets up to spread of delay, derived from its id by seed, so that a night's messages do not all leave at once.
func Release(now time.Time, class message.Class, window *message.Window, seed uint32) time.Time {
	at := now
	for range 4 { // leaving one closed stretch may lead into another: two rounds settle any pair
		next := afterQuiet(at, class)
		next = intoWindow(next, window)
		if next.Equal(at) {
			break
		}
		at = next
	}
	if at.After(now) {
		at = at.Add(time.Duration(seed%uint32(spread/time.Second)) * time.Second)
	}
	return at
}

// spread is over how long held messages are let go.
const spread = 10 * time.Minute

func afterQuiet(t time.Time, class message.Class) time.Time {
	q, ok := quietHours[class]
	if !ok {
		return t
	}
	day, minute := tokyoDay(t)
	switch {
	case minute >= q.from:
		return day.AddDate(0, 0, 1).Add(time.Duration(q.to) * time.Minute)
	case minute < q.to:
		return day.Add(time.Duration(q.to) * time.Minute)
	}
	return t
}

func intoWindow(t time.Time, w *message.Window) time.Time {
	if w == nil {
		return t
	}
	from, ok1 := minutes(w.From)
	to, ok2 := minutes(w.To)
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

func minutes(clock string) (int, bool) {
	t, err := time.Parse("15:04", clock)
	return t.Hour()*60 + t.Minute(), err == nil
}
