package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v85"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// errNotOurs: a session of the account's own use.
var errNotOurs = errors.New("the session is not one of ours")

// paymentOf makes a full view of a session, its payment intent and charge expanded, and the disputes of the charge.
func paymentOf(s *stripe.CheckoutSession, disputes []*stripe.Dispute) (*proto.Payment, error) {
	if s.ClientReferenceID == "" || s.ID == "" || s.Currency != "jpy" {
		return nil, errNotOurs
	}
	p := &proto.Payment{AttemptId: s.ClientReferenceID, AgentPaymentId: s.ID, Yen: s.AmountTotal}
	if s.PaymentIntent != nil {
		p.ReceiptNumber = s.PaymentIntent.ID
	}
	switch s.Status {
	case stripe.CheckoutSessionStatusOpen:
		p.State, p.RedirectUrl = proto.PaymentState_REQUIRES_ACTION, s.URL
		return p, nil
	case stripe.CheckoutSessionStatusExpired:
		p.State = proto.PaymentState_EXPIRED
		return p, nil
	case stripe.CheckoutSessionStatusComplete:
	default:
		return nil, fmt.Errorf("session status %q is unknown", s.Status)
	}
	if s.PaymentIntent == nil || s.PaymentIntent.Status == "" {
		return nil, errors.New("a complete session without its payment intent")
	}
	return p, intent(p, s.PaymentIntent, disputes)
}

func intent(p *proto.Payment, pi *stripe.PaymentIntent, disputes []*stripe.Dispute) error {
	konbini := false
	for _, t := range pi.PaymentMethodTypes {
		konbini = konbini || t == methodKonbini
	}
	switch pi.Status {
	case stripe.PaymentIntentStatusSucceeded:
		if pi.LatestCharge == nil || pi.LatestCharge.Created == 0 {
			return errors.New("a payment without its charge")
		}
		p.State, p.PaidYen, p.ConfirmedAt = proto.PaymentState_CONFIRMED, pi.AmountReceived, unix(pi.LatestCharge.Created)
		if d := pi.LatestCharge.PaymentMethodDetails; d != nil && d.Konbini != nil && d.Konbini.Store != nil {
			p.Store = string(d.Konbini.Store.Chain)
		}
		giveBack(p, pi.LatestCharge, disputes)
	case stripe.PaymentIntentStatusRequiresAction:
		p.State = proto.PaymentState_REQUIRES_ACTION
		if n := pi.NextAction; n != nil && n.KonbiniDisplayDetails != nil {
			p.State, p.Voucher = proto.PaymentState_AWAITING, voucher(n.KonbiniDisplayDetails)
		}
	case stripe.PaymentIntentStatusProcessing, stripe.PaymentIntentStatusRequiresConfirmation, stripe.PaymentIntentStatusRequiresCapture:
		p.State = proto.PaymentState_REQUIRES_ACTION // nothing for the payer to do: no page
	case stripe.PaymentIntentStatusCanceled:
		p.State = proto.PaymentState_CANCELED
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		p.State = proto.PaymentState_FAILED
		if konbini {
			p.State = proto.PaymentState_EXPIRED // the number's term ended
		}
	default:
		return fmt.Errorf("payment intent status %q is unknown", pi.Status)
	}
	return nil
}

// giveBack tells what went back: refunds that did not fail, and disputes whose money Stripe took.
func giveBack(p *proto.Payment, c *stripe.Charge, disputes []*stripe.Dispute) {
	var last int64
	if c.Refunds != nil {
		for _, r := range c.Refunds.Data {
			last = max(last, r.Created)
		}
	}
	p.RefundedYen = c.AmountRefunded
	for _, d := range disputes {
		switch d.Status {
		case stripe.DisputeStatusNeedsResponse, stripe.DisputeStatusUnderReview, stripe.DisputeStatusLost:
			p.ChargedBack = true
			p.RefundedYen += d.Amount
		}
		last = max(last, d.Created)
	}
	p.RefundedYen = min(p.RefundedYen, p.PaidYen)
	if last == 0 && p.RefundedYen > 0 {
		last = c.Created
	}
	if last > 0 {
		p.RefundedAt = unix(last)
	}
}

// voucher has the numbers in the names of the stores, for each chain has its own.
func voucher(d *stripe.PaymentIntentNextActionKonbiniDisplayDetails) *proto.Voucher {
	v := &proto.Voucher{Expires: unix(d.ExpiresAt)}
	add := func(code, ja, en, number, confirmation string) {
		if number == "" {
			return
		}
		if confirmation != "" {
			number += "-" + confirmation
		}
		v.Stores = append(v.Stores, &proto.Store{Code: code, LabelJa: ja + " " + number, LabelEn: en + " " + number})
	}
	if s := d.Stores; s != nil {
		if f := s.FamilyMart; f != nil {
			add("familymart", "ファミリーマート", "FamilyMart", f.PaymentCode, f.ConfirmationNumber)
		}
		if l := s.Lawson; l != nil {
			add("lawson", "ローソン", "Lawson", l.PaymentCode, l.ConfirmationNumber)
		}
		if m := s.Ministop; m != nil {
			add("ministop", "ミニストップ", "Ministop", m.PaymentCode, m.ConfirmationNumber)
		}
		if m := s.Seicomart; m != nil {
			add("seicomart", "セイコーマート", "Seicomart", m.PaymentCode, m.ConfirmationNumber)
		}
	}
	return v
}

func unix(s int64) *timestamppb.Timestamp {
	if s == 0 {
		return nil
	}
	return timestamppb.New(time.Unix(s, 0))
}
