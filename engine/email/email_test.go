package email

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/base64"

	"github.com/emersion/go-smtp"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// claims has one claim, that stands as the test says.
type claims struct {
	mu    sync.Mutex // guards state
	state payment.State
}

func (c *claims) Claim(context.Context, tenant.Scope, ulid.ULID) (payment.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, nil
}

func (c *claims) MethodLabel(_, _, lang string) string {
	return say(lang, "コンビニ（お支払番号）", "Convenience store")
}

type sheets struct{}

func (sheets) Document(_ context.Context, _ tenant.ID, d *proto.Document) ([]byte, error) {
	if d.PayerName != "" || d.Claim.Lines != nil {
		return nil, errors.New("a sheet for a mailbox names nobody and nothing")
	}
	return []byte("%PDF-1.4 sheet"), nil
}

// rig is mails over a real store and a real relay, on a clock of its own.
type rig struct {
	*Emails
	t       *testing.T
	dir     string
	relay   *relay
	claims  *claims
	message store.Ref
	log     *bytes.Buffer

	mu    sync.Mutex // guards clock
	clock time.Time
}

var attempt = ulid.ULID{15: 7}

const typed = "taro@example.co.jp"

func newRig(t *testing.T, implicit bool) *rig {
	r := &rig{t: t, dir: t.TempDir(), relay: newRelay(t, implicit), log: &bytes.Buffer{}, clock: time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)}
	due := time.Date(2026, 12, 31, 14, 59, 59, 0, time.UTC)
	r.claims = &claims{state: payment.State{
		Number: "2026-000001", Terms: payment.Terms{Amount: 7440, Tax: -1, Due: due}, Phase: payment.AwaitingMoney,
		Attempts: []*payment.Attempt{{
			Start: payment.Start{ID: attempt, Module: "payment/sandbox", Method: "konbini_number", Yen: 7440, Due: due}, Phase: payment.Awaiting, IssuedAt: r.clock,
			Voucher: &payment.Voucher{PaymentNumber: "203191764545", ConfirmationNumber: "028914", Stores: []payment.Store{{Code: "b", JA: "コンビニB", EN: "Store B"}}},
		}},
	}}
	require.NoError(t, store.NewMasterKey(filepath.Join(r.dir, "master.key")))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "password"), []byte(relayPassword+"\n"), 0o600))
	r.open(implicit)
	t.Cleanup(func() { r.o.Store.Close() })
	r.message = store.Ref{Tenant: "water", Kind: store.Message, ID: ulid.MustNew(ulid.Timestamp(r.clock), rand.Reader)}
	head := &message.Head{V: 1, No: "20261128000000001", Class: message.Billing, Masked: "080-****-9008", URL: "https://kk.example.jp/a/g6U2AjR72g", Claim: ulid.ULID{15: 9}}
	require.NoError(t, commit(t.Context(), r.o.Store, store.Tx{{Ref: r.message, Events: []store.NewEvent{{Type: byte(message.Accepted), At: r.clock, Data: message.Encode(head)}}}}))
	return r
}

