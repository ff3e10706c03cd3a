package identity

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Limits of a verification by API.
const (
	MinDigits   = message.MinCodeDigits
	MaxDigits   = message.MaxCodeDigits
	MaxMinutes  = 60
	MaxTemplate = 200 // characters
	keyLife     = 72 * time.Hour
)

// prefixLength is how much of a number in E.164 is its prefix: +81 and six digits, the block of 100,000 numbers that is given
// to a carrier as a whole (090-123…).
const prefixLength = len("+8190123")

// Wish is a verification that a sender asks for. Numbers are checked by whoever calls.
type Wish struct {
	By      string // "key:<name>"
	KeyID   string // of the API key, by which codes are counted
	Number  string // E.164
	Masked  string
	Digits  int // 4 to 8; 0: as the tenant has
	Minutes int // 1 to 60 for which it is valid; 0: five
	// Lang of the module's words and of {name}, ja or en; empty: ja. What was asked for before there was any keeps its digest.
	Lang string `json:",omitempty"`
	// Template is the SMS, with {code} once, and {minutes} and {name} (the tenant's) if wanted. Empty: the module's words.
	Template  string
	Profile   string // sender profile; empty: that of codes
	Reference string
	// KeyName is the name of the request's idempotency key in store.ByKey; empty: none.
	KeyName string
}

// ErrUsed: the code was given before. A code is right once.
var ErrUsed = errors.New("the code was used")

// check reports what speaks against the wish by itself.
func (w *Wish) check() (ps message.Problems) {
	bad := func(p message.Problem) { ps = append(ps, p) }
	if w.Digits != 0 && (w.Digits < MinDigits || w.Digits > MaxDigits) {
		bad(message.Problem{Field: "length", Code: "range", Limit: MaxDigits, Got: int64(w.Digits), Detail: "4 to 8 digits"})
	}
	if w.Minutes < 0 || w.Minutes > MaxMinutes {
		bad(message.Problem{Field: "valid_minutes", Code: "range", Limit: MaxMinutes, Got: int64(w.Minutes), Detail: "1 to 60 minutes"})
	}
	if n := message.Length(w.Reference); n > message.MaxReference {
		bad(message.Problem{Field: "reference", Code: "too_long", Limit: message.MaxReference, Got: int64(n)})
	}
	if w.Template == "" {
		return ps
	}
	if n := message.Length(w.Template); n > MaxTemplate {
		bad(message.Problem{Field: "template", Code: "too_long", Limit: MaxTemplate, Got: int64(n)})
	}
	if n := strings.Count(w.Template, "{code}"); n != 1 {
		bad(message.Problem{Field: "template", Code: "pattern", Got: int64(n), Detail: "{code} must stand in it once"})
	}
	if strings.ContainsAny(templateNames.Replace(w.Template), "{}") {
		bad(message.Problem{Field: "template", Code: "unknown", Detail: "{code}, {minutes} and {name} are put in, nothing else"})
	}
	return ps
}

var templateNames = strings.NewReplacer("{code}", "", "{minutes}", "", "{name}", "")

// Verify sends a fresh code and returns its verification; or, repeated, the one that was made with the same key before. What
// it returns is on disk together with the SMS. The error is message.Problems, *LimitError, ErrUnavailable, or of the rooms
// below.
func (id *Identity) Verify(ctx context.Context, t *tenant.Tenant, w Wish) (v Verification, repeated bool, err error) {
	v, repeated, err = id.verify(ctx, t, &w)
	id.metrics.named("verify", outcome(string(v.Status), err))
	return v, repeated, err
}

// outcome is the word of a step for the metrics.
func outcome(done string, err error) string {
	var ps message.Problems
	var over *LimitError
	switch {
	case err == nil:
		return done
	case errors.As(err, &over):
		return TooMany.String()
	case errors.As(err, &ps), errors.Is(err, ErrUsed), errors.Is(err, store.ErrNotFound):
		return "refused"
	}
	return ""
}

