package message

import (
	"bytes"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Keeping is the data of Kept: the sealed parts of a message that outlives the term of its day, sealed anew under the key
// of a later one. What it has goes before what the events ahead of it have.
type Keeping struct {
	Day    time.Time // of the key
	SMS    []byte    // as in Head
	Page   []byte
	Survey []byte // as in SurveyAnswer
}

func (k *Keeping) appendFields(dst []byte) []byte {
	dst = appendTime(dst, 1, k.Day)
	dst = appendText(dst, 2, k.SMS)
	dst = appendText(dst, 3, k.Page)
	return appendText(dst, 4, k.Survey)
}

func (k *Keeping) set(num protowire.Number, f field) error {
	switch num {
	case 1:
		k.Day = f.time()
	case 2:
		k.SMS = f.b
	case 3:
		k.Page = f.b
	case 4:
		k.Survey = f.b
	}
	return nil
}

func (s *State) keep(k *Keeping) {
	s.ContentAt = k.Day
	for to, box := range map[*[]byte][]byte{&s.Head.SMS: k.SMS, &s.Head.Page: k.Page, &s.Survey: k.Survey} {
		if len(box) > 0 {
			*to = box
		}
	}
}

// Cut gives the data of an event with each sealed part in it replaced by cut of it. The data given does not change.
func Cut(typ Type, data []byte, cut func(box []byte) []byte) ([]byte, error) {
	e := Event{Type: typ, Data: data}
	switch typ {
	case Accepted:
		var h Head
		if err := e.Decode(&h); err != nil {
			return nil, err
		}
		return cutInto(data, &h, cut, &h.SMS, &h.Page), nil
	case Kept:
		var k Keeping
		if err := e.Decode(&k); err != nil {
			return nil, err
		}
		return cutInto(data, &k, cut, &k.SMS, &k.Page, &k.Survey), nil
	case Answered:
		var a SurveyAnswer
		if err := json.Unmarshal(data, &a); err != nil {
			return nil, err
		}
		return cutInto(data, a, cut, &a.Sealed), nil
	}
	return data, nil
}

// cutInto cuts boxes, which are parts of v, and gives the encoding of v; data when nothing changed.
func cutInto(data []byte, v any, cut func([]byte) []byte, boxes ...*[]byte) []byte {
	changed := false
	for _, box := range boxes {
		next := cut(*box)
		changed = changed || !bytes.Equal(next, *box)
		*box = next
	}
	if !changed {
		return data
	}
	if a, ok := v.(SurveyAnswer); ok {
		a.Sealed = *boxes[0]
		v = a
	}
	return Encode(v)
}
