package message

import (
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// Phase is where the SMS of a message stands.
type Phase string

const (
	Waiting      Phase = "waiting"     // accepted, not yet sent (SMS受付完了)
	LinkOnly     Phase = "link_only"   // the sender delivers the URL
	Sending      Phase = "sending"     // a submission is in flight
	Doubtful     Phase = "in_doubt"    // written, no response
	Confirming   Phase = "submitted"   // the carrier took it, no dlr yet (送達確認中)
	Arrived      Phase = "delivered"   // SMS送信完了
	NotDelivered Phase = "undelivered" // 不達
	Rejected     Phase = "refused"     // by us or the carrier, for good
	Expired      Phase = "lapsed"      // its validity ended first
	Withdrawn    Phase = "canceled"
	Unknown      Phase = "unconfirmed" // 送達不明: the dlr never came; derived by age, see PhaseAt
)

// Phases lists them in the order of a message's life.
var Phases = []Phase{Waiting, LinkOnly, Sending, Doubtful, Confirming, Arrived, NotDelivered, Unknown, Rejected, Expired, Withdrawn}

// DLRPatience is how long a dlr is awaited before a message counts as 送達不明.
const DLRPatience = 72 * time.Hour

// PartState is where one SMS segment stands.
type PartState struct {
	Phase    Phase
	SMSCID   string
	Attempt  int // submissions so far
	Refusals int // temporary ones, other than throttling
	Doubts   int // submissions without an answer
	// RetryAt is when it may be submitted again. Zero: at once if Waiting, never if Doubtful.
	RetryAt time.Time
}

// Mail is an e-mail that the message's recipient asked for.
type Mail struct {
	Mailing
	At           time.Time // when it was asked for
	Sent, Failed bool      // neither: it is on its way
}

// State is the fold of a message's events. The zero time means: not yet.
type State struct {
	Version int  // events seen
	Head    Head // as accepted, but for content that was sealed anew (Kept) and a link that ends at another time (LinkMoved)
	Phase   Phase
	Parts   []PartState

	// SubmittingAt is when the request was written, as soon as that is known; until then when it was recorded.
	AcceptedAt, LookedUpAt, SubmittingAt, SubmittedAt, DeliveredAt, EndedAt time.Time
	OpenedAt, IdentifiedAt, ViewedAt, AnsweredAt, RevokedAt                 time.Time
	DisownedAt                                                              time.Time // and not readmitted since
	LinkMovedAt                                                             time.Time // the last time

	Carrier string    // as last looked up
	FoundBy string    // how: ByPorted, ByModule, ByRange
	Status  uint32    // the last command_status that was not 0
	Reason  string    // why it was refused, canceled or undelivered
	RetryAt time.Time // the earliest of the parts'

	ContentAt       time.Time // under the key of whose day content is sealed
	DoubtfulOpening string
	Failures        int       // wrong identity answers since the last success or unlock
	LockedUntil     time.Time // zero: not locked
	LockedStep      string    // as in Lock
	Locks           int
	Code            *Code // the live one-time code
	CodeFailures    int   // wrong codes since the code was sent
	CodesSent       int   // since the last identification
	LastCodeAt      time.Time
	Survey          []byte // sealed answer

	Resends  int       // messages that followed this one up
	ResentAt time.Time // the last of them
	ResentBy ulid.ULID // its run
	ResentTo ulid.ULID // it
	Replaced bool      // one of them has a link of its own in place of this one's
	Promise  *Promise  // the last
	// PromisedAt is when it was given.
	PromisedAt time.Time
	Mails      []Mail // in order

	DisownedEntry ulid.ULID // as Disowning.Entry

	borrows bool // strings alias the events' data
}

// Fold reads a stream's events in order.
func Fold(events []Event) (State, error) {
	var s State
	for _, e := range events {
		if err := s.Apply(e); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Borrow makes s the zero State for another stream, whose events it borrows from: their data must not change as long as s is
// used. What s had of the stream before is no longer good.
func (s *State) Borrow() {
	*s = State{borrows: true, Parts: s.Parts[:0], Head: Head{Answers: s.Head.Answers[:0]}}
}

// Apply folds one more event. An event that does not fit (a dlr after the final dlr, a resubmission after delivery, a
// refusal of one attempt after another was accepted) is counted but does not move the state backwards.
func (s *State) Apply(e Event) error {
	s.Version++
	switch e.Type {
	case Accepted:
		if err := e.decode(&s.Head, s.borrows); err != nil {
			return err
		}
		if s.Head.V > 1 {
			return fmt.Errorf("message record of format %d is newer than this program", s.Head.V)
		}
		if s.Head.Parts < 0 || s.Head.Parts > 255 {
			return fmt.Errorf("message record with %d parts", s.Head.Parts)
		}
		s.AcceptedAt, s.Phase, s.Carrier, s.ContentAt = e.At, Waiting, s.Head.Carrier, e.At
		if s.Head.Parts == 0 {
			s.Phase = LinkOnly
		}
		s.Parts = slices.Grow(s.Parts[:0], s.Head.Parts)
		for range s.Head.Parts {
			s.Parts = append(s.Parts, PartState{Phase: Waiting})
		}
	case LookedUp:
		var l Lookup
		if err := e.decode(&l, s.borrows); err != nil {
			return err
		}
		s.LookedUpAt, s.Carrier, s.FoundBy = e.At, l.Carrier, l.By
	case Submitting, Submitted, Retrying, InDoubt, Refused:
		return s.submission(e)
	case Delivered, Undelivered:
		return s.report(e)
	case Lapsed:
		s.end(Expired, "validity", e.At)
	case Canceled:
		var a Act
		if err := e.decode(&a, s.borrows); err != nil {
			return err
		}
		s.end(Withdrawn, "", e.At)
		s.Reason = a.Reason
	case Revoked:
		s.RevokedAt = e.At
	case Opened:
		var o Opening
		if err := e.decode(&o, s.borrows); err != nil {
			return err
		}
		if s.OpenedAt.IsZero() || (s.DoubtfulOpening != "" && o.Doubtful == "") {
			s.OpenedAt, s.DoubtfulOpening = e.At, o.Doubtful
		}
	case Tried:
		var t Try
		if err := e.decode(&t, s.borrows); err != nil {
			return err
		}
		switch {
		case t.Step == "code" && t.OK:
			s.Code, s.CodeFailures = nil, 0
		case t.Step == "code":
			s.CodeFailures++
		case t.OK:
			s.Failures = 0
		default:
			s.Failures++
		}
	case CodeSent:
		var c Code
		if err := e.decode(&c, s.borrows); err != nil {
			return err
		}
		s.Code, s.CodeFailures, s.LastCodeAt = &c, 0, e.At
		s.CodesSent++
	case Identified:
		s.CodesSent, s.Code = 0, nil
		if s.LockedStep != "" { // whoever it was that tried, this one had come to the code before
			s.LockedUntil, s.LockedStep = time.Time{}, ""
		}
		if s.IdentifiedAt.IsZero() {
			s.IdentifiedAt = e.At
		}
	case Viewed:
		if s.ViewedAt.IsZero() {
			s.ViewedAt = e.At
		}
	case Answered:
		var a SurveyAnswer
		if err := e.decode(&a, s.borrows); err != nil {
			return err
		}
		if s.AnsweredAt.IsZero() {
			s.AnsweredAt, s.Survey = e.At, a.Sealed
		}
	case Locked:
		var l Lock
		if err := e.decode(&l, s.borrows); err != nil {
			return err
		}
		s.LockedUntil, s.LockedStep = l.Until, l.Step
		s.Locks++
	case Kept:
		var k Keeping
		if err := e.decode(&k, s.borrows); err != nil {
			return err
		}
		s.keep(&k)
	case Resent:
		var r Resending
		if err := e.decode(&r, s.borrows); err != nil {
			return err
		}
		s.Resends, s.ResentAt, s.ResentBy, s.ResentTo, s.Replaced = s.Resends+1, e.At, r.Run, r.Message, s.Replaced || r.Replaced
	case Promised:
		var p Promise
		if err := e.decode(&p, s.borrows); err != nil {
			return err
		}
		s.Promise, s.PromisedAt = &p, e.At
	case Disowned:
		var d Disowning
		if err := e.decode(&d, s.borrows); err != nil {
			return err
		}
		if s.DisownedAt.IsZero() {
			s.DisownedAt, s.DisownedEntry = e.At, d.Entry
		}
	case Readmitted:
		s.DisownedAt, s.DisownedEntry = time.Time{}, ulid.ULID{}
	case Mailed:
		var m Mailing
		if err := e.decode(&m, s.borrows); err != nil {
			return err
		}
		s.Mails = append(s.Mails, Mail{Mailing: m, At: e.At})
	case MailSent, MailFailed:
		var m Mailing
		if err := e.decode(&m, s.borrows); err != nil {
			return err
		}
		for i := range s.Mails {
			if have := &s.Mails[i]; have.Mail == m.Mail && !have.Sent && !have.Failed {
				have.Sent, have.Failed, have.Reason = e.Type == MailSent, e.Type == MailFailed, m.Reason
			}
		}
	case LinkMoved:
		var l LinkEnd
		if err := e.decode(&l, s.borrows); err != nil {
			return err
		}
		s.LinkMovedAt, s.Head.LinkExpires, s.Head.StateUntil = e.At, l.Until, l.StateUntil
	case Unlocked:
		s.LockedStep = ""
		s.LockedUntil, s.Failures, s.CodeFailures, s.CodesSent, s.Code = time.Time{}, 0, 0, 0, nil
	}
	return nil
}

func (s *State) submission(e Event) error {
	var d Submission
	if err := e.decode(&d, s.borrows); err != nil {
		return err
	}
	p := s.part(d.Part)
	if p == nil || p.Phase == Arrived || p.Phase == NotDelivered {
		return nil
	}
	if p.Phase == Confirming && (e.Type == Retrying || e.Type == InDoubt || e.Type == Refused) {
		return nil // of another attempt: the carrier took one, and its late word for that one stands
	}
	switch e.Type {
	case Submitting:
		p.Phase, p.Attempt, p.RetryAt = Sending, d.Attempt, time.Time{}
		s.SubmittingAt = e.At
	case Submitted:
		p.Phase, p.SMSCID, p.RetryAt = Confirming, d.SMSCID, time.Time{}
		s.SubmittedAt = e.At
		if !d.Written.IsZero() {
			s.SubmittingAt = d.Written
		}
	case Retrying:
		p.Phase, p.RetryAt, s.Status, s.Reason = Waiting, d.Until, d.Status, d.Reason
		if d.Reason == ReasonTemporary {
			p.Refusals++
		}
	case InDoubt:
		p.Phase, p.RetryAt = Doubtful, d.Until
		p.Doubts++
		if d.Policy == DoubtFail {
			s.Reason, s.EndedAt = "in_doubt", e.At
		}
	case Refused:
		p.Phase, p.RetryAt, s.Status, s.Reason, s.EndedAt = Rejected, time.Time{}, d.Status, d.Reason, e.At
	}
	s.sum()
	return nil
}

func (s *State) report(e Event) error {
	var r Report
	if err := e.decode(&r, s.borrows); err != nil {
		return err
	}
	p := s.part(r.Part)
	if p == nil || p.Phase == Arrived || p.Phase == NotDelivered {
		return nil
	}
	p.RetryAt = time.Time{}
	if e.Type == Delivered {
		p.Phase = Arrived
	} else {
		p.Phase, s.Reason = NotDelivered, r.State
	}
	s.sum()
	if s.Phase == Arrived {
		s.DeliveredAt = e.At
	}
	if s.Phase == Arrived || s.Phase == NotDelivered {
		s.EndedAt = e.At
	}
	return nil
}

func (s *State) part(n int) *PartState {
	if n < 1 || n > len(s.Parts) {
		return nil
	}
	return &s.Parts[n-1]
}

// sum derives the message's phase from its parts: the worst end, else the least advanced part; and when it is tried again.
func (s *State) sum() {
	if s.Phase == Withdrawn || s.Phase == Expired {
		return
	}
	order := []Phase{Rejected, NotDelivered, Doubtful, Sending, Waiting, Confirming, Arrived}
	for _, ph := range order {
		for _, p := range s.Parts {
			if p.Phase == ph {
				s.Phase = ph
				s.RetryAt = s.earliest()
				return
			}
		}
	}
}

// earliest is when the first of the parts that are still to be submitted may be; zero: none, or one that may be at once.
func (s *State) earliest() (at time.Time) {
	if s.Phase == Rejected {
		return at
	}
	for _, p := range s.Parts {
		if (p.Phase == Waiting || p.Phase == Doubtful) && !p.RetryAt.IsZero() && (at.IsZero() || p.RetryAt.Before(at)) {
			at = p.RetryAt
		}
	}
	return at
}

func (s *State) end(p Phase, reason string, at time.Time) {
	s.Phase, s.EndedAt, s.RetryAt = p, at, time.Time{}
	if reason != "" {
		s.Reason = reason
	}
}

// PhaseAt is the phase as people are told it at a time: submitted without a dlr for DLRPatience is 送達不明.
func (s *State) PhaseAt(now time.Time) Phase {
	if s.Phase == Confirming && now.Sub(s.SubmittedAt) > DLRPatience {
		return Unknown
	}
	return s.Phase
}

// Over reports whether nothing more will be sent or awaited for the SMS.
func (s *State) Over() bool {
	switch s.Phase {
	case Arrived, NotDelivered, Rejected, Expired, Withdrawn, LinkOnly:
		return true
	case Doubtful:
		return s.RetryAt.IsZero()
	}
	return false
}

// MaySubmit reports whether the part may be submitted now: it decides, whatever a queue says.
func (s *State) MaySubmit(part int, now time.Time) bool {
	p := s.part(part)
	if p == nil || s.Phase == Withdrawn || s.Phase == Expired || s.Phase == Rejected {
		return false
	}
	switch p.Phase {
	case Waiting:
		return !now.Before(p.RetryAt)
	case Doubtful:
		return !p.RetryAt.IsZero() && !now.Before(p.RetryAt)
	}
	return false
}

// LockedAt reports whether identity is locked at a time.
func (s *State) LockedAt(now time.Time) bool { return now.Before(s.LockedUntil) }

// CodeLockedAt reports whether the code cannot be entered either.
func (s *State) CodeLockedAt(now time.Time) bool { return s.LockedAt(now) && s.LockedStep == "" }
