package payment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// Phase is where a claim stands. Values are stable: they are the codes of the API and of Words.
type Phase string

const (
	Unpaid        Phase = "unpaid"      // 未払い: no attempt lives
	InProgress    Phase = "in_progress" // an attempt was started, or the payer is at the agent's page
	AwaitingMoney Phase = "awaiting"    // 発番済
	Accepted      Phase = "accepted"    // 受付: 速報
	PartlyPaid    Phase = "partly_paid" // confirmed, but less than was asked for
	Paid          Phase = "paid"        // 確定: 確報
	PartRefunded  Phase = "partly_refunded"
	AllRefunded   Phase = "refunded" // nothing of what was confirmed is left
	SettledElse   Phase = "settled"  // 消込
	IsWithdrawn   Phase = "withdrawn"
	IsRegistered  Phase = "registered" // 口座振替登録済み: no money moved, and it is debited from the account (Terms.Debit)
	Overdue       Phase = "overdue"    // unpaid past the due date; derived by time, see PhaseAt
)

// Phases lists them in the order in which they are shown.
var Phases = []Phase{Unpaid, InProgress, AwaitingMoney, Accepted, PartlyPaid, Paid, PartRefunded, AllRefunded, IsRegistered, SettledElse, IsWithdrawn, Overdue}

// AttemptPhase is where one attempt stands: one of the states of an agent's payment, or
const (
	AttemptStarted = "started" // the agent is being asked
	AttemptUnknown = "unknown" // it was asked; its answer is not known
	// Of deposits and of money that went back:
	PartPaid       = "partly_paid" // less than was asked for came in, and more may
	WasPartBack    = "partly_refunded"
	WasRefunded    = "refunded"
	WasChargedBack = "charged_back"
)

// Attempt is one try to pay.
type Attempt struct {
	Start
	StartedAt time.Time
	Phase     string
	Reason    string // why it failed, or is unknown
	IssuedAt  time.Time
	EndedAt   time.Time // canceled, failed or expired
	// ProvisionalAt and ConfirmedAt are the agent's times; zero: not, or no longer.
	ProvisionalAt, ConfirmedAt time.Time
	AgentID                    string // 決済連携ID
	AgentReceipt               string // 決済受付番号
	Redirect                   string
	Registration               string // what names the registered card to its agent; empty: none is, or no longer
	Voucher                    *Voucher
	PaidStore                  string // where it was paid
	Received                   int64  // yen that stands, 速報 and 確報
	Confirmed                  int64  // yen of 確報
	Refunded                   int64  // yen of Confirmed that went back
	Refunding                  int64  // yen that the agent was asked to give back and has not said to have done
	RefundedAt                 time.Time
	// Void: it lives, but the claim no longer asks for it (withdrawn, settled, amended). It is being canceled and must not
	// be shown.
	Void bool

	doubt       string // why it is unknown; empty: it is not
	open        *Fact  // greatest of level 0
	end         *Fact  // greatest of level 1
	money       *Fact  // greatest of levels 2 and 3
	ids         *Fact  // greatest that names the agent's ids
	back        *Fact  // greatest that tells of money that went back
	took        *Fact  // greatest that tells when money was taken: a later one may leave it out
	registered  *Fact  // greatest that tells of a registered account: nothing but money counts for more
	shown       *Fact  // the one whose voucher may be shown longest, of those that say until when
	deposits    map[string]Deposit
	doubts      map[string]doubted // none of them in deposits
	refunds     []refund
	returned    int64     // the most that went back since the last order to give back
	unreturned  int64     // yen of orders that came to nothing later
	foreign     int64     // yen that no order accounts for, of what had gone back at the last order: a refund at the agent's own screen
	issued      time.Time // first Seen of level 0
	confirmed   time.Time // first Seen of a confirmed view
	confirmedAt time.Time // first ConfirmedAt
	lastRevoked time.Time // last Seen of a revoked view
	wasCanceled bool
	wasExpired  bool
}

// refund is one that was asked for, with its time.
type refund struct {
	Refund
	at      time.Time
	refused bool
}

// doubted is a deposit that does not count because it may be one that does.
type doubted struct {
	Deposit
	settled bool // somebody dealt with the alert: it is that one
}

