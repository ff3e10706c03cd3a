package message

import "time"

// Word is what was said of a campaign, as far as it concerns its messages to one carrier. The zero Word: send.
type Word struct {
	Held bool // nothing is submitted until more is said
	End  *Act // messages end, by whom and why; it goes before Held
}

// Reasons of a Canceled that ended a message of a campaign. They are part of the API.
const (
	ReasonCampaignCanceled = "campaign_canceled"
	ReasonCarrierDropped   = "carrier_dropped"
)

// HalfSent reports whether the carrier has, or is being given, a segment of the SMS while others still wait: half a text is
// no use to anybody, so such a message is neither held nor ended, but completed.
func (s *State) HalfSent() bool {
	for _, p := range s.Parts {
		switch p.Phase {
		case Sending, Confirming, Arrived, NotDelivered:
			return true
		}
	}
	return false
}

// Stop returns the events that end an SMS on somebody's word. One of which nothing was written ends canceled, its link
// closed with it. One in doubt is not sent again: it stays in doubt, since nobody knows whether it arrived, and its link
// open. Of one that is over, or half sent, or with the carrier, or whose URL the sender delivers, there is nothing to stop.
func (s *State) Stop(a Act, at time.Time) []Event {
	if s.Over() || len(s.Parts) == 0 || s.HalfSent() {
		return nil
	}
	var events []Event
	for i, p := range s.Parts {
		if p.Phase == Doubtful {
			events = append(events, Event{Type: InDoubt, At: at, Data: Encode(Submission{Part: i + 1, Attempt: p.Attempt, Carrier: s.Carrier, Policy: DoubtFail, Reason: a.Reason})})
		}
	}
	if len(events) > 0 {
		return events
	}
	events = append(events, Event{Type: Canceled, At: at, Data: Encode(a)})
	if s.Head.Token != "" && s.RevokedAt.IsZero() {
		events = append(events, Event{Type: Revoked, At: at, Data: Encode(a)})
	}
	return events
}
