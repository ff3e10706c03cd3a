package bind

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/smpp/smsc"
)

func carrier(t *testing.T) *smsc.Carrier {
	t.Helper()
	c, err := smsc.New(smsc.Config{Name: "docomo", Listen: "127.0.0.1:0", Accounts: []smsc.Account{{SystemID: "kakitome", Password: "secret"}}}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return c
}

// run starts a bind with the password in the file.
func run(t *testing.T, c *smsc.Carrier, file string, mode os.FileMode) *Bind {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte(file), mode))
	cfg := Default()
	cfg.Name, cfg.Carrier, cfg.Address, cfg.SystemID, cfg.PasswordFile = "docomo-1", "docomo", c.Addr(), "kakitome", path
	b := New(Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Handlers: Handlers{
		OnResults: func(*Bind, []session.Result) {}, OnRequests: func(*Bind, []session.Incoming) {}, OnBound: func(*Bind) {}}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done); require.Equal(t, Stopped, b.Status().State) })
	return b
}

func reaches(t *testing.T, b *Bind, s State) {
	t.Helper()
	require.Eventually(t, func() bool { return b.Status().State == s }, 10*time.Second, 5*time.Millisecond, "state is %s, not %s", b.Status().State, s)
}

func TestBindComesUpAndBackAfterADrop(t *testing.T) {
	c := carrier(t)
	b := run(t, c, "secret\n", 0o600)
	reaches(t, b, Bound)
	require.Equal(t, 100, b.Credit(true))
	require.Equal(t, 100-b.Reserve(), b.Credit(false))
	require.NoError(t, c.SetTrouble(smsc.Trouble{Down: true}))
	reaches(t, b, Waiting)
	require.Zero(t, b.Credit(true))
	require.NoError(t, c.SetTrouble(smsc.Trouble{}))
	b.Resume()
	reaches(t, b, Bound)
}

func TestWrongPasswordWaitsForAPerson(t *testing.T) {
	c := carrier(t)
	b := run(t, c, "wrong", 0o600)
	reaches(t, b, Refused)
	require.Contains(t, b.Status().Why, "ESME_RINVPASWD")
	tries := c.Counts().BindsRefused
	b.Resume()
	require.Eventually(t, func() bool { return c.Counts().BindsRefused == tries+1 }, 10*time.Second, 5*time.Millisecond)
	reaches(t, b, Refused)
}

func TestPasswordReadableByOthersIsNotUsed(t *testing.T) {
	c := carrier(t)
	b := run(t, c, "secret", 0o644)
	reaches(t, b, Waiting)
	require.Contains(t, b.Status().Why, "may be read by others")
	require.Zero(t, c.Counts().Binds)
}

func TestSlowedBindGivesNoCredit(t *testing.T) {
	b := run(t, carrier(t), "secret", 0o600)
	reaches(t, b, Bound)
	b.Slow(time.Hour)
	require.Zero(t, b.Credit(true))
	require.Zero(t, b.TrySubmit(make([]session.Request, 1), true))
}
