package dispatch

import (
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/message"
)

// What people look at: nothing here changes anything.

// Binds lists those of the configuration, in its order.
func (d *Dispatcher) Binds() []*bind.Bind {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*bind.Bind, len(d.lines))
	for i, l := range d.lines {
		all[i] = l.bind
	}
	return all
}

// BindConfig is the configuration of a bind that is in use.
func (d *Dispatcher) BindConfig(name string) (bind.Config, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if l.config.Name == name {
			return l.config, true
		}
	}
	return bind.Config{}, false
}

// WaitingMax is how far Waiting counts in one lane.
const WaitingMax = 10_000

// Waiting is what a carrier has not been given, or not answered.
type Waiting struct {
	Lanes   [3]int // due messages, in the order of message.Lanes, each up to WaitingMax
	All     int
	More    bool      // a lane has more
	Oldest  time.Time // since when the oldest is due; zero: nothing waits
	InDoubt int       // submissions that were written and not answered
}

// Waiting counts what waits for a carrier at now.
func (d *Dispatcher) Waiting(carrier string, now time.Time) (w Waiting, err error) {
	for i, lane := range message.Lanes {
		n, oldest, err := d.o.Store.Waiting(message.Queue(carrier, lane), now, WaitingMax)
		if err != nil {
			return w, fmt.Errorf("count what waits for %s: %w", carrier, err)
		}
		w.Lanes[i], w.All, w.More = n, w.All+n, w.More || n == WaitingMax
		if n > 0 && (w.Oldest.IsZero() || oldest.Before(w.Oldest)) {
			w.Oldest = oldest
		}
	}
	w.InDoubt, _, err = d.o.Store.Waiting(doubtQueue(carrier), now.AddDate(100, 0, 0), WaitingMax)
	if err != nil {
		return w, fmt.Errorf("count what is in doubt at %s: %w", carrier, err)
	}
	return w, nil
}
