package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzLook(f *testing.F) {
	l := open(f, f.TempDir())
	number, _, err := l.Create("m", bill("a1", KonbiniNumber), nil)
	require.NoError(f, err)
	barcode, _, err := l.Create("m", bill("a2", KonbiniBarcode), nil)
	require.NoError(f, err)
	f.Add(number.Voucher.PaymentNumber, number.Voucher.ConfirmationNumber, "")
	f.Add(barcode.Voucher.Barcode, "", "konbini_c")
	f.Add("（９１）", "-", "?")
	f.Fuzz(func(t *testing.T, code, confirmation, store string) {
		rec, err := l.Look(Scan{Code: code, Confirmation: confirmation, Store: store}, nil)
		if err != nil {
			var refusal *Error
			require.ErrorAs(t, err, &refusal)
			return
		}
		require.Contains(t, []string{number.PaymentID, barcode.PaymentID}, rec.PaymentID)
	})
}
