package followups

import (
	"time"

	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/message"
)

// Item is a message of a list.
type Item struct {
	ID           string     `json:"id"`
	No           string     `json:"no"`
	To           string     `json:"to"` // masked, or whole
	Reference    string     `json:"reference,omitempty"`
	Class        string     `json:"class"`
	Reason       string     `json:"reason"`      // for people
	Submissions  int        `json:"submissions"` // times that its SMS was given to a carrier
	Resent       int        `json:"resent"`      // times that it was sent again
	ResentAt     *time.Time `json:"resent_at,omitempty"`
	AcceptedAt   time.Time  `json:"accepted_at"`
	DeliveredAt  *time.Time `json:"delivered_at,omitempty"`
	OpenedAt     *time.Time `json:"opened_at,omitempty"`
	IdentifiedAt *time.Time `json:"identified_at,omitempty"`
	Claim        *Claim     `json:"claim,omitempty"`
	Promise      *Promise   `json:"promise,omitempty"`
}

// Claim is what is to pay.
type Claim struct {
	Number   string `json:"number"`
	Amount   int64  `json:"amount"`
	Received int64  `json:"received"`
	Due      string `json:"due"`
	Status   string `json:"status"`
}

// Promise is what the recipient said.
type Promise struct {
	Word string `json:"word"` // already_paid, will_pay
	By   string `json:"by"`
}

// Page is a part of a list.
type Page struct {
	Items []Item `json:"items"`
	Next  string `json:"next,omitempty"` // cursor; a page may have few items, or none, and yet go on
}

// Order is one action on a list.
type Order struct {
	Key      string `json:"key,omitempty"`
	List     string `json:"list"`
	Filter   Filter `json:"filter,omitzero"`
	Text     string `json:"text,omitempty"`
	Template string `json:"template,omitempty"`
	Class    string `json:"class,omitempty"`
	Sender   string `json:"sender,omitempty"`
	Due      string `json:"due,omitempty"` // YYYY-MM-DD: until when claims can be paid from then on
}

// Filter narrows a list.
type Filter struct {
	Class    string `json:"class,omitempty"`
	Campaign string `json:"campaign,omitempty"`
	From     string `json:"from,omitempty"` // RFC 3339, inclusive
	To       string `json:"to,omitempty"`   // exclusive
	// MaxResent leaves out what was sent again this many times or more, NotSince (RFC 3339) what was since then.
	MaxResent int    `json:"max_resent,omitempty"`
	NotSince  string `json:"not_since,omitempty"`
}

// Run is an order on its way. Counts are of messages.
type Run struct {
	ID         string           `json:"id"`
	List       string           `json:"list"`
	Status     string           `json:"status"` // running, done, stopped
	By         string           `json:"by"`
	Due        string           `json:"due,omitempty"`
	Candidates int64            `json:"candidates"` // that could belong to the list when it began
	Looked     int64            `json:"looked"`     // of them
	Sent       int64            `json:"sent"`
	Left       int64            `json:"left"` // paid or otherwise gone from the list at the moment of sending
	Refused    map[string]int64 `json:"refused,omitempty"`
	BegunAt    time.Time        `json:"begun_at"`
	EndedAt    *time.Time       `json:"ended_at,omitempty"`
	StoppedBy  string           `json:"stopped_by,omitempty"`
}

// Runs is a page of runs.
type Runs struct {
	Items []Run  `json:"items"`
	Next  string `json:"next,omitempty"`
}

func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func itemOf(it *followup.Item, l followup.List, now time.Time, numbers bool, lang string) Item {
	st := &it.State
	out := Item{
		ID: it.ID.String(), No: st.Head.No, To: shownNumber(it, numbers), Reference: it.SMS.Reference, Class: string(st.Head.Class), Reason: it.Reason(l, now, lang),
		Submissions: it.Submissions(), Resent: it.Resends, ResentAt: some(it.ResentAt), AcceptedAt: st.AcceptedAt, DeliveredAt: some(st.DeliveredAt),
		OpenedAt: some(st.OpenedAt), IdentifiedAt: some(st.IdentifiedAt),
	}
	if c := it.Claim; c != nil {
		out.Claim = &Claim{Number: c.Number, Amount: c.Amount, Received: c.Received, Due: message.Day(c.Due), Status: string(c.PhaseAt(now))}
	}
	if p := st.Promise; p != nil {
		out.Promise = &Promise{p.Word, p.By}
	}
	return out
}

func runOf(s *followup.State) Run {
	return Run{ID: s.ID.String(), List: string(s.List), Status: s.Phase, By: s.By, Due: s.Due, Candidates: s.Candidates, Looked: s.Looked, Sent: s.Sent, Left: s.Left, Refused: s.Refused,
		BegunAt: s.BegunAt, EndedAt: some(s.EndedAt), StoppedBy: s.StoppedBy}
}
