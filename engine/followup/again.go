package followup

import (
	"context"
	"errors"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Resend sends one message again, as a run does with each: with its link, or with one of its own where that has ended, and
// for the same claim. Order's List and Filter are not looked at. A known key gives the first answer to the same order. What speaks against it
// is in the result, with the code "conflict" where it is how the message or its claim stands. Errors: store.ErrNotFound,
// message.Problems of the order, and those of intake.
func (f *FollowUps) Resend(ctx context.Context, t *tenant.Tenant, id ulid.ULID, o Order) (intake.Result, error) {
	now := f.now()
	if err := o.check(t, now).Err(); err != nil {
		return intake.Result{}, err
	}
	subjects, err := f.load(ctx, t.ID, []ulid.ULID{id})
	if err != nil {
		return intake.Result{}, err
	}
	s := &subjects[0]
	if s.st.Version == 0 {
		return intake.Result{}, store.ErrNotFound
	}
	alone := State{By: o.By, Class: o.Class, Template: o.Template, Sender: o.Sender, Due: o.Due}
	d, r, err := f.draft(t.ID, &alone, s, o.Text, now)
	if errors.Is(err, store.ErrErased) {
		return intake.Result{Problems: message.Problems{{Field: "id", Code: "conflict", Detail: "its content has ended with its term"}}}, nil
	}
	if err != nil {
		return intake.Result{}, err
	}
	d.Key, r.Due = o.Key, o.Due
	results, err := f.Intake.Accept(ctx, intake.Request{Tenant: t.ID, Via: message.ViaResend, By: o.By, Drafts: []message.Draft{d}, Resends: []*intake.Resend{r}})
	if err != nil {
		return intake.Result{}, err
	}
	return results[0], nil
}
