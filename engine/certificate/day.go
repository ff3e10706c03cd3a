package certificate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The events of a day's stream. Values are stored.
const (
	begun  = 1 // head
	seen   = 2 // []sight: streams that got events
	ending = 3 // proof.Clock: all that is committed before this belongs to the day
	ended  = 4 // nothing more is noted for the day
	leaves = 5 // []leaf, by id; at most perEvent
	closed = 6 // closing
)

// perEvent is the most records in one event, so that groups stay small.
const perEvent = 1000

type head struct {
	V   int    `json:"v"` // 1
	Day string `json:"day"`
}

// sight says that a stream had so many events.
type sight struct {
	Tenant tenant.ID  `json:"t"`
	Kind   store.Kind `json:"k"`
	ID     ulid.ULID  `json:"i"`
	N      uint32     `json:"n"`
}

func (s *sight) ref() store.Ref { return store.Ref{Tenant: s.Tenant, Kind: s.Kind, ID: s.ID} }

// leaf is a stream in the tree of a day.
type leaf struct {
	ID   ulid.ULID  `json:"i"`
	N    uint32     `json:"n"`
	Hash proof.Hash `json:"h"`           // of the leaf in the tree
	Prev string     `json:"p,omitempty"` // the day before this one that holds the stream
}

// closing is how a day ended: with its line, or in the line of a later day.
type closing struct {
	Line string `json:"line,omitempty"`
	Into string `json:"into,omitempty"`
}

// day is the fold of a day's stream.
type day struct {
	date    string
	version int
	sights  map[ulid.ULID]sight
	ending  *proof.Clock
	ended   bool
	leaves  []leaf
	closing *closing
}

// dayRef is the stream of a day. Its id is derived from the date, so that there is one, and they lie in the order of dates.
func dayRef(date string) (store.Ref, error) {
	ref := store.Ref{Tenant: tenant.OperatorID, Kind: store.Day}
	midnight, err := time.ParseInLocation(time.DateOnly, date, message.Tokyo)
	if err != nil {
		return ref, err
	}
	sum := sha256.Sum256([]byte("certificate/" + date))
	if err := ref.ID.SetTime(ulid.Timestamp(midnight)); err != nil {
		return ref, err
	}
	copy(ref.ID[6:], sum[:10])
	return ref, nil
}

// endOf is when a date is over.
func endOf(date string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, date, message.Tokyo)
	if err != nil {
		panic("BUG: date of a day: " + err.Error())
	}
	return t.AddDate(0, 0, 1)
}

func nextDate(date string) string { return message.Day(endOf(date)) }

func newDay(date string) *day { return &day{date: date, sights: map[ulid.ULID]sight{}} }

// foldDay reads a day's stream.
func foldDay(events []store.Event) (*day, error) {
	d := newDay("")
	for _, e := range events {
		if err := d.apply(e.Type, e.Data); err != nil {
			return nil, fmt.Errorf("day of certificates %s, event %d: %w", d.date, e.Seq, err)
		}
	}
	return d, nil
}

func (d *day) apply(typ byte, data []byte) error {
	d.version++
	switch typ {
	case begun:
		var h head
		if err := json.Unmarshal(data, &h); err != nil {
			return err
		}
		if h.V != 1 {
			return fmt.Errorf("format %d is newer than this program", h.V)
		}
		d.date = h.Day
	case seen:
		var all []sight
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		for _, s := range all {
			if s.N > d.sights[s.ID].N {
				d.sights[s.ID] = s
			}
		}
	case ending:
		var c proof.Clock
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		if d.ending == nil {
			d.ending = &c
		}
	case ended:
		d.ended = true
	case leaves:
		var all []leaf
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		d.leaves = append(d.leaves, all...)
	case closed:
		d.closing = &closing{}
		return json.Unmarshal(data, d.closing)
	}
	return nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: event of a day: " + err.Error())
	}
	return b
}
