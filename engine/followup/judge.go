package followup

import (
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
)

// List is a state in which a message is followed up. The words are part of the API.
type List string

const (
	Undelivered   List = "undelivered"    // 不達・送達不明・送信不可
	Unopened      List = "unopened"       // delivered, the link was not opened
	Unidentified  List = "unidentified"   // opened, but nobody identified
	Unpaid        List = "unpaid"         // identified (or nothing was asked), but unpaid, and no promise was given
	Promised      List = "promised"       // the promised day is not over yet
	BrokenPromise List = "broken_promise" // the promised day is over, and it is unpaid
)

// Lists are in the order of a message's life.
var Lists = []List{Undelivered, Unopened, Unidentified, Unpaid, Promised, BrokenPromise}

// failed is the part of Undelivered of which a segment surely was not delivered; the other part is what is on its way.
const failed List = "failed"

// keys are the bytes of lists in the index. Promised has none: what may belong to it is what may belong to BrokenPromise.
var keys = map[List]byte{Undelivered: 1, Unopened: 2, Unidentified: 3, Unpaid: 4, BrokenPromise: 5, failed: 6}

// ParseList accepts exactly the words.
func ParseList(s string) (List, error) {
	if !slices.Contains(Lists, List(s)) {
		return "", fmt.Errorf("there is no list %q", s)
	}
	return List(s), nil
}

// Filter narrows a list. Zero fields do not.
type Filter struct {
	Class    message.Class `json:"class,omitempty"`
	Campaign ulid.ULID     `json:"campaign,omitzero"` // of an upload
	From     time.Time     `json:"from,omitzero"`     // accepted, inclusive
	To       time.Time     `json:"to,omitzero"`       // exclusive
	// MaxResent leaves out what was sent again this many times or more; 0: however often.
	MaxResent int `json:"max_resent,omitempty"`
	// NotSince leaves out what was sent again at this time or later.
	NotSince time.Time `json:"not_since,omitzero"`
}

// MaxResents is the most that MaxResent can be.
const MaxResents = 100

func (f *Filter) equal(g *Filter) bool {
	return f.Class == g.Class && f.Campaign == g.Campaign && f.MaxResent == g.MaxResent && f.From.Equal(g.From) && f.To.Equal(g.To) && f.NotSince.Equal(g.NotSince)
}

func (f *Filter) takes(s *subject) bool {
	n, at := s.resent()
	switch h := &s.st.Head; {
	case f.Class != "" && h.Class != f.Class, !f.Campaign.IsZero() && h.Campaign != f.Campaign, f.MaxResent > 0 && n >= f.MaxResent:
		return false
	default:
		return n == 0 || f.NotSince.IsZero() || at.Before(f.NotSince)
	}
}

// subject is a message with what decides about it.
type subject struct {
	id    ulid.ULID
	st    message.State
	claim *payment.State // nil: none
	last  *message.State // the newest message that followed this one up; nil: none
	first *message.State // the message that this one follows up; nil: none
}

// resent is how often it, or the message that it follows up, was sent again, and when the last time.
func (s *subject) resent() (int, time.Time) {
	if s.first != nil {
		return s.first.Resends, s.first.ResentAt
	}
	return s.st.Resends, s.st.ResentAt
}

// again says why the message cannot be sent again by itself; nil: it can.
func (s *subject) again(now time.Time) *message.Problem {
	no := func(detail string) *message.Problem {
		return &message.Problem{Field: "id", Code: "conflict", Detail: detail}
	}
	h, newest := &s.st.Head, &s.st
	if s.last != nil {
		newest = s.last
	}
	switch {
	case h.Class == message.OTP || h.Via == message.ViaCanary:
		return no("codes and test messages are not sent again")
	case s.disowned():
		return no("whoever has the link says that it is for somebody else")
	case s.st.Phase == message.Withdrawn || !s.st.RevokedAt.IsZero():
		return no("it was canceled, or its link was closed")
	case s.st.Replaced:
		p := no("another message has taken its place")
		p.Value = s.st.ResentTo.String()
		return p
	case !h.Claim.IsZero() && (s.claim == nil || !awaited(s.claim, now)):
		if s.claim != nil && s.claim.Phase == payment.PartlyPaid {
			return no("there is no account for the rest")
		}
		return no("nothing is to be paid any more")
	case !arrivedAt(newest, now) && !failedAt(newest, now):
		return no("its newest SMS is on its way")
	}
	return nil
}

func (s *subject) disowned() bool {
	return !s.st.DisownedAt.IsZero() || s.first != nil && !s.first.DisownedAt.IsZero() || s.last != nil && !s.last.DisownedAt.IsZero()
}

// awaited reports whether money is still to come. For the rest of what is partly paid there is an account, or no way to pay it.
func awaited(c *payment.State, now time.Time) bool {
	switch c.PhaseAt(now) {
	case payment.Unpaid, payment.InProgress, payment.AwaitingMoney, payment.Overdue:
		return true
	}
	return c.Account() != nil
}

// over reports whether the message is out of the list for good.
func (s *subject) over(l List) bool {
	h := &s.st.Head
	switch {
	case s.st.Version == 0, h.Class == message.OTP, h.Via == message.ViaCanary, s.st.Phase == message.Withdrawn, s.st.Replaced:
		return true
	case l == Undelivered && s.st.Resends > 0, l != Undelivered && (h.Token == "" || !s.st.RevokedAt.IsZero()):
		return true
	case h.Claim.IsZero():
		return l == Unpaid || l == Promised || l == BrokenPromise
	case s.claim == nil:
		return true
	}
	switch s.claim.Phase {
	case payment.Paid, payment.PartRefunded, payment.AllRefunded, payment.SettledElse, payment.IsWithdrawn:
		return true
	}
	return false
}

// in reports whether the message belongs to the list now.
func (s *subject) in(l List, now time.Time) bool {
	if s.disowned() {
		return false // it is for somebody else, until the sender says otherwise
	}
	if s.over(l) || s.claim != nil && !awaited(s.claim, now) {
		return false
	}
	arrived := arrivedAt(&s.st, now)
	if s.last != nil { // the newest SMS counts; while it is on its way nothing more is sent
		if arrived = arrivedAt(s.last, now); !arrived {
			return false
		}
	}
	opened := !s.st.OpenedAt.IsZero() && s.st.DoubtfulOpening == ""
	asked := len(s.st.Head.Answers) > 0 || s.st.Head.Code
	identified := !s.st.IdentifiedAt.IsZero() || opened && !asked
	switch l {
	case Undelivered:
		return !opened && failedAt(&s.st, now)
	case Unopened:
		return !opened && arrived
	case Unidentified:
		return opened && !identified
	case Unpaid:
		return identified && s.st.Promise == nil
	case Promised:
		return s.st.Promise != nil && !s.st.Promise.Broken(now)
	case BrokenPromise:
		return s.st.Promise != nil && s.st.Promise.Broken(now)
	}
	return false
}

func arrivedAt(st *message.State, now time.Time) bool {
	p := st.PhaseAt(now)
	return p == message.Arrived || p == message.LinkOnly
}

func failedAt(st *message.State, now time.Time) bool {
	switch st.PhaseAt(now) {
	case message.NotDelivered, message.Unknown, message.Rejected, message.Expired:
		return true
	case message.Doubtful:
		return st.RetryAt.IsZero()
	}
	return false
}

// linked reports whether the message's link can still be opened.
func (s *subject) linked(now time.Time) bool {
	h := &s.st.Head
	return h.Token != "" && s.st.RevokedAt.IsZero() && now.Before(h.LinkExpires)
}
