package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
)

func TestDataDirectoryIsMadePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o755))
	for range 2 {
		require.NoError(t, privateDir(dir))
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	}
}

func TestNumbersAreReadAgainAtSIGHUP(t *testing.T) {
	ranges := filepath.Join(t.TempDir(), "ranges.csv")
	write := func(text string) { require.NoError(t, os.WriteFile(ranges, []byte(text), 0o600)) }
	write("0900,docomo\n")
	phone := []carrier.AddressForm{carrier.FormPhone}
	cfg := carrier.Config{Ranges: ranges, Carriers: []carrier.Carrier{{Name: "docomo", Simulated: true, Senders: phone}, {Name: "au", Simulated: true, Senders: phone}}}
	table, err := carrier.Open(cfg)
	require.NoError(t, err)
	n, err := carrier.ParseNumber("09000012345")
	require.NoError(t, err)
	now := func() string { f, _ := table.Resolve(n); return f.Carrier.Name }

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reloadNumbers(ctx, table, cfg, slog.New(slog.DiscardHandler)) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	// The signal must never end the test, neither before it is caught nor, still on its way, after the test: no Stop.
	signal.Notify(make(chan os.Signal, 8), syscall.SIGHUP)
	for _, step := range []struct{ text, want string }{{"0900,au\n", "au"}, {"not a table", "au"}, {"0900,docomo\n", "docomo"}} {
		write(step.text)
		require.Eventually(t, func() bool {
			require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
			return now() == step.want
		}, 10*time.Second, 10*time.Millisecond)
	}
}
