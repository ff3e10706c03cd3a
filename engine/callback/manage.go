package callback

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Spec is what a tenant asks for.
type Spec struct {
	URL     string   `json:"url"`
	Events  []string `json:"events,omitempty"`
	Numbers bool     `json:"numbers,omitempty"`
	Answers bool     `json:"answers,omitempty"`
	Paused  bool     `json:"paused,omitempty"`
	// Secret may be chosen for a new callback, so that its receiver can check the challenge; empty: one is made.
	Secret string `json:"secret,omitempty"`
}

// SpecOf is the spec of a callback as it is.
func SpecOf(cb *tenant.Callback) Spec {
	return Spec{URL: cb.URL, Events: cb.Events, Numbers: cb.Numbers, Answers: cb.Answers, Paused: cb.Paused}
}

// secretClass is the retention class under which secrets are sealed; its keys are never destroyed.
const secretClass = "callback"

// ErrChanged: somebody else changed the callback at the same time.
var ErrChanged = errors.New("the callback changed meanwhile")

// Put adds a callback, or changes the one of the name. A new address must answer the challenge first. secret is that of a
// new callback, to be shown once; empty: it is not new. Faults of the spec are message.Problems.
func (c *Callbacks) Put(ctx context.Context, id tenant.ID, name string, s Spec) (secret string, err error) {
	t := c.Directory.Now().Tenants[id]
	if t == nil {
		return "", fmt.Errorf("there is no tenant %q", id)
	}
	old, known := t.Callback(name)
	if ps := c.check(name, &s, known, len(t.Callbacks)); len(ps) > 0 {
		return "", ps
	}
	next := tenant.Callback{Name: name, URL: s.URL, Events: s.Events, Numbers: s.Numbers, Answers: s.Answers, Paused: s.Paused,
		ID: old.ID, Since: old.Since, Secrets: old.Secrets}
	keys := [][]byte{}
	if known {
		if keys, err = c.openSecrets(id, &old); err != nil {
			return "", err
		}
	} else {
		if secret = s.Secret; secret == "" {
			secret = NewSecret()
		}
		next.ID = tenant.NewCallbackID()
		sealed, err := c.seal(id, next.ID, secret)
		if err != nil {
			return "", err
		}
		next.Secrets = []tenant.CallbackSecret{{Sealed: sealed}}
		key, err := ParseSecret(secret)
		if err != nil {
			return "", err
		}
		keys = append(keys, key)
	}
	if !known || old.URL != s.URL {
		if p := c.challenge(ctx, id, s.URL, keys); p != nil {
			return "", message.Problems{*p}
		}
	}
	err = c.set(ctx, id, name, func(now tenant.Callback) (tenant.Callback, error) {
		if now.ID != old.ID || now.URL != old.URL {
			return now, ErrChanged
		}
		if next.Since.IsZero() {
			next.Since = c.Now()
		}
		if known {
			next.Secrets = now.Secrets
		}
		return next, nil
	})
	if err == nil && !s.Paused {
		c.wake(id, name)
	}
	return secret, err
}

func (c *Callbacks) set(ctx context.Context, id tenant.ID, name string, change func(tenant.Callback) (tenant.Callback, error)) error {
	if err := c.Directory.SetCallback(ctx, id, name, change); err != nil {
		return err
	}
	c.sync()
	return nil
}

var nameRule = "1 to 32 of a-z, 0-9, _ and -"

