package signin

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// MinPassword is how many characters a password that a person chose must have. There is no rule of kinds: NIST SP 800-63B.
const MinPassword, MaxPassword = 12, 128

// checksAtOnce bounds the memory of passwords being compared (64 MiB each), waitingMost how many wait for it.
const checksAtOnce, waitingMost = 2, 32

// vaultClass is the retention class of users' secrets; its keys are never destroyed.
const vaultClass = "account"

var (
	// ErrRefused: wrong login, password or code. It does not say which.
	ErrRefused = errors.New("sign-in refused")
	// ErrBusy: too many sign-ins at once.
	ErrBusy = errors.New("too many sign-ins at once")
)

// WaitError says that it is too early for another try.
type WaitError struct{ For time.Duration }

func (e *WaitError) Error() string {
	return fmt.Sprintf("too many tries; wait %s", e.For.Round(time.Second))
}

// Audit is what this package needs of engine/audit.
type Audit interface {
	Record(ctx context.Context, id tenant.ID, e audit.Entry) error
	Day(ctx context.Context, scope tenant.Scope, id tenant.ID, at time.Time) ([]audit.Entry, error)
}

// Vault seals users' secrets; *store.Store is one.
type Vault interface {
	Seal(id tenant.ID, class string, day time.Time, aad string, plain []byte) ([]byte, error)
	Open(id tenant.ID, aad string, box []byte) ([]byte, error)
}

// Options of a Door. Directory, Audit, Vault and Key are required.
type Options struct {
	Directory *tenant.Directory
	Audit     Audit
	Vault     Vault
	Key       []byte           // at least 32 secret bytes; another key signs everybody out
	Now       func() time.Time // nil: clock.Now
}

// Door lets people in. Safe for concurrent use; it has no goroutines.
type Door struct {
	directory *tenant.Directory
	users     func() *tenant.Snapshot
	audit     Audit
	vault     Vault
	now       func() time.Time
	aead      cipher.AEAD
	macKey    []byte

	accounts, addresses throttle
	checks              chan struct{} // checksAtOnce places
	waiting             chan struct{} // waitingMost places

	mu    sync.Mutex // guards the rest
	seats map[string]*seat
	steps map[string]int64 // by login: the time step of the last code that was taken
	swept time.Time
}

// New makes a Door.
func New(o Options) (*Door, error) {
	if o.Directory == nil || o.Audit == nil || o.Vault == nil {
		return nil, errors.New("signin: directory, audit and vault are required")
	}
	if len(o.Key) < 32 {
		return nil, fmt.Errorf("signin: key must have at least 32 bytes, not %d", len(o.Key))
	}
	d := &Door{directory: o.Directory, users: o.Directory.Now, audit: o.Audit, vault: o.Vault, now: o.Now,
		accounts:  throttle{free: accountFree, most: accountMost, entries: map[string]*failures{}},
		addresses: throttle{free: addressFree, most: addressMost, entries: map[string]*failures{}},
		checks:    make(chan struct{}, checksAtOnce), waiting: make(chan struct{}, waitingMost),
		seats: map[string]*seat{}, steps: map[string]int64{}}
	if d.now == nil {
		d.now = clock.Now
	}
	derive := func(purpose string) []byte {
		h := hmac.New(sha256.New, o.Key)
		h.Write([]byte("console " + purpose))
		return h.Sum(nil)
	}
	d.macKey = derive("mac")
	block, err := aes.NewCipher(derive("seal"))
	if err != nil {
		return nil, err
	}
	d.aead, err = cipher.NewGCM(block)
	return d, err
}

// Password is the first step. The session's Stage says what is missing. Errors: ErrRefused, *WaitError, ErrBusy, those
// of ctx and of the audit log.
func (d *Door) Password(ctx context.Context, login, password string, from netip.Addr) (Session, error) {
	login = strings.ToLower(strings.TrimSpace(login))
	if len(login) > 64 || len(password) > 4*MaxPassword {
		login, password = "", ""
	}
	if err := d.reserve(login, from); err != nil {
		return Session{}, err
	}
	u := d.users().Users[login]
	hash := ""
	if u != nil && !u.Disabled {
		hash = u.Password
	}
	ok, err := d.compare(ctx, hash, password)
	if err != nil {
		d.accounts.release(login)
		d.addresses.release(network(from))
		return Session{}, err
	}
	if !ok {
		// Also a login that nobody has is recorded, or the time of the answer would tell that it is none. What was typed is
		// not quoted: it may be a password.
		in, by := tenant.OperatorID, "unknown"
		if u != nil {
			in, by = u.Tenant, "user:"+login
		}
		err = d.audit.Record(ctx, in, audit.Entry{By: by, From: from.String(), Action: "signin.refused"})
		return Session{}, errors.Join(ErrRefused, err)
	}
	d.addresses.release(network(from))
	switch {
	case len(u.TOTP) > 0:
		d.accounts.release(login) // the code is guessed against the same count
		return d.newSession(u, Code), nil
	case d.MustHaveTOTP(u):
		d.accounts.clear(login)
		return d.newSession(u, Enrol), nil
	}
	d.accounts.clear(login)
	return d.enter(ctx, u, from)
}

