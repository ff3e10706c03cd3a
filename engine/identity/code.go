package identity

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/message/stored"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Asking is one wish for a code.
type Asking struct {
	Session int // how many codes the session has asked for before
	// Held: not all items matched. All is done, counted and answered as if they had, but nothing goes out.
	Held bool
	// Lang is that of the page, ja or en; empty: ja.
	Lang string
	// Digits of the code; 0: as the message has it, or the tenant.
	Digits int
	// Asked: the questions were answered just now, perhaps after a mistake. It waits only as long as a double click takes.
	Asked bool
}

// SendCode sends a fresh code to the message's own number. The caller has seen all items match in this session, or says
// Held. The result is Sent, TooSoon, TooMany or Locked. ErrUnavailable: no module made one; nothing was counted.
func (id *Identity) SendCode(ctx context.Context, t *tenant.Tenant, ref store.Ref, a Asking) (Result, error) {
	r, err := id.sendCode(ctx, t, ref, a)
	id.metrics.count("send", r)
	return r, err
}

func (id *Identity) sendCode(ctx context.Context, t *tenant.Tenant, ref store.Ref, a Asking) (Result, error) {
	one := &id.sending[ref.ID[len(ref.ID)-1]%sendingLocks] // a double click sends one code
	one.Lock()
	defer one.Unlock()
	rec, err := id.load(ctx, ref)
	if err != nil {
		return 0, err
	}
	now := id.o.Now()
	if rec.state.CodeLockedAt(now) {
		return Locked, nil
	}
	if a.Session >= CodesSession || within(rec.codes, now, time.Hour) >= codesHour || within(rec.codes, now, 24*time.Hour) >= codesDay {
		return TooMany, nil
	}
	// A code that is used or was sent long ago delays nothing.
	if n := within(rec.codes[len(rec.codes)-rec.unused:], now, CodeValid); n > 0 {
		wait := firstResend << (n - 1)
		if a.Asked {
			wait = doubleClick
		}
		if now.Sub(rec.codes[len(rec.codes)-1]) < wait {
			return TooSoon, nil
		}
	}
	sms, err := id.sms(ref, &rec.state)
	if err != nil {
		return 0, err
	}
	number, err := id.o.Store.Keyed(ref.Tenant, "number", sms.Number)
	if err != nil {
		return 0, fmt.Errorf("hash a number: %w", err)
	}
	answer, text, err := id.challenge(ctx, t, a.Lang, cmp.Or(a.Digits, Digits(t, &rec.state.Head)), CodeValid, id.linkHost(t))
	if err != nil {
		return 0, err
	}
	c := share{tenant: t, number: string(number[:])}
	var over *LimitError
	switch _, err := id.takeShare(ctx, c, now); {
	case errors.As(err, &over):
		return TooMany, nil
	case err != nil:
		return 0, err
	}
	hash, err := id.o.Store.Keyed(ref.Tenant, codePurpose(ref.ID), answer)
	if err != nil {
		return 0, fmt.Errorf("hash a code: %w", err)
	}
	asked, err := id.asked(newVerification(t.ID, now), now, c, &verification{V: 1, Message: ref.ID}, personal{Masked: rec.state.Head.Masked})
	if err != nil {
		return 0, err
	}
	until := now.Add(CodeValid)
	code := store.Change{Ref: ref, Expect: store.Any, Events: []store.NewEvent{event(now, message.CodeHeld, nil)}}
	went := false
	if !a.Held {
		carrier, err := id.o.Sender.SendCode(ctx, CodeSMS{Tenant: ref.Tenant, To: sms.Number, Registered: sms.Registered, Text: text, For: ref.ID, Until: until})
		if went = err == nil; went {
			// Whatever else happened to the message meanwhile, this is the code that arrives.
			code.Events[0] = event(now, message.CodeSent, message.Code{Hash: hash[:], Until: until, Message: carrier})
		} else { // a fault here would tell a match from a mismatch
			id.metrics.unsent.Inc()
			id.o.Log.Error("one-time code was not accepted for sending", "tenant", ref.Tenant, "msg", ref.ID, "err", err)
		}
	}
	if went {
		err = id.commit(ctx, code, asked)
	} else if err = id.commit(store.Urgent(ctx), asked); err == nil { // in place of the SMS, as long on whatever disk
		err = id.commit(ctx, code)
	}
	if err != nil {
		return 0, fmt.Errorf("record a code of message %s: %w", ref.ID, err)
	}
	return Sent, nil
}

// alike waits for its turn at the store, and changes nothing: behind a bulk, a commit that only a match needs would be seen. The sync of a
// disk it does not wait for.
func (id *Identity) alike(ctx context.Context) { _ = id.commit(ctx) }

// Digits are how many a code of a message has.
func Digits(t *tenant.Tenant, h *message.Head) int { return cmp.Or(h.CodeDigits, t.Policy.Digits()) }

