package identity

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// The shared entry page: somebody without a link of their own is found by name, birth date and phone, and then shows by a code to
// that phone that it is theirs.
//
//	EntryKeys    at acceptance: what people are found by, in batches
//	EntryPerson  what was typed → Incomplete | Unreadable | NeedCode, with what a person is found by
//	EntryAsk     whether a code may go out → NeedCode | Mismatch
//	EntrySend    it goes out, to the message of who was found; another one, after ResendAfter
//	EntryCode    the code → Incomplete | Unreadable | Mismatch | Passed
//
// What somebody is found by is one keyed digest of the three canonical forms, under the tenant's key. So neither name nor birth date nor
// number stands anywhere, and finding is one look at an index. A change of the tenant's kana level finds only what came after it.
//
// Codes and tries are those of one of the person's messages, with all their limits and locks (SendCode, Code). Nobody learns whether
// there is one: whatever was typed, the code's screen follows, and what it says then follows from the session of the browser alone, not
// from what is found. Nothing is kept of who was not found but a count. No answer waits for EntrySend; what a hit costs more with
// EntryCode lies behind a least time in linkserver/web.

// EntryFields are asked at the shared entry, in this order.
var EntryFields = []string{"kana_name", "birth_date", "phone"}

// Person is what somebody is found by, as a sender or the person wrote it.
type Person struct{ Name, Birth, Phone string }

// FindableBy is whom a message with these questions is for, and whether they find it at the shared entry: both name and birth date are
// asked, as the tenant asks them, and nothing else but perhaps a phone (empty: it is not).
func FindableBy(t *tenant.Tenant, items []message.IdentityItem) (p Person, ok bool) {
	for _, it := range items {
		if it.Level != "" && it.Level != cmp.Or(t.Policy.KanaLevel, "L2") {
			return Person{}, false
		}
		switch it.Field {
		case EntryFields[0]:
			p.Name = it.Value
		case EntryFields[1]:
			p.Birth = it.Value
		case EntryFields[2]:
			p.Phone = it.Value
		default:
			return Person{}, false
		}
	}
	return p, p.Name != "" && p.Birth != ""
}

// entryAnswers are the questions of the shared entry.
func (id *Identity) entryAnswers(t *tenant.Tenant) []message.Answer {
	all := make([]message.Answer, len(EntryFields))
	for i, name := range EntryFields {
		_, f := id.field(name)
		all[i] = message.Answer{Field: name, Level: levelOf(t, f)}
	}
	return all
}

// EntryForm is what the shared entry asks.
func (id *Identity) EntryForm(t *tenant.Tenant, lang string) []*proto.FormField {
	return id.Fields(t, id.entryAnswers(t), lang)
}

