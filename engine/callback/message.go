package callback

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// MessageData is the data of message.… notices but message.received: the message as it was when that happened.
type MessageData struct {
	ID        ulid.ULID           `json:"id"`
	No        string              `json:"no"`
	Reference string              `json:"reference,omitempty"` // the sender's own; absent when its retention is over
	To        string              `json:"to"`                  // masked, or E.164 where the callback asks for numbers
	Class     message.Class       `json:"class"`
	Campaign  ulid.ULID           `json:"campaign,omitzero"`
	Claim     ulid.ULID           `json:"claim,omitzero"`
	Carrier   string              `json:"carrier,omitempty"`
	Status    message.Phase       `json:"status"`
	Reason    string              `json:"reason,omitempty"`   // of refused, undelivered, canceled, in_doubt
	Doubtful  string              `json:"doubtful,omitempty"` // of opened: why it may have been a machine
	Answers   map[string][]string `json:"answers,omitempty"`  // of answered: question, from 0 → answers, where the callback asks for them
	Promise   *message.Promise    `json:"promise,omitempty"`  // of promised: already_paid or will_pay, and the last day on which it can be kept
	Sequence  int                 `json:"sequence"`           // rises within the message
}

// messages tells of messages. One-time codes that the engine itself sends tell nothing: they are a step of another message.
type messages struct{}

var messageMay = map[message.Type][]string{
	message.Accepted: {MessageAccepted}, message.Submitted: {MessageSubmitted}, message.InDoubt: {MessageInDoubt}, message.Refused: {MessageRefused},
	// a dlr may settle the last segment that was waited for, or the last one in doubt
	message.Delivered: {MessageDelivered, MessageSubmitted, MessageUndelivered}, message.Undelivered: {MessageUndelivered}, message.Lapsed: {MessageLapsed}, message.Canceled: {MessageCanceled},
	message.Opened: {MessageOpened}, message.Identified: {MessageIdentified}, message.Viewed: {MessageViewed}, message.Answered: {MessageAnswered},
	message.Promised: {MessagePromised}, message.Disowned: {MessageDisowned},
}

func (messages) May(event byte) []string { return messageMay[message.Type(event)] }

// phaseNotice is what becoming a phase tells.
var phaseNotice = map[message.Phase]string{
	message.Confirming: MessageSubmitted, message.Doubtful: MessageInDoubt, message.Arrived: MessageDelivered, message.NotDelivered: MessageUndelivered,
	message.Rejected: MessageRefused, message.Expired: MessageLapsed, message.Withdrawn: MessageCanceled,
}

func (messages) Tell(events []store.Event) ([]Notice, error) {
	var s message.State
	var told []Notice
	for _, e := range events {
		was := s
		if err := stored.Apply(&s, e); err != nil {
			return nil, fmt.Errorf("message %s: %w", e.Ref.ID, err)
		}
		if !s.Head.For.IsZero() {
			return nil, nil
		}
		if typ := messageNotice(message.Type(e.Type), &was, &s); slices.Contains(messageMay[message.Type(e.Type)], typ) {
			told = append(told, messageTold(e, typ, s))
		}
	}
	return told, nil
}

// messageNotice is what an event that led from one state to the next tells; empty: nothing.
func messageNotice(event message.Type, was, is *message.State) string {
	first := func(was, is time.Time, typ string) string {
		if was.IsZero() && !is.IsZero() {
			return typ
		}
		return ""
	}
	switch event {
	case message.Accepted:
		return MessageAccepted
	case message.Opened:
		if was.OpenedAt.Equal(is.OpenedAt) && was.DoubtfulOpening == is.DoubtfulOpening {
			return ""
		}
		return MessageOpened
	case message.Identified:
		return first(was.IdentifiedAt, is.IdentifiedAt, MessageIdentified)
	case message.Viewed:
		return first(was.ViewedAt, is.ViewedAt, MessageViewed)
	case message.Answered:
		return first(was.AnsweredAt, is.AnsweredAt, MessageAnswered)
	case message.Promised:
		return MessagePromised
	case message.Disowned:
		return first(was.DisownedAt, is.DisownedAt, MessageDisowned)
	}
	if was.Phase == is.Phase {
		return ""
	}
	return phaseNotice[is.Phase]
}

func messageTold(e store.Event, typ string, s message.State) Notice {
	d := MessageData{
		ID: e.Ref.ID, No: s.Head.No, To: s.Head.Masked, Class: s.Head.Class, Campaign: s.Head.Campaign, Claim: s.Head.Claim, Carrier: s.Carrier,
		Status: s.Phase, Sequence: int(e.Seq) + 1,
	}
	switch typ {
	case MessageRefused, MessageUndelivered, MessageCanceled, MessageInDoubt, MessageLapsed:
		d.Reason = s.Reason
	case MessageOpened:
		d.Doubtful = s.DoubtfulOpening
	case MessagePromised:
		d.Promise = s.Promise
	}
	return Notice{Pos: At(e.Seq, 0), Type: typ, At: e.At, Data: func(sealed Sealed, cb *tenant.Callback) (any, error) {
		d := d
		var sms message.SMS
		if err := open(sealed, e.Ref, stored.PlaceSMS, s.Head.SMS, &sms); err != nil {
			return nil, err
		}
		d.Reference = sms.Reference
		if cb.Numbers && sms.Number != "" {
			d.To = sms.Number
		}
		if typ == MessageAnswered && cb.Answers {
			if err := open(sealed, e.Ref, stored.PlaceAnswer, s.Survey, &d.Answers); err != nil {
				return nil, err
			}
		}
		return d, nil
	}}
}

// open reads what is sealed; what has been erased stays empty.
func open(sealed Sealed, ref store.Ref, place string, box []byte, v any) error {
	if len(box) == 0 {
		return nil
	}
	err := stored.Open(sealed, ref.Tenant, ref.ID, place, box, v)
	if errors.Is(err, store.ErrErased) {
		return nil
	}
	return err
}
