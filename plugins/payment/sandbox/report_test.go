package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

const goodReport = "attempt_id,payment_id,receipt_number,method,yen,paid_yen,provisional_at,confirmed_at,store\n" +
	"01K1,20261122999444585,26112226004361,konbini_barcode,7440,7440,2026-11-22T00:03:15Z,2026-11-22T09:03:15.001Z,konbini_b\n" +
	"01K2,20261122999444586,26112226004362,card,500000,500000,,2026-11-22T10:00:00Z,card\n" +
	"total,2,507440\n"

func TestReportIsReadToItsTotal(t *testing.T) {
	out := parseReport([]byte("\ufeff" + strings.ReplaceAll(goodReport, "\n", "\r\n")))
	require.Nil(t, out.Error)
	require.Empty(t, out.Faults)
	require.Len(t, out.Rows, 2)
	require.Equal(t, uint32(3), out.Rows[1].Line)
	require.Equal(t, "01K1", out.Rows[0].AttemptId)
	require.Equal(t, int64(7440), out.Rows[0].Payment.PaidYen)
	require.Equal(t, proto.PaymentState_CONFIRMED, out.Rows[0].Payment.State)
	require.Equal(t, "konbini_b", out.Rows[0].Payment.Store)
	require.Nil(t, out.Rows[1].Payment.ProvisionalAt)
}

func TestWhatIsNoReportIsRefusedWithLineAndField(t *testing.T) {
	cut := func(n int) string {
		return strings.Join(strings.SplitAfter(goodReport, "\n")[:n], "")
	}
	for name, c := range map[string]struct{ body, refused, fault string }{
		"empty":            {"", "line 1", ""},
		"another file":     {"a,b\n", "no 確報 file", ""},
		"cut off":          {cut(2), "the file was cut off", ""},
		"a quote":          {cut(2) + "\"x\n", "line 3", ""},
		"a line is gone":   {cut(2) + "total,2,507440\n", "", "line 3: total: the file says [2 507440], its lines come to [1 7440]"},
		"more behind":      {goodReport + "x\n", "", "line 5: something follows"},
		"amount":           {strings.Replace(goodReport, "7440,7440", "7440,x", 1), "", "line 2: paid_yen: want yen, 1 to"},
		"negative":         {strings.Replace(goodReport, "7440,7440", "-1,7440", 1), "", "line 2: yen: want yen"},
		"no time":          {strings.Replace(goodReport, "2026-11-22T10:00:00Z", "", 1), "", "line 3: confirmed_at: want a time"},
		"a wrong time":     {strings.Replace(goodReport, "2026-11-22T00:03:15Z", "22/11/2026", 1), "", "line 2: provisional_at"},
		"attempt":          {strings.Replace(goodReport, "01K1", "<x>", 1), "", "line 2: attempt_id"},
		"payment":          {strings.Replace(goodReport, "20261122999444585", strings.Repeat("9", 65), 1), "", "line 2: payment_id: has 65 bytes, 1 to 64"},
		"a column is gone": {strings.Replace(goodReport, ",konbini_b", "", 1), "", "line 2: 8 columns; want 9"},
	} {
		out := parseReport([]byte(c.body))
		if c.refused != "" {
			require.Equal(t, proto.ErrorClass_INVALID, out.Error.GetClass(), name)
			require.Contains(t, out.Error.Message, c.refused, name)
			continue
		}
		require.Nil(t, out.Error, name)
		require.NotEmpty(t, out.Faults, name)
		f := out.Faults[0]
		require.Contains(t, "line "+string('0'+rune(f.Line))+": "+f.Message, c.fault, name)
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(goodReport))
	f.Add([]byte("attempt_id,payment_id"))
	f.Fuzz(func(t *testing.T, body []byte) {
		out := parseReport(body)
		if out.Error != nil {
			require.Empty(t, out.Rows)
			return
		}
		for _, r := range out.Rows {
			require.NotEmpty(t, r.AttemptId)
			require.Positive(t, r.Payment.PaidYen)
			require.NotNil(t, r.Payment.ConfirmedAt)
			require.NotZero(t, r.Line)
		}
	})
}
