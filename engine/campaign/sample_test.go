package campaign

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/conf/sample"
)

func TestSampleIsGoodAndItsTwinIsNot(t *testing.T) {
	r := openRoom(t)
	r.run()
	var good, faulty bytes.Buffer
	require.NoError(t, sample.Suido(&good, time.Now()))
	require.NoError(t, sample.SuidoFaulty(&faulty, time.Now()))
	st := r.check(good.Bytes())
	require.Equal(t, CP932, st.Encoding)
	require.EqualValues(t, sample.Bills, st.Rows)
	// Every fourth number is of a carrier where the tenant of this test has no approved sender.
	require.EqualValues(t, sample.Bills/4, st.Faulty)
	for _, f := range r.list(st.ID, ListFaults) {
		require.Equal(t, "unapproved", f.Code, "%v", f)
	}
	require.Zero(t, st.Warned, "%v", r.list(st.ID, ListWarnings))
	st = r.check(faulty.Bytes())
	require.EqualValues(t, 2, st.Restored)
	var codes []string
	for _, f := range r.list(st.ID, ListFaults) {
		if f.Code != "unapproved" {
			codes = append(codes, f.Column+" "+f.Code)
		}
	}
	require.Equal(t, []string{"電話番号 scientific", "電話番号 ip_phone", "電話番号 required", "請求金額 pattern", "支払期限 pattern", "本文 too_long"}, codes)
}
