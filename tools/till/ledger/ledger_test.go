package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/tools/till/slip"
)

var opening = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func options() Options {
	return Options{CompanyCode: "908081", CardPages: "http://127.0.0.1/pay/", Now: func() time.Time { return opening },
		Log: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, dir string) *Ledger {
	l, err := Open(dir, options())
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func bill(attempt string, m Method) Request {
	payer := ""
	if m == PayerNumber {
		payer = "4e07408562bedb8b60ce05c1decfe3ad"
	}
	return Request{Payer: payer, AttemptID: attempt, Method: m, Yen: 7440, TaxYen: -1, Due: opening.Add(240 * time.Hour),
		Store: "konbini_a", ReturnURL: "https://example.jp/r", WebhookURL: "https://example.jp/w"}
}

func code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// state is all that the books say.
type state struct {
	Payments []Record
	Owed     []Notice
	Ahead    time.Duration
}

func stateOf(l *Ledger) state {
	_, ahead := l.Clock()
	return state{l.Payments("", 10_000), l.Owed(0), ahead}
}

// Whatever was done, in whatever order, the books read back as they were left.
func TestReopenedBooksSayTheSame(t *testing.T) {
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		l, err := Open(dir, options())
		require.NoError(t, err)
		waive := func(string) bool { return rapid.Bool().Draw(t, "waive") }
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			attempt := fmt.Sprint("a", rapid.IntRange(1, 4).Draw(t, "attempt"))
			method := rapid.SampledFrom(Methods).Draw(t, "method")
			rec := Record{}
			if all := l.Payments(attempt, 1); len(all) == 1 {
				rec = all[0]
			}
			switch rapid.IntRange(0, 8).Draw(t, "step") {
			case 0, 1, 2:
				l.Create("m", bill(attempt, method), nil)
			case 3:
				l.Cancel("m", attempt)
			case 4:
				if rec.Voucher != nil {
					l.Pay(Scan{Code: rec.Voucher.PaymentNumber + rec.Voucher.Barcode, Institution: rec.Voucher.Institution, Confirmation: rec.Voucher.ConfirmationNumber,
						Payment: rapid.SampledFrom([]string{"", rec.PaymentID}).Draw(t, "which")}, waive)
				} else {
					outcome := rapid.SampledFrom([]CardOutcome{CardApproved, CardDeclined, CardAbandoned}).Draw(t, "outcome")
					l.PayCard(strings.TrimPrefix(rec.RedirectURL, "http://127.0.0.1/pay/"), outcome, waive)
				}
			case 5:
				l.Revoke(rec.PaymentID, len(rec.Takings), waive)
			case 6:
				l.Confirm(rec.PaymentID, len(rec.Takings))
			case 7:
				if owed := l.Owed(0); len(owed) > 0 {
					require.NoError(t, l.Delivered(owed[0]))
				}
			case 8:
				require.NoError(t, l.SetClock(time.Duration(rapid.IntRange(0, 400).Draw(t, "hours"))*time.Hour))
			}
		}
		for _, p := range l.Payments("", 100) {
			standing := 0
			for _, taking := range p.Takings {
				if taking.RevokedAt == nil {
					standing++
				}
			}
			require.Equal(t, int64(standing)*p.Yen, p.PaidYen)
			require.Equal(t, standing > 0, p.State == Provisional || p.State == Confirmed)
		}
		before := stateOf(l)
		require.NoError(t, l.Close())
		l, err = Open(dir, options())
		require.NoError(t, err)
		require.Equal(t, before, stateOf(l))
		require.NoError(t, l.Close())
	})
}

func TestTimesOfOnePaymentStrictlyIncrease(t *testing.T) {
	l := open(t, t.TempDir())
	v, _, err := l.Create("m", bill("a1", KonbiniBarcode), nil)
	require.NoError(t, err)
	for range 3 {
		_, err = l.Pay(Scan{Code: v.Voucher.Barcode}, func(string) bool { return true })
		require.NoError(t, err)
	}
	_, err = l.ConfirmOlder(0)
	require.NoError(t, err)
	last := time.Time{}
	for _, n := range l.Owed(0) {
		require.True(t, n.Occurred.After(last), "the clock stands still, the facts do not")
		last = n.Occurred
	}
	require.Len(t, l.Owed(0), 6)
}

func TestUnfinishedLastLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	_, _, err := l.Create("m", bill("a1", Card), nil)
	require.NoError(t, err)
	before := stateOf(l)
	require.NoError(t, l.Close())
	name := filepath.Join(dir, "facts.ndjson")
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, append(whole, `{"n":2,"fact":"canc`...), 0o600))

	l = open(t, dir)
	require.Equal(t, before, stateOf(l))
	_, err = l.Cancel("m", "a1")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	l = open(t, dir)
	require.Equal(t, Canceled, l.Payments("", 1)[0].State)
}

