package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/tenant"
)

// record is an audit log, a directory's log and a vault in memory.
type record struct {
	mu      sync.Mutex // guards all below
	entries []audit.Entry
	events  []tenant.Event
	broken  error
}

func (r *record) Record(_ context.Context, _ tenant.ID, e audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
	return r.broken
}

func (r *record) Day(context.Context, tenant.Scope, tenant.ID, time.Time) ([]audit.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]audit.Entry(nil), r.entries...), nil
}

func (r *record) Append(_ context.Context, expect int, events []tenant.Event) error {
	r.events = append(r.events, events...)
	return nil
}
func (r *record) Replay(context.Context) ([]tenant.Event, error) { return r.events, nil }
func (r *record) Seal(_ tenant.ID, _ string, _ time.Time, aad string, plain []byte) ([]byte, error) {
	return append([]byte(aad+"\x00"), plain...), nil
}
func (r *record) Open(_ tenant.ID, aad string, box []byte) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(box), aad+"\x00")
	if !ok {
		return nil, errors.New("another place")
	}
	return []byte(plain), nil
}

const password = "correct horse battery"

var here = netip.MustParseAddr("192.0.2.1")

// hash is one of the password that costs little; TestRealHashLetsIn uses one as they are stored.
func hash() string {
	salt := []byte("sixteen bytes ..")
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=64,t=1,p=1$%s$%s", argon2.Version, enc(salt), enc(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
}

func open(t *testing.T, r *record, optional bool) *Door {
	dir, err := tenant.OpenDirectory(t.Context(), r)
	require.NoError(t, err)
	if len(r.events) == 0 {
		require.NoError(t, dir.Apply(t.Context(), tenant.Tenant{ID: "mizu", Name: "〇〇", Brand: tenant.Brand{Phone: "000-000-0000"}, Senders: []tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}}, Policy: tenant.Policy{OptionalTOTP: optional}}))
		for login, role := range map[string]tenant.Role{"hanako": tenant.RoleAdmin, "taro": tenant.RoleSender} {
			require.NoError(t, dir.AddUser(t.Context(), tenant.User{Login: login, Tenant: "mizu", Role: role, Password: hash()}))
		}
	}
	d, err := New(Options{Directory: dir, Audit: r, Vault: r, Key: []byte(strings.Repeat("k", 32))})
	require.NoError(t, err)
	return d
}

func TestTriesWaitLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &record{}, true)
		var wait *WaitError
		for range accountFree {
			_, err := d.Password(t.Context(), "taro", "wrong", here)
			require.ErrorIs(t, err, ErrRefused)
		}
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			_, err := d.Password(t.Context(), "taro", password, here)
			require.ErrorAs(t, err, &wait, "also the right password waits")
			require.InDelta(t, want.Seconds(), wait.For.Seconds(), 0.1)
			time.Sleep(wait.For)
			_, err = d.Password(t.Context(), "taro", "wrong", netip.MustParseAddr("198.51.100.9"))
			require.ErrorIs(t, err, ErrRefused)
		}
		_, err := d.Password(t.Context(), "taro", "wrong", netip.MustParseAddr("198.51.100.7"))
		require.ErrorAs(t, err, &wait, "another address does not help")
		time.Sleep(wait.For)
		s, err := d.Password(t.Context(), "taro", password, here)
		require.NoError(t, err)
		require.Equal(t, Full, s.Stage)
	})
}

func TestAddressIsSlowedOverAllAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &record{}, true)
		var wait *WaitError
		var err error
		for i := range addressFree + 1 {
			login := fmt.Sprintf("user%02d", i)
			require.NoError(t, d.directory.AddUser(t.Context(), tenant.User{Login: login, Tenant: "mizu", Role: tenant.RoleSender, Password: hash()}))
			_, err = d.Password(t.Context(), login, "wrong", netip.MustParseAddr("2001:db8::1"))
		}
		require.ErrorAs(t, err, &wait)
		_, err = d.Password(t.Context(), "taro", password, netip.MustParseAddr("2001:db8::ffff"))
		require.ErrorAs(t, err, &wait, "the same /64")
		_, err = d.Password(t.Context(), "taro", password, here)
		require.NoError(t, err)
	})
}

