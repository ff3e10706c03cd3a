//go:build !chaosclock

package clock

import "time"

// Now is the time. Safe for concurrent use, and inlined to time.Now.
func Now() time.Time { return time.Now() }
