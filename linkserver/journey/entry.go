package journey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/page"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/linkserver/link"
	"github.com/kakitome/kakitome/plugins/proto"
)

// The shared entry page (tenant.Entry): Landing ─open─► Identify ─► Code ─► In, the open messages of whoever it is ─pick─► one of them, as
// if its link had been opened and its questions answered.
//
// What is shown before In follows from the session alone, and that from what was typed and how often: not from what was found. The
// session keeps a digest of the person (Key); what that finds is looked up for each step.

// Of the messages that a person is found by, so many are looked at and shown, the latest.
const (
	maxEntryLooked = 100
	maxEntries     = 20
)

// EntryToken stands for a link's token in sessions of a tenant's shared entry.
func EntryToken(id tenant.ID) string { return "e/" + string(id) }

// HasEntry reports whether the tenant has a shared entry page.
func (j *Journey) HasEntry(id tenant.ID) bool { return j.entryOf(id) != nil }

func (j *Journey) entryOf(id tenant.ID) *tenant.Tenant {
	if t := j.Directory().Tenants[id]; t != nil && t.EntryPath() != "" && id != tenant.OperatorID {
		return t
	}
	return nil
}

// ShowEntry is what the visitor of a shared entry sees now. It takes what the session had to say once.
func (j *Journey) ShowEntry(ctx context.Context, v *Visit) (*Screen, error) {
	t := j.entryOf(v.Link.Tenant)
	if t == nil {
		return j.Gone(v.Lang), nil
	}
	s, note, unreadable := v.Session, v.Session.Note, v.Session.Unreadable
	defer func() { s.Note, s.Unreadable = NoNote, nil }()
	screen := func(view proto.View) *Screen { return &Screen{Tenant: t.ID, Page: page.View(t, view, v.Lang)} }
	switch {
	case s.Step == In:
		return j.entryMenu(ctx, t, s, screen(proto.View_MENU))
	case s.Step == Code:
		out := screen(proto.View_CODE)
		p := out.Page
		p.Digits, p.CanAskAgain, p.ValidMinutes, p.Resent = uint32(t.Policy.Digits()), true, uint32(identity.CodeValid/time.Minute), note == NoteResent
		p.Mismatch, p.Incomplete, p.Unreadable = note == NoteMismatch, note == NoteIncomplete, note == NoteUnreadable
		p.Message = unsent(note, s.Codes, v.Lang)
		return out, nil
	case s.codes(j.Now()) >= identity.CodesSession:
		return screen(proto.View_LOCKED), nil
	case s.Step == Landing && !t.PrePage.Skip:
		return j.entryLanding(t, v.Lang), nil
	}
	out := screen(proto.View_IDENTIFY)
	p := out.Page
	p.Fields = j.Identity.EntryForm(t, v.Lang)
	for i, f := range p.Fields {
		f.Unreadable = slices.Contains(unreadable, i)
	}
	p.Mismatch, p.Incomplete, p.Unreadable = note == NoteMismatch, note == NoteIncomplete, note == NoteUnreadable
	return out, nil
}

// entryLanding is the page before the questions.
func (j *Journey) entryLanding(t *tenant.Tenant, lang string) *Screen {
	out := &Screen{Tenant: t.ID, Page: page.View(t, proto.View_LANDING, lang)}
	out.Page.Identify, out.Page.Code = true, true
	page.SetNotice(out.Page, t, j.Now())
	return out
}

// entryMenu lists what may be opened.
func (j *Journey) entryMenu(ctx context.Context, t *tenant.Tenant, s *Session, out *Screen) (*Screen, error) {
	found, err := j.entryFind(ctx, t, s.Key)
	if err != nil {
		return nil, err
	}
	var entries []page.MenuEntry
	for _, v := range found {
		if v.state.CodeLockedAt(j.Now()) {
			continue
		}
		content, err := j.content(v)
		switch {
		case errors.Is(err, store.ErrErased) && v.state.Head.Claim.IsZero(): // nothing is left of it
			continue
		case errors.Is(err, store.ErrErased):
			content = new(message.Content)
		case err != nil:
			return nil, err
		}
		e := page.MenuEntry{Name: v.Link.Message.String(), Title: content.Page.Title, Sent: v.state.AcceptedAt}
		if !v.state.SubmittedAt.IsZero() {
			e.Sent = v.state.SubmittedAt
		}
		if entries = append(entries, e); len(entries) == maxEntries {
			break
		}
	}
	page.SetMenu(out.Page, entries)
	return out, nil
}

