package wording

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 7440: "7,440", 300000: "300,000", 1234567: "1,234,567", -550: "-550", -1000: "-1,000"} {
		require.Equal(t, want, Number(n))
	}
	require.Equal(t, "7,440円", Japanese.Yen(7440))
	require.Equal(t, "¥7,440", English.Yen(7440))
}

func TestDatesAreThoseOfJapan(t *testing.T) {
	evening := timestamppb.New(time.Date(2026, 12, 31, 14, 59, 59, 0, time.UTC))
	require.Equal(t, "2026年12月31日（木）", Japanese.Until(evening))
	require.Equal(t, "31 December 2026", English.Until(evening))
	morning := timestamppb.New(time.Date(2026, 12, 31, 15, 5, 0, 0, time.UTC))
	require.Equal(t, "2027年1月1日（金） 00:05", Japanese.Until(morning))
	require.Equal(t, "1 January 2027, 00:05 (Japan time)", English.Moment(morning))
	require.Empty(t, Japanese.Moment(nil))
}

func TestOnlyEnglishIsEnglish(t *testing.T) {
	require.Equal(t, English, Of("en"))
	require.Equal(t, Japanese, Of(""))
	require.Equal(t, Japanese, Of("fr"))
	require.Equal(t, "100% あ", Japanese.Say("100% あ", ""))
}
