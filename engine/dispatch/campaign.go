package dispatch

import (
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Campaigns knows what was said of a campaign. engine/campaign implements it.
//
// A message of a paused campaign is passed over: nothing is written, its entry stays in the queue behind the pump's cursor,
// and Rewind has the pumps begin at their queues' beginning again. So a pause of a million messages costs a look at each and
// no commit, and takes effect with the next decision: what was recorded as being submitted before goes out, at most the open
// windows.
type Campaigns interface {
	// Word is what holds now for messages of the campaign to the carrier; an empty carrier: to any. It is asked before each
	// submission and must not block.
	Word(campaign ulid.ULID, carrier string) message.Word
}

// Rewind has all pumps look again at what they passed over.
func (d *Dispatcher) Rewind() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pumps {
		p.rewind()
	}
}

// heed does what was said of the message's campaign; false: nothing that concerns it. change is what was decided so far.
func (p *pump) heed(s *message.State, change store.Change, carrier string, now time.Time) (plan, bool) {
	if p.o.Campaigns == nil || s.Head.Campaign.IsZero() {
		return plan{}, false
	}
	word := p.o.Campaigns.Word(s.Head.Campaign, carrier)
	if word.End == nil && !word.Held || s.HalfSent() {
		return plan{}, false
	}
	if word.End == nil {
		return plan{passed: true}, true
	}
	for _, e := range s.Stop(*word.End, now) {
		change.Events = append(change.Events, store.NewEvent{Type: byte(e.Type), At: e.At, Data: e.Data})
	}
	p.metrics.outcome("campaign_ended")
	change.Final, change.Due = true, out
	return plan{change: change}, true
}