// entryFind finds the messages of a person that are on their way or with them, and whose links are open, the latest first. One that
// cannot be read is left out and logged: to fail would tell that somebody was found.
func (j *Journey) entryFind(ctx context.Context, t *tenant.Tenant, key []byte) ([]*visit, error) {
	scope := tenant.Only(t.ID)
	refs, err := j.Store.Search(ctx, scope, store.Query{Kind: store.Message, Terms: []store.Term{{Field: intake.FieldEntry, Value: string(key)}}, Limit: maxEntryLooked})
	if err != nil {
		return nil, fmt.Errorf("look for the messages of a person: %w", err)
	}
	streams, err := j.Store.LoadMany(ctx, scope, refs)
	if err != nil {
		j.Log.Error("messages of the shared entry cannot be loaded", "tenant", t.ID, "err", err)
		return nil, nil
	}
	var found []*visit
	for i, events := range streams {
		v := &visit{Visit: &Visit{}, t: t}
		all := make([]message.Event, len(events))
		for n, e := range events {
			all[n] = message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}
		}
		if v.state, err = message.Fold(all); err != nil {
			j.Log.Error("message of the shared entry cannot be read", "tenant", t.ID, "msg", refs[i].ID, "err", err)
			continue
		}
		l, ok := link.Of(refs[i], &v.state.Head)
		unsent := v.state.Phase != message.LinkOnly && v.state.SubmittingAt.IsZero()
		if !ok || unsent || !v.state.RevokedAt.IsZero() || !v.state.DisownedAt.IsZero() || !j.Now().Before(l.Expires) {
			continue
		}
		v.Link, v.Standing = l, Open
		found = append(found, v)
	}
	return found, nil
}

// entryCodes is the message whose codes let the person in: the one that has a live code, else the latest. nil: nobody was found, or no
// code is right for the session.
func (j *Journey) entryCodes(ctx context.Context, t *tenant.Tenant, key []byte) (*store.Ref, error) {
	found, err := j.entryFind(ctx, t, key)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	of, live := found[0], time.Time{}
	for _, v := range found {
		if c := v.state.Code; c != nil && c.Until.After(j.Now()) && c.Until.After(live) {
			of, live = v, c.Until
		}
	}
	ref := of.Link.Ref()
	return &ref, nil
}

// EntryOpen is the button of the landing page. It changes nothing but the session.
func (j *Journey) EntryOpen(v *Visit) {
	if v.Session.Step == Landing {
		v.Session.promote(Identify)
	}
}

// EntryIdentify takes what somebody is to be found by; control gives what was typed into one question.
func (j *Journey) EntryIdentify(ctx context.Context, v *Visit, control func(name string) string) error {
	t, s := j.entryOf(v.Link.Tenant), v.Session
	asked, codes := s.Step == Identify || s.Step == Landing && t != nil && t.PrePage.Skip, s.codes(j.Now())
	if t == nil || !asked || codes >= identity.CodesSession {
		return nil
	}
	who, result, unreadable, err := j.Identity.EntryPerson(ctx, t, control)
	switch {
	case err != nil:
		return err
	case result == identity.Incomplete:
		s.Step, s.Note = Identify, NoteIncomplete
		return nil
	case result == identity.Unreadable:
		s.Step, s.Note, s.Unreadable = Identify, NoteUnreadable, unreadable
		return nil
	}
	who.Source = v.Source
	of := pressOf(s, "identify", map[string]string{"": who.Key})
	result, _, err = j.presses.once(of, j.Now, func() (identity.Result, []int, error) {
		r, err := j.Identity.EntryAsk(context.WithoutCancel(ctx), t, who, v.Lang)
		if err == nil && r == identity.NeedCode {
			err = j.entrySend(ctx, t, []byte(who.Key), identity.Asking{Session: codes, Asked: true, Lang: v.Lang})
		}
		return r, nil, err
	})
	if err != nil {
		return err
	}
	s.promote(Code)
	s.Key, s.Held, s.Wrong = []byte(who.Key), held(result == identity.Mismatch), 0
	s.asked(j.Now())
	return nil
}

// entrySend looks for the person and sends a code to who is found, behind the answer: how long that takes, nobody sees.
func (j *Journey) entrySend(ctx context.Context, t *tenant.Tenant, key []byte, a identity.Asking) error {
	return j.behind.do(ctx, func(ctx context.Context) {
		found, err := j.entryCodes(ctx, t, key)
		if err != nil {
			j.Log.Error("one-time code of the shared entry was not sent", "tenant", t.ID, "err", err)
			return
		}
		j.Identity.EntrySend(ctx, t, found, a)
	})
}

