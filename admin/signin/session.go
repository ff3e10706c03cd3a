package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	Idle     = 30 * time.Minute // without a request
	Life     = 12 * time.Hour   // at the most
	StepTime = 10 * time.Minute // between password and second factor
	Unmasked = 15 * time.Minute // numbers are shown whole

	renewAfter = time.Minute // the cookie is written again, so that a restart knows when the session was last used
)

// Stage is how far a sign-in is.
type Stage string

const (
	Full  Stage = ""      // signed in
	Code  Stage = "code"  // the password was right; the authenticator's code is missing
	Enrol Stage = "enrol" // the password was right; an authenticator must be set up
)

// ErrNoSession: there is none, or it has ended.
var ErrNoSession = errors.New("no session")

// Session is somebody at the console. It is made by Door and never changes.
type Session struct {
	ID    []byte    `json:"i"` // 32 random bytes
	Login string    `json:"l"`
	Stage Stage     `json:"g,omitempty"`
	Mark  []byte    `json:"m"` // of the user's credentials
	Since time.Time `json:"s"`
	Seen  time.Time `json:"n"`
}

// seat is what this process knows of a session.
type seat struct {
	seen     time.Time
	gone     bool
	unmasked time.Time
}

func (d *Door) newSession(u *tenant.User, stage Stage) Session {
	now := d.now()
	s := Session{ID: make([]byte, 32), Login: u.Login, Stage: stage, Mark: d.mark(u), Since: now, Seen: now}
	rand.Read(s.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(now)
	d.seats[string(s.ID)] = &seat{seen: now}
	return s
}

// sweep forgets sessions that cannot come back.
func (d *Door) sweep(now time.Time) {
	if now.Sub(d.swept) < time.Minute {
		return
	}
	d.swept = now
	for id, st := range d.seats {
		if now.Sub(st.seen) > Life {
			delete(d.seats, id)
		}
	}
}

// mark changes with the user's password, second factor, role and state.
func (d *Door) mark(u *tenant.User) []byte {
	h := hmac.New(sha256.New, d.macKey)
	fmt.Fprintf(h, "mark\x00%s\x00%s\x00%x\x00%s\x00%s\x00%t", u.Login, u.Password, u.TOTP, u.Tenant, u.Role, u.Disabled)
	return h.Sum(nil)[:16]
}

// holds reports whether the user (nil: there is none) is still what it was when the session began.
func (d *Door) holds(s Session, u *tenant.User) bool {
	return u != nil && !u.Disabled && subtle.ConstantTimeCompare(s.Mark, d.mark(u)) == 1
}

// Cookie is the session as its browser keeps it.
func (d *Door) Cookie(s Session) string {
	plain, _ := json.Marshal(s) // cannot fail
	return d.seal("session", plain)
}

// Resume reads a cookie. renew says that the session's cookie should be written again. The error is ErrNoSession, or
// the store's.
func (d *Door) Resume(ctx context.Context, cookie string) (s Session, u *tenant.User, renew bool, err error) {
	plain, ok := d.open("session", cookie)
	if !ok || json.Unmarshal(plain, &s) != nil || len(s.ID) != 32 {
		return Session{}, nil, false, ErrNoSession
	}
	now := d.now()
	u = d.users().Users[s.Login]
	if !d.holds(s, u) {
		return Session{}, nil, false, ErrNoSession
	}
	if now.Sub(s.Since) > Life || s.Stage != Full && now.Sub(s.Since) > StepTime {
		return Session{}, nil, false, ErrNoSession
	}
	d.mu.Lock()
	st := d.seats[string(s.ID)]
	d.mu.Unlock()
	if st == nil { // from before a restart
		if now.Sub(s.Seen) > Idle {
			return Session{}, nil, false, ErrNoSession
		}
		gone, err := d.signedOut(ctx, u, s, now)
		if err != nil {
			return Session{}, nil, false, err
		}
		d.mu.Lock()
		if st = d.seats[string(s.ID)]; st == nil {
			st = &seat{seen: s.Seen, gone: gone}
			d.seats[string(s.ID)] = st
		}
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if st.gone || now.Sub(st.seen) > Idle {
		return Session{}, nil, false, ErrNoSession
	}
	st.seen = now
	renew = now.Sub(s.Seen) > renewAfter
	if renew {
		s.Seen = now
	}
	return s, u, renew, nil
}

// Alive reports whether a session still holds, without counting as a request: a page that is open does not keep its
// reader signed in.
func (d *Door) Alive(s Session) bool {
	u := d.users().Users[s.Login]
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.seats[string(s.ID)]
	return st != nil && !st.gone && now.Sub(st.seen) <= Idle && now.Sub(s.Since) <= Life && d.holds(s, u)
}

// end makes the session's id worthless for this process.
func (d *Door) end(s Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if st := d.seats[string(s.ID)]; st != nil {
		st.gone = true
	}
}

// SetUnmasked shows numbers whole in the session for a while, or masks them again.
func (d *Door) SetUnmasked(s Session, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if st := d.seats[string(s.ID)]; st != nil {
		st.unmasked = time.Time{}
		if on {
			st.unmasked = d.now().Add(Unmasked)
		}
	}
}

// Unmasked reports whether numbers are shown whole.
func (d *Door) Unmasked(s Session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.seats[string(s.ID)]
	return st != nil && d.now().Before(st.unmasked)
}

// CSRF is the token that each form of the session carries.
func (d *Door) CSRF(s Session) string {
	h := hmac.New(sha256.New, d.macKey)
	h.Write([]byte("csrf\x00"))
	h.Write(s.ID)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// CheckCSRF compares a form's token in constant time.
func (d *Door) CheckCSRF(s Session, token string) bool {
	return subtle.ConstantTimeCompare([]byte(d.CSRF(s)), []byte(token)) == 1
}

// name is the session in the audit log: it says nothing of the id.
func (d *Door) name(s Session) string {
	h := hmac.New(sha256.New, d.macKey)
	h.Write([]byte("session\x00"))
	h.Write(s.ID)
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Seal makes a value that only this console can read, for a place (kind) of its own.
func (d *Door) Seal(kind string, plain []byte) string { return d.seal("value/"+kind, plain) }

// Open reads a value of Seal.
func (d *Door) Open(kind, text string) ([]byte, bool) { return d.open("value/"+kind, text) }

func (d *Door) seal(kind string, plain []byte) string {
	nonce := make([]byte, d.aead.NonceSize())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(d.aead.Seal(nonce, nonce, plain, []byte(kind)))
}

func (d *Door) open(kind, text string) ([]byte, bool) {
	box, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(box) < d.aead.NonceSize() {
		return nil, false
	}
	plain, err := d.aead.Open(nil, box[:d.aead.NonceSize()], box[d.aead.NonceSize():], []byte(kind))
	return plain, err == nil
}
