// Package stored reads messages as the store keeps them: the fold of a stream, and what is sealed in it. It is the one owner
// of the places that bind sealed bytes to their message (the additional data of their seal is the message's id and the place).
package stored

import (
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Places of what is sealed in a message. They are on disk in every record: none is ever renamed.
const (
	PlaceSMS    = "/sms"    // message.SMS
	PlacePage   = "/page"   // message.Content
	PlaceAnswer = "/answer" // what the survey was answered, as linkserver/journey and admin read it
)

// ErrForm is of errors about records that this program does not know the form of; it will be so again.
var ErrForm = errors.New("its content has another form")

// State is the message whose whole stream events is, in order. It keeps nothing of them. Its errors are ErrForm.
func State(events []store.Event) (message.State, error) {
	var s message.State
	for _, e := range events {
		if err := Apply(&s, e); err != nil {
			return s, fmt.Errorf("message %s: %w: %w", e.Ref.ID, ErrForm, err)
		}
	}
	return s, nil
}

// Apply makes s what e made of it.
func Apply(s *message.State, e store.Event) error {
	return s.Apply(message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data})
}

// Opener is a store.
type Opener interface {
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
}

// AAD binds what is sealed at a place to a message.
func AAD(id ulid.ULID, place string) string { return id.String() + place }

// SMS opens the text and the number of a message. Errors: store.ErrErased where its term has ended, ErrForm, of the store.
func SMS(o Opener, t tenant.ID, id ulid.ULID, h *message.Head) (sms message.SMS, err error) {
	return sms, Open(o, t, id, PlaceSMS, h.SMS, &sms)
}

// Content opens what is behind a message's link; nothing where it has none. Errors as of SMS.
func Content(o Opener, t tenant.ID, id ulid.ULID, h *message.Head) (c message.Content, err error) {
	if len(h.Page) == 0 {
		return c, nil
	}
	return c, Open(o, t, id, PlacePage, h.Page, &c)
}

// Open opens into what is sealed at a place of a message. Errors as of SMS.
func Open(o Opener, t tenant.ID, id ulid.ULID, place string, box []byte, into any) error {
	plain, err := o.Open(t, AAD(id, place), box)
	if err != nil {
		return fmt.Errorf("open %s of message %s: %w", place[1:], id, err)
	}
	if err := message.Decode(plain, into); err != nil {
		return fmt.Errorf("read %s of message %s: %w", place[1:], id, ErrForm)
	}
	return nil
}

// Answers opens what a message asks, and what was answered by the place of the question; nil: nothing was. Errors as of SMS.
func Answers(o Opener, t tenant.ID, id ulid.ULID, s *message.State) (*message.Survey, map[int][]string, error) {
	if len(s.Survey) == 0 {
		return nil, nil, nil
	}
	c, err := Content(o, t, id, &s.Head)
	if err != nil || c.Page.Survey == nil {
		return nil, nil, err
	}
	given := map[int][]string{}
	return c.Page.Survey, given, Open(o, t, id, PlaceAnswer, s.Survey, &given)
}
