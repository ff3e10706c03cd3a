package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
)

// Accepted is the answer to a message that is on disk. It is the same whenever the same key is given again, but for
// Warnings, which only the first answer has.
type Accepted struct {
	ID       string         `json:"id"`
	No       string         `json:"no"`
	URL      string         `json:"url,omitempty"`
	Status   message.Phase  `json:"status"`          // waiting or link_only
	Claim    string         `json:"claim,omitempty"` // its number
	Warnings []FieldProblem `json:"warnings,omitempty"`
}

func accepted(lang string, r *intake.Result) Accepted {
	a := Accepted{ID: r.ID.String(), No: r.No, URL: r.URL, Status: r.Phase, Warnings: fieldProblems(lang, r.Warnings)}
	if r.Claim != nil {
		a.Claim = r.Claim.Number
	}
	return a
}

// appendAccepted writes an Accepted without warnings as encoding/json would. All in it is plain, but for a host that is not.
func appendAccepted(dst []byte, r *intake.Result) []byte {
	var id [ulid.EncodedSize]byte
	_ = r.ID.MarshalTextTo(id[:]) // fails for another size only
	dst = append(append(dst, `{"id":"`...), id[:]...)
	dst = append(append(dst, `","no":"`...), r.No...)
	dst = append(dst, '"')
	if r.URL != "" {
		dst = appendString(append(dst, `,"url":`...), r.URL)
	}
	dst = append(append(append(dst, `,"status":"`...), r.Phase...), '"')
	if r.Claim != nil && r.Claim.Number != "" {
		dst = appendString(append(dst, `,"claim":`...), r.Claim.Number)
	}
	return append(dst, '}')
}