// Code is the second step: the authenticator's code. The session of the first step ends when it is right.
func (d *Door) Code(ctx context.Context, s Session, code string, from netip.Addr) (Session, error) {
	u := d.users().Users[s.Login]
	if u == nil || s.Stage != Code || len(u.TOTP) == 0 {
		return Session{}, ErrNoSession
	}
	if err := d.reserve(s.Login, from); err != nil {
		return Session{}, err
	}
	secret, err := d.vault.Open(u.Tenant, "totp/"+u.Login, u.TOTP)
	if err != nil {
		return Session{}, fmt.Errorf("open second factor: %w", err)
	}
	if !d.checkCode(u.Login, string(secret), code) {
		err := d.audit.Record(ctx, u.Tenant, audit.Entry{By: "user:" + u.Login, From: from.String(), Action: "signin.refused", Detail: "code"})
		return Session{}, errors.Join(ErrRefused, err)
	}
	d.addresses.release(network(from))
	d.accounts.clear(s.Login)
	d.end(s)
	return d.enter(ctx, u, from)
}

// enter makes the session of somebody who has shown all that is asked for, once it is on record.
func (d *Door) enter(ctx context.Context, u *tenant.User, from netip.Addr) (Session, error) {
	s := d.newSession(u, Full)
	err := d.audit.Record(ctx, u.Tenant, audit.Entry{By: "user:" + u.Login, From: from.String(), Action: "signin.ok", Target: d.name(s)})
	if err != nil {
		d.end(s)
		return Session{}, err
	}
	return s, nil
}

// Leave signs out, for good once it is on record.
func (d *Door) Leave(ctx context.Context, s Session, from netip.Addr) error {
	u := d.users().Users[s.Login]
	d.end(s)
	if u == nil {
		return nil
	}
	return d.audit.Record(ctx, u.Tenant, audit.Entry{By: "user:" + u.Login, From: from.String(), Action: "signout", Target: d.name(s)})
}

// signedOut looks for the session among those that left since it began.
func (d *Door) signedOut(ctx context.Context, u *tenant.User, s Session, now time.Time) (bool, error) {
	name := d.name(s)
	days := map[string]time.Time{message.Day(s.Since): s.Since, message.Day(now): now}
	for _, at := range days {
		entries, err := d.audit.Day(ctx, tenant.Only(u.Tenant), u.Tenant, at)
		if err != nil {
			return false, fmt.Errorf("look for the end of a session: %w", err)
		}
		for _, e := range entries {
			if e.Action == "signout" && e.Target == name {
				return true, nil
			}
		}
	}
	return false, nil
}

// reserve counts a try of account and address, or says how long to wait.
func (d *Door) reserve(login string, from netip.Addr) error {
	now := d.now()
	if wait := d.addresses.reserve(network(from), now); wait > 0 {
		return &WaitError{wait}
	}
	if wait := d.accounts.reserve(login, now); wait > 0 {
		d.addresses.release(network(from))
		return &WaitError{wait}
	}
	return nil
}

// network is the address, or the /64 of IPv6: a subscriber has all of it.
func network(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// compare compares a password when it is its turn.
func (d *Door) compare(ctx context.Context, hash, password string) (bool, error) {
	select {
	case d.waiting <- struct{}{}:
		defer func() { <-d.waiting }()
	default:
		return false, ErrBusy
	}
	select {
	case d.checks <- struct{}{}:
		defer func() { <-d.checks }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return tenant.CheckPassword(hash, password), nil
}

// MustHaveTOTP reports whether the user may not sign in without a second factor: who sees numbers or money of a tenant
// that did not make it optional. The operator sees all tenants: one that wants it is enough, and so is having none yet.
func (d *Door) MustHaveTOTP(u *tenant.User) bool {
	snap := d.users()
	switch u.Role {
	case tenant.RoleAdmin:
		t := snap.Tenants[u.Tenant]
		return t != nil && !t.Policy.OptionalTOTP
	case tenant.RoleOperator:
		for _, t := range snap.Tenants {
			if !t.Policy.OptionalTOTP {
				return true
			}
		}
		return len(snap.Tenants) == 0
	}
	return false
}

// Factor is a second factor that is being set up.
type Factor struct {
	Secret string // base32, to be typed
	QR     []byte // PNG
	Sealed string // goes through the form and comes back to Confirm
}

// Begin makes a second factor for the session's user. Nothing is stored.
func (d *Door) Begin(s Session) (Factor, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "Kakitome", AccountName: s.Login, SecretSize: 20})
	if err != nil {
		return Factor{}, fmt.Errorf("make second factor: %w", err)
	}
	return d.factor(s, key)
}

