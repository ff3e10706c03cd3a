package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// shown is one document behind the page of a plan.
type shown struct {
	p *plan
	i int
}

func (s shown) attachment() *message.Attachment { return &s.p.draft.Page.Documents[s.i] }

func (s shown) unknown(detail string) {
	s.p.bad(message.Problem{Field: fmt.Sprintf("page.documents[%d]", s.i), Code: "unknown", Value: message.Mask(s.attachment().ID), Detail: detail})
}

// checkDocuments puts ids in the place of names, looks whether the documents are there, and holds them as long as the links
// live. They stay until done is called.
func (in *Intake) checkDocuments(ctx context.Context, t *tenant.Tenant, plans []*plan) (done func()) {
	var all []shown
	for _, p := range plans {
		if !p.open() || p.draft.Page == nil || len(p.draft.Page.Documents) == 0 {
			continue
		}
		page := *p.draft.Page // others may have the same
		page.Documents = slices.Clone(page.Documents)
		p.draft.Page = &page
		for i := range page.Documents {
			all = append(all, shown{p, i})
		}
	}
	if len(all) == 0 {
		return func() {}
	}
	scope := tenant.Only(t.ID)
	if err := in.nameDocuments(ctx, scope, all); err != nil {
		for _, s := range all {
			s.p.res.Err = err
		}
		return func() {}
	}
	ids := make([]string, 0, len(all))
	for _, s := range all {
		ids = append(ids, s.attachment().ID)
	}
	done = in.Documents.Pin(ids)
	missing, err := in.Documents.Exists(ctx, scope, ids)
	until := map[string]time.Time{}
	for i, s := range all {
		switch {
		case err != nil:
			s.p.res.Err = fmt.Errorf("look for documents: %w", err)
		case slices.Contains(missing, ids[i]):
			s.unknown("there is no such document")
		case s.p.open() && s.p.expires.After(until[ids[i]]):
			until[ids[i]] = s.p.expires
		}
	}
	held := map[string]error{}
	for id, until := range until {
		held[id] = in.Documents.Hold(ctx, scope, []string{id}, until)
	}
	for i, s := range all {
		switch err := held[ids[i]]; {
		case errors.Is(err, store.ErrErased):
			s.unknown("the document's retention is over: upload it again")
		case err != nil:
			s.p.res.Err = fmt.Errorf("hold documents: %w", err)
		}
	}
	return done
}

// nameDocuments gives those that a draft names otherwise their ids. A name that no document has stays.
func (in *Intake) nameDocuments(ctx context.Context, scope tenant.Scope, all []shown) error {
	var named []shown
	var names []string
	for _, s := range all {
		if id, err := ulid.ParseStrict(s.attachment().ID); err != nil || id.String() != s.attachment().ID {
			named, names = append(named, s), append(names, s.attachment().ID)
		}
	}
	if len(named) == 0 {
		return nil
	}
	ids, err := in.Documents.Find(ctx, scope, names)
	if err != nil {
		return fmt.Errorf("look for documents: %w", err)
	}
	for i, s := range named {
		if ids[i] != "" {
			s.attachment().ID = ids[i]
		}
	}
	return nil
}