func (id *Identity) verify(ctx context.Context, t *tenant.Tenant, w *Wish) (Verification, bool, error) {
	digest, err := id.wishDigest(t.ID, w)
	if err != nil {
		return Verification{}, false, err
	}
	if v, found, err := id.known(ctx, t, w, digest); found || err != nil {
		return v, found, err
	}
	if err := w.check().Err(); err != nil {
		return Verification{}, false, err
	}
	now := id.o.Now().UTC()
	digits, valid := w.Digits, time.Duration(w.Minutes)*time.Minute
	if digits == 0 {
		digits = t.Policy.Digits()
	}
	if valid == 0 {
		valid = CodeValid
	}
	c, err := id.shareOf(t, w)
	if err != nil {
		return Verification{}, false, err
	}
	answer, text, err := id.challenge(ctx, t, w.Lang, digits, valid, "")
	if err != nil {
		return Verification{}, false, err
	}
	if w.Template != "" {
		text = strings.NewReplacer("{code}", answer, "{minutes}", fmt.Sprint(int(valid/time.Minute)), "{name}", called(t, w.Lang)).Replace(w.Template)
	}
	ref := newVerification(t.ID, now)
	hash, err := id.o.Store.Keyed(t.ID, verificationPurpose(ref.ID), answer)
	if err != nil {
		return Verification{}, false, fmt.Errorf("hash a code: %w", err)
	}
	head := verification{V: 1, By: w.By, Digits: digits, Until: now.Add(valid), Hash: hash[:]}
	asked, err := id.asked(ref, now, c, &head, personal{Masked: w.Masked, Reference: w.Reference})
	if err != nil {
		return Verification{}, false, err
	}
	if w.KeyName != "" {
		asked.Names = []store.Name{{Space: store.ByKey, Key: w.KeyName, Value: digest, Until: now.Add(keyLife), Exclusive: true}}
	}
	back, err := id.takeShare(ctx, c, now)
	if err != nil {
		return Verification{}, false, err
	}
	head.SMS, err = id.o.Sender.SendCode(ctx, CodeSMS{
		Tenant: t.ID, To: w.Number, Text: text, Until: head.Until, By: w.By, Profile: w.Profile, Reference: w.Reference,
		With: func(sms ulid.ULID) []store.Change {
			head, asked := head, asked
			head.SMS = sms
			asked.Events = []store.NewEvent{{Type: askedFor, At: now, Data: message.Encode(&head)}}
			return []store.Change{asked}
		},
	})
	if err != nil {
		back()
		var ps message.Problems
		if !errors.As(err, &ps) {
			id.metrics.unsent.Inc()
			return Verification{}, false, fmt.Errorf("send the code of a verification: %w", err)
		}
		if slices.ContainsFunc(ps, func(p message.Problem) bool { return p.Field == "key" }) { // somebody else was first with it
			if v, found, err := id.known(ctx, t, w, digest); found || err != nil {
				return v, found, err
			}
		}
		return Verification{}, false, ps
	}
	v, err := id.shown(t.ID, ref.ID, &verified{head: head, at: now}, now)
	return v, false, err
}

// shareOf is what a wish counts against.
func (id *Identity) shareOf(t *tenant.Tenant, w *Wish) (share, error) {
	c := share{tenant: t, key: w.KeyID, block: w.Number[:min(prefixLength, len(w.Number))]}
	number, err := id.o.Store.Keyed(t.ID, "number", w.Number)
	if err != nil {
		return c, fmt.Errorf("hash a number: %w", err)
	}
	prefix, err := id.o.Store.Keyed(t.ID, "prefix", c.block)
	if err != nil {
		return c, fmt.Errorf("hash a prefix: %w", err)
	}
	c.number, c.prefix = string(number[:]), string(prefix[:])
	return c, nil
}

// wishDigest is a keyed hash of the wish without its key: a number in it could be guessed.
func (id *Identity) wishDigest(t tenant.ID, w *Wish) ([]byte, error) {
	body := *w
	body.KeyName, body.KeyID, body.By = "", "", ""
	plain, err := json.Marshal(&body)
	if err != nil {
		return nil, fmt.Errorf("digest of a verification: %w", err)
	}
	sum, err := id.o.Store.Keyed(t, "verification request", string(plain))
	return sum[:], err
}

// known is the verification that was made with the wish's key; false: none was.
func (id *Identity) known(ctx context.Context, t *tenant.Tenant, w *Wish, digest []byte) (Verification, bool, error) {
	if w.KeyName == "" {
		return Verification{}, false, nil
	}
	ref, first, err := id.o.Store.Lookup(ctx, tenant.Only(t.ID), store.ByKey, w.KeyName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Verification{}, false, nil
	case err != nil:
		return Verification{}, false, err
	case ref.Kind != store.Verification || !bytes.Equal(first, digest):
		return Verification{}, false, message.Problems{{Field: "key", Code: "conflict", Detail: "the key was used for another message"}}
	}
	v, err := id.Verification(ctx, t.ID, ref.ID)
	return v, err == nil, err
}

// Verification returns a verification of the tenant as it stands, or store.ErrNotFound.
func (id *Identity) Verification(ctx context.Context, t tenant.ID, v ulid.ULID) (Verification, error) {
	f, err := id.loadVerification(ctx, t, v)
	if err != nil {
		return Verification{}, err
	}
	return id.shown(t, v, f, id.o.Now())
}

