package journey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// What was told the same customer before (前月分・前年分) can be read as a PDF behind the page of a later notice, where the tenant
// wants it (Policy.PastNotices). The same customer: of the same tenant, with the same reference, at the same number; and who got
// in here must have shown as much as the earlier message asks: each of its questions, and a code where it wants one. A page
// that asks nothing has no past.

// maxPastLooked is how many earlier messages are looked at for one page.
const maxPastLooked = 100

// earlier is a message of before.
type earlier struct {
	id      ulid.ULID
	at      time.Time
	no      string
	content *message.Content
}

func pastName(id ulid.ULID) string { return "past-" + id.String() + ".pdf" }

// past lists what the same customer was told before, the latest first.
func (j *Journey) past(ctx context.Context, v *visit) ([]earlier, error) {
	h := &v.state.Head
	most := v.t.Policy.PastNotices
	if most == 0 || len(h.Answers) == 0 && !h.Code {
		return nil, nil
	}
	terms, err := j.customer(v)
	if err != nil || terms == nil {
		return nil, err
	}
	scope := tenant.Only(v.t.ID)
	refs, err := j.Store.Search(ctx, scope, store.Query{Kind: store.Message, Terms: terms, Before: v.Link.Message, Limit: maxPastLooked})
	if err != nil {
		return nil, fmt.Errorf("find earlier notices: %w", err)
	}
	streams, err := j.Store.LoadMany(ctx, scope, refs)
	if err != nil {
		return nil, fmt.Errorf("load earlier notices: %w", err)
	}
	var out []earlier
	for i, events := range streams {
		if len(out) == most {
			break
		}
		if len(events) == 0 {
			continue // erased meanwhile
		}
		old := &visit{Visit: &Visit{Link: v.Link}, t: v.t}
		old.Link.Message = refs[i].ID
		if old.state, err = stored.State(events); err != nil {
			return nil, err
		}
		if !shownLater(h, &old.state) {
			continue
		}
		content, err := j.content(old)
		if errors.Is(err, store.ErrErased) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, earlier{refs[i].ID, old.state.AcceptedAt, old.state.Head.No, content})
	}
	return out, nil
}

// customer are the terms by which a message's customer is found; nil: it names none.
func (j *Journey) customer(v *visit) ([]store.Term, error) {
	sms, err := j.sms(v)
	if err != nil {
		return nil, err
	}
	number, err := carrier.ParseNumber(sms.Number)
	if err != nil || strings.TrimSpace(sms.Reference) == "" {
		return nil, nil
	}
	return intake.Filter{Number: number, Reference: sms.Reference}.Terms(j.Store, v.t.ID)
}

// sms is the message's SMS; empty where its content has ended.
func (j *Journey) sms(v *visit) (sms message.SMS, err error) {
	if len(v.state.Head.SMS) == 0 {
		return sms, nil
	}
	sms, err = stored.SMS(j.Store, v.t.ID, v.Link.Message, &v.state.Head)
	if errors.Is(err, store.ErrErased) {
		return sms, nil
	}
	return sms, err
}

// shownLater reports whether an earlier message may be read behind a later one.
func shownLater(now *message.Head, old *message.State) bool {
	h := &old.Head
	if len(h.Page) == 0 || !old.RevokedAt.IsZero() || !old.DisownedAt.IsZero() || old.Phase == message.Withdrawn || h.Class != message.Notice && h.Class != message.Billing {
		return false
	}
	if h.Code && !now.Code {
		return false
	}
	for _, asked := range h.Answers {
		if !slices.ContainsFunc(now.Answers, func(a message.Answer) bool { return a.Field == asked.Field && a.Label == asked.Label }) {
			return false
		}
	}
	return true
}

// pastLinks are the earlier notices as the page lists them.
func (j *Journey) pastLinks(ctx context.Context, v *visit) ([]*proto.DocumentLink, error) {
	all, err := j.past(ctx, v)
	if err != nil {
		return nil, err
	}
	var out []*proto.DocumentLink
	for _, e := range all {
		out = append(out, &proto.DocumentLink{Name: pastName(e.id), Title: e.at.In(message.Tokyo).Format("2006/01/02 ") + e.content.Page.Title})
	}
	return out, nil
}

// pastDocument draws an earlier notice, without what could be paid then. store.ErrNotFound: it is none of this page.
func (j *Journey) pastDocument(ctx context.Context, v *visit, name string) (pdf []byte, filename string, err error) {
	all, err := j.past(ctx, v)
	if err != nil {
		return nil, "", err
	}
	for _, e := range all {
		if name != pastName(e.id) {
			continue
		}
		d := page.Notice(v.t, e.content, nil, v.Lang, e.at)
		if e.content.Page.Reading != nil {
			d = page.Reading(v.t, &e.content.Page, v.Lang, e.at)
		} else if e.content.Page.Invoice != nil {
			if in, ok := page.Invoice(v.t, &e.content.Page, nil, v.Lang, e.at); ok {
				d = in
			}
		}
		pdf, err = j.Pages.Document(ctx, v.t.ID, d)
		return pdf, "notice-" + e.no + ".pdf", err
	}
	return nil, "", fmt.Errorf("earlier notice: %w", store.ErrNotFound)
}
