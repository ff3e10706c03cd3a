package ledger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func create(t *testing.T, l *Ledger, r Request) View {
	v, _, err := l.Create("m", r, nil)
	require.NoError(t, err)
	return v
}

func TestAPayersNumberListsHisBills(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	first := create(t, l, bill("a1", PayerNumber))
	number := first.Voucher.PaymentNumber
	require.Len(t, number, 13)
	rec, err := l.Look(Scan{Code: number}, nil)
	require.NoError(t, err, "one alone need not be chosen")
	require.Equal(t, first.PaymentID, rec.PaymentID)

	second := create(t, l, bill("a2", PayerNumber))
	require.Equal(t, number, second.Voucher.PaymentNumber, "the same for all of a payer's bills")
	other := bill("a3", PayerNumber)
	other.Payer = "somebody"
	require.NotEqual(t, number, create(t, l, other).Voucher.PaymentNumber)
	foreign, _, err := l.Create("another", bill("a1", PayerNumber), nil)
	require.NoError(t, err)
	require.NotEqual(t, number, foreign.Voucher.PaymentNumber, "a payer is one merchant's")

	require.NoError(t, l.Close())
	l = open(t, dir)
	bills, ok := l.Bills(number[:6] + " " + number[6:])
	require.True(t, ok)
	require.Len(t, bills, 2)
	_, err = l.Pay(Scan{Code: number}, nil)
	require.Equal(t, CodeChoose, code(err))
	_, err = l.Pay(Scan{Code: number, Payment: foreign.PaymentID}, nil)
	require.Equal(t, CodeUnknownNumber, code(err))
	paid, err := l.Pay(Scan{Code: number, Payment: second.PaymentID, Store: "konbini_c"}, nil)
	require.NoError(t, err)
	require.Equal(t, [2]any{"a2", "konbini_c"}, [2]any{paid.AttemptID, paid.Store})
	_, err = l.Pay(Scan{Code: number, Payment: second.PaymentID}, nil)
	require.Equal(t, CodePaid, code(err))
	_, err = l.Pay(Scan{Code: number}, nil)
	require.NoError(t, err, "what is left")
	bills, ok = l.Bills(number)
	require.True(t, ok)
	require.Empty(t, bills)
	_, err = l.Look(Scan{Code: number}, nil)
	require.Equal(t, CodePaid, code(err))
	require.Equal(t, number, create(t, l, bill("a4", PayerNumber)).Voucher.PaymentNumber, "again and again")
	_, ok = l.Bills("7000000000000")
	require.False(t, ok)
}

func TestPayEasyNeedsAllThreeNumbers(t *testing.T) {
	l := open(t, t.TempDir())
	v := create(t, l, bill("a1", PayEasy)).Voucher
	require.Equal(t, Institution, v.Institution)
	s := Scan{Code: v.PaymentNumber, Institution: v.Institution, Confirmation: v.ConfirmationNumber}
	for want, spoil := range map[string]func(*Scan){
		CodeUnknownNumber:     func(s *Scan) { s.Institution = "00000" },
		CodeWrongConfirmation: func(s *Scan) { s.Confirmation = "" },
		CodeCheckDigit:        func(s *Scan) { s.Code = strings.Repeat("1", 16) },
	} {
		wrong := s
		spoil(&wrong)
		_, err := l.Look(wrong, nil)
		require.Equal(t, want, code(err))
	}
	paid, err := l.Pay(s, nil)
	require.NoError(t, err)
	require.Equal(t, [2]any{Provisional, Bank}, [2]any{paid.State, paid.Store})
}

func TestRegistrationMovesNoMoney(t *testing.T) {
	l := open(t, t.TempDir())
	v := create(t, l, bill("a1", AccountRegistration))
	require.Equal(t, RequiresAction, v.State)
	token := strings.TrimPrefix(v.RedirectURL, "http://127.0.0.1/pay/")
	rec, err := l.PayCard(token, CardApproved, nil)
	require.NoError(t, err)
	require.Equal(t, Registered, rec.State)
	require.Zero(t, rec.PaidYen)
	require.Empty(t, rec.Takings)
	_, err = l.PayCard(token, CardApproved, nil)
	require.Equal(t, CodeFinished, code(err))
	_, err = l.Cancel("m", "a1")
	require.Equal(t, CodeRegistered, code(err))
	owed := l.Owed(0)
	require.Len(t, owed, 1)
	require.Equal(t, [2]any{EventRegistered, Registered}, [2]any{owed[0].Event, owed[0].View.State})

	v = create(t, l, bill("a2", AccountRegistration))
	rec, err = l.PayCard(strings.TrimPrefix(v.RedirectURL, "http://127.0.0.1/pay/"), CardDeclined, nil)
	require.NoError(t, err)
	require.Equal(t, Failed, rec.State)
}

func TestEachMethodHasItsLimits(t *testing.T) {
	l := open(t, t.TempDir())
	for m, most := range map[Method]int64{KonbiniNumber: 300_000, KonbiniBarcode: 300_000, PayerNumber: 300_000, PayEasy: 9_999_999, Card: 9_999_999, CardRecurring: 9_999_999, Wallet: 500_000, AccountRegistration: 9_999_999} {
		r := bill(string(m), m)
		r.Yen = most + 1
		_, _, err := l.Create("m", r, nil)
		require.Equal(t, CodeInvalid, code(err), m)
		r.Yen = most
		create(t, l, r)
		if m.Redirects() {
			r = bill(string(m)+"-2", m)
			r.ReturnURL = ""
			_, _, err = l.Create("m", r, nil)
			require.Equal(t, CodeInvalid, code(err), m)
		}
	}
	r := bill("x", PayerNumber)
	r.Payer = ""
	_, _, err := l.Create("m", r, nil)
	require.ErrorContains(t, err, "payer")
	r = bill("x", Card)
	r.Payer = "p"
	_, _, err = l.Create("m", r, nil)
	require.ErrorContains(t, err, "payer")
}
