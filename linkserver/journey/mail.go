package journey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Mail sends what the claim is paid with to the address that was typed; without one, to the one that the sender gave.
func (j *Journey) Mail(ctx context.Context, v *Visit, typed string) (Next, error) {
	for j.Mails != nil && j.Mails.Offered() {
		in, ok, err := j.paying(ctx, v, StateOnly)
		if err != nil || !ok {
			return again, err
		}
		claim, err := j.Claims.Claim(ctx, tenant.Only(in.t.ID), in.state.Head.Claim)
		if err != nil {
			return again, err
		}
		a := email.Mailable(&claim, j.Now())
		if a == nil || in.state.Version >= manyEvents {
			return again, nil
		}
		to := strings.TrimSpace(typed)
		if to == "" {
			content, err := j.content(in)
			if err != nil && !errors.Is(err, store.ErrErased) {
				return again, err
			}
			if content != nil {
				to = content.Email
			}
		}
		err = j.Mails.Ask(ctx, in.t, email.Asking{Message: v.Link.Ref(), State: &in.state, Attempt: a.ID, Lang: v.Lang, Address: to})
		switch {
		case conflict(err):
			continue
		case errors.Is(err, email.ErrAddress):
			v.Session.Note = NoteNoAddress
		case errors.Is(err, email.ErrUsedUp): // the page says so
		case err != nil:
			return again, fmt.Errorf("ask for a mail: %w", err)
		default:
			v.Session.Note = NoteMailed
		}
		break
	}
	return again, nil
}

// mailOffer is what the page of a number says of mails; nil: nothing.
func (j *Journey) mailOffer(v *visit, content *message.Content, c *payment.State) *proto.MailOffer {
	a := email.Mailable(c, j.Now())
	if j.Mails == nil || !j.Mails.Offered() || a == nil {
		return nil
	}
	o := &proto.MailOffer{SentNow: v.Session.Note == NoteMailed, Wrong: v.Session.Note == NoteNoAddress, UsedUp: j.Mails.UsedUp(&v.state)}
	if content.Email != "" {
		o.Known = message.MaskAddress(content.Email)
	}
	for _, m := range v.state.Mails {
		if m.Attempt == a.ID {
			o.Sent, o.Failed = m.To, m.Failed
		}
	}
	return o
}
