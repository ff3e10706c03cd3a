package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// paidNotices tells payers by SMS that their money has come (tenant.PaidSMS). It follows the claims and sends through intake, so
// quiet hours, the do-not-send list and approved senders hold as for any message of class notice.
//
// Once for a claim: that it was told is an event of the claim, and between the message and that event the message's key is the
// claim's. Facts that are older than paidFresh when they are seen are passed over: nobody is told of an old payment because the
// tenant turned this on, or a backup was restored.
type paidNotices struct {
	store interface {
		Follow(ctx context.Context, reader string, fn func(batch []store.Event, lost bool) error) error
		Load(ctx context.Context, scope tenant.Scope, ref store.Ref) ([]store.Event, error)
		Open(id tenant.ID, aad string, box []byte) ([]byte, error)
	}
	claims interface {
		Claim(ctx context.Context, scope tenant.Scope, claim ulid.ULID) (payment.State, error)
		Told(ctx context.Context, claim store.Ref, by ulid.ULID) error
	}
	intake interface {
		Accept(ctx context.Context, r intake.Request) ([]intake.Result, error)
	}
	directory func() *tenant.Snapshot
	now       func() time.Time
	log       *slog.Logger
}

// paidFresh is how old a fact may be at most when it is told of.
const paidFresh = 12 * time.Hour

// paidValid is how long the message waits for the tenant's quiet hours and closed days, counted from when the fact was recorded: as
// long as intake lets a message wait. The same fact gives the same message, so that its key stays its key.
const paidValid = 7 * 24 * time.Hour

func (n *paidNotices) run(ctx context.Context) error {
	return n.store.Follow(ctx, "paid notices", func(batch []store.Event, _ bool) error { return n.batch(ctx, batch) })
}

func (n *paidNotices) batch(ctx context.Context, batch []store.Event) error {
	for i := range batch {
		e := &batch[i]
		if e.Ref.Kind != store.Claim || n.now().Sub(e.At) > paidFresh {
			continue
		}
		switch payment.Type(e.Type) {
		case payment.Provisional, payment.Confirmed, payment.Deposited:
		default:
			continue
		}
		if t := n.directory().Tenants[e.Ref.Tenant]; t == nil || t.PaidSMS.When == "" {
			continue
		}
		if err := n.until(ctx, e.Ref, e.At); err != nil {
			return err
		}
	}
	return nil
}

// until tells of a claim, again and again while it fails for a time.
func (n *paidNotices) until(ctx context.Context, ref store.Ref, fact time.Time) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := n.tell(ctx, ref, fact)
		if err == nil || errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		n.log.Warn("payer is not told yet", "tenant", ref.Tenant, "claim", ref.ID, "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// tell sends the message when the claim has come so far. What intake refuses is logged: it would be refused again.
func (n *paidNotices) tell(ctx context.Context, ref store.Ref, fact time.Time) error {
	t := n.directory().Tenants[ref.Tenant]
	scope := tenant.Only(ref.Tenant)
	c, err := n.claims.Claim(ctx, scope, ref.ID)
	if errors.Is(err, store.ErrNotFound) || t == nil {
		return nil
	}
	if err != nil {
		return err
	}
	paid := c.Phase == payment.Paid || c.Phase == payment.Accepted && t.PaidSMS.When == tenant.PaidOnReceived
	if !paid || !c.ToldAt.IsZero() || len(c.Messages) == 0 {
		return nil
	}
	of := c.Messages[0]
	if a := c.Current(); a != nil && slices.Contains(c.Messages, a.Message) {
		of = a.Message
	}
	d, err := n.draft(ctx, t, &c, of)
	if errors.Is(err, stored.ErrForm) { // it would be so again, and hold up everybody behind it
		n.log.Error("payer cannot be told", "tenant", t.ID, "claim", ref.ID, "err", err)
		return nil
	}
	if d == nil || err != nil {
		return err
	}
	until := fact.Add(paidValid).UTC()
	d.ValidUntil = &until
	results, err := n.intake.Accept(ctx, intake.Request{Tenant: t.ID, Via: message.ViaEngine, By: "engine", Drafts: []message.Draft{*d}})
	switch {
	case errors.Is(err, intake.ErrNoTenant):
		return nil
	case err != nil:
		return err
	case len(results[0].Problems) == 1 && results[0].Problems[0].Field == "key":
		return nil // it was told, in other words
	case len(results[0].Problems) > 0:
		n.log.Warn("payer cannot be told", "tenant", t.ID, "claim", ref.ID, "err", results[0].Problems.Err())
		return nil
	}
	if err := results[0].Err; err != nil {
		return err
	}
	return n.claims.Told(ctx, ref, results[0].ID)
}

// draft is the message to the number of the message that the claim was paid through; nil: its content has ended.
func (n *paidNotices) draft(ctx context.Context, t *tenant.Tenant, c *payment.State, of ulid.ULID) (*message.Draft, error) {
	events, err := n.store.Load(ctx, tenant.Only(t.ID), store.Ref{Tenant: t.ID, Kind: store.Message, ID: of})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st, err := stored.State(events)
	if err != nil {
		return nil, err
	}
	sms, err := stored.SMS(n.store, t.ID, of, &st.Head)
	if errors.Is(err, store.ErrErased) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := &message.Draft{Key: "paid:" + c.Ref.ID.String(), To: sms.Number, Class: string(message.Notice), Reference: sms.Reference, Sender: t.PaidSMS.Sender}
	if d.Sender == "" {
		d.Sender = st.Head.Sender
	}
	if sms.Registered != "" {
		d.Recipient = &message.Recipient{RegisteredOn: sms.Registered}
	}
	amount := message.Grouped(c.Amount)
	if t.PaidSMS.Template == "" {
		d.Text = fmt.Sprintf("%s：%s円のお支払いを確認しました。", t.Name, amount) // 40 characters of a name leave it in one segment
		return d, nil
	}
	link := ""
	if st.Head.URL != "" && st.RevokedAt.IsZero() {
		link = st.Head.URL
		if u, err := url.Parse(link); err != nil || u.Host == "" {
			link = ""
		}
	}
	d.Template = t.PaidSMS.Template
	text, _ := t.Template(d.Template)
	d.Vars = map[string]string{}
	for name, v := range map[string]string{"number": c.Number, "amount": amount, "paid_on": c.PaidAt().In(message.Tokyo).Format("2006/01/02"), "payer": c.Content.Payer, "tenant": t.Name, "link": link} {
		if strings.Contains(text, "{"+name+"}") {
			d.Vars[name] = v
		}
	}
	return d, nil
}