// sms opens what the message's SMS says, for its number.
func (id *Identity) sms(ref store.Ref, s *message.State) (message.SMS, error) {
	return stored.SMS(id.o.Store, ref.Tenant, ref.ID, &s.Head)
}

// linkHost is the name of the host that codes are bound to: browsers know them by it, on whatever port.
func (id *Identity) linkHost(t *tenant.Tenant) string {
	return tenant.HostName(cmp.Or(t.LinkHost, id.o.LinkHost))
}

// called is the tenant's name in a language.
func called(t *tenant.Tenant, lang string) string {
	if lang == "en" {
		return cmp.Or(t.NameEN, t.Name)
	}
	return t.Name
}

// challenge has a module make a code and its text. Without a host the text has no line that binds the code to one.
func (id *Identity) challenge(ctx context.Context, t *tenant.Tenant, lang string, digits int, valid time.Duration, host string) (answer, text string, err error) {
	module, f := id.challenger()
	if f == nil {
		return "", "", ErrUnavailable
	}
	client := id.o.Auths.Auth(module)
	if client == nil {
		return "", "", ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, id.o.Timeout)
	defer cancel()
	res, err := client.Challenge(ctx, &proto.ChallengeRequest{
		Call: id.call(module, t.ID), Field: f.Name, Digits: uint32(digits), ValidFor: durationpb.New(valid),
		SenderName: called(t, lang), LinkHost: host, Segments: uint32(min(t.Policy.Segments(), 2)), Lang: lang,
	})
	if err != nil {
		id.metrics.unavailable.Inc()
		id.o.Log.Error("identity module failed", "plugin", module, "err", err)
		return "", "", ErrUnavailable
	}
	if res.Error != nil || res.Answer == "" || res.Text == "" {
		id.metrics.unavailable.Inc()
		id.o.Log.Error("identity module made no code", "plugin", module, "err", res.Error.GetCode())
		return "", "", ErrUnavailable
	}
	return res.Answer, res.Text, nil
}

// Code compares a typed code with the live one. The result is Incomplete, Unreadable, Mismatch (wrong, too old, or none
// was sent), Locked or Passed. held: no code went out to this session, so that whatever is typed is wrong, and counted.
// ErrUnavailable: no module answered, nothing was counted.
func (id *Identity) Code(ctx context.Context, t *tenant.Tenant, ref store.Ref, typed string, held bool) (Result, error) {
	r, err := id.code(ctx, t, ref, typed, held)
	id.metrics.count("code", r)
	return r, err
}

func (id *Identity) code(ctx context.Context, t *tenant.Tenant, ref store.Ref, typed string, held bool) (Result, error) {
	rec, err := id.load(ctx, ref)
	if err != nil {
		return 0, err
	}
	if rec.state.CodeLockedAt(id.o.Now()) {
		return Locked, nil
	}
	form, r, err := id.codeForm(ctx, t.ID, typed)
	if form == "" {
		return r, err
	}
	return id.compareCode(ctx, ref, rec, oneTime, form, held)
}

// compareCode compares the form of a typed code with the live one, and counts that.
func (id *Identity) compareCode(ctx context.Context, ref store.Ref, rec *record, of stage, form string, held bool) (Result, error) {
	hash, err := id.o.Store.Keyed(ref.Tenant, codePurpose(ref.ID), form)
	if err != nil {
		return 0, fmt.Errorf("hash a typed code: %w", err)
	}
	return id.count(ctx, ref, rec, of, func(r *record) bool {
		live := message.Code{Hash: make([]byte, len(hash))}
		if r.state.Code != nil {
			live = *r.state.Code
		}
		id.metrics.compared.Inc()
		same := subtle.ConstantTimeCompare(hash[:], live.Hash) == 1
		return same && !held && r.state.CodeFailures < MaxTries && id.o.Now().Before(live.Until)
	})
}

// codeForm is the canonical form of a typed code. Empty: it is Incomplete or Unreadable, or no module answered.
func (id *Identity) codeForm(ctx context.Context, t tenant.ID, typed string) (string, Result, error) {
	_, f := id.challenger()
	if f == nil {
		return "", 0, ErrUnavailable
	}
	switch {
	case strings.TrimSpace(typed) == "":
		return "", Incomplete, nil
	case len(typed) > 64:
		return "", Unreadable, nil
	}
	forms, err := id.canonical(ctx, t, []*proto.CanonicalItem{{Field: f.Name, Value: strings.ToValidUTF8(typed, "\ufffd")}})
	switch {
	case err != nil:
		return "", 0, err
	case forms[0] == nil:
		return "", 0, ErrUnavailable
	case forms[0].Error != nil || forms[0].Form == "":
		return "", Unreadable, nil
	}
	return forms[0].Form, 0, nil
}

// within counts the times of the last d.
func within(times []time.Time, now time.Time, d time.Duration) int {
	n := 0
	for _, t := range times {
		if now.Sub(t) < d {
			n++
		}
	}
	return n
}
