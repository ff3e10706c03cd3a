package inbound

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/store"
)

// Kind is the kind of our streams: what came from outside, as it came. engine/payment keeps webhooks under the same kind; the
// types of its events are below 64.
const Kind = store.Notice

// Events of a message. The values are stored and never change.
const (
	segmentArrived byte = 64 // one of several; the first is the head
	Received       byte = 65 // the message is as whole as it gets; nothing follows
	repeated       byte = 66 // all of it had been received before; nothing follows
)

// origin is where a segment or message came from.
type origin struct {
	V       int    `json:"v"` // 1
	Carrier string `json:"carrier"`
	Bind    string `json:"bind"`
	To      string `json:"to"` // our address
	Masked  string `json:"from"`
}

type segmentData struct {
	origin
	Total  int       `json:"total"`
	Part   int       `json:"part"`
	Coding byte      `json:"coding"`
	Digest []byte    `json:"digest"`
	Before ulid.ULID `json:"before,omitzero"` // of the head: the message that held the name
	Sealed []byte    `json:"sealed"`          // segmentContent, aad "<id>/segment"
}

type segmentContent struct {
	From    string `json:"from"`
	Payload []byte `json:"payload"`
}

type receivedData struct {
	origin
	Segments   int    `json:"segments"`
	Missing    []int  `json:"missing,omitempty"`
	Unreadable bool   `json:"unreadable,omitempty"` // a data_coding that is no text
	Stop       bool   `json:"stop,omitempty"`       // a stop word: the number is on the do-not-send list
	Sealed     []byte `json:"sealed"`               // content, aad "<id>/text"
}

type content struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// Fields by which messages are searched. The values are stored; number and last four digits are those of engine/intake.
const fieldReceived byte = 'i'

const receivedValue = "received"

// Class is the class of the data keys of content.
const Class = "received"

// state is the fold of a stream.
type state struct {
	ref      store.Ref
	version  int
	at       time.Time
	origin   origin
	before   ulid.ULID
	segments []segmentData
	assembly *assembly // nil: it came in one piece
	received *receivedData
	repeated bool
}

func (s *state) over() bool { return s.received != nil || s.repeated }

// errForeign: the stream is not a message from a phone.
var errForeign = fmt.Errorf("received message: %w", store.ErrNotFound)

func fold(events []store.Event) (*state, error) {
	if len(events) == 0 || events[0].Type < segmentArrived {
		return nil, errForeign
	}
	s := &state{ref: events[0].Ref, at: events[0].At}
	for _, e := range events {
		if err := s.apply(e.Type, e.Data); err != nil {
			return nil, fmt.Errorf("received message %s: %w", s.ref.ID, err)
		}
	}
	return s, nil
}

func (s *state) apply(typ byte, data []byte) error {
	s.version++
	switch typ {
	case segmentArrived:
		var d segmentData
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		if d.V != 1 || d.Total < 2 || d.Total > 255 {
			return errors.New("written by another program")
		}
		if s.assembly == nil {
			s.assembly, s.origin, s.before = newAssembly(d.Total), d.origin, d.Before
		}
		if s.assembly.fits(d.Part, d.Digest) == fitsNew {
			s.assembly.add(d.Part, slot{coding: d.Coding, digest: d.Digest})
			s.segments = append(s.segments, d)
		}
	case Received:
		d := new(receivedData)
		if err := json.Unmarshal(data, d); err != nil {
			return err
		}
		if d.V != 1 {
			return errors.New("written by another program")
		}
		s.received, s.origin = d, d.origin
	case repeated:
		s.repeated = true
	default:
		return errors.New("holds an event of a newer program")
	}
	return nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: inbound: " + err.Error())
	}
	return b
}