// Again shows the factor of a form once more.
func (d *Door) Again(s Session, sealed string) (Factor, error) {
	text, ok := d.open("factor/"+string(s.ID), sealed)
	if !ok {
		return d.Begin(s)
	}
	key, err := otp.NewKeyFromURL(string(text))
	if err != nil {
		return Factor{}, err
	}
	return d.factor(s, key)
}

func (d *Door) factor(s Session, key *otp.Key) (Factor, error) {
	img, err := key.Image(220, 220)
	if err != nil {
		return Factor{}, fmt.Errorf("draw second factor: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return Factor{}, err
	}
	return Factor{Secret: key.Secret(), QR: b.Bytes(), Sealed: d.seal("factor/"+string(s.ID), []byte(key.URL()))}, nil
}

// Confirm stores a second factor when the code shows that the authenticator has it. The session ends and a new one takes
// its place.
func (d *Door) Confirm(ctx context.Context, s Session, sealed, code string, from netip.Addr) (Session, error) {
	u := d.users().Users[s.Login]
	text, ok := d.open("factor/"+string(s.ID), sealed)
	if u == nil || !ok {
		return Session{}, ErrNoSession
	}
	key, err := otp.NewKeyFromURL(string(text))
	if err != nil {
		return Session{}, err
	}
	if err := d.reserve(s.Login, from); err != nil {
		return Session{}, err
	}
	if !d.checkCode(u.Login, key.Secret(), code) {
		return Session{}, ErrRefused
	}
	d.addresses.release(network(from))
	d.accounts.clear(s.Login)
	box, err := d.vault.Seal(u.Tenant, vaultClass, d.now(), "totp/"+u.Login, []byte(key.Secret()))
	if err != nil {
		return Session{}, fmt.Errorf("seal second factor: %w", err)
	}
	return d.set(ctx, s, u, from, "totp", func(u *tenant.User) { u.TOTP = box })
}

// ChangePassword sets the user's own password. All other sessions end. Errors: ErrRefused (the old one is wrong),
// message.Problems, and as for Password.
func (d *Door) ChangePassword(ctx context.Context, s Session, old, password string, from netip.Addr) (Session, error) {
	u := d.users().Users[s.Login]
	if u == nil {
		return Session{}, ErrNoSession
	}
	if n := utf8.RuneCountInString(password); n < MinPassword {
		return Session{}, message.Problems{{Field: "password", Code: "too_short", Limit: MinPassword, Got: int64(n)}}
	} else if n > MaxPassword {
		return Session{}, message.Problems{{Field: "password", Code: "too_long", Limit: MaxPassword, Got: int64(n)}}
	}
	if strings.Contains(strings.ToLower(password), u.Login) {
		return Session{}, message.Problems{{Field: "password", Code: "refused"}}
	}
	if err := d.reserve(s.Login, from); err != nil {
		return Session{}, err
	}
	ok, err := d.compare(ctx, u.Password, old)
	if err != nil {
		return Session{}, err
	}
	if !ok {
		return Session{}, ErrRefused
	}
	d.addresses.release(network(from))
	d.accounts.clear(s.Login)
	hash := tenant.HashPassword(password)
	return d.set(ctx, s, u, from, "password", func(u *tenant.User) { u.Password = hash })
}

// set changes the session's own user, unless the session came to its end meanwhile, and gives a new one in its place.
func (d *Door) set(ctx context.Context, s Session, u *tenant.User, from netip.Addr, what string, change func(*tenant.User)) (Session, error) {
	if err := d.audit.Record(ctx, u.Tenant, audit.Entry{By: "user:" + u.Login, From: from.String(), Action: "user.set", Target: u.Login, Detail: what}); err != nil {
		return Session{}, err
	}
	next, err := d.directory.ChangeUser(ctx, u.Login, func(u *tenant.User) error {
		if !d.holds(s, u) {
			return ErrNoSession
		}
		change(u)
		return nil
	})
	if err != nil {
		return Session{}, fmt.Errorf("set user: %w", err)
	}
	d.end(s)
	return d.enter(ctx, &next, from)
}

// checkCode compares a code with those of now and of the 30 seconds before and after. RFC 6238 §5.2: none is taken twice.
func (d *Door) checkCode(login, secret, code string) bool {
	code = strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return r
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		}
		return -1
	}, code)
	now := d.now()
	opts := totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	for _, shift := range []int64{0, -1, 1} {
		at := now.Add(time.Duration(shift) * 30 * time.Second)
		ok, err := totp.ValidateCustom(code, secret, at, opts)
		if err != nil || !ok {
			continue
		}
		step := at.Unix() / 30
		d.mu.Lock()
		defer d.mu.Unlock()
		// "secret" is in the key so that a new factor can be confirmed and used within one step
		key := login + "\x00" + base64.RawStdEncoding.EncodeToString(sumOf(secret))
		if d.steps[key] >= step {
			return false
		}
		d.steps[key] = step
		return true
	}
	return false
}

func sumOf(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:8]
}
