package proof

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// The states of a clock.
const (
	Synchronised   = "synchronised"
	Unsynchronised = "unsynchronised"
	ClockUnknown   = "unknown" // the kernel did not say
)

// Clock is what a machine knew of its clock at a time. The errors and the offset are the kernel's (adjtimex): they are as good
// as the program that disciplines the clock.
type Clock struct {
	State     string        `json:"state"`
	Source    string        `json:"source,omitempty"` // as the operator named it
	Offset    time.Duration `json:"offset_ns"`        // that is still being corrected
	Estimated time.Duration `json:"estimated_error_ns"`
	Maximum   time.Duration `json:"maximum_error_ns"`
	At        time.Time     `json:"at"`
}

// Said is the state in words.
func (c *Clock) Said(japanese bool) string {
	source := c.Source
	if source == "" {
		source = map[bool]string{true: "（時刻源の記載なし）", false: "source not stated"}[japanese]
	}
	switch {
	case c.State == Synchronised && japanese:
		return fmt.Sprintf("同期済み（時刻源 %s、補正中のずれ %v、最大誤差 %v）", source, c.Offset, c.Maximum)
	case c.State == Synchronised:
		return fmt.Sprintf("synchronised (source %s, offset being corrected %v, maximum error %v)", source, c.Offset, c.Maximum)
	case c.State == Unsynchronised && japanese:
		return fmt.Sprintf("時計は同期していませんでした（時刻源 %s）。時刻の正確さは確認できません。", source)
	case c.State == Unsynchronised:
		return fmt.Sprintf("the clock was NOT synchronised (source %s): how true the times are cannot be told", source)
	case japanese:
		return fmt.Sprintf("時計が同期しているかは不明でした（時刻源 %s）。", source)
	}
	return fmt.Sprintf("whether the clock was synchronised was not known (source %s)", source)
}

// line is the clock's part of a published line; at is that of the line.
func (c *Clock) line() string {
	source := url.QueryEscape(c.Source)
	if source == "" {
		source = "-"
	}
	return fmt.Sprintf("clock=%s source=%s offset_us=%d estimated_us=%d maximum_us=%d", c.State, source,
		c.Offset.Microseconds(), c.Estimated.Microseconds(), c.Maximum.Microseconds())
}

func parseMicroseconds(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s || n > 1<<52 || n < -1<<52 {
		return 0, fmt.Errorf("%.40q is no number of microseconds", s)
	}
	return time.Duration(n) * time.Microsecond, nil
}
