package identity

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// Asking is one wish for a code.
type Asking struct {
	Session int // how many codes the session has asked for before
	// Held: not all items matched. All is done, counted and answered as if they had, but nothing goes out.
	Held bool
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
	answer, text, err := id.challenge(ctx, t)
	if err != nil {
		return 0, err
	}
	if !id.takeBudget(t, now) {
		return TooMany, nil
	}
	if !id.numbers.take(string(ref.Tenant)+string(number[:]), now) { // last: what was not sent takes no share
		return TooMany, nil
	}
	hash, err := id.o.Store.Keyed(ref.Tenant, codePurpose(ref.ID), answer)
	if err != nil {
		return 0, fmt.Errorf("hash a code: %w", err)
	}
	until := now.Add(CodeValid)
	what := event(now, message.CodeHeld, nil)
	if !a.Held {
		carrier, err := id.o.Sender.SendCode(ctx, CodeSMS{Tenant: ref.Tenant, To: sms.Number, Registered: sms.Registered, Text: text, For: ref.ID, Until: until})
		if err != nil { // a fault here would tell a match from a mismatch
			id.metrics.unsent.Inc()
			id.o.Log.Error("one-time code was not accepted for sending", "tenant", ref.Tenant, "msg", ref.ID, "err", err)
		} else {
			// Whatever else happened to the message meanwhile, this is the code that arrives.
			what = event(now, message.CodeSent, message.Code{Hash: hash[:], Until: until, Message: carrier})
		}
	}
	if err = id.append(ctx, ref, store.Any, []store.NewEvent{what}); err != nil {
		return 0, fmt.Errorf("record a code of message %s: %w", ref.ID, err)
	}
	return Sent, nil
}

// sms opens what the message's SMS says, for its number.
func (id *Identity) sms(ref store.Ref, s *message.State) (message.SMS, error) {
	var sms message.SMS
	plain, err := id.o.Store.Open(ref.Tenant, ref.ID.String()+"/sms", s.Head.SMS)
	if err != nil {
		return sms, fmt.Errorf("open the SMS of message %s: %w", ref.ID, err)
	}
	if err := message.Decode(plain, &sms); err != nil {
		return sms, fmt.Errorf("read the SMS of message %s: its content has another form", ref.ID)
	}
	return sms, nil
}

// challenge has a module make a code and its text.
func (id *Identity) challenge(ctx context.Context, t *tenant.Tenant) (answer, text string, err error) {
	module, f := id.challenger()
	if f == nil {
		return "", "", ErrUnavailable
	}
	client := id.o.Auths.Auth(module)
	if client == nil {
		return "", "", ErrUnavailable
	}
	host := t.LinkHost
	if host == "" {
		host = id.o.LinkHost
	}
	ctx, cancel := context.WithTimeout(ctx, id.o.Timeout)
	defer cancel()
	res, err := client.Challenge(ctx, &proto.ChallengeRequest{
		Call: id.call(t.ID), Field: f.Name, Digits: uint32(t.Policy.Digits()), ValidFor: durationpb.New(CodeValid),
		SenderName: t.Name, LinkHost: host, Segments: uint32(min(t.Policy.Segments(), 2)),
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
	_, f := id.challenger()
	if f == nil {
		return 0, ErrUnavailable
	}
	switch {
	case strings.TrimSpace(typed) == "":
		return Incomplete, nil
	case len(typed) > 64:
		return Unreadable, nil
	}
	forms, err := id.canonical(ctx, t.ID, []*proto.CanonicalItem{{Field: f.Name, Value: strings.ToValidUTF8(typed, "\ufffd")}})
	switch {
	case err != nil:
		return 0, err
	case forms[0] == nil:
		return 0, ErrUnavailable
	case forms[0].Error != nil || forms[0].Form == "":
		return Unreadable, nil
	}
	hash, err := id.o.Store.Keyed(ref.Tenant, codePurpose(ref.ID), forms[0].Form)
	if err != nil {
		return 0, fmt.Errorf("hash a typed code: %w", err)
	}
	return id.count(ctx, ref, rec, "code", func(r *record) bool {
		live := message.Code{Hash: make([]byte, len(hash))}
		if r.state.Code != nil {
			live = *r.state.Code
		}
		id.metrics.compared.Inc()
		same := subtle.ConstantTimeCompare(hash[:], live.Hash) == 1
		return same && !held && r.state.CodeFailures < MaxTries && id.o.Now().Before(live.Until)
	})
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

// numbers counts the codes of the last day by number, over all messages. It is lost at a restart, and need not be kept: it
// bounds the nuisance to a phone that has many links, and a restart gives no more than another share. What bounds
// guessing, the codes and tries of each message and its locks, is in the message's stream.
type numbers struct {
	mu    sync.Mutex // guards what follows
	sent  map[string][]time.Time
	swept time.Time
}

// When so many numbers are counted, those of more than a day ago are dropped, at most once an hour.
const manyNumbers = 100_000

func newNumbers() *numbers { return &numbers{sent: map[string][]time.Time{}} }

// take counts a code for the number, unless it had its share.
func (n *numbers) take(number string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.sent) >= manyNumbers && now.Sub(n.swept) >= time.Hour {
		n.swept = now
		for k, times := range n.sent {
			if within(times, now, 24*time.Hour) == 0 {
				delete(n.sent, k)
			}
		}
	}
	times := n.sent[number]
	if within(times, now, time.Hour) >= codesHour || within(times, now, 24*time.Hour) >= codesDay {
		return false
	}
	if len(times) >= codesDay {
		times = append(times[:0:0], times[1:]...)
	}
	n.sent[number] = append(times, now)
	return true
}
