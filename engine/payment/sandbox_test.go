package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/host"
	"github.com/kakitome/kakitome/tools/built"
	"github.com/kakitome/kakitome/tools/till/company"
)

// market is everything real: the modules in the box as processes of their own under plugins/host, the sandbox company
// with its till, and a door for its webhooks.
type market struct {
	*rig
	base    string      // URL of the company
	deaf    atomic.Bool // webhooks are not heard
	modules *host.Host
}

// screenTime is how long the company lets a barcode be shown: less than clocks may differ.
const screenTime = 2 * time.Minute

func newMarket(t *testing.T) *market {
	r := newRig(t)
	r.pass(time.Since(r.time())) // the company believes nobody's clock but its own
	m := &market{rig: r}

	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.base = "http://" + lis.Addr().String()
	c, err := company.Open(company.Options{
		Directory: t.TempDir(), PublicURL: m.base, CompanyCode: "908081", RetryMin: 20 * time.Millisecond, ShowFor: screenTime,
		Merchants: []company.Merchant{{ID: "kakitome", Name: "〇〇株式会社", Secret: "secret-shared-with-the-company"}, {ID: "second", Name: "〇〇株式会社", Secret: "secret-of-the-second-contract"}},
		Log:       slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	server := &http.Server{Handler: c.Handler(), BaseContext: func(net.Listener) context.Context { return ctx }}
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	wg.Go(func() { server.Serve(lis) })
	t.Cleanup(func() {
		stop()
		server.Close()
		wg.Wait()
		require.NoError(t, c.Close())
	})

	h := startModules(t, "payment/sandbox", "render/standard")
	m.modules = h
	config, err := json.Marshal(map[string]string{"endpoint": m.base, "merchant": "kakitome", "secret": "secret-shared-with-the-company"})
	require.NoError(t, err)
	require.NoError(t, h.Configure(t.Context(), "payment/sandbox", Instance("acme", "sandbox"), "acme", config))

	door := httptest.NewServer(http.HandlerFunc(m.door))
	t.Cleanup(door.Close)
	r.opt.Agents, r.opt.Renders = h, h
	r.opt.NotSent = func(err error) bool { return errors.Is(err, host.ErrNotSent) }
	r.c.WebhookBase = door.URL + "/hooks/"
	return m
}

// claim is a claim that is due in a month.
func (m *market) claim(number string, amount int64) ulid.ULID {
	m.t.Helper()
	c := draft(number, amount)
	c.Due = m.time().AddDate(0, 1, 0).Format(time.DateOnly)
	planned, problem, err := m.Plan(m.t.Context(), m.tenant, ulid.Make(), c, "")
	require.NoError(m.t, err)
	require.Nil(m.t, problem)
	require.NoError(m.t, m.commit(m.t.Context(), planned.Changes))
	return planned.ID
}

func startModules(t *testing.T, names ...string) *host.Host {
	t.Helper()
	dir := t.TempDir()
	run, err := os.MkdirTemp("/tmp", "kk") // the path of a socket is bounded
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(run) })
	o := host.Options{StoreDir: filepath.Join(dir, "store"), RunDir: run}
	require.NoError(t, os.Mkdir(o.StoreDir, 0o755))
	for _, name := range names {
		program := built.Program(t, "plugins/"+name)
		sum, err := host.Checksum(program)
		require.NoError(t, err)
		o.Modules = append(o.Modules, host.Module{Name: name, Path: program, SHA256: sum})
	}
	h, err := host.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		h.Close(ctx)
	})
	return h
}

// door does what linkserver/web does with a webhook.
func (m *market) door(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, MaxWebhookBody+1))
	if err != nil {
		return
	}
	if m.deaf.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	in := WebhookRequest{Hook: strings.TrimPrefix(q.URL.Path, "/hooks/"), Method: q.Method, Query: q.URL.RawQuery, Body: body}
	for name, values := range q.Header {
		for _, v := range values {
			in.Headers = append(in.Headers, Header{name, v})
		}
	}
	out := m.Webhook(q.Context(), in)
	for _, h := range out.Headers {
		w.Header().Set(h.Name, h.Value)
	}
	w.WriteHeader(out.Status)
	w.Write(out.Body)
}