func TestUnknownLoginIsTreatedAsAWrongPassword(t *testing.T) {
	r := &record{}
	d := open(t, r, true)
	for i, login := range []string{"taro", "nobody", "correct horse battery", strings.Repeat("x", 1000)} {
		_, err := d.Password(t.Context(), login, "wrong", here)
		require.ErrorIs(t, err, ErrRefused)
		require.Len(t, r.entries, i+1, "what is on disk before the answer makes most of the difference in time")
		require.NotContains(t, fmt.Sprint(r.entries), "horse", "people type passwords there")
	}
	require.Equal(t, []string{"user:taro", "unknown"}, []string{r.entries[0].By, r.entries[1].By})
}

// Whoever has the password can ask for the code step as often as he likes: that buys no more codes.
func TestCodesAreGuessedAgainstTheCountOfTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &record{}, false)
		s, err := d.Password(t.Context(), "hanako", password, here)
		require.NoError(t, err)
		f, err := d.Begin(s)
		require.NoError(t, err)
		code, err := totp.GenerateCode(f.Secret, time.Now())
		require.NoError(t, err)
		_, err = d.Confirm(t.Context(), s, f.Sealed, code, here)
		require.NoError(t, err)
		guesses, began := 0, time.Now()
		var wait *WaitError
		for i := 0; time.Since(began) < time.Hour; i++ {
			from := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) // another one each time
			s, err := d.Password(t.Context(), "hanako", password, from)
			if err == nil {
				_, err = d.Code(t.Context(), s, "000000", from)
			}
			if errors.As(err, &wait) {
				time.Sleep(wait.For)
				continue
			}
			require.ErrorIs(t, err, ErrRefused)
			guesses++
		}
		require.Less(t, guesses, 30)
	})
}

func TestPasswordsAreComparedInTurnAndTheQueueIsBounded(t *testing.T) {
	d := open(t, &record{}, true)
	for range waitingMost {
		d.waiting <- struct{}{}
	}
	for range 2 * accountFree {
		_, err := d.Password(t.Context(), "taro", "wrong", here)
		require.ErrorIs(t, err, ErrBusy, "and it counts against nobody")
	}
	<-d.waiting
	_, err := d.Password(t.Context(), "taro", password, here)
	require.NoError(t, err)
	for range checksAtOnce {
		d.checks <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Password(gone, "taro", password, here)
	require.ErrorIs(t, err, context.Canceled, "whoever leaves the queue is compared no more")
}

func TestSessionEndsAfterSilenceAndAfterItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &record{}, true)
		s, err := d.Password(t.Context(), "taro", password, here)
		require.NoError(t, err)
		cookie := d.Cookie(s)
		for range 26 {
			time.Sleep(Idle - time.Minute)
			got, _, renew, err := d.Resume(t.Context(), cookie)
			if time.Since(s.Since) > Life {
				require.ErrorIs(t, err, ErrNoSession)
				return
			}
			require.NoError(t, err)
			require.True(t, renew)
			cookie = d.Cookie(got)
		}
		t.Fatal("the session never ended")
	})
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &record{}, true)
		s, err := d.Password(t.Context(), "taro", password, here)
		require.NoError(t, err)
		require.True(t, d.Alive(s))
		time.Sleep(Idle + time.Second)
		require.False(t, d.Alive(s))
		_, _, _, err = d.Resume(t.Context(), d.Cookie(s))
		require.ErrorIs(t, err, ErrNoSession)
	})
}

func TestSessionSurvivesARestartButASignOutToo(t *testing.T) {
	r := &record{}
	d := open(t, r, true)
	stays, err := d.Password(t.Context(), "taro", password, here)
	require.NoError(t, err)
	leaves, err := d.Password(t.Context(), "taro", password, here)
	require.NoError(t, err)
	require.NoError(t, d.Leave(t.Context(), leaves, here))
	d = open(t, r, true)
	_, u, _, err := d.Resume(t.Context(), d.Cookie(stays))
	require.NoError(t, err)
	require.Equal(t, "taro", u.Login)
	_, _, _, err = d.Resume(t.Context(), d.Cookie(leaves))
	require.ErrorIs(t, err, ErrNoSession)
	for _, cookie := range []string{"", "x", d.Cookie(stays)[:40], d.Seal("session", []byte(`{}`))} {
		_, _, _, err = d.Resume(t.Context(), cookie)
		require.ErrorIs(t, err, ErrNoSession)
	}
}

