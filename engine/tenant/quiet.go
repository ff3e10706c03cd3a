package tenant

import (
	"fmt"
	"slices"
	"time"
)

// Quiet closes hours of the day, or whole days, to a class of messages, by the clock of Asia/Tokyo. What comes due then
// waits until they are over.
type Quiet struct {
	// Class is the class that it holds for: notice, billing, collection, legal_notice, ad; "*": all of them. One-time codes
	// are always sent.
	Class string `json:"class" toml:"class"`
	// From and To are hours of every day, "21:00" and "08:00": closed from the one until just before the other, over
	// midnight when From is the later. Both empty: no hours.
	From string `json:"from,omitempty" toml:"from,omitempty"`
	To   string `json:"to,omitempty" toml:"to,omitempty"`
	// Closed lists whole days: mon, tue, wed, thu, fri, sat, sun, holiday (national holidays of Japan).
	Closed []string `json:"closed,omitempty" toml:"closed,omitempty"`
}

// Holiday is the word of Quiet.Closed for national holidays; the others are Days.
const Holiday = "holiday"

// Days are the words of Quiet.Closed for weekdays, by time.Weekday.
var Days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

var quietClasses = []string{"*", "notice", "billing", "collection", "legal_notice", "ad"}

// Validate reports the first fault.
func (q Quiet) Validate() error {
	if !slices.Contains(quietClasses, q.Class) {
		return fmt.Errorf("class %q must be notice, billing, collection, legal_notice, ad or *", q.Class)
	}
	for _, clock := range []string{q.From, q.To} {
		if _, ok := MinuteOfDay(clock); !ok && (q.From != "" || q.To != "") {
			return fmt.Errorf("from and to: %q must be a time of the day like 08:00", clock)
		}
	}
	if q.From == q.To && q.From != "" {
		return fmt.Errorf("from and to are both %q", q.From)
	}
	if q.From == "" && len(q.Closed) == 0 {
		return fmt.Errorf("needs from and to, or closed")
	}
	open := 7
	for i, d := range q.Closed {
		if d != Holiday && !slices.Contains(Days, d) || slices.Contains(q.Closed[:i], d) {
			return fmt.Errorf("closed: %q must be mon, tue, wed, thu, fri, sat, sun or holiday, each once", d)
		}
		if d != Holiday {
			open--
		}
	}
	if open == 0 {
		return fmt.Errorf("closed: no day is left open")
	}
	return nil
}

// MinuteOfDay reads a clock time "15:04" as minutes since midnight.
func MinuteOfDay(clock string) (int, bool) {
	t, err := time.Parse("15:04", clock)
	return t.Hour()*60 + t.Minute(), err == nil
}