// till does something at the company.
func (m *market) till(path string, in map[string]any) {
	m.t.Helper()
	b, err := json.Marshal(in)
	require.NoError(m.t, err)
	resp, err := http.Post(m.base+path, "application/json", bytes.NewReader(b))
	require.NoError(m.t, err)
	defer resp.Body.Close()
	out, _ := io.ReadAll(resp.Body)
	require.Equal(m.t, http.StatusOK, resp.StatusCode, "%s: %s", path, out)
}

// becomes waits until the claim is in the phase.
func (m *market) becomes(claim ulid.ULID, want Phase) *State {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		m.pass(10 * time.Millisecond) // the company tells at its own time
		s, err := m.Claim(context.Background(), scope, claim)
		return err == nil && s.Phase == want
	}, 30*time.Second, 10*time.Millisecond, "want %s, is %s", want, m.state(claim).Phase)
	return m.state(claim)
}

func TestWithTheRealModulesAndTheTill(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	m := newMarket(t)
	t.Run("barcode, 速報, 確報, receipt", func(t *testing.T) {
		claim := m.claim("A-1", 7440)
		a, err := m.start(claim, "konbini_barcode")
		require.NoError(t, err, a.Reason)
		require.Equal(t, Awaiting, a.Phase)
		m.till("/faults", map[string]any{"fault": "duplicate_notice", "times": 2})
		m.till("/till/pay", map[string]any{"barcode": a.Voucher.Barcode, "store": "konbini_c"})
		s := m.becomes(claim, Accepted)
		require.Equal(t, "コンビニC", m.StoreLabel(s.Attempts[0], s.Attempts[0].PaidStore, "ja"))
		m.till("/till/confirm", map[string]any{"payment_id": a.AgentID})
		s = m.becomes(claim, Paid)
		require.Equal(t, int64(7440), s.Confirmed)
		require.Empty(t, s.Alerts)
		pdf, name, err := m.Receipt(t.Context(), m.tenant, claim, ReceiptOptions{})
		require.NoError(t, err)
		require.Equal(t, "receipt-000000000001.pdf", name)
		require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")))
		require.NotEmpty(t, m.state(claim).Receipt().Document)
	})
	t.Run("lost reply, settled by asking", func(t *testing.T) {
		claim := m.claim("A-2", 1000)
		m.till("/faults", map[string]any{"fault": "lost_reply", "times": 1})
		a := m.mustStart(claim, "konbini_barcode")
		require.Equal(t, AttemptUnknown, a.Phase)
		m.pass(time.Second)
		m.visitDue()
		s := m.state(claim)
		require.Equal(t, AwaitingMoney, s.Phase)
		require.Len(t, s.Attempts, 1)
	})
	t.Run("changed method, paid with the old number", func(t *testing.T) {
		claim := m.claim("A-3", 3000)
		old := m.mustStart(claim, "konbini_barcode")
		_, err := m.Start(t.Context(), m.tenant, claim, StartOptions{Method: "konbini_number", Store: "konbini_b", Warned: true})
		require.NoError(t, err)
		require.Equal(t, WasCanceled, m.state(claim).Attempt(old.ID).Phase)
		m.till("/till/pay", map[string]any{"barcode": old.Voucher.Barcode, "store": "konbini_a"})
		s := m.becomes(claim, Accepted)
		require.Equal(t, PaidAfterCancel, s.Alerts[0].Code)
	})
	t.Run("速報取消, and paid again, told in the wrong order", func(t *testing.T) {
		claim := m.claim("A-4", 500)
		a := m.mustStart(claim, "konbini_barcode")
		pay := map[string]any{"barcode": a.Voucher.Barcode, "store": "konbini_a"}
		m.till("/faults", map[string]any{"fault": "out_of_order", "times": 3})
		m.till("/till/pay", pay)
		m.till("/till/revoke", map[string]any{"payment_id": a.AgentID})
		m.till("/till/pay", pay)
		s := m.becomes(claim, Accepted)
		require.Equal(t, int64(500), s.Received)
		m.till("/till/confirm", map[string]any{"payment_id": a.AgentID})
		m.becomes(claim, Paid)
	})
	t.Run("paid twice, forged signature first", func(t *testing.T) {
		claim := m.claim("A-5", 500)
		a := m.mustStart(claim, "konbini_barcode")
		pay := map[string]any{"barcode": a.Voucher.Barcode, "store": "konbini_a"}
		m.till("/faults", map[string]any{"fault": "pay_twice", "times": 1})
		m.till("/faults", map[string]any{"fault": "forged_signature", "times": 1})
		m.till("/till/pay", pay)
		m.till("/till/pay", pay)
		require.Eventually(t, func() bool {
			m.pass(10 * time.Millisecond)
			return m.state(claim).Received == 1000
		}, 30*time.Second, 10*time.Millisecond)
		require.Equal(t, SecondPayment, m.state(claim).Alerts[0].Code)
	})
	t.Run("card", func(t *testing.T) {
		claim := m.claim("A-6", 500_000)
		a := m.mustStart(claim, "card")
		require.Equal(t, RequiresAction, a.Phase)
		m.till(strings.TrimPrefix(a.Redirect, m.base), map[string]any{"outcome": "approved"})
		m.becomes(claim, Paid)
	})
	t.Run("refund, whole and in part, with a lost reply", func(t *testing.T) {
		claim := m.claim("A-9", 4400)
		a := m.mustStart(claim, "card")
		m.till(strings.TrimPrefix(a.Redirect, m.base), map[string]any{"outcome": "approved"})
		m.becomes(claim, Paid)
		_, _, err := m.Receipt(t.Context(), m.tenant, claim, ReceiptOptions{})
		require.NoError(t, err)
		m.till("/faults", map[string]any{"fault": "lost_reply", "times": 1})
		o := RefundOptions{Yen: 1400, Key: "r-1", Act: message.Act{By: "user:hanako", Reason: "二重請求"}}
		_, err = m.Refund(t.Context(), m.tenant, "A-9", o)
		require.NoError(t, err)
		m.becomes(claim, PartRefunded) // by the notice, or by asking
		s, err := m.Refund(t.Context(), m.tenant, "A-9", o)
		require.NoError(t, err)
		require.Equal(t, int64(1400), s.Refunded, "the same key is the same refund")
		s, err = m.Refund(t.Context(), m.tenant, "A-9", RefundOptions{Key: "r-2"})
		require.NoError(t, err)
		require.Equal(t, AllRefunded, s.Phase)
		pdf, _, err := m.Receipt(t.Context(), m.tenant, claim, ReceiptOptions{})
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")))
		require.Len(t, s.Receipts, 2)
	})
	t.Run("withdrawn, canceled with the company", func(t *testing.T) {
		claim := m.claim("A-7", 700)
		m.mustStart(claim, "konbini_number")
		_, err := m.Patch(t.Context(), m.tenant, "A-7", Patch{Withdrawn: true}, "user:hanako")
		require.NoError(t, err)
		m.pass(time.Second)
		m.visitDue()
		s := m.state(claim)
		require.Equal(t, WasCanceled, s.Attempts[0].Phase)
		require.True(t, s.Over())
	})
	t.Run("確報 by file, and ours against it", func(t *testing.T) {
		missed := m.claim("A-8", 800) // its 確報 is told by the file alone
		a := m.mustStart(missed, "konbini_barcode")
		m.till("/till/pay", map[string]any{"barcode": a.Voucher.Barcode, "store": "konbini_a"})
		m.becomes(missed, Accepted)
		m.deaf.Store(true)
		m.till("/till/confirm", map[string]any{"payment_id": a.AgentID})
		resp, err := http.Get(m.base + "/till/report?merchant=kakitome")
		require.NoError(t, err)
		defer resp.Body.Close()
		file, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, string(file))
		_, err = m.Report(t.Context(), m.tenant, ReportFile{Agent: "sandbox", Name: "kakuho.csv", Body: file[:len(file)-20]})
		require.ErrorAs(t, err, &ReportFaults{}, "cut off")
		require.Equal(t, Accepted, m.state(missed).Phase)
		lines, err := m.Report(t.Context(), m.tenant, ReportFile{Agent: "sandbox", Name: "kakuho.csv", By: "user:hanako", Body: file})
		require.NoError(t, err)
		require.Equal(t, 1, CountResults(lines)["applied"], lines)
		require.Equal(t, Paid, m.state(missed).Phase)
		rec, err := m.Reconcile(t.Context(), m.tenant, "sandbox", message.Day(time.Now()))
		require.NoError(t, err)
		require.Equal(t, 5, rec.Totals[Agrees].Lines, "A-1, A-4, A-6, A-8 and A-9: %+v", rec.Lines)
		require.Equal(t, 2, rec.Totals[OnlyOurs].Lines, "A-3 and A-5 have 速報 alone: %+v", rec.Lines)
		require.Zero(t, rec.Totals[Differs].Lines)
		require.Equal(t, rec.Totals[Agrees].Ours, rec.Total.Theirs)
	})
	t.Run("a registered card, charged by order", func(t *testing.T) {
		m.deaf.Store(false)
		m.tenant.Agents[0].Methods = append(m.tenant.Agents[0].Methods, "card_recurring")
		first := m.claim("R-1", 1000)
		a, err := m.Start(t.Context(), m.tenant, first, StartOptions{Method: "card_recurring", Payer: "taro", ReturnURL: "https://link.example.jp/r"})
		require.NoError(t, err)
		m.till(strings.TrimPrefix(a.Redirect, m.base), map[string]any{"outcome": "approved"})
		m.becomes(first, Paid)
		later := m.claim("R-2", 2500)
		m.till("/faults", map[string]any{"fault": "decline_charge", "times": 1})
		_, err = m.charge("R-2", func(o *ChargeOptions) { o.Card = "R-1" })
		require.ErrorContains(t, err, "the payment agent refused")
		m.till("/faults", map[string]any{"fault": "lost_reply", "times": 1})
		s, err := m.charge("R-2", func(o *ChargeOptions) { o.Card, o.Key = "R-1", "march" })
		require.NoError(t, err)
		require.Len(t, s.Attempts, 2)
		s = *m.becomes(later, Paid) // by the notice
		require.Equal(t, int64(2500), s.Received)
		s, err = m.charge("R-2", func(o *ChargeOptions) { o.Card, o.Key = "R-1", "march" })
		require.NoError(t, err)
		require.Len(t, s.Attempts, 2, "the same key is the same charge")
	})
	t.Run("a barcode for a screen, renewed, paid", func(t *testing.T) {
		claim := m.claim("A-10", 1200)
		a := m.mustStart(claim, "konbini_barcode")
		m.deaf.Store(false)
		m.pass(a.Voucher.ShownUntil.Sub(m.time()))
		require.Nil(t, VoucherOf(m.state(claim).Attempts[0], m.time()))
		s, err := m.Refresh(t.Context(), scope, claim)
		require.NoError(t, err)
		fresh := s.Attempts[0]
		require.NotEqual(t, a.Voucher.Barcode, fresh.Voucher.Barcode)
		require.Equal(t, a.AgentID, fresh.AgentID)
		m.till("/till/pay", map[string]any{"barcode": fresh.Voucher.Barcode, "store": "konbini_b"})
		m.becomes(claim, Accepted)
	})
	alerts, err := m.Alerts(t.Context(), scope, 10)
	require.NoError(t, err)
	require.Len(t, alerts, 2)
	_, err = m.Resolve(t.Context(), scope, alerts[0].Ref.ID, alerts[0].Version, message.Act{By: "user:hanako"})
	require.NoError(t, err)
}
