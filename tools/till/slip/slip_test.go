package slip

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The first two are samples that vendors of slip software publish; the others follow from the rule.
func TestWorkedExamples(t *testing.T) {
	for _, digits := range []string{
		"91912345000000000000004520875004013100295004",
		"91908081030210019970070917530110083100050009",
		"91908081030210019970070917530026123100074406",
		"91912345000000000000000045208727013110500002",
		"91912345123456789012345678901027013100499997",
		"91912345123456789012345678901999999913000002",
	} {
		require.Equal(t, digits[43], CheckDigit(digits[:43]), digits)
	}
	require.NotEqual(t, byte('4'), CheckDigit("912345000000000000004520875004013100295004"[:41]), "the identifier 91 counts")
}

func TestSlipOfABillHasItsFields(t *testing.T) {
	s := Slip{Company: "908081", Free: "030210019970070917530", Due: time.Date(2026, 12, 31, 23, 59, 59, 0, Japan), Yen: 7440}
	digits, err := s.Digits()
	require.NoError(t, err)
	require.Equal(t, "91908081030210019970070917530026123100074406", digits)
	back, err := Parse(digits)
	require.NoError(t, err)
	require.Equal(t, int64(7440), back.Yen)
	require.False(t, back.Stamp)
	require.Equal(t, "2026-12-31", back.Due.Format(time.DateOnly))
	require.False(t, back.Expired(time.Date(2026, 12, 31, 14, 59, 59, 0, time.UTC)))
	require.True(t, back.Expired(time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC)))
}

func TestStampFlagLeavesOutTaxShownSeparately(t *testing.T) {
	require.True(t, NeedsStamp(50_000, -1))
	require.False(t, NeedsStamp(49_999, -1))
	require.False(t, NeedsStamp(54_999, 5_000))
	require.True(t, NeedsStamp(55_000, 5_000))
	require.True(t, NeedsStamp(50_000, 0))
}

func TestDueDateIsTheDayInJapan(t *testing.T) {
	digits, err := Slip{Company: "908081", Due: time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC), Yen: 1}.Digits()
	require.NoError(t, err)
	require.Equal(t, "270101", digits[30:36])
}

func TestRefusalsNameTheField(t *testing.T) {
	for _, c := range []struct {
		slip Slip
		want string
	}{
		{Slip{Company: "12345", Yen: 1}, "company code"},
		{Slip{Company: "12345x", Yen: 1}, "company code"},
		{Slip{Company: "123456", Free: strings.Repeat("1", 22), Yen: 1}, "free digits"},
		{Slip{Company: "123456", Reissue: 10, Yen: 1}, "reissue count"},
		{Slip{Company: "123456", Yen: 0}, "amount"},
		{Slip{Company: "123456", Yen: 300_001}, "amount"},
		{Slip{Company: "123456", Yen: 1, Due: time.Date(2100, 1, 1, 0, 0, 0, 0, Japan)}, "due date"},
	} {
		_, err := c.slip.Digits()
		require.ErrorContains(t, err, c.want)
	}
	for digits, want := range map[string]string{
		"9190808103021001997007091753002612310007440":  "want 44 digits",
		"919080810302100199700709175300261231000744０6": "want 44 digits",
	} {
		_, err := Parse(digits)
		require.ErrorContains(t, err, want, digits)
	}
	for body, want := range map[string]string{
		"9290808103021001997007091753002612310007440": "application identifier",
		"9190808103021001997007091753002613310007440": "due date 261331",
		"9190808103021001997007091753002612312007440": "stamp flag 2",
		"9190808103021001997007091753002612310000000": "amount 0",
		"9190808103021001997007091753002612310300001": "amount 300001",
	} {
		_, err := Parse(withCheck(body))
		require.ErrorContains(t, err, want, body)
	}
}

func withCheck(body string) string { return body + string(CheckDigit(body)) }

func TestEverySlipReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Slip{
			Company: rapid.StringMatching(`[0-9]{6}`).Draw(t, "company"),
			Free:    rapid.StringMatching(`[0-9]{21}`).Draw(t, "free"),
			Reissue: rapid.IntRange(0, 9).Draw(t, "reissue"),
			Stamp:   rapid.Bool().Draw(t, "stamp"),
			Yen:     rapid.Int64Range(1, MaxYen).Draw(t, "yen"),
		}
		if rapid.Bool().Draw(t, "limited") {
			s.Due = time.Date(2000, 1, 1+rapid.IntRange(0, 36_000).Draw(t, "day"), 0, 0, 0, 0, Japan)
		}
		digits, err := s.Digits()
		require.NoError(t, err)
		require.Len(t, digits, Length)
		back, err := Parse(digits)
		require.NoError(t, err)
		require.True(t, s.Due.Equal(back.Due))
		back.Due = s.Due
		require.Equal(t, s, back)
	})
}

// Weights 3 and 1 are both prime to ten, so that any single wrong digit shows.
func TestEveryMistypedDigitIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits, err := Slip{Company: "908081", Free: rapid.StringMatching(`[0-9]{21}`).Draw(t, "free"), Yen: 7440}.Digits()
		require.NoError(t, err)
		at := rapid.IntRange(2, Length-1).Draw(t, "at")
		wrong := []byte(digits)
		wrong[at] = '0' + (wrong[at]-'0'+byte(rapid.IntRange(1, 9).Draw(t, "by")))%10
		_, err = Parse(string(wrong))
		require.ErrorIs(t, err, ErrCheckDigit)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("91908081030210019970070917530026123100074406")
	f.Add("91912345123456789012345678901999999913000002")
	f.Add("")
	f.Fuzz(func(t *testing.T, digits string) {
		s, err := Parse(digits)
		if err != nil {
			return
		}
		again, err := s.Digits()
		require.NoError(t, err)
		require.Equal(t, digits, again)
	})
}
