package email

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

var (
	// ErrNoRelay: no mails are sent by this installation.
	ErrNoRelay = errors.New("no mail relay is set up")
	// ErrNoNumber: the message asks for no money, or nothing was issued that it can still be paid with.
	ErrNoNumber = errors.New("no number that can be paid with")
)

// Mailable is the attempt whose number can be sent by e-mail now; nil: there is none.
func Mailable(c *payment.State, now time.Time) *payment.Attempt {
	a := c.Live()
	if a == nil || now.After(c.Due) {
		return nil
	}
	if v := payment.VoucherOf(a, now); v == nil || v.ShownUntil != nil { // what may be shown for minutes is not for a mail
		return nil
	}
	return a
}

// Order is the sender's wish for a mail.
type Order struct {
	Message store.Ref
	Address string // empty: that which the message carries
	Lang    string // ja, en
	By      string // as in message.Act
}

// patience is how often an order is tried again when the message has moved on.
const patience = 8

// Order has the number that a message's claim is paid with sent, under the limits of the recipient's own button. Errors: ErrNoRelay,
// ErrNoNumber, ErrAddress (also where none is given and the message carries none), ErrUsedUp, store.ErrNotFound, store.ErrBusy.
func (e *Emails) Order(ctx context.Context, t *tenant.Tenant, o Order) error {
	if !e.Offered() {
		return ErrNoRelay
	}
	for range patience {
		s, err := e.read(ctx, t, o.Message)
		if err != nil {
			return err
		}
		if s.Head.Claim.IsZero() {
			return ErrNoNumber
		}
		claim, err := e.o.Claims.Claim(ctx, tenant.Only(t.ID), s.Head.Claim)
		if err != nil {
			return err
		}
		a := Mailable(&claim, e.o.Now())
		if a == nil {
			return ErrNoNumber
		}
		to := strings.TrimSpace(o.Address)
		if to == "" {
			if to, err = e.known(o.Message, s); err != nil {
				return err
			}
		}
		err = e.Ask(ctx, t, Asking{Message: o.Message, State: s, Attempt: a.ID, Lang: o.Lang, Address: to, By: o.By})
		var moved *store.ConflictError
		if !errors.As(err, &moved) {
			return err
		}
	}
	return store.ErrBusy
}

func (e *Emails) read(ctx context.Context, t *tenant.Tenant, ref store.Ref) (*message.State, error) {
	events, err := e.o.Store.Load(ctx, tenant.Only(t.ID), ref)
	if err != nil {
		return nil, err
	}
	s, err := stored.State(events)
	return &s, err
}

// known is the address that the message carries; empty: none, or its content has ended.
func (e *Emails) known(ref store.Ref, s *message.State) (string, error) {
	c, err := stored.Content(e.o.Store, ref.Tenant, ref.ID, &s.Head)
	if errors.Is(err, store.ErrErased) {
		return "", nil
	}
	return c.Email, err
}
