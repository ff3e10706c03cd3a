// Package stepped sets the program's clock for a fault run: with it the clock follows a file. Only the program's
// chaosclock.go imports it, under the build tag of that name.
package stepped

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/kakitome/kakitome/engine/clock"
)

// File is the environment variable that names the file with the seconds by which this clock is ahead (negative: behind).
// It is read a hundred times a second; what cannot be read changes nothing.
const File = "KAKITOME_CLOCK"

// ahead is by how many seconds.
var ahead atomic.Int64

func init() {
	name := os.Getenv(File)
	if name == "" {
		return
	}
	read(name)
	clock.Step(func(t time.Time) time.Time { return set(t, ahead.Load()) })
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			read(name)
		}
	}()
}

func read(name string) {
	data, err := os.ReadFile(name)
	if err != nil {
		return
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil {
		ahead.Store(n)
	}
}

// set moves the wall clock of a time from time.Now, and leaves the monotonic reading as it is: what a program sees when the
// clock of its machine is set. The first word of a time.Time with a monotonic reading holds, from the lowest bit, 30 bits of
// nanoseconds and 33 bits of seconds (time/time.go); TestOnlyTheWallClockIsSet would see that change.
func set(t time.Time, seconds int64) time.Time {
	const nanosecondBits = 30
	*(*uint64)(unsafe.Pointer(&t)) += uint64(seconds) << nanosecondBits
	return t
}