func (r *rig) open(implicit bool) {
	s, err := store.Open(store.Options{
		Dir: filepath.Join(r.dir, "data"), MasterKey: filepath.Join(r.dir, "master.key"), Log: slog.New(slog.DiscardHandler), Pace: -1, MinFree: 1, Now: r.now,
	})
	require.NoError(r.t, err)
	c := DefaultConfig()
	c.Relay, c.CA, c.User, c.PasswordFile, c.From, c.Hello = r.relay.address, r.relay.ca, relayUser, filepath.Join(r.dir, "password"), "no-reply@kk.example.jp", "kk.example.jp"
	if implicit {
		c.TLS = Implicit
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Emails, err = New(Options{Config: c, Store: s, Directory: r.snapshot, Claims: r.claims, Sheets: sheets{}, Log: log, Now: r.now})
	require.NoError(r.t, err)
}

func (r *rig) snapshot() *tenant.Snapshot {
	return &tenant.Snapshot{Tenants: map[tenant.ID]*tenant.Tenant{"water": r.tenant()}}
}

func (r *rig) tenant() *tenant.Tenant {
	return &tenant.Tenant{ID: "water", Name: "〇〇県\"水道局\"\r\nBcc: all@example.jp", NameEN: "Water Office", Brand: tenant.Brand{Phone: "000-000-0000", Hours: "平日 9:00～18:00", HoursEN: "weekdays 9-18"}}
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

func (r *rig) state() *message.State {
	events, err := r.o.Store.Load(r.t.Context(), tenant.Only("water"), r.message)
	require.NoError(r.t, err)
	s := new(message.State)
	for _, e := range events {
		require.NoError(r.t, s.Apply(message.Event{Type: message.Type(e.Type), At: e.At, Data: e.Data}))
	}
	return s
}

func (r *rig) ask(address, lang string) error {
	return r.Ask(r.t.Context(), r.tenant(), Asking{Message: r.message, State: r.state(), Attempt: attempt, Lang: lang, Address: address})
}

// work does what is due now, and gives how many mails that were.
func (r *rig) work() int {
	items, err := r.o.Store.Due(nil, queue, store.Cursor{}, r.now(), 100)
	require.NoError(r.t, err)
	for _, i := range items {
		require.NoError(r.t, r.handle(r.t.Context(), i.Ref))
	}
	return len(items)
}

// read opens a mail: its headers, its text and what is attached.
func read(t *testing.T, raw string) (h mail.Header, text string, files map[string]string) {
	m, err := mail.ReadMessage(strings.NewReader(raw))
	require.NoError(t, err)
	files = map[string]string{}
	part := func(encoding string, body io.Reader) string {
		switch strings.ToLower(encoding) {
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		}
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		return strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	if !strings.HasPrefix(kind, "multipart/") {
		return m.Header, part(m.Header.Get("Content-Transfer-Encoding"), m.Body), files
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m.Header, text, files
		}
		require.NoError(t, err)
		body := part(p.Header.Get("Content-Transfer-Encoding"), p)
		if name := p.FileName(); name != "" {
			files[name] = body
		} else {
			text = body
		}
	}
}

func TestANumberGoesOutByMail(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		t.Run(fmt.Sprintf("implicit %v", implicit), func(t *testing.T) {
			r := newRig(t, implicit)
			require.NoError(t, r.ask(typed, "ja"))
			require.Empty(t, r.relay.got(), "it is sent by Run")
			require.Equal(t, 1, r.work())
			all := r.relay.got()
			require.Len(t, all, 1)
			require.True(t, all[0].tls)
			require.Equal(t, "no-reply@kk.example.jp", all[0].from)
			require.Equal(t, typed, all[0].to)
			h, text, files := read(t, all[0].data)
			subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
			require.NoError(t, err)
			require.Equal(t, "【〇〇県\"水道局\" Bcc: all@example.jp】お支払い番号のご案内", subject, "one line, whatever the name says")
			require.Empty(t, h.Get("Bcc"))
			require.Equal(t, "auto-generated", h.Get("Auto-Submitted"))
			for _, want := range []string{"7,440円", "2026年12月31日（木）", "2026-000001", "コンビニ（お支払番号）", "お支払い番号: 203191764545", "確認番号: 028914", "コンビニB", "https://kk.example.jp/a/g6U2AjR72g", "000-000-0000"} {
				require.Contains(t, text, want)
			}
			require.Equal(t, map[string]string{"payment-2026-000001.pdf": "%PDF-1.4 sheet"}, files)

			m := r.state().Mails
			require.Len(t, m, 1)
			require.True(t, m[0].Sent)
			require.Equal(t, "t***@e***.jp", m[0].To)
			require.Zero(t, r.work(), "it has left the queue")
			events, err := r.o.Store.Load(t.Context(), tenant.Only("water"), store.Ref{Tenant: "water", Kind: store.Notice, ID: m[0].Mail})
			require.NoError(t, err)
			for _, e := range events {
				require.NotContains(t, string(e.Data), "taro")
			}
			require.NotContains(t, r.log.String(), "taro")
			require.NotContains(t, r.log.String(), relayPassword)
		})
	}
}

func TestAnEnglishMailSpeaksEnglish(t *testing.T) {
	r := newRig(t, false)
	require.NoError(t, r.ask(typed, "en"))
	r.work()
	h, text, _ := read(t, r.relay.got()[0].data)
	require.Equal(t, "[Water Office] Your payment number", h.Get("Subject"))
	require.Contains(t, text, "¥7,440")
	require.Contains(t, text, "Store B")
	require.Contains(t, text, "Hours: weekdays 9-18")
	require.NotContains(t, text, "お支払い")
}

func TestWhatIsRefusedForNowIsTriedAgain(t *testing.T) {
	r := newRig(t, false)
	r.relay.say(&smtp.SMTPError{Code: 451, Message: "later, " + typed}, &smtp.SMTPError{Code: 452, Message: "later"})
	require.NoError(t, r.ask(typed, "ja"))
	require.Equal(t, 1, r.work())
	require.Zero(t, r.work(), "not at once")
	r.pass(time.Minute)
	require.Equal(t, 1, r.work())
	r.pass(time.Minute)
	require.Zero(t, r.work(), "the waits double")
	r.pass(time.Minute)
	require.Equal(t, 1, r.work())
	require.Len(t, r.relay.got(), 1)
	require.True(t, r.state().Mails[0].Sent)
	require.NotContains(t, r.log.String(), "taro", "an answer may repeat the address")
}

func TestWhatIsRefusedForGoodEnds(t *testing.T) {
	r := newRig(t, false)
	r.relay.say(&smtp.SMTPError{Code: 550, Message: "no such user " + typed})
	require.NoError(t, r.ask(typed, "ja"))
	require.Equal(t, 1, r.work())
	m := r.state().Mails[0]
	require.True(t, m.Failed)
	require.Equal(t, ReasonRefused, m.Reason)
	r.pass(48 * time.Hour)
	require.Zero(t, r.work())
	require.NotContains(t, r.log.String(), "taro")
}

func TestARelayThatIsAwayIsTriedForADay(t *testing.T) {
	r := newRig(t, false)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "password"), []byte("n0tTheWord\n"), 0o600))
	require.NoError(t, r.ask(typed, "ja"))
	require.Equal(t, 1, r.work())
	require.False(t, r.state().Mails[0].Failed, "a refused login is the operator's to mend")
	require.Empty(t, r.relay.got())
	r.relay.server.Close()
	tries := 1
	for !r.state().Mails[0].Failed {
		r.pass(time.Hour)
		tries += r.work()
		require.Less(t, tries, 40)
	}
	require.Equal(t, ReasonGaveUp, r.state().Mails[0].Reason)
	require.Greater(t, tries, 20)
	require.NotContains(t, r.log.String(), "taro")
	require.NotContains(t, r.log.String(), "n0tTheWord")
}