// EntryAgain leads back from the code to the questions.
func (j *Journey) EntryAgain(v *Visit) {
	if v.Session.Step == Code {
		v.Session.promote(Identify)
	}
}

// EntryResend sends another code.
func (j *Journey) EntryResend(ctx context.Context, v *Visit) error {
	t, s, now := j.entryOf(v.Link.Tenant), v.Session, j.Now()
	if t == nil || s.Step != Code || v.robot() {
		return nil
	}
	codes := s.codes(now)
	switch {
	case codes >= identity.CodesSession:
		s.Note = NoteTooMany
		return nil
	case now.Sub(time.Unix(s.CodeAt, 0)) < identity.ResendAfter(codes):
		s.Note = NoteTooSoon
		return nil
	}
	if err := j.Identity.MakesCodes(ctx, t, v.Lang); err != nil {
		return err
	}
	if s.Held != codeHeld {
		if err := j.entrySend(ctx, t, s.Key, identity.Asking{Session: codes, Lang: v.Lang}); err != nil {
			return err
		}
	}
	s.Note = NoteResent
	s.asked(now)
	return nil
}

// EntryCode takes the one-time code. So many wrong ones lead back to the questions.
func (j *Journey) EntryCode(ctx context.Context, v *Visit, typed string) error {
	t, s := j.entryOf(v.Link.Tenant), v.Session
	if t == nil || s.Step != Code {
		return nil
	}
	result, _, err := j.presses.once(pressOf(s, "code", map[string]string{"": typed}), j.Now, func() (identity.Result, []int, error) {
		ctx := context.WithoutCancel(ctx)
		found, err := j.entryCodes(ctx, t, s.Key)
		if err != nil {
			return 0, nil, err
		}
		if s.Held == codeHeld {
			found = nil
		}
		r, err := j.Identity.EntryCode(ctx, t, found, typed)
		return r, nil, err
	})
	if err != nil {
		return err
	}
	switch result {
	case identity.Passed:
		s.promote(In)
	case identity.Incomplete:
		s.Note = NoteIncomplete
	case identity.Unreadable:
		s.Note = NoteUnreadable
	default:
		if s.Wrong++; s.Wrong >= identity.MaxTries {
			s.promote(Identify)
		}
		s.Note = NoteMismatch
	}
	return nil
}

// EntryPick opens a message of who has passed: opened and identified are recorded on it, and what comes back is a session of its link
// that is in. nil: it is none of theirs, or may not be opened.
func (j *Journey) EntryPick(ctx context.Context, v *Visit, name string) (*Session, error) {
	t, s := j.entryOf(v.Link.Tenant), v.Session
	if t == nil || s.Step != In {
		return nil, nil
	}
	found, err := j.entryFind(ctx, t, s.Key)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(found, func(v *visit) bool { return v.Link.Message.String() == name && !v.state.CodeLockedAt(j.Now()) })
	if at < 0 {
		return nil, nil
	}
	picked := &Visit{Link: found[at].Link, Standing: Open, Session: NewSession(found[at].Link.Token, j.Now()), Lang: v.Lang, Agent: v.Agent}
	_, _, err = j.presses.once(pressOf(s, "pick", map[string]string{"": name}), j.Now, func() (identity.Result, []int, error) {
		return identity.Passed, nil, j.entered(context.WithoutCancel(ctx), picked)
	})
	if err != nil {
		return nil, err
	}
	picked.Session.promote(In)
	return picked.Session, nil
}

// entered records that the message was opened by whom it is for. Where the link has ended meanwhile, it says so itself.
func (j *Journey) entered(ctx context.Context, v *Visit) error {
	for {
		in, err := j.load(ctx, v)
		if err != nil || v.Standing != Open {
			return err
		}
		if _, err = j.opened(ctx, in, j.doubt(in)); err != nil || v.Standing != Open {
			return err
		}
		if in, err = j.load(ctx, v); err != nil || v.Standing != Open || in.state.Version >= manyEvents && !in.state.IdentifiedAt.IsZero() {
			return err
		}
		err = j.append(ctx, in, message.Identified, nil)
		if conflict(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("record an identification: %w", err)
		}
		return nil
	}
}