// Lives reports whether the attempt can still be paid as far as we know and has not been.
func (a *Attempt) Lives() bool {
	switch a.Phase {
	case AttemptStarted, AttemptUnknown, RequiresAction, Awaiting, PartPaid:
		return true
	}
	return false
}

// Settling reports whether nobody knows yet what became of the attempt.
func (a *Attempt) Settling() bool { return a.Phase == AttemptStarted || a.Phase == AttemptUnknown }

// Alert is something that a person has to look at (要対応). Codes are stable.
type Alert struct {
	Code    string    `json:"code"`
	Attempt ulid.ULID `json:"attempt,omitzero"`
	Open    bool      `json:"open"`
}

const (
	SecondPayment        = "second_payment"          // 多重支払: more was received than was asked for, or settled elsewhere too
	AmountDiffers        = "amount_differs"          // another amount than was asked for, or than had come when the rest was settled elsewhere
	PaidAfterExpiry      = "paid_after_expiry"       // after the due date
	PaidAfterCancel      = "paid_after_cancel"       // with a number that was canceled
	PaidAfterWithdrawal  = "paid_after_withdrawal"   // the claim had been withdrawn
	RevokedAfterConfirm  = "revoked_after_confirmed" // 速報取消 after 確報: ignored, to be asked about
	Overpaid             = "overpaid"                // more came in than was asked for, by a transfer
	ChargedBack          = "charged_back"            // the payer's bank took the money back
	RefundFailed         = "refund_failed"           // the agent was asked to give money back, and the payer did not get it
	DepositInDoubt       = "deposit_in_doubt"        // a transfer may be one that counts already: it does not count
	alertKeySeparator    = "/"
	recordFormatOfClaims = 1
)

// AlertCodes lists the alerts in the order in which they are shown.
var AlertCodes = []string{SecondPayment, AmountDiffers, PaidAfterExpiry, PaidAfterCancel, PaidAfterWithdrawal, RevokedAfterConfirm, Overpaid, ChargedBack, RefundFailed, DepositInDoubt}

// Key tells alerts of one claim apart.
func (a Alert) Key() string { return a.Code + alertKeySeparator + a.Attempt.String() }

// Act is a thing done to a claim, with its time.
type Act struct {
	message.Act
	At time.Time
}

// Settlement is the data of Settled.
type Settlement struct {
	message.Act
	Had int64 `json:"had,omitempty"` // yen that had been received, of a claim that was partly paid: the rest was settled. 0: all of it was
}

// Statement is what a sender stated about a claim: Amended, Settled or Withdrawn.
type Statement struct {
	Type Type
	Act
}

// State is the fold of a claim's events.
type State struct {
	Ref     store.Ref
	Version int // events seen
	Number  string
	Terms
	Content  Content // opened by Reveal; empty when Erased
	Erased   bool    // the sealed content is past its retention
	MadeAt   time.Time
	Messages []ulid.ULID // that carry the claim, in order of joining

	Statements             []Statement // in order
	WithdrawnBy, SettledBy *Act
	settledHad             int64      // Settlement.Had
	Attempts               []*Attempt // in order of their start
	Received, Confirmed    int64      // yen
	Refunded               int64      // yen of Confirmed that went back
	Phase                  Phase
	Alerts                 []Alert
	Receipts               []*Paper  // in order of issue; the last one holds
	ToldAt                 time.Time // the payer was told by SMS that the money has come
	ToldBy                 ulid.ULID // the message
	OverdueAt              time.Time // when it was last found to be unpaid at its due date; zero: never
	lapsed                 time.Time // that due date

	events   []store.Event
	resolved map[string]int64 // alerts that somebody dealt with, and the money that each was about then
	changed  time.Time        // of the last change of terms
}

