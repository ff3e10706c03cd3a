// Package clock is the program's one clock: what time of day it is, wherever that is written down, shown, or compared
// with what was written down. The engine, the links and the console ask it and never time.Now (tools/lint checks that), so
// that a fault run can set it: with the build tag chaosclock it follows a file (stepped.go), and only then.
//
// A time from Now also holds Go's monotonic reading, which no setting of the clock changes: durations between two of them
// (time.Since, Sub) and deadlines of connections are right whatever happens to the clock. Times that were stored have lost
// it, so Until is asked for those instead of time.Until.
//
// What may happen to a real clock, and what holds then: it is set on (what is due meanwhile is due at once), and it is set
// back (nothing that is new waits for it; engine/store/due.go).
package clock

import "time"

// Until is how long it is until t by this clock; negative when t has passed.
func Until(t time.Time) time.Duration { return t.Sub(Now()) }
