package callback

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
)

// entry is what happened to a delivery or a replay. Values are stored.
type entry byte

const (
	begun    entry = 1 // head: what is told to whom
	wanted   entry = 2 // no data: something may have happened that is to be told
	sent     entry = 3 // step: taken by the receiver up to there
	failed   entry = 4 // failure: tried again then
	gaveUp   entry = 5 // step: not told, the ones behind it follow
	replayed entry = 6 // step: told again from there
	asked    entry = 7 // replayHead: a replay of all from a time on
	reached  entry = 8 // replayPlace
)

// head is the data of begun.
type head struct {
	V        int        `json:"v"` // 1
	Callback string     `json:"callback"`
	Kind     store.Kind `json:"kind"`
	Stream   ulid.ULID  `json:"stream"`
}

// step is the data of sent, gaveUp and replayed: the position that comes next.
type step struct {
	Next Position `json:"next"`
	Why  string   `json:"why,omitempty"`
	By   string   `json:"by,omitempty"`
}

// failure is the data of failed.
type failure struct {
	Until  time.Time `json:"until"`
	Status int       `json:"status,omitempty"` // HTTP; 0: there was no reply
	Why    string    `json:"why,omitempty"`    // stable word, see reason
	// Counted says that the failure used up a step of the back-off; a probe of a parked callback does not.
	Counted bool `json:"counted,omitempty"`
}

// delivery is the fold of what one callback has been told of one stream.
type delivery struct {
	ref      store.Ref
	version  int
	callback string
	source   store.Ref
	next     Position  // of the first notice that has not been told
	since    time.Time // when the one before it was settled; zero: none was
	failures int       // counted ones of the notice at next
	until    time.Time // not before
	replays  int
}

// deliveryRef is the stream of a callback's delivery of a stream. Its id is derived, so that nothing has to be looked up.
func deliveryRef(callback string, source store.Ref) store.Ref {
	sum := sha256.Sum256(fmt.Appendf(nil, "callback/%s/%c/%s", callback, source.Kind, source.ID))
	ref := store.Ref{Tenant: source.Tenant, Kind: store.Callback, ID: source.ID} // the time of the source
	copy(ref.ID[6:], sum[:])
	return ref
}

func foldDelivery(events []store.Event) (*delivery, error) {
	d := &delivery{}
	for _, e := range events {
		if err := d.apply(e); err != nil {
			return nil, fmt.Errorf("delivery %s: event %d: %w", e.Ref.ID, e.Seq, err)
		}
	}
	if d.callback == "" {
		return nil, fmt.Errorf("delivery without a head")
	}
	return d, nil
}

func (d *delivery) apply(e store.Event) error {
	d.version++
	switch entry(e.Type) {
	case begun:
		var h head
		if err := json.Unmarshal(e.Data, &h); err != nil {
			return err
		}
		if h.V > 1 {
			return fmt.Errorf("format %d is newer than this program", h.V)
		}
		d.ref, d.callback, d.source = e.Ref, h.Callback, store.Ref{Tenant: e.Ref.Tenant, Kind: h.Kind, ID: h.Stream}
	case wanted:
	case sent, gaveUp, replayed:
		var s step
		if err := json.Unmarshal(e.Data, &s); err != nil {
			return err
		}
		if entry(e.Type) == replayed {
			d.replays++
			if d.version > 2 {
				s.Next = min(s.Next, d.next) // what has not been told yet is not skipped
			}
		}
		d.next, d.failures, d.until, d.since = s.Next, 0, time.Time{}, e.At
	case failed:
		var f failure
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return err
		}
		d.until = f.Until
		if f.Counted {
			d.failures++
		}
	default:
		return fmt.Errorf("type %d is of a newer program", e.Type)
	}
	return nil
}

// newEvent is an event of a delivery. It cannot fail for the types of this package.
func newEvent(typ entry, data any) store.NewEvent {
	e := store.NewEvent{Type: byte(typ)}
	if data == nil {
		return e
	}
	var err error
	if e.Data, err = json.Marshal(data); err != nil {
		panic("BUG: callback event data: " + err.Error())
	}
	return e
}
