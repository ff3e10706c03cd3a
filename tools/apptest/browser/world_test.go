package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/tools/apptest"
	"github.com/kakitome/kakitome/tools/built"
	"github.com/kakitome/kakitome/tools/look"
)

// world is a country with the page of its phones. All tests share one: each has its own numbers and claims.
type world struct {
	*apptest.Country
	sender   *apptest.Sender
	handsets string // the page of the phones
	mails    *apptest.Mailbox
	stops    []func()
}

var (
	begun   sync.Once
	shared  *world
	failure error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// sharedWorld builds and starts everything, the first time.
func sharedWorld(t *testing.T) *world {
	t.Helper()
	look.Chromium(t)
	begun.Do(func() {
		shared = &world{}
		failure = shared.start(context.Background())
	})
	require.NoError(t, failure)
	t.Cleanup(func() {
		if t.Failed() && shared.Engine != nil {
			t.Logf("the engine wrote last:\n%s", shared.Engine.Log())
		}
	})
	return shared
}

func (w *world) stop() {
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
}

func (w *world) start(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		return err
	}
	w.stops = append(w.stops, func() { _ = os.RemoveAll(dir) })
	programs := filepath.Join(dir, "programs")
	if err := errors.Join(apptest.Build(ctx, programs), built.Into(ctx, programs, "", "tools/handsets")); err != nil {
		return err
	}
	if w.mails, err = apptest.NewMailbox(); err != nil {
		return err
	}
	w.stops = append(w.stops, func() { _ = w.mails.Close() })
	if w.Country, err = apptest.New(ctx, apptest.Options{Programs: programs, Dir: filepath.Join(dir, "country"), ReceiptDelay: 100 * time.Millisecond, Mail: w.mails.Addr,
		Methods: []string{"konbini_barcode", "konbini_number", "card", "pay_easy", "payer_number", "wallet", "card_recurring", "account_registration"}}); err != nil {
		return err
	}
	w.stops = append(w.stops, w.Close)
	const bank = `{"holder": "〇〇ケンスイドウキヨク", "accounts": [{"bank": "9999", "bank_name": "〇〇銀行", "branch": "101", "branch_name": "振込専用支店", "from": "0000001", "to": "0000100"}]}`
	if err := errors.Join(w.AddModule(apptest.BankModule), w.AddModule(apptest.OIDCModule), os.WriteFile(w.File("bank.json"), []byte(bank), 0o600),
		w.Append("suido.toml", fmt.Sprintf("[[agent]]\nname = \"bank\"\nmodule = %q\nmethods = [\"bank_transfer\"]\nconfig_file = \"bank.json\"\n[entry]\non = true\n[policy]\npast_notices = 3\n", apptest.BankModule))); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, start := range []func(context.Context) error{w.StartCarriers, w.StartTill, w.StartEngine} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	if err := w.startHandsets(filepath.Join(programs, "handsets")); err != nil {
		return err
	}
	w.sender, err = w.Join(ctx)
	return err
}

// startHandsets starts the page of the phones on a free port, which it tells in its first line.
func (w *world) startHandsets(program string) error {
	cmd := exec.Command(program, "-listen", "127.0.0.1:0", "-smsc", w.SMSCURL())
	said, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	w.stops = append(w.stops, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var address string
	if _, err := fmt.Fscanf(said, "ready http=%s", &address); err != nil {
		return fmt.Errorf("the handsets: %w", err)
	}
	w.handsets = "http://" + address
	return nil
}
