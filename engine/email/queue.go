package email

import (
	"context"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	queue = "email/send"
	width = 4 // mails on their way at once

	firstWait = time.Minute
	mostWait  = time.Hour
	giveUp    = 24 * time.Hour // after it was asked for
)

// Run sends what waits, until ctx ends.
func (e *Emails) Run(ctx context.Context) error {
	if !e.Offered() {
		<-ctx.Done()
		return ctx.Err()
	}
	e.o.Store.Work(ctx, store.Work{Queue: queue, Width: width, Handle: e.handle, Now: e.o.Now, Log: e.o.Log})
	return ctx.Err()
}

// handle does one try with one mail, and commits what became of it.
func (e *Emails) handle(ctx context.Context, ref store.Ref) error {
	events, err := e.o.Store.Load(ctx, tenant.Only(ref.Tenant), ref)
	if err != nil {
		return err
	}
	s, err := fold(events)
	if err != nil {
		return err
	}
	if s.over {
		return commit(ctx, e.o.Store, store.Tx{{Ref: ref, Expect: store.Any, Due: &store.Due{}, Final: true}})
	}
	l, reason, err := e.letter(ctx, ref, &s)
	if err != nil {
		return err
	}
	if l == nil {
		return e.end(ctx, ref, &s, failed, outcome{Reason: reason})
	}
	said, code := e.deliver(ctx, l)
	// The relay may have it: whatever ends ctx now, what became of the mail is on record.
	ctx = context.WithoutCancel(ctx)
	now := e.o.Now()
	switch {
	case said == "":
		return e.end(ctx, ref, &s, sent, outcome{})
	case said == ReasonRefused:
		return e.end(ctx, ref, &s, failed, outcome{Reason: said, Code: code})
	case now.Sub(s.at) >= giveUp:
		return e.end(ctx, ref, &s, failed, outcome{Reason: ReasonGaveUp, Code: code})
	}
	until := now.Add(min(firstWait<<min(s.tries, 10), mostWait))
	e.metrics.mails.WithLabelValues("tried").Inc()
	return commit(ctx, e.o.Store, store.Tx{{
		Ref: ref, Expect: len(events), Events: []store.NewEvent{{Type: tried, At: now, Data: encode(outcome{said, code, until})}},
		Due: &store.Due{Queue: queue, At: until},
	}})
}

// end commits the last event of a mail, and what the message's timeline says of it.
func (e *Emails) end(ctx context.Context, ref store.Ref, s *state, how byte, o outcome) error {
	now := e.o.Now()
	typ, word := message.MailSent, "sent"
	if how == failed {
		typ, word = message.MailFailed, "failed"
		e.o.Log.Warn("mail failed", "tenant", ref.Tenant, "msg", s.Message, "reason", o.Reason, "code", o.Code)
	}
	mail := store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{{Type: how, At: now, Data: encode(o)}}, Due: &store.Due{}, Final: true}
	said := message.Encode(message.Mailing{Mail: ref.ID, Reason: o.Reason})
	told := store.Change{
		Ref:    store.Ref{Tenant: ref.Tenant, Kind: store.Message, ID: s.Message},
		Expect: store.Any, Events: []store.NewEvent{{Type: byte(typ), At: now, Data: said}},
	}
	if err := commit(ctx, e.o.Store, store.Tx{mail, told}); err != nil {
		return fmt.Errorf("record what became of a mail: %w", err)
	}
	e.metrics.mails.WithLabelValues(word).Inc()
	return nil
}

// payable is the attempt that the mail was asked for, when it can still be paid; nil: it cannot.
func payable(c *payment.State, s *state, now time.Time) *payment.Attempt {
	a := c.Attempt(s.Attempt)
	if a == nil || !a.Lives() || a.Void || now.After(c.Due) {
		return nil
	}
	return a
}
