package callback

import (
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// ClaimData is the data of claim.… notices: the claim as it was when that happened.
type ClaimData struct {
	ID        ulid.ULID     `json:"id"`
	Number    string        `json:"number"`
	Status    payment.Phase `json:"status"`
	Amount    int64         `json:"amount"`              // yen asked for
	Received  int64         `json:"received"`            // yen that stands, 速報 and 確報
	Confirmed int64         `json:"confirmed"`           // yen of 確報
	Refunded  int64         `json:"refunded,omitempty"`  // yen of it that went back
	Remaining int64         `json:"remaining,omitempty"` // yen still to come of a claim that is partly paid
	Overpaid  int64         `json:"overpaid,omitempty"`  // yen beyond Amount that did not go back
	Method    string        `json:"method,omitempty"`    // of the attempt that counts
	Attempt   ulid.ULID     `json:"attempt,omitzero"`
	Alerts    []string      `json:"alerts,omitempty"` // open ones
	// Registered is when an account for direct debit was registered; the claim is debited from it where its status is registered, and
	// is to be paid as before where it is not.
	Registered time.Time   `json:"registered_at,omitzero"`
	Messages   []ulid.ULID `json:"messages,omitempty"` // that carry the claim
	Sequence   int         `json:"sequence"`           // rises within the claim
}

// claims tells of claims.
type claims struct{}

var claimMay = map[payment.Type][]string{
	payment.Amended: {ClaimAlert, ClaimAccepted, ClaimConfirmed, ClaimPartly}, payment.Withdrawn: {ClaimWithdrawn, ClaimAlert}, payment.Settled: {ClaimSettled, ClaimAlert},
	payment.Issued: {ClaimIssued, ClaimRevoked}, payment.Provisional: {ClaimAccepted, ClaimPartly, ClaimAlert}, payment.Revoked: {ClaimRevoked, ClaimAlert},
	payment.Confirmed: {ClaimConfirmed, ClaimPartly, ClaimAlert}, payment.Canceled: {ClaimCanceled, ClaimRevoked, ClaimAlert},
	payment.Refunded: {ClaimRefunded, ClaimConfirmed, ClaimPartly, ClaimAlert}, payment.Deposited: {ClaimConfirmed, ClaimPartly, ClaimAlert}, payment.Doubted: {ClaimAlert},
	payment.Expired: {ClaimExpired, ClaimRevoked, ClaimAlert}, payment.Failed: {ClaimRevoked},
	payment.Registered: {ClaimRegistered, ClaimRevoked}, payment.WentOverdue: {ClaimOverdue}, payment.RefundRefused: {ClaimAlert},
}

func (claims) May(event byte) []string { return claimMay[payment.Type(event)] }

func (claims) Tell(events []store.Event) ([]Notice, error) {
	var s payment.State
	var told []Notice
	for _, e := range events {
		phase, received, refunded, alerts, registered := s.Phase, s.Received, s.Refunded, openAlerts(&s), s.RegisteredAt()
		if err := s.Apply(e); err != nil {
			return nil, err
		}
		n := 0
		tell := func(typ string) {
			if typ == "" || !slices.Contains(claimMay[payment.Type(e.Type)], typ) {
				return
			}
			d := claimData(e, &s)
			told = append(told, Notice{Pos: At(e.Seq, n), Type: typ, At: e.At, Data: func(Sealed, *tenant.Callback) (any, error) { return d, nil }})
			n++
		}
		if registered.IsZero() && !s.RegisteredAt().IsZero() {
			tell(ClaimRegistered)
		} else {
			tell(claimNotice(payment.Type(e.Type), phase, received, refunded, &s))
		}
		if slices.ContainsFunc(openAlerts(&s), func(a string) bool { return !slices.Contains(alerts, a) }) {
			tell(ClaimAlert)
		}
	}
	return told, nil
}

// claimNotice is what an event that led from a phase with so much money to the state tells; empty: nothing.
func claimNotice(event payment.Type, was payment.Phase, received, refunded int64, s *payment.State) string {
	switch {
	case event == payment.WentOverdue:
		return ClaimOverdue
	case event == payment.Withdrawn && s.WithdrawnBy != nil && was != payment.IsWithdrawn:
		return ClaimWithdrawn
	case event == payment.Settled && s.SettledBy != nil && was != payment.SettledElse:
		return ClaimSettled
	case s.Received < received && event != payment.Amended:
		return ClaimRevoked
	case s.Refunded > refunded:
		return ClaimRefunded
	case s.Phase == was:
		return ""
	}
	switch s.Phase {
	case payment.Accepted:
		return ClaimAccepted
	case payment.Paid:
		return ClaimConfirmed
	case payment.PartlyPaid:
		return ClaimPartly
	case payment.AwaitingMoney:
		return ClaimIssued
	}
	switch event {
	case payment.Canceled:
		return ClaimCanceled
	case payment.Expired:
		return ClaimExpired
	}
	return ""
}

func openAlerts(s *payment.State) []string {
	var keys []string
	for _, a := range s.Alerts {
		if a.Open {
			keys = append(keys, a.Key())
		}
	}
	return keys
}

func claimData(e store.Event, s *payment.State) ClaimData {
	d := ClaimData{
		ID: e.Ref.ID, Number: s.Number, Status: s.Phase, Amount: s.Amount, Received: s.Received, Confirmed: s.Confirmed, Refunded: s.Refunded,
		Messages: slices.Clone(s.Messages), Registered: s.RegisteredAt(), Sequence: int(e.Seq) + 1,
	}
	if payment.Type(e.Type) == payment.WentOverdue {
		d.Status = payment.Overdue
	}
	d.Remaining, d.Overpaid = s.Rest()
	if a := s.Current(); a != nil {
		d.Method, d.Attempt = a.Method, a.ID
	}
	for _, a := range s.Alerts {
		if a.Open && !slices.Contains(d.Alerts, a.Code) {
			d.Alerts = append(d.Alerts, a.Code)
		}
	}
	return d
}