// Fold reads a claim's events in order.
func Fold(events []store.Event) (State, error) {
	var s State
	for _, e := range events {
		if err := s.Apply(e); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Apply folds one more event.
func (s *State) Apply(e store.Event) error {
	s.Version++
	s.events = append(s.events, e)
	if err := s.apply(e); err != nil {
		return fmt.Errorf("claim %s: event %d (%s): %w", e.Ref.ID, e.Seq, Type(e.Type), err)
	}
	s.sum()
	return nil
}

func (s *State) apply(e store.Event) error {
	switch Type(e.Type) {
	case Made:
		var h Head
		if err := json.Unmarshal(e.Data, &h); err != nil {
			return err
		}
		if h.V > recordFormatOfClaims {
			return fmt.Errorf("record of format %d is newer than this program", h.V)
		}
		s.Ref, s.Number, s.Terms, s.MadeAt, s.changed = e.Ref, h.Number, h.Terms, e.At, e.At
	case Joined:
		var j Join
		if err := json.Unmarshal(e.Data, &j); err != nil {
			return err
		}
		if !slices.Contains(s.Messages, j.Message) {
			s.Messages = append(s.Messages, j.Message)
		}
	case PayerTold:
		var j Join
		if err := json.Unmarshal(e.Data, &j); err != nil {
			return err
		}
		if s.ToldAt.IsZero() {
			s.ToldAt, s.ToldBy = e.At, j.Message
		}
	case WentOverdue:
		var l Lapse
		if err := json.Unmarshal(e.Data, &l); err != nil {
			return err
		}
		s.lapsed, s.OverdueAt = l.Due, e.At
	case Amended:
		account := s.Account()
		s.Terms = Terms{}
		s.changed = e.At
		if err := json.Unmarshal(e.Data, &s.Terms); err != nil {
			return err
		}
		if account != nil {
			account.prolong(s.Due)
		}
		s.Statements = append(s.Statements, Statement{Amended, Act{message.Act{By: s.By, Reason: s.Reason}, e.At}})
	case Withdrawn, Settled:
		var said Settlement
		if err := json.Unmarshal(e.Data, &said); err != nil {
			return err
		}
		act := Act{said.Act, e.At}
		s.changed = e.At
		s.Statements = append(s.Statements, Statement{Type(e.Type), act})
		if Type(e.Type) == Withdrawn && s.WithdrawnBy == nil {
			s.WithdrawnBy = &act
		} else if Type(e.Type) == Settled && s.SettledBy == nil {
			s.SettledBy, s.settledHad = &act, said.Had
		}
	case Resolved:
		var r Resolution
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return err
		}
		if s.resolved == nil {
			s.resolved = map[string]int64{}
		}
		for _, a := range s.Alerts {
			if slices.Contains(r.Alerts, a.Key()) {
				s.resolved[a.Key()] = s.about(a)
			}
		}
		for _, a := range s.Attempts {
			a.settleDoubts(r.Alerts)
		}
	case Started:
		a := &Attempt{StartedAt: e.At}
		if err := json.Unmarshal(e.Data, &a.Start); err != nil {
			return err
		}
		if s.Attempt(a.ID) == nil {
			s.Attempts = append(s.Attempts, a)
		}
	case Unknown:
		var d Doubt
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		if a := s.Attempt(d.Attempt); a != nil {
			a.doubt = d.Reason
		}
	case Issued, Provisional, Revoked, Confirmed, Refunded, Failed, Canceled, Expired, Registered:
		f := new(Fact)
		if err := json.Unmarshal(e.Data, f); err != nil {
			return err
		}
		if a := s.Attempt(f.Attempt); a != nil {
			a.take(f)
		}
	case Deposited:
		var d Deposit
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		if a := s.Attempt(d.Attempt); a != nil {
			a.deposit(d)
		}
	case Doubted:
		var d Deposit
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		if a := s.Attempt(d.Attempt); a != nil {
			a.doubtDeposit(d)
		}
	case RefundAsked:
		var r Refund
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return err
		}
		if a := s.Attempt(r.Attempt); a != nil && !slices.ContainsFunc(a.refunds, func(have refund) bool { return have.ID == r.ID }) {
			a.foreign = a.Refunded + a.Refunding - a.asked()
			a.refunds = append(a.refunds, refund{Refund: r, at: e.At})
			a.returned = a.Refunded
			a.derive()
		}
	case RefundRefused:
		var d Doubt
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		if a := s.Attempt(d.Attempt); a != nil {
			for i := range a.refunds {
				if r := &a.refunds[i]; r.ID == d.Refund && !r.refused {
					r.refused = true
					if d.Late {
						a.unreturned += r.Yen
					}
				}
			}
			a.derive()
		}
	case ReceiptIssued:
		r := new(Paper)
		if err := json.Unmarshal(e.Data, &r.Receipt); err != nil {
			return err
		}
		s.Receipts = append(s.Receipts, r)
	case ReceiptKept:
		var c Copy
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return err
		}
		r := s.paper(c.Number)
		if c.Number == "" && len(s.Receipts) > 0 {
			r = s.Receipts[0]
		}
		if r != nil {
			r.Document, r.GivenTo, r.GivenAt = c.Document, c.By, e.At
		}
	case ReceiptCopied:
		var c Reissue
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return err
		}
		if r := s.paper(c.Number); r != nil {
			r.Copies, r.GivenTo, r.GivenAt = c.N, c.By, e.At
		}
	default:
		return fmt.Errorf("written by a newer program")
	}
	return nil
}