func TestDamagedBooksAreRefusedNotRepaired(t *testing.T) {
	for lines, want := range map[string]string{
		"garbage\n": "line 1",
		`{"n":2,"at":"2026-11-22T09:00:00Z","fact":"clock"}` + "\n":                                                                 "line 1: fact number 2: want 1",
		`{"n":1,"at":"2026-11-22T09:00:00Z","fact":"clock"}` + "\n" + `{"n":2,"fact":"canceled","payment":"x"}` + "\n":              `line 2: fact "canceled": payment "x" is unknown`,
		`{"n":1,"fact":"teleported"}` + "\n":                                                                                        `fact "teleported" is unknown`,
		`{"n":1,"fact":"created","payment":"p","created":{}}` + "\n" + `{"n":2,"fact":"confirmed","payment":"p","taking":1}` + "\n": "taking 1: payment has 0",
		`{"n":1,"fact":"created","payment":"p","created":{}}` + "\n" + `{"n":2,"fact":"collected","payment":"p","taking":2}` + "\n": "taking 2: want 1",
		`{"n":1,"fact":"clock"}` + "\n" + strings.Repeat("x", 2<<20) + "\n":                                                         "line 2",
		`{"n":1,"fact":"created","payment":"p","created":{}}` + "\n" + `{"n":2,"fact":"created","payment":"p","created":{}}` + "\n": "want a new payment",
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "facts.ndjson")
		require.NoError(t, os.WriteFile(name, []byte(lines), 0o600))
		_, err := Open(dir, options())
		require.ErrorContains(t, err, want)
		after, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, lines, string(after))
	}
}

func TestBooksAreOpenOnce(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := Open(dir, options())
	require.ErrorContains(t, err, "in use by another till")
}

func TestDiskTroubleLeavesTheStateAsItWas(t *testing.T) {
	l := open(t, t.TempDir())
	_, _, err := l.Create("m", bill("a1", Card), nil)
	require.NoError(t, err)
	before := stateOf(l)
	l.file.f.Close() // from now on no write succeeds
	_, err = l.Cancel("m", "a1")
	require.ErrorContains(t, err, "facts.ndjson")
	require.Equal(t, before, stateOf(l))
	_, _, err = l.Create("m", bill("a2", Card), nil)
	require.ErrorContains(t, err, "start the till again")
}

func TestAttemptIdBelongsToItsMerchant(t *testing.T) {
	l := open(t, t.TempDir())
	a, created, err := l.Create("m1", bill("a1", Card), nil)
	require.NoError(t, err)
	require.True(t, created)
	b, created, err := l.Create("m2", bill("a1", Card), nil)
	require.NoError(t, err)
	require.True(t, created)
	require.NotEqual(t, a.PaymentID, b.PaymentID)
	again, created, err := l.Create("m1", bill("a1", Card), nil)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, a, again)
	_, err = l.Get("m3", "a1")
	require.Equal(t, CodeNotFound, code(err))
}

func TestIdsCarryTheDayInJapan(t *testing.T) {
	l := open(t, t.TempDir())
	require.NoError(t, l.SetClock(7*time.Hour)) // 16:00 UTC is the 23rd in Japan
	v, _, err := l.Create("m", bill("a1", KonbiniNumber), nil)
	require.NoError(t, err)
	require.Regexp(t, `^20261123\d{9}$`, v.PaymentID)
	require.Regexp(t, `^261123\d{8}$`, v.ReceiptNumber)
}

func TestTillReadsWhatPeopleAndScannersType(t *testing.T) {
	l := open(t, t.TempDir())
	number, _, err := l.Create("m", bill("a1", KonbiniNumber), nil)
	require.NoError(t, err)
	scanned, _, err := l.Create("m", bill("a2", KonbiniBarcode), nil)
	require.NoError(t, err)
	n, b := number.Voucher.PaymentNumber, scanned.Voucher.Barcode
	wide := strings.NewReplacer("0", "０", "1", "１", "2", "２", "3", "３").Replace(n)
	for _, typed := range []string{n, n[:4] + "-" + n[4:] + "\r\n", " " + wide + " ", "(" + b[:2] + ")" + b[2:8] + "-" + b[8:30] + "\n" + b[30:36] + "-" + b[36:]} {
		_, err := l.Look(Scan{Code: typed}, nil)
		require.NoError(t, err, typed)
	}
	for typed, want := range map[string]string{
		"":     CodeUnreadable,
		"12a4": CodeUnreadable,
		n[:len(n)-1] + string('0'+(n[len(n)-1]-'0'+1)%10):        CodeCheckDigit,
		"100000000000" + string(slip.CheckDigit("100000000000")): CodeUnknownNumber,
	} {
		_, err := l.Look(Scan{Code: typed}, nil)
		require.Equal(t, want, code(err), typed)
	}
}

func TestClockSetBackDoesNotHoldBackConfirmation(t *testing.T) {
	l := open(t, t.TempDir())
	v, _, err := l.Create("m", bill("a1", KonbiniBarcode), nil)
	require.NoError(t, err)
	require.NoError(t, l.SetClock(24*time.Hour))
	_, err = l.Pay(Scan{Code: v.Voucher.Barcode}, nil)
	require.NoError(t, err)
	n, err := l.ConfirmOlder(5 * time.Second)
	require.NoError(t, err)
	require.Zero(t, n, "too early")
	require.NoError(t, l.SetClock(0))
	n, err = l.ConfirmOlder(5 * time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestConfirmationWaitsItsTime(t *testing.T) {
	l := open(t, t.TempDir())
	v, _, err := l.Create("m", bill("a1", KonbiniBarcode), nil)
	require.NoError(t, err)
	_, err = l.Pay(Scan{Code: v.Voucher.Barcode}, nil)
	require.NoError(t, err)
	require.NoError(t, l.SetClock(4*time.Second))
	n, err := l.ConfirmOlder(5 * time.Second)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, l.SetClock(6*time.Second))
	n, err = l.ConfirmOlder(5 * time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