func (c *Callbacks) check(name string, s *Spec, known bool, have int) message.Problems {
	var ps message.Problems
	if !validName(name) {
		ps = append(ps, message.Problem{Field: "name", Code: "pattern", Detail: nameRule})
	}
	if !known && have >= tenant.MaxCallbacks {
		ps = append(ps, message.Problem{Field: "name", Code: "too_many", Limit: tenant.MaxCallbacks, Got: int64(have) + 1})
	}
	if s.URL = strings.TrimSpace(s.URL); s.URL == "" {
		ps = append(ps, message.Problem{Field: "url", Code: "required"})
	} else if err := c.Poster.CheckURL(s.URL); err != nil {
		ps = append(ps, message.Problem{Field: "url", Code: "refused", Detail: detailURL})
	}
	if len(s.Events) > len(Types) {
		ps = append(ps, message.Problem{Field: "events", Code: "too_many", Limit: int64(len(Types)), Got: int64(len(s.Events))})
	} else {
		for i, e := range s.Events {
			if !knownEvent(e) {
				ps = append(ps, message.Problem{Field: fmt.Sprintf("events[%d]", i), Code: "unknown"})
			}
		}
	}
	if s.Secret != "" {
		if _, err := ParseSecret(s.Secret); err != nil {
			ps = append(ps, message.Problem{Field: "secret", Code: "pattern", Detail: errSecret.Error()})
		} else if known {
			ps = append(ps, message.Problem{Field: "secret", Code: "refused", Detail: "a secret is replaced by its own request"})
		}
	}
	return ps
}