func (id *Identity) loadVerification(ctx context.Context, t tenant.ID, v ulid.ULID) (*verified, error) {
	events, err := id.o.Store.Load(ctx, tenant.Only(t), store.Ref{Tenant: t, Kind: store.Verification, ID: v})
	if err != nil {
		return nil, fmt.Errorf("load verification %s: %w", v, err)
	}
	f, err := foldVerification(events)
	if err == nil && !f.head.Message.IsZero() { // a page's: its tries are the message's
		err = fmt.Errorf("verification %s: %w", v, store.ErrNotFound)
	}
	return f, err
}

func (id *Identity) shown(t tenant.ID, v ulid.ULID, f *verified, now time.Time) (Verification, error) {
	out := Verification{
		ID: v, Status: f.status(now), SMS: f.head.SMS, Digits: f.head.Digits, CreatedAt: f.at, ExpiresAt: f.head.Until, ApprovedAt: f.approved,
	}
	if out.Status == Pending {
		out.TriesLeft = MaxTries - f.wrong
	}
	plain, err := id.o.Store.Open(t, sealedPart(v), f.head.Sealed)
	if errors.Is(err, store.ErrErased) {
		return out, nil
	}
	var p personal
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	if err != nil {
		return out, fmt.Errorf("open verification %s: %w", v, err)
	}
	out.Masked, out.Reference = p.Masked, p.Reference
	return out, nil
}

// Check compares a typed code with that of a verification and returns how that stands then: Approved by this one right code,
// which is right once and on disk before anybody is told; Pending after a wrong one, and the try is counted; or Expired or
// Locked, and nothing was compared. ErrUsed: an earlier check had approved it. key, if any, is the request's idempotency key:
// the same code with the same key is answered as it was and counts once.
//
// A code that is no code (message.Problems, field "code") and a module that does not answer (ErrUnavailable) are no tries.
func (id *Identity) Check(ctx context.Context, t *tenant.Tenant, v ulid.ULID, typed, key string) (out Verification, repeated bool, err error) {
	out, repeated, err = id.check(ctx, t.ID, v, typed, key)
	id.metrics.named("check", outcome(string(out.Status), err))
	return out, repeated, err
}

func (id *Identity) check(ctx context.Context, t tenant.ID, v ulid.ULID, typed, key string) (Verification, bool, error) {
	f, err := id.loadVerification(ctx, t, v)
	if err != nil {
		return Verification{}, false, err
	}
	form, r, err := id.codeForm(ctx, t, typed)
	if err != nil {
		return Verification{}, false, err
	}
	switch r {
	case Incomplete:
		return Verification{}, false, message.Problems{{Field: "code", Code: "required"}}
	case Unreadable:
		return Verification{}, false, message.Problems{{Field: "code", Code: "pattern", Detail: "4 to 8 digits"}}
	}
	hash, err := id.o.Store.Keyed(t, verificationPurpose(v), form)
	if err != nil {
		return Verification{}, false, fmt.Errorf("hash a typed code: %w", err)
	}
	var keyed []byte
	if key != "" {
		sum, err := id.o.Store.Keyed(t, "check/"+v.String(), key+"\x00"+hex.EncodeToString(hash[:]))
		if err != nil {
			return Verification{}, false, fmt.Errorf("hash a key: %w", err)
		}
		keyed = sum[:]
	}
	ref := store.Ref{Tenant: t, Kind: store.Verification, ID: v}
	for {
		now := id.o.Now().UTC()
		status, again := f.status(now), f.tried(keyed)
		if again != nil && (again.OK || status != Approved) {
			out, err := id.shown(t, v, f, now)
			return out, true, err
		}
		switch status {
		case Approved:
			return Verification{}, false, ErrUsed
		case Shut, Expired:
			out, err := id.shown(t, v, f, now)
			return out, false, err
		}
		id.metrics.compared.Inc()
		this := try{OK: subtle.ConstantTimeCompare(hash[:], f.head.Hash) == 1, Key: keyed}
		err := id.append(ctx, ref, f.version, []store.NewEvent{{Type: triedAt, At: now, Data: message.Encode(&this)}})
		var conflict *store.ConflictError
		if err != nil && !errors.As(err, &conflict) {
			return Verification{}, false, fmt.Errorf("count a try of verification %s: %w", v, err)
		}
		if err == nil {
			f.count(this, now)
			if f.status(now) == Shut {
				id.o.Log.Warn("verification locked", "tenant", t, "verification", v)
			}
			out, err := id.shown(t, v, f, now)
			return out, false, err
		}
		if f, err = id.loadVerification(ctx, t, v); err != nil { // somebody else's try came between
			return Verification{}, false, err
		}
	}
}

// tried is the try that was counted with this key; nil: none.
func (v *verified) tried(key []byte) *try {
	for i := range v.tries {
		if len(key) > 0 && subtle.ConstantTimeCompare(v.tries[i].Key, key) == 1 {
			return &v.tries[i]
		}
	}
	return nil
}