// EntryKeys are the digests by which people are found, in order; empty: something of it cannot be read.
func (id *Identity) EntryKeys(ctx context.Context, t *tenant.Tenant, people []Person) ([]string, error) {
	asked := id.entryAnswers(t)
	items := make([]*proto.CanonicalItem, 0, len(people)*len(asked))
	for _, p := range people {
		for i, value := range []string{p.Name, p.Birth, p.Phone} {
			items = append(items, &proto.CanonicalItem{Field: asked[i].Field, Level: asked[i].Level, Value: value})
		}
	}
	all, err := id.canonical(ctx, t.ID, items)
	if err != nil {
		return nil, fmt.Errorf("what people are found by: %w", err)
	}
	keys, forms := make([]string, len(people)), make([]string, len(asked))
	for i := range keys {
		readable := true
		for j := range forms {
			f := all[i*len(asked)+j]
			forms[j] = f.GetForm()
			readable = readable && f.GetError() == nil && forms[j] != ""
		}
		if !readable {
			continue
		}
		if keys[i], err = id.entryKey(t.ID, forms); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (id *Identity) entryKey(t tenant.ID, forms []string) (string, error) {
	sum, err := id.o.Store.Keyed(t, "entry", strings.Join(forms, "\x00"))
	if err != nil {
		return "", fmt.Errorf("hash a person: %w", err)
	}
	return string(sum[:]), nil
}

// Asked is who was asked for, in digests, and where from.
type Asked struct {
	Key    string // by which messages are found
	number string // by which forms are counted, and
	Source string // from where it comes: the caller says it
}

// EntryPerson reads the form of the shared entry; control gives what was typed into one. The result is Incomplete, Unreadable (with the
// indexes of EntryFields) or NeedCode; nothing was compared. ErrUnavailable: no module answered.
func (id *Identity) EntryPerson(ctx context.Context, t *tenant.Tenant, control func(name string) string) (who Asked, r Result, unreadable []int, err error) {
	asked := id.entryAnswers(t)
	forms, unreadable, err := id.typed(ctx, t, asked, id.Join(asked, control))
	switch {
	case err != nil:
		return who, 0, nil, err
	case len(unreadable) > 0:
		return who, Unreadable, unreadable, nil
	case forms == nil:
		return who, Incomplete, nil, nil
	}
	if who.Key, err = id.entryKey(t.ID, forms); err != nil {
		return who, 0, nil, err
	}
	number, err := id.o.Store.Keyed(t.ID, "number", forms[2])
	if err != nil {
		return who, 0, nil, fmt.Errorf("hash a number: %w", err)
	}
	who.number = string(t.ID) + string(number[:])
	return who, NeedCode, nil, nil
}

// EntryAsk counts a form. The result is NeedCode, or Mismatch where so many asked for this number that nobody is found any more: both show
// the code's screen, and behind Mismatch no code is right and none is to be sent. ErrUnavailable: no module makes codes.
func (id *Identity) EntryAsk(ctx context.Context, t *tenant.Tenant, who Asked, lang string) (Result, error) {
	if err := id.MakesCodes(ctx, t, lang); err != nil {
		return 0, err
	}
	if id.asks.over(who.number, who.Source, id.o.Now()) {
		id.metrics.named("entry", "held")
		return Mismatch, nil
	}
	return NeedCode, nil
}

// MakesCodes reports whether there is a module that does: a code is made and thrown away, whoever asks.
func (id *Identity) MakesCodes(ctx context.Context, t *tenant.Tenant, lang string) error {
	_, _, err := id.challenge(ctx, t, lang, t.Policy.Digits(), CodeValid, id.linkHost(t))
	return err
}

// EntrySend sends a code to the number of the message that was found; nil: none was. A fault is not told, for it would tell that
// somebody was found; nor is how long it takes: the caller answers before.
func (id *Identity) EntrySend(ctx context.Context, t *tenant.Tenant, found *store.Ref, a Asking) {
	if found == nil {
		if a.Asked {
			id.metrics.named("entry", "not_found")
		}
		return
	}
	if a.Asked {
		id.metrics.named("entry", "found")
	}
	a.Digits = t.Policy.Digits()
	if _, err := id.SendCode(ctx, t, *found, a); err != nil {
		id.metrics.unsent.Inc()
		id.o.Log.Error("one-time code of the shared entry was not sent", "tenant", t.ID, "msg", found.ID, "err", err)
	}
}

// ResendAfter is how long a session waits before it can have its next code, after so many.
func ResendAfter(codes int) time.Duration { return firstResend << max(codes-1, 0) }

// EntryCode compares a typed code with the live one of the message that was found, and counts that on the message; nil: none was, and
// whatever is typed is wrong. The result is Incomplete, Unreadable, Mismatch or Passed; with Passed the message is not identified yet:
// which one is opened is chosen later. ErrUnavailable: no module answered.
func (id *Identity) EntryCode(ctx context.Context, t *tenant.Tenant, found *store.Ref, typed string) (Result, error) {
	form, r, err := id.codeForm(ctx, t.ID, typed)
	if form != "" {
		r, err = id.entryCompare(ctx, found, form), nil
	}
	id.metrics.count("entry_code", r)
	return r, err
}

func (id *Identity) entryCompare(ctx context.Context, found *store.Ref, form string) Result {
	if found == nil {
		id.alike(ctx)
		return Mismatch
	}
	rec, err := id.load(ctx, *found)
	var r Result
	if err == nil {
		r, err = id.compareCode(ctx, *found, rec, entryCode, form, false)
	}
	if err != nil { // said to nobody: it would tell that somebody was found
		id.o.Log.Error("code of the shared entry was not compared", "tenant", found.Tenant, "msg", found.ID, "err", err)
	}
	if r == Passed {
		return Passed
	}
	return Mismatch
}
