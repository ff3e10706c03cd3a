package inbound

import (
	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// NoticeData is the data of "message.received".
type NoticeData struct {
	ID         ulid.ULID `json:"id"`
	From       string    `json:"from"` // masked, or E.164 where the callback asks for numbers
	To         string    `json:"to"`
	Carrier    string    `json:"carrier"`
	Text       string    `json:"text"` // absent only once its retention is over
	Segments   int       `json:"segments"`
	Missing    []int     `json:"missing,omitempty"`
	Unreadable bool      `json:"unreadable,omitempty"`
	Stop       bool      `json:"stop,omitempty"`
}

// Notices tells engine/callback of received messages: the source of streams of Kind.
type Notices struct{}

// May implements callback.Source.
func (Notices) May(event byte) []string {
	if event == Received {
		return []string{callback.MessageReceived}
	}
	return nil
}

// Tell implements callback.Source. Streams of engine/payment under the same kind tell nothing.
func (Notices) Tell(events []store.Event) ([]callback.Notice, error) {
	if len(events) == 0 || events[0].Type < segmentArrived {
		return nil, nil
	}
	s, err := fold(events)
	if err != nil || s.received == nil {
		return nil, err
	}
	last := events[len(events)-1]
	return []callback.Notice{{Pos: callback.At(last.Seq, 0), Type: callback.MessageReceived, At: last.At, Data: func(sealed callback.Sealed, cb *tenant.Callback) (any, error) {
		m, err := s.message(sealed)
		if err != nil {
			return nil, err
		}
		d := NoticeData{ID: m.ID, From: m.From, To: m.To, Carrier: m.Carrier, Text: m.Text, Segments: m.Segments, Missing: m.Missing, Unreadable: m.Unreadable, Stop: m.Stop}
		if cb.Numbers && m.Number != "" {
			d.From = m.Number
		}
		return d, nil
	}}}, nil
}
