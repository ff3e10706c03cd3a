// Package clock is the program's one clock: what time of day it is, wherever that is written down, shown, or compared
// with what was written down. The engine, the links and the console ask it and never time.Now (tools/lint checks that), so
// that a fault run can set it: a program built with the tag chaosclock calls Step before anything else runs (package
// stepped), and no other does.
//
// A time from Now also holds Go's monotonic reading, which no setting of the clock changes: durations between two of them
// (time.Since, Sub) and deadlines of connections are right whatever happens to the clock. Times that were stored have lost
// it, so Until is asked for those instead of time.Until.
//
// What may happen to a real clock, and what holds then: it is set on (what is due meanwhile is due at once), and it is set
// back (nothing that is new waits for it; engine/store/due.go).
package clock

import "time"

// step changes what time.Now gives; nil but in a fault run.
var step func(time.Time) time.Time

// Step lets Now give what f makes of time.Now. It is called from an init function, before anything asks; f is safe for
// concurrent use.
func Step(f func(time.Time) time.Time) { step = f }

// Now is the time. Safe for concurrent use.
func Now() time.Time {
	if step != nil {
		return step(time.Now())
	}
	return time.Now()
}

// Until is how long it is until t by this clock; negative when t has passed.
func Until(t time.Time) time.Duration { return t.Sub(Now()) }
