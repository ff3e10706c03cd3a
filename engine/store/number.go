package store

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// tokyo has no daylight saving time, so it needs no zone database.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// numbers counts the message numbers of each day.
type numbers struct {
	mu   sync.Mutex // guards days
	days map[string]int
}

// NextNo mints the next 17-digit message number: the date in Asia/Tokyo and a nine-digit count of that day,
// going on after a restart behind the highest committed one.
// A number counts as committed when it is a name in the space ByNo.
// It returns "" when the store is closed or its index cannot be read, and after the billionth number of a day.
func (s *Store) NextNo(now time.Time) string {
	if s.enter() != nil {
		return ""
	}
	defer s.exit()
	day := s.days.of(now).number
	s.numbers.mu.Lock()
	defer s.numbers.mu.Unlock()
	n, known := s.numbers.days[day]
	if !known {
		err := s.index.publish() // after a crash the highest may have been replayed into memory alone
		if err == nil {
			n, err = s.index.highestNo(day)
		}
		if err != nil {
			s.opt.Log.Error("highest message number unknown", "err", err)
			return ""
		}
		if s.numbers.days == nil {
			s.numbers.days = map[string]int{}
		}
		if len(s.numbers.days) > 7 { // the oldest can be read again: nothing of it is on its way
			delete(s.numbers.days, slices.Min(slices.Collect(maps.Keys(s.numbers.days))))
		}
	}
	if n >= 999_999_999 {
		return ""
	}
	s.numbers.days[day] = n + 1
	no := append(make([]byte, 0, 17), day...)
	no = no[:17]
	for i, v := 16, n+1; i >= 8; i, v = i-1, v/10 {
		no[i] = byte('0' + v%10)
	}
	return string(no)
}

// days remembers the day that was asked for last: nearly always it is asked for again. The zero value is ready, and safe
// for concurrent use.
type days struct{ last atomic.Pointer[day] }

// day is a day in Asia/Tokyo.
type day struct {
	from, to     int64  // Unix seconds; to is exclusive
	date, number string // 2006-01-02, 20060102
}

func (d *days) of(t time.Time) *day {
	now := t.Unix()
	if last := d.last.Load(); last != nil && last.from <= now && now < last.to {
		return last
	}
	local := t.In(tokyo)
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, tokyo).Unix()
	next := &day{midnight, midnight + 24*60*60, local.Format(time.DateOnly), local.Format("20060102")}
	d.last.Store(next)
	return next
}

// highestNo is the highest count of the day among the names of ByNo; 0: none.
func (ix *index) highestNo(day string) (int, error) {
	prefix := appendNameKey(nil, ByNo, "", day)
	it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for ok := it.Last(); ok; ok = it.Prev() {
		if count := it.Key()[len(prefix):]; len(count) == 9 {
			if n, err := strconv.Atoi(string(count)); err == nil {
				return n, nil
			}
		}
	}
	return 0, it.Error()
}