func TestChangedPasswordEndsOtherSessions(t *testing.T) {
	d := open(t, &record{}, true)
	a, err := d.Password(t.Context(), "taro", password, here)
	require.NoError(t, err)
	b, err := d.Password(t.Context(), "taro", password, here)
	require.NoError(t, err)
	_, err = d.ChangePassword(t.Context(), a, "wrong", "another long password", here)
	require.ErrorIs(t, err, ErrRefused)
	_, err = d.ChangePassword(t.Context(), a, password, "short", here)
	require.Error(t, err)
	c, err := d.ChangePassword(t.Context(), a, password, "another long password", here)
	require.NoError(t, err)
	for _, s := range []Session{a, b} {
		_, _, _, err = d.Resume(t.Context(), d.Cookie(s))
		require.ErrorIs(t, err, ErrNoSession)
	}
	_, _, _, err = d.Resume(t.Context(), d.Cookie(c))
	require.NoError(t, err)
}

// meddler does something at the moment at which what follows is put on record.
type meddler struct {
	*record
	do func()
}

func (m *meddler) Record(ctx context.Context, id tenant.ID, e audit.Entry) error {
	m.do()
	return m.record.Record(ctx, id, e)
}

func TestWhoIsDisabledMeanwhileDoesNotUndoIt(t *testing.T) {
	for _, change := range []func(*tenant.User){
		func(u *tenant.User) { u.Disabled = true },
		func(u *tenant.User) { u.Role = tenant.RoleViewer },
		func(u *tenant.User) { u.Password = "another one" },
	} {
		d := open(t, &record{}, true)
		s, err := d.Password(t.Context(), "taro", password, here)
		require.NoError(t, err)
		d.audit = &meddler{&record{}, func() {
			_, err := d.directory.ChangeUser(t.Context(), "taro", func(u *tenant.User) error { change(u); return nil })
			require.NoError(t, err)
		}}
		want := *d.users().Users["taro"]
		change(&want)
		_, err = d.ChangePassword(t.Context(), s, password, "another long password", here)
		require.ErrorIs(t, err, ErrNoSession)
		require.Equal(t, want, *d.users().Users["taro"])
	}
}

func TestSecondFactorIsSetUpThenAskedForAndUsedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &record{}, false)
		s, err := d.Password(t.Context(), "hanako", password, here)
		require.NoError(t, err)
		require.Equal(t, Enrol, s.Stage)
		f, err := d.Begin(s)
		require.NoError(t, err)
		require.NotEmpty(t, f.QR)
		_, err = d.Confirm(t.Context(), s, f.Sealed, "000000", here)
		require.ErrorIs(t, err, ErrRefused)
		code, err := totp.GenerateCode(f.Secret, time.Now())
		require.NoError(t, err)
		full, err := d.Confirm(t.Context(), s, f.Sealed, code, here)
		require.NoError(t, err)
		require.Equal(t, Full, full.Stage)
		require.NotEqual(t, s.ID, full.ID)

		next, err := d.Password(t.Context(), "hanako", password, here)
		require.NoError(t, err)
		require.Equal(t, Code, next.Stage)
		_, err = d.Code(t.Context(), next, code, here)
		require.ErrorIs(t, err, ErrRefused, "a code is good once")
		time.Sleep(31 * time.Second)
		code, err = totp.GenerateCode(f.Secret, time.Now())
		require.NoError(t, err)
		_, err = d.Code(t.Context(), next, code, here)
		require.NoError(t, err)
		_, err = d.Password(t.Context(), "taro", password, here)
		require.NoError(t, err, "a sender needs none")
	})
}

func TestRealHashLetsIn(t *testing.T) {
	r := &record{}
	d := open(t, r, true)
	_, err := d.ChangePassword(t.Context(), d.newSession(d.users().Users["taro"], Full), password, "another long password", here)
	require.NoError(t, err)
	require.Contains(t, d.users().Users["taro"].Password, "$m=65536,", "stored at full cost")
	_, err = d.Password(t.Context(), "taro", password, here)
	require.ErrorIs(t, err, ErrRefused)
	_, err = d.Password(t.Context(), "taro", "another long password", here)
	require.NoError(t, err)
}

func TestNoSessionWithoutARecord(t *testing.T) {
	r := &record{broken: errors.New("disk")}
	_, err := open(t, r, true).Password(t.Context(), "taro", password, here)
	require.ErrorIs(t, err, r.broken)
}
