package bind

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
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
func run(t *testing.T, c *smsc.Carrier, file string, mode os.FileMode, change ...func(*Config)) *Bind {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte(file), mode))
	cfg := Default()
	cfg.Name, cfg.Carrier, cfg.Address, cfg.SystemID, cfg.PasswordFile = "docomo-1", "docomo", c.Addr(), "kakitome", path
	for _, fn := range change {
		fn(&cfg)
	}
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

// TestPlannedEndsAwaitResponses: a bind that leaves waits as long as a response may take; a stop waits fifteen seconds at the most,
// also when the bind was leaving already.
func TestPlannedEndsAwaitResponses(t *testing.T) {
	for name, c := range map[string]struct {
		latency, leave, stop time.Duration // after the submission; 0: never
		outcome              session.Outcome
		took                 time.Duration
	}{
		"left":              {latency: 40 * time.Second, leave: time.Second, outcome: session.Answered, took: 40 * time.Second},
		"stopped":           {latency: 10 * time.Second, stop: time.Second, outcome: session.Answered, took: 10 * time.Second},
		"stopped too early": {latency: 40 * time.Second, stop: time.Second, outcome: session.InDoubt, took: 16 * time.Second},
		"stopped meanwhile": {latency: 40 * time.Second, leave: time.Second, stop: 6 * time.Second, outcome: session.InDoubt, took: 21 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			cfg.Name, cfg.Carrier, cfg.Address, cfg.SystemID, cfg.PasswordFile = "docomo-1", "docomo", "smsc.test:2775", "kakitome", filepath.Join(t.TempDir(), "password")
			require.NoError(t, os.WriteFile(cfg.PasswordFile, []byte("secret"), 0o600))
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				accepted := make(chan *session.Session, 1)
				go func() {
					s, err := session.Accept(context.Background(), theirs, session.AcceptOptions{Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK },
						Settings: session.Settings{DrainTimeout: time.Millisecond, OnRequests: func(_ *session.Session, batch []session.Incoming) {
							reply := batch[0].Reply
							time.AfterFunc(c.latency, func() { _ = reply.Respond(pdu.StatusOK) })
						}}})
					if err == nil {
						accepted <- s
					}
				}()
				var outcome session.Outcome
				var ended time.Time
				bound := make(chan struct{})
				b := New(Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
					Handlers: Handlers{OnBound: func(*Bind) { close(bound) }, OnResults: func(_ *Bind, batch []session.Result) { outcome, ended = batch[0].Outcome, time.Now() }}})
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				<-bound
				began := time.Now()
				require.Equal(t, 1, b.TrySubmit(submissions(1), true))
				if c.leave > 0 {
					time.AfterFunc(c.leave, b.Leave)
				}
				if c.stop > 0 {
					time.AfterFunc(c.stop, stop)
				}
				require.NoError(t, <-done)
				<-(<-accepted).Done()
				require.Equal(t, c.outcome, outcome)
				require.WithinDuration(t, began.Add(c.took), ended, 100*time.Millisecond)
				require.Equal(t, Stopped, b.Status().State)
				time.Sleep(time.Minute) // what was to be called is over
			})
		})
	}
}

func submissions(n int) []session.Request {
	batch := make([]session.Request, n)
	for i := range batch {
		batch[i].Body = &pdu.SubmitSM{SM: pdu.SM{Dest: pdu.Address{Addr: []byte("819000010001")}, Source: pdu.Address{Addr: []byte("0312345678")}, ShortMessage: []byte("x")}}
	}
	return batch
}

// TestRateHoldsWhoeverSubmits: several feeds ask for the same credit at the same moment.
func TestRateHoldsWhoeverSubmits(t *testing.T) {
	const perSecond = 200
	c := carrier(t)
	b := run(t, c, "secret", 0o600, func(c *Config) { c.Rate = perSecond })
	reaches(t, b, Bound)
	began := time.Now()
	var wg sync.WaitGroup
	for feed := range 8 {
		wg.Go(func() {
			for time.Since(began) < time.Second {
				b.TrySubmit(submissions(20), feed%2 == 0)
			}
		})
	}
	wg.Wait()
	most := perSecond*time.Since(began).Seconds() + perSecond/10
	n := float64(b.Figures().Submitted)
	require.LessOrEqual(t, n, most+1)
	require.Greater(t, n, most/2)
}