func TestWhatWasPaidMeanwhileIsNotSent(t *testing.T) {
	r := newRig(t, false)
	require.NoError(t, r.ask(typed, "ja"))
	r.claims.state.Attempts[0].Phase = payment.IsProvisional
	require.Equal(t, 1, r.work())
	require.Empty(t, r.relay.got())
	require.Equal(t, ReasonObsolete, r.state().Mails[0].Reason)

	r.claims.state.Attempts[0].Phase = payment.Awaiting
	r.pass(time.Hour)
	require.NoError(t, r.ask(typed, "ja"))
	r.pass(60 * 24 * time.Hour) // past the due date
	require.Equal(t, 1, r.work())
	require.Empty(t, r.relay.got())
}

func TestMailsAreBounded(t *testing.T) {
	r := newRig(t, false)
	require.ErrorIs(t, r.ask("taro@example.jp\r\nBcc: all@example.jp", "ja"), ErrAddress)
	require.ErrorIs(t, r.ask("", "ja"), ErrAddress)
	require.NoError(t, r.ask(typed, "ja"))
	require.NoError(t, r.ask(" ｔａｒｏ＠EXAMPLE.co.jp", "ja"), "pressed twice")
	require.Len(t, r.state().Mails, 1)
	require.NoError(t, r.ask("hanako@example.jp", "ja"), "another address is another wish")
	r.pass(onceIn)
	require.NoError(t, r.ask(typed, "ja"))
	require.Len(t, r.state().Mails, 3)
	require.True(t, r.UsedUp(r.state()))
	require.ErrorIs(t, r.ask("jiro@example.jp", "ja"), ErrUsedUp)
	r.pass(24 * time.Hour)
	require.False(t, r.UsedUp(r.state()), "tomorrow again")

	r.o.Config.PerDay = 1
	require.NoError(t, r.ask(typed, "ja"))
	require.ErrorIs(t, r.ask("jiro@example.jp", "ja"), ErrUsedUp, "of the tenant")
}

