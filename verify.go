package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/followup"
	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/retention"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
)

// verifyOptions ask each room whether a stream of its kind is what it would have made.
func verifyOptions(c *conf.Config, most int, bar *progressBar) store.VerifyOptions {
	var lists *followup.Check
	var unread error
	return store.VerifyOptions{Options: storeOptions(c), Most: most, Tell: bar.tell,
		Inspect: func(s *store.Store) func(context.Context, store.Inspected) error {
			lists, unread = followup.OpenCheck(filepath.Join(c.Data.Dir, "followup"), s)
			i := inspector{s, document.New(s, nil), lists}
			return i.stream
		},
		Erasure: retention.Erasure(),
		Beside: func(ctx context.Context, s *store.Store, find func(of, what string)) error {
			if err := errors.Join(unread, lists.Close()); err != nil {
				find("lists of follow-ups", err.Error())
			}
			return link.Check(ctx, filepath.Join(c.Data.Dir, "links"), s, s.Lag(link.Reader) == 0, func(of link.Link, what string) {
				find("link of stream "+of.Ref().String(), what)
			})
		},
	}
}

// inspector looks at whole streams. Its errors name no number, token or content.
type inspector struct {
	s         *store.Store
	documents *document.Documents
	lists     *followup.Check
}

func (i inspector) stream(ctx context.Context, in store.Inspected) error {
	switch in.Ref.Kind {
	case store.Message:
		return i.message(ctx, in)
	case store.Claim:
		return i.claim(ctx, in)
	case store.Verification:
		return identity.CheckVerification(in.Events)
	case store.Register:
		return payment.CheckRegister(ctx, i.s, in.Ref, in.Events)
	case store.File:
		_, _, err := i.documents.Get(ctx, tenant.Only(in.Ref.Tenant), in.Ref.ID.String())
		if errors.Is(err, store.ErrErased) || errors.Is(err, store.ErrNotFound) { // at the end of its term; never finished
			return nil
		}
		return err
	}
	return nil
}

func (i inspector) message(ctx context.Context, in store.Inspected) error {
	events := make([]message.Event, len(in.Events))
	for n, e := range in.Events {
		events[n] = message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
	}
	s, err := message.Fold(events)
	if err != nil {
		return err
	}
	h := &s.Head
	var errs []error
	erased := false
	var content message.Content
	for part, box := range map[string][]byte{"sms": h.SMS, "page": h.Page} {
		if len(box) == 0 {
			continue
		}
		plain, err := i.s.Open(in.Ref.Tenant, in.Ref.ID.String()+"/"+part, box)
		if err == nil && part == "page" {
			err = message.Decode(plain, &content)
		}
		if errors.Is(err, store.ErrErased) {
			erased = true
		} else if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part, err))
		}
	}
	scope := tenant.Only(in.Ref.Tenant)
	for space, key := range map[store.Space]string{store.ByToken: h.Token, store.ByNo: h.No} {
		if key == "" || erased { // names go with the content
			continue
		}
		if ref, _, err := i.s.Lookup(ctx, tenant.Operator(), space, key); err != nil || ref != in.Ref {
			errs = append(errs, fmt.Errorf("its name in space %c does not lead to it", space))
		}
	}
	if (s.Phase == message.Waiting || s.Phase == message.Sending) && in.Queue == "" {
		errs = append(errs, fmt.Errorf("it is %s and stands in no queue: it would never be sent", s.Phase))
	}
	if !h.Claim.IsZero() {
		if _, err := i.s.LoadFrom(ctx, scope, store.Ref{Tenant: in.Ref.Tenant, Kind: store.Claim, ID: h.Claim}, 1<<31); err != nil {
			errs = append(errs, fmt.Errorf("its claim %s: %w", h.Claim, err))
		}
	}
	errs = append(errs, i.lists.Message(ctx, in.Ref, in.Events))
	missing, err := i.documents.Known(ctx, scope, message.AttachmentIDs(content.Page.Documents))
	for _, id := range missing {
		errs = append(errs, fmt.Errorf("its document %s is not there", id))
	}
	return errors.Join(append(errs, err)...)
}

func (i inspector) claim(ctx context.Context, in store.Inspected) error {
	s, err := payment.Fold(in.Events)
	if err != nil {
		return err
	}
	var errs []error
	scope := tenant.Only(in.Ref.Tenant)
	if ref, _, err := i.s.Lookup(ctx, scope, store.ByClaimNumber, s.Number); err != nil || ref != in.Ref {
		errs = append(errs, errors.New("its number does not lead to it"))
	}
	if len(s.Sealed) > 0 {
		if _, err := i.s.Open(in.Ref.Tenant, in.Ref.ID.String()+"/content", s.Sealed); err != nil && !errors.Is(err, store.ErrErased) {
			errs = append(errs, err)
		}
	}
	for _, m := range s.Messages {
		if _, err := i.s.LoadFrom(ctx, scope, store.Ref{Tenant: in.Ref.Tenant, Kind: store.Message, ID: m}, 1<<31); err != nil {
			errs = append(errs, fmt.Errorf("its message %s: %w", m, err))
		}
	}
	for _, r := range s.Receipts {
		if r.Document == "" {
			continue
		}
		missing, err := i.documents.Exists(ctx, scope, []string{r.Document})
		if len(missing) > 0 {
			err = fmt.Errorf("its receipt %s is not there", r.Document)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
