package followup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// working takes runs on, a batch of each in turn, until ctx ends.
func (f *FollowUps) working(ctx context.Context) {
	wake := f.Store.Wake(queue)
	for ctx.Err() == nil {
		items, err := f.Store.Due(nil, queue, store.Cursor{}, f.now(), 1000)
		if errors.Is(err, store.ErrClosed) {
			return
		}
		if err != nil { // looked again in a minute
			f.Log.Error("runs of follow-ups cannot be found", "err", err)
		}
		wait := time.Minute
		for _, it := range items {
			wait = 0
			if err := f.step(ctx, it.Ref); err != nil && ctx.Err() == nil {
				f.Log.Warn("run of follow-ups waits", "tenant", it.Ref.Tenant, "run", it.Ref.ID, "err", err)
				wait = time.Second
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step takes a run on by one batch. An error leaves it where it was: the batch comes again.
func (f *FollowUps) step(ctx context.Context, ref store.Ref) error {
	s, err := f.State(ctx, ref.Tenant, ref.ID)
	if err != nil {
		return err
	}
	t := f.Directory().Tenants[ref.Tenant]
	if s.Phase != Running || t == nil {
		return f.append(ctx, &s, store.NewEvent{Type: evStopped, Data: encode(message.Act{By: "engine"})}, true)
	}
	before := s.Before
	if before.IsZero() {
		if before = s.ID; !s.Filter.To.IsZero() && s.Filter.To.Before(s.BegunAt) {
			before = firstID(s.Filter.To)
		}
	}
	ids, err := f.index.walk(ctx, ref.Tenant, s.List, before, s.Filter.From, walkBatch)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		f.Log.Info("follow-up done", "tenant", ref.Tenant, "run", s.ID, "sent", s.Sent)
		return ignoreConflict(f.append(ctx, &s, store.NewEvent{Type: evDone}, true))
	}
	next, err := f.batch(ctx, t, &s, ids)
	if err != nil {
		return err
	}
	next.Before, next.Looked = ids[len(ids)-1], next.Looked+int64(len(ids))
	return ignoreConflict(f.append(ctx, &s, store.NewEvent{Type: evAdvanced, Data: encode(next)}, false))
}

// ignoreConflict: somebody stopped the run meanwhile.
func ignoreConflict(err error) error {
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
		return nil
	}
	return err
}

// batch sends what of the candidates belongs to the list and was not sent by this run yet.
func (f *FollowUps) batch(ctx context.Context, t *tenant.Tenant, s *State, ids []ulid.ULID) (Progress, error) {
	next := s.Progress
	subjects, err := f.judged(ctx, t.ID, s.List, ids)
	if err != nil {
		return next, err
	}
	text, err := f.text(t.ID, s)
	if err != nil {
		return next, err
	}
	req := intake.Request{Tenant: t.ID, Via: message.ViaResend, By: s.By, Campaign: s.ID, Batch: true}
	now := f.now()
	for i := range subjects {
		sub := &subjects[i]
		switch {
		case sub.st.ResentBy == s.ID: // before a crash
			next.Sent++
			continue
		case !sub.in(s.List, now) || !s.Filter.takes(sub):
			continue
		}
		d, r, err := f.draft(t.ID, s, sub, text, now)
		if errors.Is(err, store.ErrErased) {
			continue
		}
		if err != nil {
			return next, err
		}
		req.Drafts, req.Resends = append(req.Drafts, d), append(req.Resends, r)
	}
	if len(req.Drafts) == 0 {
		return next, nil
	}
	results, err := f.Intake.Accept(ctx, req)
	if err != nil {
		return next, err
	}
	for i := range results {
		switch r := &results[i]; {
		case r.Err != nil:
			return s.Progress, r.Err
		case len(r.Problems) == 0:
			next.Sent++
		case r.Problems[0].Code == codeLeft:
			next.Left++
		default:
			next.refuse(r.Problems[0].Code)
		}
	}
	return next, nil
}

// codeLeft is the code of a problem: the message left its list between the reading of it and the commit.
const codeLeft = "left_list"

// draft makes the message that follows another one up.
func (f *FollowUps) draft(t tenant.ID, s *State, sub *subject, text string, now time.Time) (message.Draft, *intake.Resend, error) {
	h := &sub.st.Head
	sms, err := f.sms(t, sub)
	if err != nil {
		return message.Draft{}, nil, err
	}
	d := message.Draft{To: sms.Number, Class: string(h.Class), Template: s.Template, Text: text, Sender: h.Sender, Reference: sms.Reference}
	occasion, ready := message.FindOccasion(s.Template)
	switch {
	case s.Class != "":
		d.Class = string(s.Class)
	case ready && h.Class != message.Collection: // whose hours hold for whatever follows it up
		d.Class = string(occasion.Class)
	}
	if s.Sender != "" {
		d.Sender = s.Sender
	}
	if sms.Registered != "" {
		d.Recipient = &message.Recipient{RegisteredOn: sms.Registered}
	}
	r := &intake.Resend{Of: sub.id, Claim: h.Claim}
	link := sub // the message whose link is sent
	if h.Token == "" && sub.first != nil && sub.first.Head.Token != "" {
		link = &subject{id: h.Resends, st: *sub.first}
		r.Of = link.id
	}
	lh := &link.st.Head
	due, err := dueTime(s.Due)
	if err != nil {
		return d, nil, fmt.Errorf("due date of run %s: %w", s.ID, err)
	}
	if sub.claim != nil && due.IsZero() {
		due = sub.claim.Due
	}
	switch {
	case lh.Token == "":
	case link.linked(now) && (s.Due == "" || sub.claim == nil || !lh.LinkExpires.Before(due)):
		r.URL = lh.URL
	default:
		if err := f.renew(t, &d, r, link, sub.claim, due); err != nil {
			return d, nil, err
		}
	}
	if d.Template == "" && d.Text == "" {
		if d.Text = sms.Text; lh.URL != "" {
			d.Text = strings.Replace(d.Text, lh.URL, "{url}", 1)
		}
	} else if sub.claim != nil && !ready { // an occasion has its own of the claim
		left := sub.claim.Amount - (sub.claim.Received - sub.claim.Refunded)
		d.Vars = map[string]string{"number": sub.claim.Number, "amount": strconv.FormatInt(left, 10), "due": due.In(message.Tokyo).Format("2006/01/02")}
	}
	of := resending{tenant: t, run: s, id: sub.id, link: link.id, replaced: r.URL == "" && lh.Token != ""}
	r.With = func(ctx context.Context, made ulid.ULID, now time.Time) ([]store.Change, *message.Problem, error) {
		return f.with(ctx, &of, made, now)
	}
	return d, r, nil
}

// renew gives the draft a link of its own, with the content of one that has ended, or ends before the claim is due.
func (f *FollowUps) renew(t tenant.ID, d *message.Draft, r *intake.Resend, link *subject, claim *payment.State, due time.Time) error {
	h := &link.st.Head
	content, err := stored.Content(f.Store, t, link.id, h)
	if err != nil {
		return err
	}
	if !link.st.AnsweredAt.IsZero() { // it is answered once
		content.Page.Survey = nil
	}
	if claim != nil {
		if err := claim.Reveal(f.Store); err != nil {
			return err
		}
		d.Claim = claimOf(claim, content.Methods)
		d.Claim.Due, d.Claim.Promises = message.Day(due), content.Promises
		if in := content.Page.Invoice; in != nil && !in.Fits(d.Claim) { // it asks for what is no longer asked for
			content.Page.Invoice = nil
		}
	}
	if content.Page.Title != "" || claim == nil {
		d.Page = &content.Page
	}
	if content.Email != "" {
		if d.Recipient == nil {
			d.Recipient = &message.Recipient{}
		}
		d.Recipient.Email = content.Email
	}
	if r.Answers, r.Answering, r.Code, r.CodeDigits = h.Answers, h.Answering, h.Code, h.CodeDigits; r.Answering.IsZero() {
		r.Answering = link.id
	}
	return nil
}

// claimOf asks for what the claim is about now, so that the message joins it. Its content is opened.
func claimOf(c *payment.State, methods []string) *message.Claim {
	d := &message.Claim{Number: c.Number, Amount: c.Amount, TaxRate: c.TaxRate, Due: message.Day(c.Due), Lines: c.Content.Lines, Methods: methods, Payer: c.Content.Payer}
	if c.Tax >= 0 {
		d.Tax = &c.Tax
	}
	return d
}

// resending is a message that is being sent again.
type resending struct {
	tenant   tenant.ID
	run      *State    // without an id: it is sent again by itself
	id, link ulid.ULID // the message, and the one whose link is sent
	replaced bool      // by a new link
}

// with is what is committed together with the new message (made), or says that the message is no longer to be followed up.
func (f *FollowUps) with(ctx context.Context, r *resending, made ulid.ULID, now time.Time) ([]store.Change, *message.Problem, error) {
	subjects, err := f.load(ctx, r.tenant, slices.Compact([]ulid.ULID{r.id, r.link}))
	if err != nil {
		return nil, nil, err
	}
	s := &subjects[0]
	if r.run.ID.IsZero() {
		if p := s.again(now); p != nil {
			return nil, p, nil
		}
	} else if s.st.ResentBy == r.run.ID || !s.in(r.run.List, now) || !r.run.Filter.takes(s) {
		return nil, &message.Problem{Field: "list", Code: codeLeft, Detail: "the message has left its list"}, nil
	}
	var changes []store.Change
	for i := range subjects {
		changes = append(changes, store.Change{
			Ref: store.Ref{Tenant: r.tenant, Kind: store.Message, ID: subjects[i].id}, Expect: subjects[i].st.Version,
			Events: []store.NewEvent{{Type: byte(message.Resent), At: now, Data: message.Encode(message.Resending{Message: made, Run: r.run.ID, Replaced: r.replaced && subjects[i].id == r.link})}},
		})
	}
	if s.claim == nil {
		return changes, nil, nil
	}
	again := payment.Again{By: r.run.By}
	if again.Due, err = dueTime(r.run.Due); err != nil {
		return nil, nil, err
	}
	if r.replaced {
		again.Message = made
	}
	claim, problem, err := f.Claims.Again(ctx, s.claim, again)
	return append(changes, claim...), problem, err
}