func TestOfManyPressesOneSends(t *testing.T) {
	r := newRig(t, false)
	st := r.state()
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			err := r.Ask(t.Context(), r.tenant(), Asking{Message: r.message, State: st, Attempt: attempt, Lang: "ja", Address: typed})
			var lost *store.ConflictError
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if !errors.As(err, &lost) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, taken)
	require.Equal(t, 1, r.work())
}

func TestAMailOutlivesTheProgram(t *testing.T) {
	r := newRig(t, false)
	require.NoError(t, r.ask(typed, "ja"))
	require.NoError(t, r.o.Store.Close())
	r.open(false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	require.Eventually(t, func() bool { s := r.state(); return s.Mails[0].Sent }, 30*time.Second, 5*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Len(t, r.relay.got(), 1)
}

func TestTransfersAndBarcodesAreDescribed(t *testing.T) {
	r := newRig(t, false)
	c := &r.claims.state
	c.Attempts[0].Voucher = &payment.Voucher{Account: &payment.Account{Bank: "〇〇銀行", Branch: "本店", Kind: "普通", Number: "1234567", Holder: "スイドウキョク", Reference: "000123"}}
	c.Attempts[0].Phase, c.Phase, c.Received = payment.PartPaid, payment.PartlyPaid, 3000
	require.NoError(t, r.ask(typed, "ja"))
	r.work()
	_, text, files := read(t, r.relay.got()[0].data)
	for _, want := range []string{"お支払い金額: 4,440円", "ご入金済み: 3,000円", "〇〇銀行 本店", "普通 1234567", "000123"} {
		require.Contains(t, text, want)
	}
	require.Empty(t, files)

	c.Attempts[0].Voucher = &payment.Voucher{Barcode: "91908081030210019970007091753026123100074406"}
	c.Attempts[0].Phase, c.Phase, c.Received = payment.Awaiting, payment.AwaitingMoney, 0
	r.pass(time.Hour)
	require.NoError(t, r.ask(typed, "ja"))
	r.work()
	_, text, files = read(t, r.relay.got()[1].data)
	require.Contains(t, text, "添付のお支払いシート")
	require.Len(t, files, 1)

	c.Attempts[0].Voucher = &payment.Voucher{Institution: "99081", PaymentNumber: "6123456789012345", ConfirmationNumber: "123456"}
	r.pass(time.Hour)
	require.NoError(t, r.ask(typed, "ja"))
	r.work()
	_, text, _ = read(t, r.relay.got()[2].data)
	require.Contains(t, text, "収納機関番号: 99081\nお客様番号（納付番号）: 6123456789012345\n確認番号: 123456")
}

func TestConfigNamesItsFaults(t *testing.T) {
	none := DefaultConfig()
	require.Empty(t, none.Validate(), "no relay, nothing to check")
	open := filepath.Join(t.TempDir(), "open")
	require.NoError(t, os.WriteFile(open, []byte("x"), 0o644))
	c := Config{Relay: "smtp.example.jp", TLS: "none", User: "u", PasswordFile: open, From: "Kakitome <x@example.jp>", CA: open}
	said := errors.Join(c.Validate()...).Error()
	for _, field := range []string{"relay:", "tls:", "ca:", "password_file:", "from:", "per_message:", "per_day:", "timeout:"} {
		require.Contains(t, said, field)
	}
	c = DefaultConfig()
	c.Relay, c.TLS, c.From = "127.0.0.1:25", NoTLS, "x@example.jp"
	require.Empty(t, c.Validate())
	c.User = "u"
	require.Len(t, c.Validate(), 1)
}