func validName(name string) bool {
	for i, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && (i == 0 || r != '_' && r != '-') {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 32
}

// What is wrong with an address, as the tenant is told: no more than that.
const (
	detailURL     = "an https address of the public internet, without user, password and fragment"
	detailReached = "the address gave no answer to the challenge"
	detailStatus  = "the address did not answer the challenge with 200"
	detailEcho    = "the address did not give the challenge back"
)

// Challenge is the data of callback.challenge, and what the receiver must answer.
type Challenge struct {
	Challenge string `json:"challenge"`
}

// challenge asks an address to prove that whoever runs it wants to be told.
func (c *Callbacks) challenge(ctx context.Context, id tenant.ID, url string, keys [][]byte) *message.Problem {
	now, word := c.Now(), rand.Text()
	body := Body{Type: CallbackChallenge, Timestamp: now, Tenant: id, Data: Challenge{word}}.encode()
	r, reply := c.post(ctx, url, Signed(keys, "chl_"+rand.Text(), now, body), body)
	refuse := func(detail string) *message.Problem {
		return &message.Problem{Field: "url", Code: "refused", Detail: detail}
	}
	switch {
	case r.why == "refused_address":
		return refuse(detailURL)
	case r.status == 0:
		return refuse(detailReached)
	case r.outcome != taken:
		return refuse(detailStatus)
	}
	var echo Challenge
	if json.Unmarshal(reply, &echo) != nil {
		echo.Challenge = strings.TrimSpace(string(reply))
	}
	if subtle.ConstantTimeCompare([]byte(echo.Challenge), []byte(word)) != 1 {
		return refuse(detailEcho)
	}
	return nil
}

// Rotate replaces the secret of a callback and returns the new one, to be shown once. The old one signs beside it for
// Config.Overlap; one that was still ending ends now. secret may be chosen; empty: one is made.
func (c *Callbacks) Rotate(ctx context.Context, id tenant.ID, name, secret string) (string, error) {
	if secret == "" {
		secret = NewSecret()
	} else if _, err := ParseSecret(secret); err != nil {
		return "", message.Problems{{Field: "secret", Code: "pattern", Detail: errSecret.Error()}}
	}
	return secret, c.set(ctx, id, name, func(cb tenant.Callback) (tenant.Callback, error) {
		if cb.ID == "" {
			return cb, tenant.ErrNoCallback
		}
		sealed, err := c.seal(id, cb.ID, secret)
		if err != nil {
			return cb, err
		}
		old := cb.Secrets[0]
		old.Until = c.Now().Add(c.Config.Overlap)
		cb.Secrets = []tenant.CallbackSecret{{Sealed: sealed}, old}
		return cb, nil
	})
}

// Pause ends or begins the sending to a callback. What happens meanwhile waits. Going on also ends the wait for a probe.
func (c *Callbacks) Pause(ctx context.Context, id tenant.ID, name string, pause bool) error {
	err := c.set(ctx, id, name, func(cb tenant.Callback) (tenant.Callback, error) {
		if cb.ID == "" {
			return cb, tenant.ErrNoCallback
		}
		cb.Paused = pause
		return cb, nil
	})
	if err == nil && !pause {
		c.wake(id, name)
	}
	return err
}

// wake ends the wait for the next probe: somebody says that the receiver works.
func (c *Callbacks) wake(id tenant.ID, name string) {
	cb, err := c.find(id, name)
	if err != nil {
		return // removed meanwhile
	}
	c.mu.Lock()
	e := c.endpoints[cb.ID]
	c.mu.Unlock()
	if e != nil {
		e.wake()
	}
}

// pauseGone pauses a callback whose receiver answered 410.
func (c *Callbacks) pauseGone(ctx context.Context, id tenant.ID, gone *tenant.Callback) error {
	c.Log.Warn("callback state", "tenant", id, "callback", gone.ID, "state", Paused, "why", "gone", "status", 410)
	return c.set(ctx, id, gone.Name, func(cb tenant.Callback) (tenant.Callback, error) {
		if cb.ID == gone.ID && cb.URL == gone.URL {
			cb.Paused = true
		}
		if cb.ID == "" {
			return cb, tenant.ErrNoCallback
		}
		return cb, nil
	})
}

// Remove ends a callback. What waits for it is dropped.
func (c *Callbacks) Remove(ctx context.Context, id tenant.ID, name string) error {
	if err := c.Directory.RemoveCallback(ctx, id, name); err != nil {
		return err
	}
	c.sync()
	return nil
}

// Tried is what came of a test.
type Tried struct {
	Taken  bool   `json:"taken"`
	Status int    `json:"status,omitempty"` // HTTP; absent: no reply
	Why    string `json:"why,omitempty"`    // as in Status.Why
}

// Test posts a callback.test, signed like a notice, once.
func (c *Callbacks) Test(ctx context.Context, id tenant.ID, name string) (Tried, error) {
	cb, err := c.find(id, name)
	if err != nil {
		return Tried{}, err
	}
	keys, err := c.openSecrets(id, &cb)
	if err != nil {
		return Tried{}, err
	}
	now := c.Now()
	body := Body{Type: CallbackTest, Timestamp: now, Tenant: id, Data: struct{}{}}.encode()
	r, _ := c.post(ctx, cb.URL, Signed(keys, "tst_"+rand.Text(), now, body), body)
	return Tried{r.outcome == taken, r.status, r.why}, nil
}

func (c *Callbacks) find(id tenant.ID, name string) (tenant.Callback, error) {
	t := c.Directory.Now().Tenants[id]
	if t == nil {
		return tenant.Callback{}, tenant.ErrNoCallback
	}
	cb, ok := t.Callback(name)
	if !ok {
		return cb, tenant.ErrNoCallback
	}
	return cb, nil
}

func secretAAD(callback string) string { return "callback/" + callback }

func (c *Callbacks) seal(id tenant.ID, callback, secret string) ([]byte, error) {
	box, err := c.Store.Seal(id, secretClass, c.Now(), secretAAD(callback), []byte(secret))
	if err != nil {
		return nil, fmt.Errorf("seal the secret of a callback: %w", err)
	}
	return box, nil
}

// openSecrets returns the keys of all secrets of a callback, in order.
func (c *Callbacks) openSecrets(id tenant.ID, cb *tenant.Callback) ([][]byte, error) {
	keys := make([][]byte, len(cb.Secrets))
	for i, s := range cb.Secrets {
		plain, err := c.Store.Open(id, secretAAD(cb.ID), s.Sealed)
		if err == nil {
			keys[i], err = ParseSecret(string(plain))
		}
		if err != nil {
			return nil, fmt.Errorf("open the secret of callback %s: %w", cb.Name, err)
		}
	}
	return keys, nil
}

// Overlapping reports until when a replaced secret still signs; zero: none does.
func Overlapping(cb *tenant.Callback, now time.Time) time.Time {
	i := slices.IndexFunc(cb.Secrets, func(s tenant.CallbackSecret) bool { return now.Before(s.Until) })
	if i < 0 {
		return time.Time{}
	}
	return cb.Secrets[i].Until
}