// Paper is a receipt and what became of it.
type Paper struct {
	Receipt
	Document string    // id of the immutable first copy in engine/document; empty: not drawn yet
	Copies   int       // given out after the first, each marked 再発行
	GivenTo  string    // who got the latest
	GivenAt  time.Time // when
}

// Receipt is the receipt that holds; nil: none was issued.
func (s *State) Receipt() *Paper {
	if len(s.Receipts) == 0 {
		return nil
	}
	return s.Receipts[len(s.Receipts)-1]
}

// paper is the receipt of a number; nil: there is none.
func (s *State) paper(number string) *Paper {
	for _, r := range s.Receipts {
		if r.Number == number {
			return r
		}
	}
	return nil
}

// Attempt returns the attempt of the id; nil when there is none.
func (s *State) Attempt(id ulid.ULID) *Attempt {
	for _, a := range s.Attempts {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// Live returns the attempt that can still be paid; nil when there is none.
func (s *State) Live() *Attempt {
	for _, a := range slices.Backward(s.Attempts) {
		if a.Lives() {
			return a
		}
	}
	return nil
}

// begun counts the attempts that were started within a day, a part only of those that never reached their agent more than unaskedFor ago.
func (s *State) begun(now time.Time) int {
	n, unasked := 0, 0
	for _, a := range s.Attempts {
		switch age := now.Sub(a.StartedAt); {
		case age >= 24*time.Hour:
		case age >= unaskedFor && a.unasked():
			unasked++
		default:
			n++
		}
	}
	return n + unasked/unaskedPart
}

// Current is the attempt that a page or a timeline shows: the one with money, else the one that lives, else the newest.
func (s *State) Current() *Attempt {
	for _, a := range s.Attempts {
		if a.Confirmed > 0 {
			return a
		}
	}
	for _, a := range s.Attempts {
		if a.Received > 0 {
			return a
		}
	}
	if a := s.Live(); a != nil || len(s.Attempts) == 0 {
		return a
	}
	if a := s.registered(); a != nil {
		return a
	}
	return s.Attempts[len(s.Attempts)-1]
}

// RegisteredAt is when an account for direct debit was registered at the claim's page; zero: none was.
func (s *State) RegisteredAt() time.Time {
	if a := s.registered(); a != nil {
		return a.EndedAt
	}
	return time.Time{}
}

// registered is the attempt that registered an account; nil: none did.
func (s *State) registered() *Attempt {
	for _, a := range s.Attempts {
		if a.Phase == WasRegistered {
			return a
		}
	}
	return nil
}

func greater(have *Fact, f *Fact) *Fact {
	if have == nil || f.compare(have) > 0 {
		return f
	}
	return have
}

func earlier(have, t time.Time) time.Time {
	if have.IsZero() || t.Before(have) {
		return t
	}
	return have
}

// take merges one fact. It is a join: commutative, associative, idempotent (TestFactsInAnyOrder).
func (a *Attempt) take(f *Fact) {
	switch f.level() {
	case 0:
		a.open, a.issued = greater(a.open, f), earlier(a.issued, f.Seen)
	case 1:
		if f.Type() == Registered {
			a.registered = greater(a.registered, f)
			break
		}
		a.end = greater(a.end, f)
	default:
		a.money = greater(a.money, f)
	}
	if f.View.AgentID != "" || f.View.ReceiptNumber != "" {
		a.ids = greater(a.ids, f)
	}
	if f.Type() == Provisional || f.level() == 3 && !f.View.ProvisionalAt.IsZero() {
		a.took = greater(a.took, f)
	}
	if until := f.View.shownUntil(); !until.IsZero() {
		if c := until.Compare(a.shown.until()); c > 0 || c == 0 && f.compare(a.shown) > 0 {
			a.shown = f
		}
	}
	switch f.Type() {
	case Refunded:
		a.back = greater(a.back, f)
		a.returned = max(a.returned, a.back.View.Refunded)
		fallthrough
	case Confirmed:
		a.confirmed = earlier(a.confirmed, f.Seen)
		at := f.View.ConfirmedAt
		if at.IsZero() {
			at = f.Seen
		}
		a.confirmedAt = earlier(a.confirmedAt, at)
	case Revoked:
		if f.Seen.After(a.lastRevoked) {
			a.lastRevoked = f.Seen
		}
	}
	a.wasCanceled = a.wasCanceled || f.View.State == WasCanceled
	a.wasExpired = a.wasExpired || f.View.State == HasExpired
	a.derive()
}

// deposit adds one transfer, whenever it is told. Like take it is a join: of two that share an id one stays.
func (a *Attempt) deposit(d Deposit) {
	if a.deposits == nil {
		a.deposits = map[string]Deposit{}
	}
	if have, ok := a.deposits[d.ID]; !ok || have.Yen < d.Yen || have.Yen == d.Yen && d.Paid.Before(have.Paid) {
		a.deposits[d.ID] = d
	}
	delete(a.doubts, d.ID)
	a.derive()
}

// doubtDeposit keeps one that does not count, unless it does already.
func (a *Attempt) doubtDeposit(d Deposit) {
	if _, counts := a.deposits[d.ID]; counts {
		return
	}
	if a.doubts == nil {
		a.doubts = map[string]doubted{}
	}
	if _, ok := a.doubts[d.ID]; !ok {
		a.doubts[d.ID] = doubted{Deposit: d}
	}
}

// settleDoubts leaves the deposits that are in doubt as they are, where somebody dealt with their alert.
func (a *Attempt) settleDoubts(alerts []string) {
	if !slices.Contains(alerts, Alert{Code: DepositInDoubt, Attempt: a.ID}.Key()) {
		return
	}
	for id, d := range a.doubts {
		d.settled = true
		a.doubts[id] = d
	}
}

// Doubts lists the deposits that somebody has to look at, the earliest first.
func (a *Attempt) Doubts() (all []Deposit) {
	for _, d := range a.doubts {
		if !d.settled {
			all = append(all, d.Deposit)
		}
	}
	slices.SortFunc(all, func(x, y Deposit) int { return cmp.Or(x.Paid.Compare(y.Paid), cmp.Compare(x.ID, y.ID)) })
	return all
}

// derive sets what readers see from the greatest facts.
func (a *Attempt) derive() {
	a.Received, a.Confirmed, a.PaidStore, a.Reason = 0, 0, "", ""
	a.ProvisionalAt, a.ConfirmedAt, a.EndedAt = time.Time{}, time.Time{}, time.Time{}
	if a.money != nil {
		a.Received = a.money.standing(a.Yen)
	}
	told := a.Received // by the agent's views of the payment; deposits come on top
	first, last := a.deposited()
	a.Confirmed = a.Received - told
	if told > 0 && a.money.level() == 3 {
		a.Confirmed = a.Received
	}
	switch {
	case a.Received > told && a.Received < a.Yen && a.end == nil:
		a.Phase = PartPaid
	case a.Received > told && a.Received < a.Yen:
		a.Phase, a.Reason, a.EndedAt = a.end.View.State, a.end.Reason, a.end.Seen
	case a.Received > told && a.Confirmed >= min(a.Yen, a.Received):
		a.Phase, a.ConfirmedAt = IsConfirmed, last
		if a.confirmedAt.After(last) {
			a.ConfirmedAt = a.confirmedAt
		}
	case a.Received > 0 && a.money != nil && a.money.level() == 3:
		a.Phase, a.Confirmed, a.ConfirmedAt = IsConfirmed, a.Received, a.confirmedAt
	case a.Received > 0:
		a.Phase = IsProvisional
	case a.registered != nil:
		a.Phase, a.EndedAt = WasRegistered, a.registered.Seen
	case a.end != nil:
		a.Phase, a.Reason, a.EndedAt = a.end.View.State, a.end.Reason, a.end.Seen
	case a.money != nil: // revoked, and the agent says what it is now
		a.Phase = a.money.View.State
	case a.open != nil:
		a.Phase = a.open.View.State
	}
	if told > 0 {
		a.PaidStore = a.money.View.Store
		a.ProvisionalAt = a.takenAt()
	}
	if a.ProvisionalAt.IsZero() {
		a.ProvisionalAt = first
	}
	a.giveBack()
	if a.ids != nil {
		a.AgentID, a.AgentReceipt = a.ids.View.AgentID, a.ids.View.ReceiptNumber
	}
	a.Redirect, a.Voucher, a.Registration = "", nil, ""
	if a.money != nil && a.money.level() == 3 {
		a.Registration = a.money.View.Registration
	}
	for _, f := range []*Fact{a.open, a.end, a.money} {
		if f == nil {
			continue
		}
		if f.View.Redirect != "" {
			a.Redirect = f.View.Redirect
		}
		if f.View.Voucher != nil {
			a.Voucher = f.View.Voucher
		}
	}
	if a.shown != nil && (a.Voucher == nil || a.shown.until().After(a.Voucher.ShownUntil)) {
		a.Voucher = a.shown.View.Voucher
	}
	a.IssuedAt = a.issued
}

// takenAt is when the agent took what its views say to stand; zero: it has not said. What it told before money was taken back is not of
// the money that came again; a 速報取消 after 確報 takes nothing back.
func (a *Attempt) takenAt() time.Time {
	switch f := a.took; {
	case f == nil, a.lastRevoked.After(f.Seen) && (a.confirmed.IsZero() || a.lastRevoked.Before(a.confirmed)):
		return time.Time{}
	case f.View.ProvisionalAt.IsZero():
		return f.Seen
	default:
		return f.View.ProvisionalAt
	}
}

// deposited adds the deposits to what was received, and gives the times of the first and the last of them.
func (a *Attempt) deposited() (first, last time.Time) {
	for _, d := range a.deposits {
		a.Received += d.Yen
		first = earlier(first, d.Paid)
		if d.Paid.After(last) {
			last = d.Paid
		}
	}
	return first, last
}

// giveBack derives what went back, and what is still to go.
func (a *Attempt) giveBack() {
	a.Refunded, a.Refunding, a.RefundedAt = 0, 0, time.Time{}
	if a.back != nil {
		a.Refunded, a.RefundedAt = min(a.back.View.Refunded, a.Confirmed), a.back.View.RefundedAt
	}
	asked := a.asked()
	a.Refunding = max(0, min(asked, asked+a.foreign-a.Refunded))
	switch {
	case a.Refunded == 0:
	case a.back.View.ChargedBack:
		a.Phase = WasChargedBack
	case a.Refunded == a.Confirmed:
		a.Phase = WasRefunded
	default:
		a.Phase = WasPartBack
	}
}

// asked is the yen of all orders to give back, without those that came to nothing.
func (a *Attempt) asked() (yen int64) {
	for _, r := range a.refunds {
		if !r.refused {
			yen += r.Yen
		}
	}
	return yen
}

// paidAt is when the money was taken, by the agent's clock.
func (a *Attempt) paidAt() time.Time {
	if !a.ProvisionalAt.IsZero() {
		return a.ProvisionalAt
	}
	return a.ConfirmedAt
}

// sum derives the claim from its attempts.
func (s *State) sum() {
	s.Received, s.Confirmed, s.Refunded = 0, 0, 0
	for _, a := range s.Attempts {
		if a.Phase == "" || a.Settling() {
			a.Phase = AttemptStarted
			if a.doubt != "" {
				a.Phase, a.Reason = AttemptUnknown, a.doubt
			}
		}
		s.Received += a.Received
		s.Confirmed += a.Confirmed
		s.Refunded += a.Refunded
		a.Void = a.Lives() && (s.WithdrawnBy != nil || s.SettledBy != nil || a.Yen != s.Amount || !a.Due.Equal(s.Due))
	}
	live := s.Live()
	switch {
	case s.Refunded > 0 && s.Refunded == s.Received:
		s.Phase = AllRefunded
	case s.Confirmed-s.Refunded >= s.Amount && s.Confirmed > 0:
		s.Phase = Paid
	case s.Received-s.Refunded >= s.Amount && s.Received > 0:
		s.Phase = Accepted
	case s.Refunded > 0:
		s.Phase = PartRefunded
	case s.Received > 0 && (s.SettledBy == nil || s.settledHad == 0): // more or less than had come is an alert, and asks for nothing
		s.Phase = PartlyPaid
	case s.SettledBy != nil:
		s.Phase = SettledElse
	case s.WithdrawnBy != nil:
		s.Phase = IsWithdrawn
	case live != nil && !live.Void && live.Phase == Awaiting:
		s.Phase = AwaitingMoney
	case live != nil && !live.Void:
		s.Phase = InProgress
	case s.Debit && s.registered() != nil:
		s.Phase = IsRegistered
	default:
		s.Phase = Unpaid
	}
	s.alert()
}

// restSettled: the rest was settled elsewhere, and no more has come than by then.
func (s *State) restSettled() bool {
	return s.SettledBy != nil && s.settledHad > 0 && s.Received <= s.settledHad
}

// takenBack is how much no longer stands (速報取消) of what had come when the rest was settled elsewhere.
func (s *State) takenBack() int64 {
	return max(0, s.settledHad-s.Received)
}

func (s *State) alert() {
	s.Alerts = nil
	raise := func(code string, attempt ulid.ULID) {
		a := Alert{Code: code, Attempt: attempt}
		seen, resolved := s.resolved[a.Key()]
		a.Open = !resolved || s.about(a) > seen
		s.Alerts = append(s.Alerts, a)
	}
	payments := 0
	for _, a := range s.Attempts {
		if !a.confirmed.IsZero() && a.lastRevoked.After(a.confirmed) {
			raise(RevokedAfterConfirm, a.ID)
		}
		if a.unreturned > 0 {
			raise(RefundFailed, a.ID)
		}
		if len(a.doubts) > 0 { // one more opens it again
			s.Alerts = append(s.Alerts, Alert{Code: DepositInDoubt, Attempt: a.ID, Open: len(a.Doubts()) > 0})
		}
		if a.Received == 0 {
			continue
		}
		if a.Phase == WasChargedBack {
			raise(ChargedBack, a.ID)
		}
		left := a.Received - a.Refunded
		if left == 0 {
			continue // what was too much is no longer there
		}
		payments++
		if whole := left%max(a.Yen, 1) == 0; left > a.Yen && len(a.deposits) > 0 && !whole {
			raise(Overpaid, a.ID)
		} else if left > a.Yen {
			raise(SecondPayment, a.ID)
		}
		short := a.Received < a.Yen && a.Phase != PartPaid
		odd := len(a.deposits) == 0 && a.Received%max(a.Yen, 1) != 0
		known := s.restSettled() // of a part: by whoever settled the rest, for which what was issued is canceled
		if (short || odd || a.Yen != s.Amount) && !known {
			raise(AmountDiffers, a.ID)
		}
		if a.wasCanceled && !known {
			raise(PaidAfterCancel, a.ID)
		}
		if a.paidAt().After(a.Due) {
			raise(PaidAfterExpiry, a.ID)
		}
		if s.WithdrawnBy != nil {
			raise(PaidAfterWithdrawal, a.ID)
		}
	}
	if payments > 1 || (payments > 0 && s.SettledBy != nil && s.Received > s.settledHad) {
		raise(SecondPayment, ulid.ULID{})
	}
	if s.takenBack() > 0 {
		raise(AmountDiffers, ulid.ULID{})
	}
	maps.DeleteFunc(s.resolved, func(key string, _ int64) bool { // what is over and comes again is to be dealt with again
		return !slices.ContainsFunc(s.Alerts, func(a Alert) bool { return a.Key() == key })
	})
}

// about is the money that an alert is about: when there is more of it than somebody dealt with, that is another thing to deal with.
func (s *State) about(al Alert) int64 {
	a := s.Attempt(al.Attempt)
	switch {
	case al.Code == RevokedAfterConfirm:
		return 0
	case a == nil && al.Code == AmountDiffers:
		return s.takenBack()
	case a == nil:
		return s.Received
	case al.Code == ChargedBack:
		return a.Refunded
	case al.Code == RefundFailed:
		return a.unreturned
	}
	return a.Received
}

// NeedsAttention reports whether an alert is open.
func (s *State) NeedsAttention() bool {
	return slices.ContainsFunc(s.Alerts, func(a Alert) bool { return a.Open })
}

// PhaseAt is the phase as people are told it at a time.
func (s *State) PhaseAt(now time.Time) Phase {
	switch s.Phase {
	case Unpaid, InProgress, AwaitingMoney:
		if now.After(s.Due) {
			return Overdue
		}
	}
	return s.Phase
}

// Over reports whether nothing more is expected: paid, or no longer asked for and nothing left that could be paid.
func (s *State) Over() bool {
	switch s.Phase {
	case Paid, SettledElse:
		return s.Live() == nil && !s.refunding()
	case AllRefunded:
		return s.Live() == nil
	case IsWithdrawn:
		return s.Live() == nil && s.Received == 0
	}
	return false
}

func (s *State) refunding() bool {
	return slices.ContainsFunc(s.Attempts, func(a *Attempt) bool { return a.Refunding > 0 })
}

// PaidAt is when the money that the claim shows was taken; zero: not yet.
func (s *State) PaidAt() time.Time {
	if a := s.Current(); a != nil && a.Received > 0 {
		return a.paidAt()
	}
	return time.Time{}
}

// askMost is how often an agent that does not cancel, or does not answer at the end of a term, is asked again at last.
const askMost = time.Hour

// lapseAfter is how long after its due date, which is the last second of a day, an unpaid claim is said to be overdue.
const lapseAfter = time.Second

// next is when the claim has to be looked at again; false: not by itself.
func (s *State) next(now time.Time, c *Config) (time.Time, bool) {
	var at time.Time
	if s.PhaseAt(s.Due.Add(lapseAfter)) == Overdue && !s.lapsed.Equal(s.Due) {
		if at = s.Due.Add(lapseAfter); !at.After(now) {
			at = backOff(now, at, c.SettleMost, max(c.SettleMost, askMost))
		}
	}
	for _, a := range s.Attempts {
		var t time.Time
		switch {
		case a.fellBack():
			t = now
		case a.Refunding > 0:
			t = backOff(now, a.order().at, c.SettleFirst, c.Poll)
		case a.Phase == AttemptStarted: // the call may still be running
			t = a.StartedAt.Add(c.CreateTimeout + time.Second)
			if t.Before(now) {
				t = backOff(now, a.StartedAt, c.SettleFirst, c.SettleMost)
			}
		case a.Phase == AttemptUnknown:
			t = backOff(now, a.StartedAt, c.SettleFirst, c.SettleMost)
		case a.Void:
			t = backOff(now, s.changed, c.SettleFirst, max(c.SettleMost, askMost))
		case a.Lives():
			t = a.Due.Add(c.Grace)
			if !t.After(now) {
				t = backOff(now, t, c.SettleMost, max(c.SettleMost, askMost))
			}
		case a.Phase == HasExpired && now.Before(a.EndedAt.Add(lateFor)):
			t = backOff(now, a.EndedAt, c.Poll, lateFor)
		case a.Phase == IsProvisional:
			t = backOff(now, a.ProvisionalAt, c.Poll, c.Poll)
		default:
			continue
		}
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at, !at.IsZero()
}

// backOff waits as long again as has passed since the beginning, between first and most: the waits double.
func backOff(now, since time.Time, first, most time.Duration) time.Time {
	return now.Add(min(max(now.Sub(since), first), most))
}