// appendString writes s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			b, _ := json.Marshal(s) // a string never fails
			return append(dst, b...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// Preview is the answer to ?dry_run=true: what the message would be. Its URL is a sample.
type Preview struct {
	To            string         `json:"to"` // masked
	Text          string         `json:"text,omitempty"`
	URL           string         `json:"url,omitempty"`
	Units         int            `json:"units"` // of the text, as SMS counts
	Parts         int            `json:"parts"` // short messages
	Carrier       string         `json:"carrier,omitempty"`
	Sender        string         `json:"sender,omitempty"`
	SendAt        *time.Time     `json:"send_at,omitempty"`
	ValidUntil    *time.Time     `json:"valid_until,omitempty"`
	LinkExpiresAt *time.Time     `json:"link_expires_at,omitempty"`
	Warnings      []FieldProblem `json:"warnings,omitempty"`
}

// Message is a message as its sender sees it.
type Message struct {
	ID            string         `json:"id"`
	No            string         `json:"no"`
	Status        message.Phase  `json:"status"`
	Class         message.Class  `json:"class"`
	Via           message.Via    `json:"via"`
	To            string         `json:"to"` // masked
	Reference     string         `json:"reference,omitempty"`
	Carrier       string         `json:"carrier,omitempty"`
	Sender        string         `json:"sender,omitempty"`   // sender profile
	Campaign      string         `json:"campaign,omitempty"` // its upload, or the run of follow-ups that made it
	Resends       string         `json:"resends,omitempty"`  // the message that it follows up
	Resent        int            `json:"resent,omitempty"`   // messages that followed this one up
	Parts         int            `json:"parts"`
	URL           string         `json:"url,omitempty"`
	AcceptedAt    time.Time      `json:"accepted_at"`
	SendAt        *time.Time     `json:"send_at,omitempty"`
	ValidUntil    *time.Time     `json:"valid_until,omitempty"`
	LinkExpiresAt *time.Time     `json:"link_expires_at,omitempty"`
	SubmittedAt   *time.Time     `json:"submitted_at,omitempty"`
	DeliveredAt   *time.Time     `json:"delivered_at,omitempty"`
	OpenedAt      *time.Time     `json:"opened_at,omitempty"`
	IdentifiedAt  *time.Time     `json:"identified_at,omitempty"`
	ViewedAt      *time.Time     `json:"viewed_at,omitempty"`
	AnsweredAt    *time.Time     `json:"answered_at,omitempty"`
	RevokedAt     *time.Time     `json:"revoked_at,omitempty"`
	DisownedAt    *time.Time     `json:"disowned_at,omitempty"` // whoever has the link says that it is for somebody else
	LockedUntil   *time.Time     `json:"locked_until,omitempty"`
	Reason        string         `json:"reason,omitempty"`         // why it was refused, canceled or not delivered
	CommandStatus uint32         `json:"command_status,omitempty"` // the carrier's last, not 0
	Erased        bool           `json:"erased,omitempty"`         // text, page and number ended with their term: nobody can read them
	ErasedAt      *time.Time     `json:"erased_at,omitempty"`      // since when, where it is known
	Claim         *Claim         `json:"claim,omitempty"`
	Promise       *Promise       `json:"promise,omitempty"`
	Answers       []SurveyAnswer `json:"answers,omitempty"`  // to the survey; of one message, when asked for
	Timeline      []Entry        `json:"timeline,omitempty"` // of one message only
}

// Promise is what the recipient said of the payment, the last time.
type Promise struct {
	Word string    `json:"word"` // already_paid, will_pay
	By   string    `json:"by"`   // YYYY-MM-DD, the last day on which it can be kept
	At   time.Time `json:"at"`
}

// Entry is one thing that happened to a message or its claim.
type Entry struct {
	At     time.Time         `json:"at"`
	Of     string            `json:"of"`    // message, claim
	Event  string            `json:"event"` // accepted, looked_up, … as in message.Type; of a claim as engine/payment names it
	Detail map[string]string `json:"detail,omitempty"`
}

// Claim is a claim as its sender sees it.
type Claim struct {
	Number       string     `json:"number"`
	Amount       int64      `json:"amount"`              // yen
	Tax          *int64     `json:"tax,omitempty"`       // yen within Amount
	TaxRate      int64      `json:"tax_rate,omitempty"`  // percent, of a claim without lines
	Due          string     `json:"due"`                 // YYYY-MM-DD
	Status       string     `json:"status"`              // engine/payment's word
	Provisional  int64      `json:"provisional"`         // yen by 速報, not yet confirmed
	Confirmed    int64      `json:"confirmed"`           // yen by 確報
	Refunded     int64      `json:"refunded,omitempty"`  // yen of Confirmed that went back
	Remaining    int64      `json:"remaining,omitempty"` // yen still to come of a claim that is partly paid
	Overpaid     int64      `json:"overpaid,omitempty"`  // yen beyond Amount that did not go back
	Method       string     `json:"method,omitempty"`
	PaidAt       *time.Time `json:"paid_at,omitempty"`       // when the money was taken, by 速報 or 確報
	ConfirmedAt  *time.Time `json:"confirmed_at,omitempty"`  // 確報
	RegisteredAt *time.Time `json:"registered_at,omitempty"` // an account for direct debit (口座振替登録)
	Receipt      string     `json:"receipt,omitempty"`       // number of the one that holds
	Receipts     []Receipt  `json:"receipts,omitempty"`      // in order of issue
	Alerts       []string   `json:"alerts,omitempty"`        // 要対応, open ones: overpaid, paid_after_expiry …
	Version      int        `json:"version"`                 // grows with whatever happens; to be named by who resolves the alerts
	CreatedAt    time.Time  `json:"created_at"`
	Timeline     []Entry    `json:"timeline,omitempty"`
}

// AlertList is the claims with open alerts, those with the latest first.
type AlertList struct {
	Claims []Claim `json:"claims"`
}

// Receipt is one receipt of a claim.
type Receipt struct {
	Number   string    `json:"number"`
	IssuedAt time.Time `json:"issued_at"`
	Refunded int64     `json:"refunded,omitempty"` // yen that had gone back when it was issued
	Corrects string    `json:"corrects,omitempty"` // number of the receipt before
	Copies   int       `json:"copies,omitempty"`   // given out after the first, marked 再発行
}

// ClaimChange is a fact that the sender states about a claim.
type ClaimChange struct {
	Action string `json:"action"`           // amend, settle (消込: paid elsewhere), withdraw, refund, charge (to a registered card), resolve (要対応 is dealt with)
	Amount *int64 `json:"amount,omitempty"` // amend: yen; without Tax the new amount shows that of the claim's TaxRate, or none. refund: yen; all when it is missing
	Tax    *int64 `json:"tax,omitempty"`    // amend: yen within the amount
	// TaxRate is for amend: 10, or 8 for 軽減税率, of a claim without lines; 0: none is told.
	TaxRate *int64 `json:"tax_rate,omitempty"`
	Due     string `json:"due,omitempty"` // amend: YYYY-MM-DD
	// Remaining is for settle: what remained of a claim that is partly paid, see payment.Patch.
	Remaining *int64 `json:"remaining,omitempty"`
	Reason    string `json:"reason,omitempty"` // at most 200 characters
	Key       string `json:"key,omitempty"`    // refund, charge: the sender's own; the same key is the same order
	Card      string `json:"card,omitempty"`   // charge: number of the claim that the card was registered with
	// Attempt is for refund: the id of the attempt whose money is given back, as the timeline names it. Empty: the one that has money.
	Attempt string `json:"attempt,omitempty"`
	// Version is for resolve: that of the claim whose alerts were looked at.
	Version *int `json:"version,omitempty"`
}

func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// view makes the sender's sight of a folded message.
func (s *Server) view(c *Caller, id ulid.ULID, st *message.State, unmask bool) (Message, error) {
	h := &st.Head
	now := clock.Now()
	m := Message{
		ID: id.String(), No: h.No, Status: st.PhaseAt(now), Class: h.Class, Via: h.Via, To: h.Masked, Carrier: st.Carrier, Sender: h.Sender,
		Parts: h.Parts, URL: h.URL, AcceptedAt: st.AcceptedAt, SendAt: some(h.SendAt), ValidUntil: some(h.ValidUntil), LinkExpiresAt: some(h.LinkExpires),
		SubmittedAt: some(st.SubmittedAt), DeliveredAt: some(st.DeliveredAt), OpenedAt: some(st.OpenedAt), IdentifiedAt: some(st.IdentifiedAt),
		ViewedAt: some(st.ViewedAt), AnsweredAt: some(st.AnsweredAt), RevokedAt: some(st.RevokedAt), DisownedAt: some(st.DisownedAt), Reason: st.Reason, CommandStatus: st.Status,
	}
	if !h.Campaign.IsZero() {
		m.Campaign = h.Campaign.String()
	}
	if !h.Resends.IsZero() {
		m.Resends = h.Resends.String()
	}
	m.Resent = st.Resends
	if p := st.Promise; p != nil {
		m.Promise = &Promise{p.Word, p.By, st.PromisedAt}
	}
	if st.LockedAt(now) {
		m.LockedUntil = some(st.LockedUntil)
	}
	sms, err := stored.SMS(s.Store, c.Tenant.ID, id, h)
	if errors.Is(err, store.ErrErased) {
		m.Erased, m.ErasedAt = true, some(s.Store.ErasedAt(c.Tenant.ID, h.SMS))
		return m, nil
	}
	if err != nil {
		return m, err
	}
	m.Reference = sms.Reference
	if n, err := carrier.ParseNumber(sms.Number); err == nil && unmask {
		m.To = n.National()
	}
	return m, nil
}

// timeline tells each event without what is secret or personal in it.
func timeline(events []store.Event) ([]Entry, error) {
	entries := make([]Entry, 0, len(events))
	for _, e := range events {
		ev := message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
		d, err := eventDetail(ev)
		if err != nil {
			return nil, err
		}
		for k, v := range d {
			if v == "" || v == "0" {
				delete(d, k)
			}
		}
		entries = append(entries, Entry{At: e.At, Of: "message", Event: ev.Type.String(), Detail: d})
	}
	return entries, nil
}

func eventDetail(e message.Event) (map[string]string, error) {
	when := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	switch e.Type {
	case message.LookedUp:
		var d message.Lookup
		err := e.Decode(&d)
		return map[string]string{"carrier": d.Carrier, "by": d.By}, err
	case message.Submitting, message.Submitted, message.Retrying, message.InDoubt, message.Refused:
		var d message.Submission
		err := e.Decode(&d)
		detail := map[string]string{
			"part": strconv.Itoa(d.Part), "attempt": strconv.Itoa(d.Attempt), "carrier": d.Carrier, "bind": d.Bind,
			"command_status": strconv.FormatUint(uint64(d.Status), 10), "reason": d.Reason, "policy": string(d.Policy), "until": when(d.Until),
			"smsc_id": d.SMSCID,
		}
		if !d.Written.IsZero() {
			detail["written"] = d.Written.UTC().Format(time.RFC3339Nano) // the connection took the request
		}
		return detail, err
	case message.Delivered, message.Undelivered:
		var d message.Report
		err := e.Decode(&d)
		return map[string]string{"part": strconv.Itoa(d.Part), "carrier": d.Carrier, "state": d.State, "error": d.Err, "done": when(d.Done)}, err
	case message.Canceled, message.Revoked, message.Unlocked, message.Readmitted:
		var d message.Act
		err := e.Decode(&d)
		return map[string]string{"by": d.By, "reason": d.Reason}, err
	case message.Opened:
		var d message.Opening
		err := e.Decode(&d)
		return map[string]string{"doubtful": d.Doubtful}, err
	case message.Tried:
		var d message.Try
		err := e.Decode(&d)
		return map[string]string{"step": d.Step, "ok": strconv.FormatBool(d.OK)}, err
	case message.Locked:
		var d message.Lock
		err := e.Decode(&d)
		return map[string]string{"until": when(d.Until)}, err
	case message.Kept:
		var d message.Keeping
		err := e.Decode(&d)
		return map[string]string{"day": message.Day(d.Day)}, err
	case message.Resent:
		var d message.Resending
		err := e.Decode(&d)
		detail := map[string]string{"message": d.Message.String()}
		if !d.Run.IsZero() {
			detail["run"] = d.Run.String()
		}
		if d.Replaced {
			detail["replaced"] = "true"
		}
		return detail, err
	case message.Promised:
		var d message.Promise
		err := e.Decode(&d)
		return map[string]string{"word": d.Word, "by": d.By}, err
	case message.LinkMoved:
		var d message.LinkEnd
		err := e.Decode(&d)
		return map[string]string{"by": d.By, "until": when(d.Until)}, err
	case message.Mailed, message.MailSent, message.MailFailed:
		var d message.Mailing
		err := e.Decode(&d)
		return map[string]string{"mail": d.Mail.String(), "to": d.To, "reason": d.Reason, "by": d.By}, err
	}
	return nil, nil
}
