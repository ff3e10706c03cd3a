package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A barcode of a screen is taken until its own time ends; another one is of the same payment.
func TestBarcodeOfAScreenEnds(t *testing.T) {
	now, dir := opening, t.TempDir()
	o := options()
	o.ShowFor, o.Now = 10*time.Minute, func() time.Time { return now }
	l, err := Open(dir, o)
	require.NoError(t, err)
	create := func(attempt string, m Method) View {
		v, _, err := l.Create("m", bill(attempt, m), nil)
		require.NoError(t, err)
		return v
	}
	look := func(barcode string) string {
		_, err := l.Look(Scan{Code: barcode}, nil)
		return code(err)
	}
	first := create("a1", KonbiniBarcode)
	require.Equal(t, now.Add(10*time.Minute), first.Voucher.ShownUntil)
	now = now.Add(8 * time.Minute)
	second, err := l.Show("m", "a1")
	require.NoError(t, err)
	require.Equal(t, first.PaymentID, second.PaymentID)
	require.NotEqual(t, first.Voucher.Barcode, second.Voucher.Barcode)
	require.Equal(t, now.Add(10*time.Minute), second.Voucher.ShownUntil)
	require.Empty(t, look(first.Voucher.Barcode), "it is still on somebody's screen")
	now = now.Add(3 * time.Minute)
	require.Equal(t, CodeStale, look(first.Voucher.Barcode))
	require.Empty(t, look(second.Voucher.Barcode))
	require.NoError(t, l.Close())
	l, err = Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.Equal(t, CodeStale, look(first.Voucher.Barcode))
	rec, err := l.Pay(Scan{Code: second.Voucher.Barcode}, nil)
	require.NoError(t, err)
	require.Equal(t, Provisional, rec.State)
	for attempt, want := range map[string]string{"a1": CodeNotOpen, "a2": CodeNotOpen, "none": CodeNotFound} {
		if attempt == "a2" {
			create("a2", KonbiniNumber)
		}
		_, err = l.Show("m", attempt)
		require.Equal(t, want, code(err), attempt)
	}
}

func TestBarcodeWithoutATimeStays(t *testing.T) {
	l := open(t, t.TempDir())
	first, _, err := l.Create("m", bill("a1", KonbiniBarcode), nil)
	require.NoError(t, err)
	require.True(t, first.Voucher.ShownUntil.IsZero())
	again, err := l.Show("m", "a1")
	require.NoError(t, err)
	require.Equal(t, first.Voucher, again.Voucher)
}
